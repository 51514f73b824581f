"""What delegates are told of a run: the contract's notifications, made from committed events while somebody is registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orchestrator.core.events import (
    AnyEvent,
    AttemptStarted,
    RunClaimed,
    RunEnded,
    RunStarted,
    TaskFailed,
    TaskSettled,
    TaskSucceeded,
)
from orchestrator.core.run_state import RunState
from orchestrator.core.status import TASK_WORDS
from orchestrator.engine.stream import summary
from orchestrator.engine.values import load
from orchestrator.ports.journal import Journal

JSON = Any
Post = tuple[str, dict[str, JSON]]

_SETTLED: Final = (TaskSucceeded, TaskFailed, TaskSettled)


def notifications(state: RunState, journal: Journal, events: Sequence[AnyEvent]) -> list[Post]:
    """One turn's events as the notifications of the contract, in order."""
    found: list[Post] = []
    for event in events:
        match event:
            case RunStarted():
                found.append(("engine_started", {"workflow": event.workflow, "resumed": False}))
            case RunClaimed():
                found.append(("engine_started", {"workflow": state.plan.workflow, "resumed": True}))
            case AttemptStarted() if not state.goes_on.get(event.task):
                found.append(("task_execution_started", _started(state, event.task)))
            case RunEnded():
                if event.failure is not None:
                    error = {"error_type": event.failure.type, "error_message": event.failure.message}
                    found.append(("engine_error_occurred", error))
                found.append(("engine_stopped", engine_stopped(state)))
            case _ if isinstance(event, _SETTLED) and not state.nodes[event.task].inner:
                found.append(("task_execution_completed", _completed(state, journal, event)))
            case _:
                pass
    return found


def engine_stopped(state: RunState) -> dict[str, JSON]:
    return {
        "workflow": state.plan.workflow,
        "status": state.status,
        "duration": state.at - state.started_at,
        "cost": sum(state.costs.values()) if state.costs else None,
    }


def _started(state: RunState, task: int) -> dict[str, JSON]:
    node = state.nodes[task]
    agent = node.fields.get("agent") if node.verb == "agent" else None
    details = {
        "verb": node.verb,
        "attempt": state.tries(task),
        "attempts_max": node.retry.max + 1,
        "description": node.description,
        "agent": agent if isinstance(agent, str) else None,
        "model": node.fields.get("model") if node.verb == "agent" else None,
    }
    return {"task_id": state.name(task), "task_details": details}


def _completed(state: RunState, journal: Journal, event: TaskSucceeded | TaskFailed | TaskSettled) -> dict[str, JSON]:
    task = event.task
    failure = state.failed_with.get(task) if isinstance(event, TaskFailed) else None
    usage = state.usages.get(task, {})
    meta = load(journal, state.metas[task]) if isinstance(state.metas.get(task), bytes) else {}
    value = state.values[task]
    started, ended = state.started[task], state.ended[task]
    return {
        "task_id": state.name(task),
        "status": TASK_WORDS[state.statuses[task]],
        "result_summary": {
            "text": summary(load(journal, value)) if isinstance(value, bytes) else "",
            "error": None if failure is None else {"type": failure.type, "message": failure.message},
            "reason": state.reasons.get(task),
            "attempts": state.tries(task),
            "duration": ended - started if started and ended else None,
            "cost": state.costs.get(task),
            "tokens": usage.get("input_tokens", 0) + usage.get("output_tokens", 0) if usage else None,
            "synthetic": bool(meta.get("synthetic")),
        },
    }
