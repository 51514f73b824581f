"""WF507: an agent whose model is not said, or not by a provider and a name that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.registry import names
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.merge import model_named
from orchestrator.spec.rules._agents import all_agents, config_agents
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF507"
NAME = "agent-model"
SUMMARY = "An agent has no model, or one that cannot be found."
SEVERITY: Final = "error"
EXPLANATION = page(
    """An agent says its model as `model: provider/name`, by `worker`, or as `ai_config.model`; exactly one of them. A default under
    `defaults: {agents: {model: …}}` counts. A name alone is not enough: several providers offer the same models, at different
    prices.

    The providers are `openai`, `anthropic`, `google`, `ollama`, `local`, `custom` (any other server that speaks chat completions)
    and `embedded` (small programs that come with the package).""",
    bad="agents: {writer: {model: gpt-5-mini}}\ntasks: {a: {agent: writer, prompt: Say hello}}",
    good="agents: {writer: {model: openai/gpt-5-mini}}\ntasks: {a: {agent: writer, prompt: Say hello}}",
)
PROVIDERS: Final = "orchestrator.providers"
EMBEDDED: Final = "orchestrator.providers.embedded_models"
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
            problem = _problem(context, model)
            if problem is not None:
                yield context.finding(CODE, SEVERITY, problem[0], context.value(where), help=problem[1])
    for shown, agent, mention, label in config_agents(context):
        if not model_named(agent):
            yield context.finding(CODE, SEVERITY, f"{shown} has no model", context.value(mention.path), labels=(label,))


def _problem(context: RuleContext, model: str) -> tuple[str, str] | None:
    """What is wrong with a model's text, and what helps. What a provider offers is its own affair; ours are known."""
    if "${{" in model:
        return None
    if not _NAMED.fullmatch(model):
        return f"the model `{model}` does not say its provider", _help(model)
    provider, name = re.split("[/:]", model, maxsplit=1)
    if provider not in names(PROVIDERS):
        help = (
            context.did_you_mean(provider, list(names(PROVIDERS)))
            or f"another server is `custom/{name}`, with its address in CUSTOM_BASE_URL"
        )
        return f"unknown provider `{provider}`", help
    if provider == "embedded" and name not in names(EMBEDDED):
        near = context.did_you_mean(model, [f"embedded/{one}" for one in names(EMBEDDED)])
        return f"there is no model `{model}`", near or f"there are {', '.join(f'`{one}`' for one in names(EMBEDDED))}"
    return None


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
