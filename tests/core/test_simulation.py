"""Runs in virtual time under seeds; and the same with bugs planted, each of which the suite must catch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import decide as decide_module
from orchestrator.core import decide_ends, decide_starts, evolve_moves, run_state, status
from orchestrator.core import evolve as evolve_module
from orchestrator.core import turn as turn_module
from orchestrator.core.events import AttemptCut, TaskAnswered, TaskSettled
from orchestrator.core.evolve_moves import ImpossibleEventError
from orchestrator.testing.random_plans import random_plan
from orchestrator.testing.simulation import QUIET, BrokenInvariantError, Simulation

SHARDS = 10


def seeds(pytestconfig: pytest.Config) -> int:
    return 100_000 if pytestconfig.getoption("release") else 5_000


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(1800)
def test_every_seed_keeps_the_invariants(shard: int, pytestconfig: pytest.Config) -> None:
    first = int(os.environ.get("WHISPER_FLOW_FIRST_SEED", "0"))
    for seed in range(first + shard, first + seeds(pytestconfig), SHARDS):
        Simulation(random_plan(seed), seed).run()


@given(seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_what_flows_follows_the_rule_on_any_graph(seed: int) -> None:
    quiet = replace(QUIET, attempt_fails=0.3)
    Simulation(random_plan(seed, size=12), seed, quiet).run()


@given(seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_results_of_items_stand_in_the_order_of_the_items(seed: int) -> None:
    state = Simulation(random_plan(seed), seed, QUIET).run()
    for task, each in state.each.items():
        for index, number in enumerate(each.instances):
            if number >= 0:
                assert state.scopes[number].index == index
                assert state.scopes[number].owner == task


def test_a_seed_replays_the_same_history() -> None:
    first, second = (Simulation(random_plan(7), 7) for _ in range(2))
    first.run()
    second.run()
    assert first.world.batches == second.world.batches


def test_the_simulation_reaches_every_word_a_task_can_end_with() -> None:
    seen: set[int] = set()
    crashes = 0
    for seed in range(400):
        simulation = Simulation(random_plan(seed), seed)
        seen.update(simulation.run().statuses)
        crashes += simulation.crashes
    assert seen == set(run_state.TERMINAL)
    assert crashes > 100


# --- planted bugs


@contextmanager
def replaced(module: Any, name: str, by: Any) -> Iterator[None]:
    kept = getattr(module, name)
    setattr(module, name, by)
    try:
        yield
    finally:
        setattr(module, name, kept)


def _slots_leak() -> Any:
    def leave(state: Any, task: int, node: Any) -> None:
        state.running.pop(task, None)

    return replaced(evolve_moves, "leave_running", leave)


def _rule_forgets_order_edges() -> Any:
    honest = run_state.RunState.verdict

    def verdict(self: Any, task: int) -> Any:
        found = honest(self, task)
        needs = self.nodes[task].needs
        return None if found and all(need.kind != 2 for need in needs) else found

    return replaced(run_state.RunState, "verdict", verdict)


def _late_reports_count() -> Any:
    return replaced(decide_module, "_current", lambda state, task, attempt: True)


def _lost_attempts_are_repeated_whatever_their_effect() -> Any:
    def cut(state: Any, event: AttemptCut) -> None:
        evolve_module.drop_attempt(state, event.task)
        state.statuses[event.task] = status.READY
        evolve_module.queue(state, event.task)

    return replaced(evolve_module, "_FOLD", {**evolve_module._FOLD, AttemptCut: cut})


def _recovery_forgets_what_ran() -> Any:
    return replaced(
        decide_module,
        "_DECIDE",
        {**decide_module._DECIDE, decide_module.Recovered: lambda state, given, now: [decide_module.RunClaimed("x")]},
    )


def _holds_are_ignored() -> Any:
    honest = decide_starts.starts

    def starts(state: Any, now: float, limit: int = 256, **options: Any) -> Any:
        holds, state.holds = state.holds, {}
        try:
            return honest(state, now, limit, **options)
        finally:
            state.holds = holds

    return replaced(turn_module, "starts", starts)


def _bounds_are_ignored() -> Any:
    honest = decide_starts.starts

    def starts(state: Any, now: float, limit: int = 256, **options: Any) -> Any:
        slots, state.slots = state.slots, -1
        try:
            return honest(state, now, limit, **options)
        finally:
            state.slots = slots

    return replaced(turn_module, "starts", starts)


def _cancel_forgets_sleepers() -> Any:
    honest = decide_ends.cancel_phase

    def cancel_phase(state: Any, reason: str, but: int = -1) -> Any:
        return [event for event in honest(state, reason, but) if state.statuses[event.task] != status.SLEEPING]

    return replaced(decide_ends, "cancel_phase", cancel_phase)


def _enough_is_one_too_few() -> Any:
    honest = run_state.EachRun.settle

    def settle(self: Any, index: int, state: int) -> None:
        honest(self, index, state)
        self.ok += 1

    return replaced(run_state.EachRun, "settle", settle)


def _taint_is_forgotten() -> Any:
    honest = evolve_moves.needs_met

    def needs_met(state: Any, task: int) -> None:
        state.tainted.discard(task)
        honest(state, task)

    return replaced(evolve_moves, "needs_met", needs_met)


def _effects_begin_before_the_commit() -> Any:
    honest = turn_module.advance

    def advance(state: Any, inputs: Any, now: float, **options: Any) -> Any:
        done = honest(state, inputs, now, **options)
        return done._replace(events=done.events[:-1] if len(done.events) > 3 else done.events)

    return replaced(turn_module, "advance", advance)


def _timers_outlive_their_task() -> Any:
    honest = evolve_module._FOLD[TaskSettled]

    def settled(state: Any, event: TaskSettled) -> None:
        timers = {key: at for key, at in state.timers.items() if key[0] == event.task}
        honest(state, event)
        state.timers.update(timers)

    return replaced(evolve_module, "_FOLD", {**evolve_module._FOLD, TaskSettled: settled})


def _the_wanted_set_misses_evaluations() -> Any:
    def unwant(state: Any, effect: Any) -> None:
        pass

    return replaced(evolve_moves, "unwant", unwant)


def _a_stale_answer_counts() -> Any:
    def answered(state: Any, given: Any, now: float) -> Any:
        question = state.questions.get(given.task)
        if question is None:
            return []
        return [decide_module._taken(given.task, question, given.value, given.by)]

    return replaced(decide_module, "_DECIDE", {**decide_module._DECIDE, decide_module.Answered: answered})


def _earlier_answers_are_forgotten() -> Any:
    honest = evolve_module._FOLD[TaskAnswered]

    def answered(state: Any, event: TaskAnswered) -> None:
        state.answers.pop(event.task, None)
        honest(state, event)

    return replaced(evolve_module, "_FOLD", {**evolve_module._FOLD, TaskAnswered: answered})


BUGS = [
    _a_stale_answer_counts,
    _earlier_answers_are_forgotten,
    _slots_leak,
    _rule_forgets_order_edges,
    _late_reports_count,
    _lost_attempts_are_repeated_whatever_their_effect,
    _recovery_forgets_what_ran,
    _holds_are_ignored,
    _bounds_are_ignored,
    _cancel_forgets_sleepers,
    _enough_is_one_too_few,
    _taint_is_forgotten,
    _effects_begin_before_the_commit,
    _timers_outlive_their_task,
    _the_wanted_set_misses_evaluations,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__.strip("_"))
def test_a_planted_bug_is_caught(bug: Callable[[], Any]) -> None:
    with bug(), pytest.raises((BrokenInvariantError, ImpossibleEventError, KeyError, IndexError)):
        _run_seeds(600)


def _run_seeds(count: int) -> None:
    for seed in range(count):
        Simulation(random_plan(seed), seed).run()
