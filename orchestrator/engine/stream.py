"""Events as people's programs see them: the dicts that `views.py` describes, made while folding, so that names and times are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from orchestrator.core.events import (
    AnyEvent,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    CancelRequested,
    Failure,
    HoldCleared,
    HoldSet,
    ItemsOpened,
    LoopJudged,
    RunClaimed,
    RunEnded,
    RunStarted,
    ScopeOpened,
    StatusChanged,
    StopRequested,
    TaskAnswered,
    TaskAsked,
    TaskFailed,
    TaskParked,
    TaskSettled,
    TaskSlept,
    TaskSucceeded,
    Value,
)
from orchestrator.core.plan import Node, Plan, agents_behind, command_of
from orchestrator.core.run_state import RUN, RunState
from orchestrator.core.status import TASK_WORDS, UNKNOWN

JSON = Any
Load = Callable[[Value | None], JSON]
SUMMARY_MAX: Final = 200
PUBLIC_CURRENCY: Final = "USD"
"""Of the public price list."""
_PRICED: Final = frozenset({"openai", "anthropic", "google"})
"""Providers whose models the public list knows."""


def failure_dict(failure: Failure | None) -> dict[str, JSON] | None:
    return None if failure is None else {"type": failure.type, "message": failure.message, "help": failure.help}


def summary(value: JSON) -> str:
    """A value in one short line."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = " ".join(text.split())
    return line if len(line) <= SUMMARY_MAX else line[: SUMMARY_MAX - 1] + "…"


def detail(node: Node) -> str:
    """What a task does, in a line: the agent and its model, the command, the address."""
    fields = node.fields
    match node.verb:
        case "agent":
            agent = fields.get("agent")
            name = agent if isinstance(agent, str) else "agent"
            model = fields.get("model") or ""
            return f"{name} {model}".strip()
        case "run":
            return summary(command_of(fields))
        case "python":
            return str(fields.get("target", ""))
        case "http":
            return f"{fields.get('method', 'GET')} {fields.get('url', '')}"
        case "tool":
            return str(fields.get("name", ""))
        case "workflow":
            return str(fields.get("path", fields.get("workflow", "")))
        case _:
            return ""


def describe(state: RunState, event: AnyEvent, load: Load) -> dict[str, JSON] | None:
    """One event as a dict, or None for what only the machine cares about. `state` has folded it already."""
    tell = _TELL.get(type(event))
    told = tell(state, event, load) if tell is not None else None
    if told is None:
        return None
    task = getattr(event, "task", None)
    head: dict[str, JSON] = {"type": told.pop("type"), "at": state.at, "seq": state.last}
    if task is not None and task != RUN:
        head["task"] = state.name(task)
    return head | told


def _run_started(state: RunState, event: RunStarted, load: Load) -> dict[str, JSON]:
    models = programs_and_models(state.plan)
    return {
        "type": "run_started",
        "run_id": event.run_id,
        "workflow": event.workflow,
        "name": state.plan.name,
        "inputs": load(event.inputs),
        "synthetic": True in models,
        "live": False in models,
        "currency": currency_of(state.plan),
        "trigger": event.trigger,
        "resumed": False,
    }


def currency_of(plan: Plan) -> str:
    """The currency of a run's money: `EUR`; `EUR+USD` where its models have prices of several, which cannot be added up."""
    found = _currencies(plan)
    return "+".join(sorted(found)) or (plan.budget or {}).get("currency") or PUBLIC_CURRENCY


def _currencies(plan: Plan) -> set[str]:
    asked = [node for scope in plan.scopes for node in scope.nodes if node.verb == "agent"]
    found = {currency for node in asked for currency in _currencies_of(node, plan)}
    return found.union(*(_currencies(child) for child in plan.children.values()))


def _currencies_of(node: Node, plan: Plan) -> Iterator[str]:
    for name in agents_behind(_asked_agents(node, plan), plan.agents):
        agent = plan.agents[name]
        worker = plan.workers.get(agent.get("worker") or "")
        if worker and worker.get("cost_metrics"):
            yield worker["cost_metrics"].get("currency") or PUBLIC_CURRENCY
            continue
        model = (
            agent.get("model") or (agent.get("ai_config") or {}).get("model") or (worker or {}).get("provider") or ""
        )
        if str(model).replace(":", "/").split("/")[0] in _PRICED:
            yield PUBLIC_CURRENCY


def _asked_agents(node: Node, plan: Plan) -> list[str]:
    who = node.fields.get("agent")
    if isinstance(who, str) and "${{" not in who:
        return [who]
    return [name for name in plan.agents if "." not in name]


def programs_and_models(plan: Plan) -> set[bool]:
    """True if a task may ask one of the built-in programs, False if one may ask a real model. Agents nobody asks do not count."""
    found = {
        model.startswith(("embedded/", "embedded:", "scripted"))
        for scope in plan.scopes
        for node in scope.nodes
        if node.verb == "agent"
        for model in _models_of(node, plan)
        if model
    }
    return found.union(*(programs_and_models(child) for child in plan.children.values()))


def _models_of(node: Node, plan: Plan) -> Iterator[str]:
    own, names = node.fields.get("model"), _asked_agents(node, plan)
    for name in agents_behind(names, plan.agents):
        agent = plan.agents[name]
        worker = plan.workers.get(agent.get("worker") or "") or {}
        if isinstance(own, str) and name in names:
            if "${{" not in own:
                yield own
            continue
        yield str(
            agent.get("model") or (agent.get("ai_config") or {}).get("model") or f"{worker.get('provider') or ''}/"
        ).lstrip("/")


def _run_claimed(state: RunState, event: RunClaimed, load: Load) -> dict[str, JSON] | None:
    start = state.start
    if start is None:
        return None
    return _run_started(state, start, load) | {"resumed": True}


def _opened(state: RunState, event: ScopeOpened, load: Load) -> dict[str, JSON] | None:
    if event.owner == RUN or state.nodes[event.owner].verb == "each":
        return None
    node = state.nodes[event.owner]
    return {
        "type": "task_opened",
        "task": state.name(event.owner),
        "verb": node.verb,
        "count": None,
        "index": event.index,
    }


def _items(state: RunState, event: ItemsOpened, load: Load) -> dict[str, JSON]:
    return {"type": "items_opened", "count": event.count, "keys": list(event.keys) if event.keys else None}


def _started(state: RunState, event: AttemptStarted, load: Load) -> dict[str, JSON]:
    node = state.nodes[event.task]
    return {
        "type": "task_started",
        "verb": node.verb,
        "attempt": state.tries(event.task),
        "of": node.retry.max + 1,
        "detail": detail(node),
    }


def _duration(state: RunState, task: int) -> float | None:
    return state.ended[task] - state.started[task] if state.started[task] and state.ended[task] else None


def _succeeded(state: RunState, event: TaskSucceeded, load: Load) -> dict[str, JSON]:
    meta = load(event.meta) if event.meta is not None else {}
    small = isinstance(event.value, bytes)
    return {
        "type": "task_succeeded",
        "verb": state.nodes[event.task].verb,
        "duration": _duration(state, event.task),
        "cost": event.cost,
        "usage": event.usage or {},
        "summary": summary(load(event.value)) if small else "",
        "reused": event.reused,
        "synthetic": bool(meta.get("synthetic")),
        "by": event.by,
    }


def _retrying(state: RunState, event: AttemptFailed, load: Load) -> dict[str, JSON]:
    return {
        "type": "task_retrying",
        "attempt": state.failures[event.task],
        "of": state.nodes[event.task].retry.max + 1,
        "failure": failure_dict(event.failure),
        "retry_at": event.retry_at,
    }


def _failed(state: RunState, event: TaskFailed, load: Load) -> dict[str, JSON]:
    meta = load(event.meta) if event.meta is not None else {}
    return {
        "type": "task_failed",
        "verb": state.nodes[event.task].verb,
        "failure": failure_dict(event.failure),
        "forgiven": state.forgiven(event.task),
        "status": TASK_WORDS[state.statuses[event.task]],
        "duration": _duration(state, event.task),
        "tail": _tail(meta),
    }


def _tail(meta: dict[str, JSON]) -> str:
    text = str(meta.get("stderr") or "") or str(meta.get("stdout") or "")
    return "\n".join(text.rstrip().splitlines()[-20:])


def _settled(state: RunState, event: TaskSettled, load: Load) -> dict[str, JSON]:
    return {"type": f"task_{TASK_WORDS[event.status]}", "reason": event.reason}


def _slept(state: RunState, event: TaskSlept, load: Load) -> dict[str, JSON]:
    return {"type": "task_sleeping", "until": event.until}


def _asked(state: RunState, event: TaskAsked, load: Load) -> dict[str, JSON]:
    return {
        "type": "task_asked",
        **load(event.question),
        "expires_at": event.expires_at,
        "key": event.resumes or None,
    }


def _answered(state: RunState, event: TaskAnswered, load: Load) -> dict[str, JSON]:
    told = summary(load(event.value)) if isinstance(event.value, bytes) else ""
    return {"type": "task_answered", "key": event.key, "by": event.by, "summary": told}


def _parked(state: RunState, event: TaskParked, load: Load) -> dict[str, JSON]:
    return {"type": "task_parked", "reason": event.reason}


def _cut(state: RunState, event: AttemptCut, load: Load) -> dict[str, JSON] | None:
    unknown = state.statuses[event.task] == UNKNOWN
    return {"type": "task_unknown" if unknown else "task_cut", "reason": event.reason}


def _judged(state: RunState, event: LoopJudged, load: Load) -> dict[str, JSON]:
    return {"type": "round_judged", "round": event.round, "done": event.done}


def _status(state: RunState, event: StatusChanged, load: Load) -> dict[str, JSON]:
    return {"type": "run_status", "status": event.status, "reason": event.reason}


def _ended(state: RunState, event: RunEnded, load: Load) -> dict[str, JSON]:
    return {
        "type": "run_ended",
        "status": event.status,
        "failure": failure_dict(event.failure),
        "message": event.message,
        "outputs": load(state.outputs),
        "duration": state.at - state.started_at,
        "cost": sum(state.costs.values()) if state.costs else None,
        "usage": total_usage(state),
        "counts": counts(state),
    }


def total_usage(state: RunState) -> dict[str, int]:
    total: dict[str, int] = {}
    for usage in state.usages.values():
        for name, count in usage.items():
            total[name] = total.get(name, 0) + count
    return total


def counts(state: RunState) -> dict[str, int]:
    """How many tasks are in each status; what belongs to a foreach or loop of the same name counts once."""
    found: dict[str, int] = {}
    for task, status in enumerate(state.statuses):
        if not state.nodes[task].inner:
            word = TASK_WORDS[status]
            found[word] = found.get(word, 0) + 1
    return found


_TELL: Final[dict[type[Any], Callable[[RunState, Any, Load], dict[str, JSON] | None]]] = {
    RunStarted: _run_started,
    RunClaimed: _run_claimed,
    ScopeOpened: _opened,
    ItemsOpened: _items,
    AttemptStarted: _started,
    TaskSucceeded: _succeeded,
    AttemptFailed: _retrying,
    TaskFailed: _failed,
    TaskSettled: _settled,
    TaskSlept: _slept,
    TaskAsked: _asked,
    TaskAnswered: _answered,
    TaskParked: _parked,
    AttemptCut: _cut,
    LoopJudged: _judged,
    HoldSet: lambda state, event, load: {
        "type": "hold_set",
        "name": event.name,
        "by": event.by,
        "reason": event.reason,
    },
    HoldCleared: lambda state, event, load: {"type": "hold_cleared", "name": event.name, "by": event.by},
    CancelRequested: lambda state, event, load: {"type": "cancel_requested", "by": event.by, "reason": event.reason},
    StopRequested: lambda state, event, load: {"type": "stop_requested", "by": event.by, "until": event.until},
    StatusChanged: _status,
    RunEnded: _ended,
}
