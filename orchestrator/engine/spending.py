"""Which budgets an agent of a run draws on: those of the runs that called it, outermost first, the run's, and those of the tasks
and items around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from orchestrator.core.run_state import RUN, RunState
from orchestrator.engine.values import load
from orchestrator.ports.journal import Journal

if TYPE_CHECKING:
    from orchestrator.engine.handle import RunHandle

JSON = Any
Driving = Callable[[str], "RunHandle | None"]
Others = Callable[[str], tuple[dict[str, Any], ...]]

QUESTION: Final = "budget:"
"""What the keys of questions about budgets begin with; see `ai.accounts`."""


class Spending:
    """The budgets of one run's agents, each as `AgentCall.budgets` has it: `name` is one pot.

    `driving` finds the caller of a run. A caller always runs in the same engine while it waits; a run that was detached
    answers for itself. `others` knows the budgets of a caller that is no run: a person's talk.
    """

    def __init__(
        self, run_id: str, state: RunState, driving: Driving, journal: Journal, others: Others = lambda caller: ()
    ) -> None:
        self._run_id = run_id
        self._state = state
        self._driving = driving
        self._journal = journal
        self._others = others
        self._budgeted = any(node.budget or node.total_budget for scope in state.plan.scopes for node in scope.nodes)
        self._calling: int | None = None

    def of(self, task: int | None) -> tuple[dict[str, JSON], ...]:
        """For an attempt of a task; None: for the run as a whole."""
        found = (*self._callers(), *self._run(), *(self._tasks(task) if task is not None and self._budgeted else ()))
        if not any(limits.get("on_exceeded") == "ask" for limits in found):
            return found
        answers = self._answers()
        return tuple({**limits, "answers": {**(limits.get("answers") or {}), **answers}} for limits in found)

    def own(self) -> dict[str, JSON] | None:
        """The run's own, whoever called it."""
        return next(({**limits, "answers": self._answers()} for limits in self._run()), None)

    def _callers(self) -> tuple[dict[str, JSON], ...]:
        start = self._state.start
        if start is None or not start.parent:
            return ()
        if (caller := self._driving(start.parent)) is None:
            return self._others(start.parent)
        spending = Spending(start.parent, caller.state, self._driving, self._journal, self._others)
        if spending._budgeted and self._calling is None:
            # Looked for once: names are made, not kept.
            self._calling = caller.state.find(str(start.trigger.get("task", "")))
        return spending.of(self._calling)

    def _run(self) -> tuple[dict[str, JSON], ...]:
        start, plan = self._state.start, self._state.plan
        limits = {**(plan.budget or {}), **((start.budget if start is not None else None) or {})}
        return (self._pot(f"run {self._run_id}", plan.workflow, limits),) if limits else ()

    def _tasks(self, task: int) -> Iterator[dict[str, JSON]]:
        """Of the tasks and items around an attempt, outermost first, and its own."""
        state, chain = self._state, [task]
        while (owner := state.instance_of(chain[-1]).owner) != RUN:
            chain.append(owner)
        for number in reversed(chain):
            node = state.nodes[number]
            if not node.budget and not node.total_budget:
                continue
            name = state.name(number, attempts=False)
            day = f"{state.plan.workflow} task {name}"
            if node.total_budget:
                pot = f"all items of task {name} of run {self._run_id}"
                yield {**self._pot(pot, day, node.total_budget), "task": name}
            if node.budget:
                yield {**self._pot(f"task {name} of run {self._run_id}", day, node.budget), "task": name}

    def _pot(self, name: str, day: str, limits: dict[str, JSON]) -> dict[str, JSON]:
        zone = self._state.plan.timezone
        return {"name": name, "streams": f"{self._run_id}/agent/", "day": day, "timezone": zone, **limits}

    def _answers(self) -> dict[str, JSON]:
        """What people of this run said to questions about budgets, whichever task asked."""
        found: dict[str, JSON] = {}
        for answers in self._state.answers.values():
            for key, answer in answers.items():
                last = key.rsplit("/", 1)[-1]
                if last.startswith(QUESTION):
                    found[last] = load(self._journal, answer.value)
        return found
