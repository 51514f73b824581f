"""WF702: a cost budget, and an agent whose answers have no bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF702"
NAME = "unbounded-answer"
SUMMARY = "Under a cost budget, an agent has no `max_tokens`."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """Before each model call its highest possible cost is set aside from the budget: a token for each byte of input, plus
    `max_tokens`. Without `max_tokens` the model's own limit counts, which is large: the budget is used up long before the
    money is spent. Set it on the agent (`ai_config: {max_tokens: 2000}`), its worker, or in `defaults`.""",
    bad="budget: {cost: $1.00}\nagents: {w: {model: openai/gpt-5-mini}}\ntasks: {a: {agent: w, prompt: Say hello}}",
    good="""
    budget: {cost: $1.00}
    agents: {w: {model: openai/gpt-5-mini, ai_config: {max_tokens: 500}}}
    tasks: {a: {agent: w, prompt: Say hello}}
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for site in context.sites:
        who = context.said(site).get("agent")
        budget = _budget(context, site.path) or _own(context, who) if site.verb.name == "agent" else None
        if budget is None or (isinstance(who, str) and (who in seen or "${{" in who)):
            continue
        inline = isinstance(who, dict)
        agent = (
            context.workflow.with_agent_defaults(who)
            if isinstance(who, dict)
            else context.workflow.agents.get(str(who))
        )
        if agent is None or _bounded(context, agent) or _free(context, agent):
            continue
        seen.add(str(who))
        own = not inline and isinstance(context.data.get("agents"), dict) and who in context.data["agents"]
        path: Path = ("agents", str(who)) if own else (*site.path, "agent")
        shown = f"the agent of task `{site.id}`" if inline else f"agent `{who}`"
        yield context.finding(
            CODE, SEVERITY, f"{shown} has no `max_tokens` under a cost budget", context.key(path),
            labels=(Label(context.key(budget), "the budget"),), help="add `ai_config: {max_tokens: 2000}`",
        )  # fmt: skip


def _budget(context: RuleContext, path: Path) -> Path | None:
    """The nearest cost budget over a task."""
    for length in range(len(path), 0, -2):
        for key in ("budget", "total_budget"):
            if _costs(_at(context.data, path[:length]), key):
                return (*path[:length], key)
    return ("budget",) if _costs(context.data, "budget") else None


def _own(context: RuleContext, who: Any) -> Path | None:
    """The agent's own, for each of its conversations, if this file says it."""
    agents = context.data.get("agents")
    agent = agents.get(who) if isinstance(agents, dict) and isinstance(who, str) else None
    return ("agents", who, "budget") if _costs(agent, "budget") else None


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _costs(value: Any, key: str) -> bool:
    budget = value.get(key) if isinstance(value, dict) else None
    return isinstance(budget, dict) and any(budget.get(name) is not None for name in ("cost", "cost_per_day"))


def _free(context: RuleContext, agent: dict[str, Any]) -> bool:
    """Embedded models are small programs: nobody pays for them."""
    config = agent.get("ai_config")
    model = agent.get("model") or (config.get("model") if isinstance(config, dict) else None)
    worker = context.workflow.workers.get(str(agent.get("worker")), {})
    return str(model).startswith(("embedded/", "embedded:")) or worker.get("provider") == "embedded"


def _bounded(context: RuleContext, agent: dict[str, Any]) -> bool:
    config = agent.get("ai_config")
    if isinstance(config, dict) and config.get("max_tokens") is not None:
        return True
    base = context.workflow.workers.get(str(agent.get("worker")), {}).get("base_config")
    return isinstance(base, dict) and base.get("max_tokens") is not None
