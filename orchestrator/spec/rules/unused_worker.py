"""WF505: a worker that no agent uses."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF505"
NAME = "unused-worker"
SUMMARY = "A worker is declared and never used."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """No agent of this file names it. Workers that other files use belong into `config/workers/`.""",
    bad="""
    workers: {fast: {provider: openai, model_name: gpt-5-mini}}
    agents: {a: {model: openai/gpt-5}}
    tasks: {t: {agent: a, prompt: Hi}}
    """,
    good="""
    workers: {fast: {provider: openai, model_name: gpt-5-mini}}
    agents: {a: {worker: fast}}
    tasks: {t: {agent: a, prompt: Hi}}
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    if context.partial:
        return
    inline = [context.said(site).get("agent") for site in context.sites]
    agents = [*context.workflow.agents.values(), *(one for one in inline if isinstance(one, dict))]
    if any(_chooses_workers(agent) for agent in agents):
        return
    used = {str(agent.get("worker")) for agent in agents}
    # A mistyped name is one mistake, not two: what it may have meant counts as used.
    used |= {
        near for name in used - set(context.workflow.workers) for near in context.near(name, context.workflow.workers)
    }
    for name in declared(context, "workers"):
        if name not in used:
            yield context.finding(CODE, SEVERITY, f"worker `{name}` is never used", context.key(("workers", name)))


def _chooses_workers(agent: dict[str, Any]) -> bool:
    """It asks workers by its tools, whichever it likes."""
    tools = agent.get("tools")
    return any(fnmatchcase("workers.run", str(one)) for one in (tools if isinstance(tools, list) else ()))
