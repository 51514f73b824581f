"""WF502: a worker that is not declared, not active, or not for conversations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.worker_choice import ONLY_SINGLE, SAY_BOTH, converses
from orchestrator.spec.diagnostics import Diagnostic, Label, Span
from orchestrator.spec.rules._agents import all_agents, config_agents
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF502"
NAME = "unknown-worker"
SUMMARY = "A worker is not declared, not active, or not for conversations."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Workers say which model of which provider, with which key, prices and limits. They are declared under `workers` of the
    file, or in `config/workers/`. Only active ones are used, and
    an agent needs one whose `interaction_models` is `conversational` (the default) or `both`.""",
    bad="workers: {fast: {provider: openai, model_name: gpt-5-mini}}\nagents: {a: {worker: fats}}\ntasks: {t: {agent: a, prompt: Hello}}",
    good="workers: {fast: {provider: openai, model_name: gpt-5-mini}}\nagents: {a: {worker: fast}}\ntasks: {t: {agent: a, prompt: Hello}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for shown, agent, path in all_agents(context):
        yield from _worker(context, shown, agent, context.value((*path, "worker")), ())
    for shown, agent, mention, label in config_agents(context):
        yield from _worker(context, shown, agent, context.value(mention.path), (label,))


def _worker(
    context: RuleContext, shown: str, agent: dict[str, Any], span: Span, labels: tuple[Label, ...]
) -> Iterator[Diagnostic]:
    workers, name = context.workflow.workers, agent.get("worker")
    if not isinstance(name, str):
        return
    if name not in workers:
        message = f"{shown} uses the unknown worker `{name}`" if labels else f"unknown worker `{name}`"
        help = context.did_you_mean(name, workers) or (None if workers else "declare it under `workers:`")
        yield context.finding(CODE, SEVERITY, message, span, labels=labels, help=help)
    elif (status := workers[name].get("status", "active")) != "active":
        message = f"{shown} uses the worker `{name}`, which is {status}"
        yield context.finding(CODE, SEVERITY, message, span, labels=labels, help="make it active, or name another")
    elif not converses(workers[name]):
        message = f"{shown} uses the worker `{name}`, which {ONLY_SINGLE}"
        yield context.finding(CODE, SEVERITY, message, span, labels=labels, help=SAY_BOTH)
