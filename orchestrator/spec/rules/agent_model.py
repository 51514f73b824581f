"""WF507: an agent whose model is not said, or not by provider and name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.merge import model_named
from orchestrator.spec.rules._agents import all_agents, config_agents
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF507"
NAME = "agent-model"
SUMMARY = "An agent has no model, or one without its provider."
SEVERITY: Final = "error"
EXPLANATION = page(
    """An agent says its model as `model: provider/name`, by `worker`, or as `ai_config.model`; exactly one of them. A default under
    `defaults: {agents: {model: …}}` counts. A name alone is not enough: several providers offer the same models, at different
    prices.""",
    bad="agents: {writer: {model: gpt-5-mini}}\ntasks: {a: {agent: writer, prompt: Say hello}}",
    good="agents: {writer: {model: openai/gpt-5-mini}}\ntasks: {a: {agent: writer, prompt: Say hello}}",
)
_NAMED: Final = re.compile(r"[a-zA-Z][\w.-]*[/:].+")
_FAMILIES: Final = {
    "gpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude": "anthropic",
    "gemini": "google",
}


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for shown, agent, path in all_agents(context):
        if not model_named(agent):
            help = "add `model: provider/name`, for example `openai/gpt-5-mini`"
            yield context.finding(CODE, SEVERITY, f"{shown} has no model", context.key(path), help=help)
        for model, where in _models(agent, path):
            if "${{" not in model and not _NAMED.fullmatch(model):
                yield context.finding(
                    CODE,
                    SEVERITY,
                    f"the model `{model}` does not say its provider",
                    context.value(where),
                    help=_help(model),
                )
    for shown, agent, mention, label in config_agents(context):
        if not model_named(agent):
            yield context.finding(CODE, SEVERITY, f"{shown} has no model", context.value(mention.path), labels=(label,))


def _models(agent: dict[str, Any], path: Path) -> Iterator[tuple[str, Path]]:
    config = agent.get("ai_config")
    if isinstance(agent.get("model"), str):
        yield agent["model"], (*path, "model")
    if isinstance(config, dict) and isinstance(config.get("model"), str):
        yield config["model"], (*path, "ai_config", "model")
    fallback = agent.get("fallback")
    models, where = (
        (fallback.get("models"), (*path, "fallback", "models"))
        if isinstance(fallback, dict)
        else (fallback, (*path, "fallback"))
    )
    for index, model in enumerate(models if isinstance(models, list) else ()):
        yield str(model), (*where, index)


def _help(model: str) -> str:
    for family, provider in _FAMILIES.items():
        if model.startswith(family):
            return f"for example `{provider}/{model}`"
    return "write `provider/name`"
