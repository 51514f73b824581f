"""Everything in a file that goes by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.spec.compile_references import Path
from orchestrator.spec.rules._agents import declared
from orchestrator.spec.rules._context import RuleContext

Clock = tuple[dict[str, Any], Path]


def clocks(context: RuleContext) -> Iterator[Clock]:
    """Schedules and matchers of the file, of its agents, and of its `wait` tasks."""
    data = context.data
    yield from _listed(data.get("schedules"), ("schedules",))
    yield from _listed(data.get("wake_on"), ("wake_on",))
    for site in context.sites:
        if site.verb.name == "wait":
            yield from _listed(context.said(site).get("wait"), (*site.path, "wait"))
    for name, agent in declared(context, "agents").items():
        yield from _listed(agent.get("schedule"), ("agents", name, "schedule"))
        resident = agent.get("resident")
        if isinstance(resident, dict):
            yield from _listed(resident.get("wake_on"), ("agents", name, "resident", "wake_on"))


def _listed(value: Any, path: Path) -> Iterator[Clock]:
    if isinstance(value, dict):
        yield value, path
    elif isinstance(value, list):
        for index, one in enumerate(value):
            if isinstance(one, dict):
                yield one, (*path, index)
