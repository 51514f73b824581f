"""The tables are the whole truth: an event either stands in them for the state it meets, or is refused with both named."""

from __future__ import annotations

from typing import Any, Final

import pytest

from orchestrator.core.events import (
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    CancelRequested,
    EndRequested,
    Failure,
    GitPinned,
    HoldCleared,
    HoldSet,
    ItemsOpened,
    LoopJudged,
    OutputsSet,
    PhaseEnded,
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
    TaskPrepared,
    TaskResolved,
    TaskSettled,
    TaskSlept,
    TaskSucceeded,
    TaskWoke,
)
from orchestrator.core.evolve import evolve
from orchestrator.core.evolve_moves import ImpossibleEventError
from orchestrator.core.plan import Each, Loop, Node, Plan, Scope, sealed
from orchestrator.core.run_state import RUN, LoopRun, Question, RunState
from orchestrator.core.status import (
    BLOCKED,
    CANCELLED,
    RUN_TABLE,
    RUN_TERMINAL,
    SKIPPED,
    TASK_TABLE,
    TASK_WORDS,
    TERMINAL,
)

FAILURE: Final = Failure("exit", "no")
LEAF: Final = {"id": "t", "verb": "work"}
GROUP: Final = {"id": "t", "verb": "group", "scope": 1, "slot": False}
EACH: Final = {"id": "t", "verb": "each", "scope": 1, "each": Each(source="x"), "slot": False}
LOOP: Final = {"id": "t", "verb": "loop", "scope": 1, "loop": Loop(times=3), "slot": False}

# row of the table → what the node is, and the event
ROWS: Final[dict[str, tuple[dict[str, Any], Any]]] = {
    "prepared": (LEAF, TaskPrepared(0)),
    "attempt_started": (LEAF, AttemptStarted(0)),
    "opened": (GROUP, ScopeOpened(0, 1, 1)),
    "item_opened": (EACH, ScopeOpened(0, 1, 0)),
    "round_opened": (LOOP, ScopeOpened(0, 1, 2)),
    "judged": (LOOP, LoopJudged(0, 1, False, 5.0)),
    "retry_scheduled": (LEAF, AttemptFailed(0, FAILURE, 5.0)),
    "slept": (LEAF, TaskSlept(0, 5.0, b"1")),
    "asked": (LEAF, TaskAsked(0, b"{}")),
    "parked": (LEAF, TaskParked(0, "child")),
    "woke": (LEAF, TaskWoke(0)),
    "answered": (LEAF, TaskAnswered(0, "call_1", b"{}", "ada")),
    "cut": (LEAF, AttemptCut(0, "crash")),
    "lost": (LEAF | {"effect": "at_most_once"}, AttemptCut(0, "crash")),
    "resolved": (LEAF, TaskResolved(0, "ada")),
    "succeeded": (LEAF, TaskSucceeded(0, b"1")),
    "warned": (LEAF | {"on_error": "warn"}, TaskFailed(0, FAILURE)),
    "failed": (LEAF, TaskFailed(0, FAILURE)),
    "blocked": (LEAF, TaskSettled(0, BLOCKED, "x")),
    "skipped": (LEAF, TaskSettled(0, SKIPPED, "x")),
    "cancelled": (LEAF, TaskSettled(0, CANCELLED, "x")),
}


def begun(node: dict[str, Any], **plan: Any) -> RunState:
    """A run whose one task is ready."""
    scopes = (Scope(nodes=(Node(**node),)), Scope(nodes=(Node(id="u", verb="work"),), parent=0))
    state = RunState(sealed(Plan(workflow="w", name="w", scopes=scopes, **plan)))
    state.at = 1.0
    evolve(state, RunStarted("r", "plan", "", "w", b"{}", {}, ""))
    evolve(state, ScopeOpened(RUN, 0))
    return state


def standing(node: dict[str, Any], status: int) -> RunState:
    """The same with the task in some status, and everything beside it that such a status may have."""
    state = begun(node)
    if node["verb"] == "each":
        evolve(state, ItemsOpened(0, 2, None, b"[1, 2]"))
    if node["verb"] == "loop":
        state.loops[0] = LoopRun(0.0)
    if TASK_WORDS[status] == "sleeping":
        state.questions[0] = Question(TaskAsked(0, b"{}", resumes="call_1"), 1.0)
    state.statuses[0] = status
    return state


@pytest.mark.parametrize("status", range(len(TASK_WORDS)), ids=TASK_WORDS)
@pytest.mark.parametrize("row", ROWS)
def test_a_task_moves_as_its_table_says_or_not_at_all(row: str, status: int) -> None:
    node, event = ROWS[row]
    allowed, leaves = TASK_TABLE[row]
    state = standing(node, status)
    if status in allowed:
        evolve(state, event)
        assert state.statuses[0] == leaves
    else:
        with pytest.raises(ImpossibleEventError) as refused:
            evolve(state, event)
        assert TASK_WORDS[status] in str(refused.value)
        assert "`t`" in str(refused.value)
        assert f"`{row}`" in str(refused.value)
        assert state.statuses[0] == status


def test_every_row_of_the_table_has_its_event_here() -> None:
    assert set(ROWS) | {"needs_met"} == set(
        TASK_TABLE
    )  # `needs_met` is no event: it follows when the last need settles


def test_no_row_leads_out_of_an_end() -> None:
    for event, (allowed, _) in TASK_TABLE.items():
        assert not allowed & TERMINAL, event
    for event, (words, _) in RUN_TABLE.items():
        assert not words & RUN_TERMINAL, event


def test_every_status_can_be_reached_and_left() -> None:
    reached = {leaves for _, leaves in TASK_TABLE.values()}
    assert reached == set(range(1, len(TASK_WORDS)))
    left = frozenset[int]().union(*(allowed for allowed, _ in TASK_TABLE.values()))
    assert left == set(range(len(TASK_WORDS))) - TERMINAL


RUN_EVENTS: Final[list[Any]] = [
    RunStarted("r", "plan", "", "w", b"{}", {}, ""),
    RunClaimed("pid 1"),
    GitPinned({}),
    ScopeOpened(RUN, 0),
    OutputsSet(b"{}"),
    PhaseEnded("main"),
    HoldSet("lunch", "ada"),
    HoldCleared("lunch", "ada"),
    CancelRequested("ada"),
    EndRequested(0, "succeeded"),
    StopRequested("ada", 5.0),
    StatusChanged("paused"),
    StatusChanged("waiting"),
    StatusChanged("running"),
    RunEnded("succeeded"),
]


@pytest.mark.parametrize("word", sorted(RUN_TERMINAL))
@pytest.mark.parametrize("event", [*RUN_EVENTS, *(event for _, event in ROWS.values())], ids=lambda e: type(e).__name__)
def test_nothing_happens_to_a_run_that_is_over(word: str, event: Any) -> None:
    state = begun(LEAF)
    evolve(state, RunEnded(word))
    with pytest.raises(ImpossibleEventError, match=word):
        evolve(state, event)
    assert (state.status, state.last) == (word, 3)


@pytest.mark.parametrize("event", RUN_EVENTS[1:], ids=lambda event: type(event).__name__)
def test_nothing_happens_to_a_run_before_it_started(event: Any) -> None:
    state = RunState(sealed(Plan(workflow="w", name="w", scopes=(Scope(nodes=()),))))
    with pytest.raises(ImpossibleEventError, match="not started"):
        evolve(state, event)


_MOVES: Final[dict[str, Any]] = {
    "went_on": StatusChanged("running"),
    "waits": StatusChanged("waiting"),
    "held": StatusChanged("paused"),
}


@pytest.mark.parametrize("word", ["running", "waiting", "paused"])
@pytest.mark.parametrize("row", sorted(RUN_TABLE))
def test_a_run_moves_as_its_table_says(row: str, word: Any) -> None:
    state = begun(LEAF)
    state.status = word
    allowed, leaves = RUN_TABLE[row]
    assert word in allowed
    evolve(state, _MOVES.get(row) or RunEnded(row))
    assert state.status == leaves


@pytest.mark.parametrize(
    "event",
    [
        RunStarted("r", "plan", "", "w", b"{}", {}, ""),
        PhaseEnded("finally"),
        PhaseEnded("main"),
        TaskSettled(0, TASK_WORDS.index("succeeded"), "x"),
        TaskSucceeded(7, b"1"),
        ScopeOpened(0, 9, 1),
        StatusChanged("succeeded"),
        LoopJudged(0, 1, False),
    ],
    ids=repr,
)
def test_an_event_that_cannot_be_is_refused_by_name(event: Any) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(begun(LEAF), event)
