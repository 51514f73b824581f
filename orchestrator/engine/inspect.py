"""A run's state as plain views for people: `show`, `runs`, `why`."""

from __future__ import annotations

from typing import Any

from orchestrator.core.run_state import RUN, Answer, Question, RunState
from orchestrator.core.status import TASK_WORDS
from orchestrator.engine import full_disk
from orchestrator.engine.spending import Spending
from orchestrator.engine.stream import currency_of, failure_dict, total_usage
from orchestrator.engine.values import Values, load
from orchestrator.engine.views import RunResult, RunView, TaskView
from orchestrator.ports.journal import Journal

JSON = Any


def values_of(state: RunState, journal: Journal) -> Values:
    """The values of a recorded run, without its secrets and environment."""
    inputs = load(journal, state.start.inputs) if state.start else {}
    return Values(state, journal, inputs=inputs, env={}, secrets={})


def task_view(state: RunState, journal: Journal, values: Values, task: int) -> TaskView:
    node = state.nodes[task]
    question = state.questions.get(task)
    wake = [at for (number, what), at in state.timers.items() if number == task and what in ("retry", "sleep", "round")]
    return TaskView(
        name=state.name(task),
        id=node.id,
        verb=node.verb,
        status=TASK_WORDS[state.statuses[task]],
        reason=state.reasons.get(task, "") or state.parked.get(task, ""),
        attempts=state.tries(task),
        started_at=state.started[task] or None,
        ended_at=state.ended[task] or None,
        cost=values.cost(task),
        usage=state.usages.get(task, {}),
        failure=failure_dict(state.failed_with.get(task)),
        forgiven=state.forgiven(task),
        meta=load(journal, state.metas[task]) if task in state.metas else {},
        question=None if question is None else _question(journal, question),
        answers=[_answer(journal, key, answer) for key, answer in state.answers.get(task, {}).items()],
        wake_at=min(wake, default=None),
        reused=state.reused.get(task),
        by=state.by.get(task),
        line=node.line,
        load_value=lambda: values.or_null(task),
    )


def _question(journal: Journal, question: Question) -> dict[str, JSON]:
    return {**load(journal, question.value), "expires_at": question.expires_at, "key": question.resumes or None}


def _answer(journal: Journal, key: str, answer: Answer) -> dict[str, JSON]:
    asked = load(journal, answer.question)
    return {
        "key": key,
        "question": asked["question"],
        "show": asked["show"],
        "value": load(journal, answer.value),
        "by": answer.by,
        "at": answer.at,
    }


def task_views(state: RunState, journal: Journal) -> list[TaskView]:
    """One view a task, the body of a foreach or loop of one task included once for each item or round."""
    values = values_of(state, journal)
    order = _outer_first(state, RUN)
    return [task_view(state, journal, values, task) for task in order]


def _outer_first(state: RunState, owner: int) -> list[int]:
    found: list[int] = []
    for number in state.opened.get(owner, ()):
        instance = state.scopes[number]
        for task in range(instance.base, instance.base + instance.size):
            found.append(task)
            if state.nodes[task].scope is not None:
                found.extend(_outer_first(state, task))
    return found


def run_view(state: RunState, journal: Journal) -> RunView:
    start = state.start
    assert start is not None
    full = {} if state.over else full_disk.hold_of(journal, start.run_id)
    holds = {name: {"by": hold.by, "reason": hold.reason, "at": hold.at} for name, hold in state.holds.items()} | full
    return RunView(
        run_id=start.run_id,
        workflow=start.workflow,
        name=state.plan.name,
        status=full_disk.status_of(state.status, full),
        driver=journal.holder(start.run_id),
        started_at=state.started_at,
        ended_at=state.ended_at,
        plan=state.plan,
        inputs=load(journal, start.inputs),
        outputs=load(journal, state.outputs),
        failure=failure_dict(state.failure),
        message=state.message,
        trigger=start.trigger,
        git=state.git,
        parent=start.parent,
        holds=holds,
        tasks=task_views(state, journal),
        cost=sum(state.costs.values()) if state.costs else None,
        usage=total_usage(state),
        currency=currency_of(state.plan),
        last=state.last,
        budget=Spending(start.run_id, state, lambda run_id: None, journal).own(),
    )


def run_result(state: RunState, journal: Journal) -> RunResult:
    start = state.start
    assert start is not None
    tasks: dict[str, TaskView] = {}
    for view in task_views(state, journal):
        tasks.setdefault(view.name, view)
    return RunResult(
        run_id=start.run_id,
        status=state.status,
        outputs=load(journal, state.outputs),
        tasks=tasks,
        cost=sum(state.costs.values()) if state.costs else None,
        failure=failure_dict(state.failure),
        message=state.message,
    )
