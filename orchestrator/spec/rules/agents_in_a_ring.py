"""WF512: agents that can ask each other without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF512"
NAME = "agents-in-a-ring"
SUMMARY = "Agents can ask each other in a ring."
SEVERITY: Final = "info"
EXPLANATION = page(
    """An agent under `sub_agents` may itself ask the one that asked it. That is allowed: at most five agents stand between one
    that is asked and the task, and all of them draw on the same budgets. A `budget` bounds what such a talk may cost.""",
    bad="""agents:
  writer: {model: openai/gpt-5-mini, sub_agents: [critic]}
  critic: {model: openai/gpt-5-mini, sub_agents: [writer]}
tasks: {a: {agent: writer, prompt: Write a poem}}""",
    good="""agents:
  writer: {model: openai/gpt-5-mini, sub_agents: [critic]}
  critic: {model: openai/gpt-5-mini}
tasks: {a: {agent: writer, prompt: Write a poem}}""",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    if context.data.get("budget"):
        return
    agents = context.workflow.agents
    told: set[str] = set()
    for name, agent in declared(context, "agents").items():
        for index, other in enumerate(_asked(agent)):
            ring = None if name in told else _way(agents, str(other), name)
            if ring is not None:
                told.update([name, *ring])
                way = " → ".join(f"`{one}`" for one in (name, *ring))
                yield context.finding(
                    CODE,
                    SEVERITY,
                    f"agents can ask each other in a ring: {way}",
                    context.value(("agents", name, "sub_agents", index)),
                    help="at most five of them stand one below the other; a `budget` bounds what it may cost",
                )


def _asked(agent: dict[str, Any]) -> list[Any]:
    found = agent.get("sub_agents")
    return found if isinstance(found, list) else []


def _way(agents: Any, start: str, end: str) -> list[str] | None:
    """The agents on the shortest way from `start` to `end`, both included; None if there is none."""
    ways: dict[str, list[str]] = {start: [start]}
    ahead = [start]
    while ahead:
        name = ahead.pop(0)
        if name == end:
            return ways[name]
        for other in _asked(agents.get(name) or {}):
            if str(other) not in ways:
                ways[str(other)] = [*ways[name], str(other)]
                ahead.append(str(other))
    return None
