"""The state of one run: arrays indexed by task number, owned by the run's actor.

`evolve` alone changes it (rule 1 of the architecture). Task numbers are handed out by `ScopeOpened`: a scope's nodes take the next free
numbers in order, so an inner task's number is always higher than its owner's.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.effects import Effect, Timer
from orchestrator.core.events import CancelRequested, EndRequested, Failure, RunStarted, TaskAsked, Value
from orchestrator.core.plan import SOFT, VALUE, Node, Plan, Scope
from orchestrator.core.status import (
    BLOCKED,
    CANCELLED,
    FAILED,
    SKIPPED,
    SUCCEEDED,
    TASK_WORDS,
    TERMINAL,
    UNKNOWN,
    WARNED,
    RunStatus,
)

RUN: Final = -1
"""The owner of the run's own scopes, where a task number is expected."""


class Layout:
    """What follows from a plan's edges, computed once per run in one pass over them."""

    __slots__ = ("initial", "outer", "pending", "prepared", "successors")

    def __init__(self, plan: Plan) -> None:
        self.successors: list[list[list[int]]] = []
        """scope → local index → local indices that need it"""
        self.pending: list[list[int]] = []
        """scope → local index → how many distinct tasks of the scope it needs"""
        self.initial: list[list[int]] = []
        """scope → local indices that need nothing in the scope"""
        self.outer: list[list[int]] = []
        """scope → local indices with needs in enclosing scopes"""
        self.prepared: list[list[bool]] = []
        """scope → local index → must something be evaluated before it may start?"""
        for scope in plan.scopes:
            self._add(scope)

    def _add(self, scope: Scope) -> None:
        successors: list[list[int]] = [[] for _ in scope.nodes]
        pending = [0] * len(scope.nodes)
        outer: list[int] = []
        for at, node in enumerate(scope.nodes):
            seen: set[int] = set()
            for need in node.needs:
                if need.up:
                    if not outer or outer[-1] != at:
                        outer.append(at)
                elif need.index not in seen:
                    seen.add(need.index)
                    successors[need.index].append(at)
            pending[at] = len(seen)
        self.successors.append(successors)
        self.pending.append(pending)
        self.initial.append([at for at, count in enumerate(pending) if not count])
        self.outer.append(outer)
        self.prepared.append([node.when is not None or node.each is not None for node in scope.nodes])


class ScopeInstance:
    """One opening of a plan's scope: of the run, of an item, of a round, of a group's attempt."""

    __slots__ = ("base", "failed", "index", "open", "owner", "parent", "scope", "size")

    def __init__(self, scope: int, base: int, size: int, owner: int, index: int, parent: int) -> None:
        self.scope = scope
        self.base = base
        self.size = size
        self.owner = owner
        self.index = index
        self.parent = parent
        """Number of the enclosing scope instance; -1 for the main one."""
        self.open = size
        """Tasks not settled yet."""
        self.failed = -1
        """The first task in it that failed unforgiven."""


ITEM_WAITS: Final = 0
ITEM_OPEN: Final = 1
ITEM_OK: Final = 2
ITEM_FAILED: Final = 3
ITEM_SKIPPED: Final = 4
ITEM_CANCELLED: Final = 5


class EachRun:
    """An `each` whose items are known."""

    __slots__ = (
        "count",
        "failed",
        "instances",
        "items",
        "keys",
        "mapping",
        "ok",
        "open",
        "queue",
        "settled",
        "states",
        "unlocks",
        "unmet",
    )

    def __init__(
        self,
        count: int,
        keys: tuple[str, ...] | None,
        items: Value,
        mapping: bool,
        after: tuple[tuple[int, ...], ...] | None,
    ) -> None:
        self.count = count
        self.keys = keys
        self.items = items
        self.mapping = mapping
        self.states = bytearray(count)
        self.instances = array("q", [-1]) * count
        self.open = 0
        self.ok = 0
        self.settled = 0
        self.failed = -1
        """The first item that failed."""
        self.unmet = [len(set(needs)) for needs in after] if after else None
        self.unlocks: dict[int, list[int]] = {}
        self.queue: deque[int] = deque(range(count))
        """Items that may be opened, in order."""
        if after and self.unmet:
            for index, needs in enumerate(after):
                for need in set(needs):
                    self.unlocks.setdefault(need, []).append(index)
            self.queue = deque(index for index in range(count) if not self.unmet[index])

    def key(self, index: int) -> str:
        return str(index) if self.keys is None else self.keys[index]

    def hopeless(self, enough: int | None) -> bool:
        """Whether `enough` items cannot succeed any more."""
        return enough is not None and self.ok + self.count - self.settled < enough

    def settle(self, index: int, state: int) -> None:
        self.states[index] = state
        self.open -= 1
        self.settled += 1
        if state == ITEM_OK:
            self.ok += 1
        elif state == ITEM_FAILED and self.failed < 0:
            self.failed = index
        if self.unmet is not None:
            for later in self.unlocks.get(index, ()):
                self.unmet[later] -= 1
                if not self.unmet[later]:
                    self.queue.append(later)


class LoopRun:
    __slots__ = ("done", "instances", "round", "round_started", "started")

    def __init__(self, started: float) -> None:
        self.round = 0
        self.instances: list[int] = []
        self.started = started
        self.round_started = started
        self.done = False


class Hold:
    __slots__ = ("at", "by", "reason")

    def __init__(self, by: str, reason: str, at: float) -> None:
        self.by = by
        self.reason = reason
        self.at = at


class Question:
    __slots__ = ("asked_at", "expired_value", "expires_at", "on_expired", "resumes", "value")

    def __init__(self, asked: TaskAsked, at: float) -> None:
        self.expired_value = asked.expired_value
        self.value = asked.question
        self.expires_at = asked.expires_at
        self.on_expired = asked.on_expired
        self.resumes = asked.resumes
        """Empty if the answer is the task's value."""
        self.asked_at = at


class Answer:
    """What a person said in the midst of an attempt."""

    __slots__ = ("at", "by", "question", "value")

    def __init__(self, question: Value, value: Value, by: str, at: float) -> None:
        self.question = question
        self.value = value
        self.by = by
        self.at = at


class RunState:
    """Everything known of a run. Arrays share the task number as index; rare facts sit in dicts by task number."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.layout = Layout(plan)
        self.last = 0
        """Number of the last event folded in."""
        self.at = 0.0
        """Instant of the batch being folded."""
        self.status: RunStatus = "running"
        self.status_reason = ""
        self.start: RunStarted | None = None
        self.started_at = 0.0
        self.ended_at: float | None = None
        self.git: dict[str, Any] | None = None
        self.driver = ""
        self.phase = ""
        """main → outputs → on_failure → failure_seen → finally → ending → over; empty before the main scope opened."""
        self.phase_scope = -1
        """The scope instance of the phase."""
        self.phase_closed = False
        self.cancel: CancelRequested | None = None
        self.end: EndRequested | None = None
        self.stop_until: float | None = None
        self.stop_by = ""
        self.holds: dict[str, Hold] = {}
        self.outputs: Value | None = None
        self.failure: Failure | None = None
        self.message: str | None = None
        self.any_warned = False

        self.nodes: list[Node] = []
        self.where: list[int] = []
        self.statuses = bytearray()
        self.pending: list[int] = []
        self.attempts: list[int] = []
        self.started = array("d")
        self.ended = array("d")
        self.values: list[Value | None] = []
        self.tainted: set[int] = set()
        """Tasks of which some need did not plainly succeed: the propagation rule decides about them."""
        self.scopes: list[ScopeInstance] = []
        self.opened: dict[int, list[int]] = {}
        """owner → its scope instances, in order"""

        self.failures: dict[int, int] = {}
        """How many attempts of the series failed."""
        self.failed_with: dict[int, Failure] = {}
        self.reasons: dict[int, str] = {}
        self.because: dict[int, int] = {}
        self.metas: dict[int, Value] = {}
        self.costs: dict[int, float] = {}
        self.cost_told: dict[int, float] = {}
        """task → how much of its cost an attempt told that goes on: its result tells the whole again"""
        self.usages: dict[int, dict[str, int]] = {}
        self.reused: dict[int, str] = {}
        self.by: dict[int, str] = {}
        self.sleeping_value: dict[int, Value] = {}
        self.questions: dict[int, Question] = {}
        self.answers: dict[int, dict[str, Answer]] = {}
        """task → what its attempts asked and were told, by the question's name"""
        self.continued: dict[int, int] = {}
        """task → how many of its starts only went on with an attempt that had asked or parked"""
        self.goes_on: dict[int, bool] = {}
        """task → whether its latest start was such a one; False: its next one is"""
        self.worked: dict[int, float] = {}
        """task → seconds that the attempt which goes on had worked before"""
        self.waited: dict[int, float] = {}
        """task → seconds that its attempts waited for people"""
        self.parked: dict[int, str] = {}
        self.each: dict[int, EachRun] = {}
        self.loops: dict[int, LoopRun] = {}
        self.timers: dict[tuple[int, str], float] = {}

        self.ready_slot: deque[int] = deque()
        self.ready_free: deque[int] = deque()
        self.open_each: dict[int, None] = {}
        """each tasks with items that may still be opened"""
        self.open_loops: dict[int, float] = {}
        """loops whose next round may open, and the earliest instant for it"""
        self.slots = 0
        """Running leaves that count against `max_parallel`."""
        self.running: dict[int, None] = {}
        """Running leaves."""
        self.preparing: dict[int, None] = {}
        self.concluding: dict[int, int] = {}
        """task → round or attempt whose `until` or `outputs` the shell evaluates"""
        self.condemned: dict[int, tuple[int, str, int]] = {}
        """task → (status, reason, because): settled by the rule, event not written yet"""
        self.review: dict[int, None] = {}
        """composites (or RUN) whose children have settled: `decide` owes them an event"""

        self.begun: list[Effect] = []
        """Effects that started being wanted since the shell last drained."""
        self.dropped: list[Effect] = []
        """Effects that stopped being wanted before they reported."""
        self.set_timers: list[Timer] = []

    # --- reading ---------------------------------------------------------------------------------------------------

    def instance_of(self, task: int) -> ScopeInstance:
        return self.scopes[self.where[task]]

    def target(self, task: int, index: int, up: int) -> int:
        """Task number that a need of `task` points to."""
        number = self.where[task]
        for _ in range(up):
            number = self.scopes[number].parent
        return self.scopes[number].base + index

    def tries(self, task: int) -> int:
        """How many attempts were begun, as people count: one that went on after an answer is the same one."""
        return self.attempts[task] - self.continued.get(task, 0)

    def clock(self, task: int) -> float:
        """When its attempts began, put later by what they waited for people: what time limits count from."""
        return self.started[task] + self.waited.get(task, 0.0)

    def forgiven(self, task: int) -> bool:
        status = self.statuses[task]
        return status == WARNED or (status == FAILED and self.nodes[task].on_error == "continue")

    def label(self, instance: ScopeInstance) -> str:
        """What an opening adds to names: `[key]`, `#round`, `~2` for a group's second attempt."""
        if instance.owner == RUN:
            return ""
        verb = self.nodes[instance.owner].verb
        if verb == "each":
            return f"[{self.each[instance.owner].key(instance.index)}]"
        if verb == "loop":
            return f"#{instance.index}"
        return "" if instance.index == 1 else f"~{instance.index}"

    def name(self, task: int, *, attempts: bool = True) -> str:
        """The instance's full name: `build[a].rounds#2.code`. Without `attempts`, a retried group's `~2` is left out."""
        parts: list[str] = []
        while True:
            node = self.nodes[task]
            instance = self.instance_of(task)
            if not node.inner:
                parts.append(node.id if instance.owner == RUN else f".{node.id}")
            if instance.owner == RUN:
                return "".join(reversed(parts))
            if attempts or self.nodes[instance.owner].verb != "group":
                parts.append(self.label(instance))
            task = instance.owner

    def find(self, name: str) -> int | None:
        """The task number of a full name; for a composite with an inner node, the outer one. None if there is none."""
        return next((task for task in range(len(self.nodes)) if self.name(task) == name), None)

    def children(self, task: int) -> Iterator[int]:
        """Every task below a composite, owners before their inner tasks."""
        for number in self.opened.get(task, ()):
            instance = self.scopes[number]
            for inner in range(instance.base, instance.base + instance.size):
                yield inner
                if self.nodes[inner].scope is not None:
                    yield from self.children(inner)

    def verdict(self, task: int) -> tuple[int, str, int] | None:
        """The propagation rule (grammar, rule 9) once everything `task` needs has settled: None if it may start."""
        skip: tuple[int, str, int] | None = None
        for need in self.nodes[task].needs:
            if need.kind == SOFT:
                continue
            other = self.target(task, need.index, need.up)
            status = self.statuses[other]
            if status == BLOCKED or (status in (FAILED, CANCELLED) and not self.forgiven(other)):
                return BLOCKED, f"{self.name(other)} {TASK_WORDS[status]}", other
            if need.kind == VALUE and status != SUCCEEDED and skip is None:
                skip = SKIPPED, f"{self.name(other)} {TASK_WORDS[status]}, so it has no value", other
        return skip

    def outcome(self) -> tuple[RunStatus, Failure | None]:
        """What the run comes to, as far as is known: what `finally` tasks see as `run.status`."""
        if self.end is not None:
            word: RunStatus = "succeeded" if self.end.status == "succeeded" else "failed"
            if self.end.status == "cancelled":
                word = "cancelled"
            failure = Failure("refused", self.end.message or "the workflow ended itself") if word == "failed" else None
            return ("warned" if word == "succeeded" and self.any_warned else word), failure
        if self.cancel is not None:
            return ("failed", self.cancel.as_failure) if self.cancel.as_failure else ("cancelled", None)
        for number in self.opened.get(RUN, ()):
            if (failed := self.scopes[number].failed) >= 0:
                return "failed", self.failure_of(failed)
        if self.failure is not None:
            return "failed", self.failure
        return ("warned" if self.any_warned else "succeeded"), None

    def failure_of(self, task: int) -> Failure:
        """The failure of a task, told with its name once."""
        failure = self.failed_with[task]
        name = self.name(task)
        message = (
            failure.message if failure.message.startswith("task `") else f"task `{name}` failed: {failure.message}"
        )
        return Failure(failure.type, message, failure.help, failure.retry_after)

    @property
    def over(self) -> bool:
        return self.status in ("succeeded", "warned", "failed", "cancelled")

    def waits_for_people(self) -> list[int]:
        """Tasks that only somebody outside can move: questions, unknown outcomes, parked callers."""
        unknown = [task for task, status in enumerate(self.statuses) if status == UNKNOWN]
        return [*self.questions, *self.parked, *unknown]

    def settled(self, task: int) -> bool:
        return self.statuses[task] in TERMINAL


def next_wake(state: RunState) -> float | None:
    """The earliest instant (epoch seconds) at which the run moves though nothing happens; None if never."""
    return min(state.timers.values(), default=None)


def wanted(state: RunState) -> set[Effect]:
    """What should be in progress now, read off the whole state: for recovery, and the oracle of the drained deltas."""
    from orchestrator.core.effects import Conclude, Perform, Prepare

    found: set[Effect] = {Prepare(task) for task in state.preparing}
    found.update(Perform(task, state.attempts[task]) for task in state.running)
    found.update(Conclude(task, index) for task, index in state.concluding.items())
    return found
