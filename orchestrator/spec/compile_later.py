"""What the language has and this version cannot run: found in a file, said with its place, refused when a run starts.

A line goes when what it names is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from orchestrator.spec.compile_graph import Analysis, Site

Path = tuple[str | int, ...]

AGENT: Final = (
    "resident", "schedule", "budget",
)  # fmt: skip
WORKER: Final = ("rate_limits",)
BUDGET: Final = ("time", "cost_per_day", "tokens_per_day")


class Later(NamedTuple):
    what: str
    path: Path
    """Where the file says it."""


def of_agents(used: Mapping[str, dict[str, Any]], workers: Mapping[str, dict[str, Any]]) -> Iterator[Later]:
    """Of the agents that tasks use, and of their workers."""
    for name, agent in used.items():
        for word in AGENT:
            if agent.get(word):
                yield Later(f"`{word}` of agent `{name}`", ("agents", name, word))
    for name in dict.fromkeys(str(agent["worker"]) for agent in used.values() if "worker" in agent):
        worker = workers.get(name, {})
        for word in WORKER:
            if worker.get(word):
                yield Later(f"`{word}` of worker `{name}`", ("workers", name, word))


def of_budgets(data: Mapping[str, Any], analysis: Analysis) -> Iterator[Later]:
    yield from _budget(data.get("budget"), ("budget",), "the run")
    for site in analysis.sites():
        yield from _of_task(site)


def _of_task(site: Site) -> Iterator[Later]:
    if site.task.get("total_budget"):
        yield Later("`total_budget`", (*site.path, "total_budget"))
    said, path = site.task.get("budget"), (*site.path, "budget")
    if not said:
        return
    if site.verb.name != "agent" or "loop" in site.task:
        yield Later("`budget` of anything but single `agent` tasks and their items", path)
    else:
        yield from _budget(said, path, f"task `{site.id}`")


def _budget(said: Any, path: Path, whose: str) -> Iterator[Later]:
    if not isinstance(said, dict):
        return
    for word in BUDGET:
        if word in said:
            yield Later(f"`{word}` in the budget of {whose}", (*path, word))
    if said.get("on_exceeded", "fail") != "fail":
        yield Later(f"`on_exceeded: {said['on_exceeded']}` in the budget of {whose}", (*path, "on_exceeded"))
