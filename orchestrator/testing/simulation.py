"""A run in virtual time under a seed: crashes, late and doubled reports, pauses, cancels, stops, people who answer or do not.

The simulation drives the very functions the engine drives (`advance`, `evolve`) over a journal of bytes, keeps an outside witness of what
was begun, and checks the invariants after every turn. A seed replays a history exactly.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field, fields
from typing import Final

import msgspec

from orchestrator.core import turn as core_turn
from orchestrator.core.effects import Conclude, Effect, Perform, Prepare
from orchestrator.core.events import (
    AnyEvent,
    AttemptStarted,
    Failure,
    ScopeOpened,
    TaskAnswered,
    TaskSucceeded,
    decode_batch,
    encode_batch,
)
from orchestrator.core.inputs import (
    Answered,
    AnyInput,
    AttemptAsked,
    AttemptEnded,
    AttemptErred,
    AttemptParked,
    AttemptSlept,
    AttemptSucceeded,
    Cancel,
    ClearHold,
    Concluded,
    Prepared,
    Recovered,
    Resolve,
    SetHold,
    StartRun,
    Stop,
    TimerDue,
)
from orchestrator.core.plan import Plan
from orchestrator.core.run_state import RUN, RunState, next_wake, wanted
from orchestrator.core.status import (
    TERMINAL,
    UNKNOWN,
)
from orchestrator.testing.outcome_checks import check_end, expected_verdict

TURNS_MAX: Final = 20_000


class BrokenInvariantError(AssertionError):
    """The seed and the plan that show it are in the message."""


@dataclass(slots=True)
class Faults:
    """How likely each is at a turn; all 0 is a quiet world."""

    crash: float = 0.02
    crash_before_commit: float = 0.02
    doubled: float = 0.05
    pause: float = 0.01
    cancel: float = 0.002
    stop: float = 0.005
    stale_driver: float = 0.02
    clock_step: float = 0.01
    attempt_fails: float = 0.15
    attempt_sleeps: float = 0.05
    attempt_asks: float = 0.04
    attempt_asks_and_goes_on: float = 0.06
    stale_answer: float = 0.3
    attempt_parks: float = 0.02
    attempt_ends: float = 0.003


QUIET: Final = Faults(*[0.0] * len(fields(Faults)))


@dataclass(slots=True)
class World:
    """What is outside the engine and survives its crashes: the journal's bytes, and a witness of every effect."""

    batches: list[bytes] = field(default_factory=list)
    last: int = 0
    performed: dict[str, int] = field(default_factory=dict)
    """task name → how many times its work really began"""
    recorded: set[str] = field(default_factory=set)
    """names with a committed result"""
    answered: dict[str, dict[str, object]] = field(default_factory=dict)
    """name → what it was told by people in the midst of its attempts, and committed: {question: answer}"""
    settled: dict[str, int] = field(default_factory=dict)
    """name → the terminal status first committed"""


class Simulation:
    def __init__(self, plan: Plan, seed: int, faults: Faults | None = None) -> None:
        self.plan = plan
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311  a reproducible history is the point
        self.faults = faults or Faults()
        self.world = World()
        self.now = 1_000_000.0
        self.state = RunState(plan)
        self.inputs: list[AnyInput] = [StartRun("sim", "plan", b"{}", {"kind": "simulation"}, "project")]
        self.inflight: dict[Effect, float] = {}
        """effects in progress → when they report"""
        self.reported: list[AnyInput] = []
        """attempt reports delivered before, to be doubled or come late"""
        self.retried_by_person: set[str] = set()
        self.turns = 0
        self.crashes = 0
        self.calm = False

    # --- the main loop

    def run(self) -> RunState:
        """To the end of the run; after many turns the world falls calm and the run must come to its end."""
        while not self.state.over:
            self.turns += 1
            self._require(self.turns < TURNS_MAX, "the run never ends though the faults stopped")
            self.calm = self.turns > 400
            self._take_turn()
            if not self.state.over:
                self._something_happens()
        self._check_replay()
        check_end(self.state, self._require)
        return self.state

    def _take_turn(self) -> None:
        inputs, self.inputs = self.inputs, []
        expected = self.state.last
        running_before = set(self.state.running)
        turn = core_turn.advance(self.state, inputs, self.now)
        if self._chance(self.faults.crash_before_commit):
            self._crash()
            return
        if turn.events:
            self._commit(expected, turn.events)
        self._check_turn(turn.events, running_before)
        self._begin_effects()
        if turn.more:
            self._take_turn()

    def _commit(self, expected: int, events: list[AnyEvent]) -> None:
        self._require(expected == self.world.last, f"append expects {expected}, the journal is at {self.world.last}")
        self.world.batches.append(encode_batch(self.now, events))
        self.world.last += len(events)
        for event in events:
            if isinstance(event, TaskSucceeded) and self.state.nodes[event.task].scope is None:
                self.world.recorded.add(self.state.name(event.task))
            elif isinstance(event, TaskAnswered):
                told = self.world.answered.setdefault(self.state.name(event.task), {})
                self._require(event.key not in told, f"question {event.key!r} is answered twice")
                mine = event.by == "expiry" or event.value == msgspec.json.encode(f"to {event.key}")
                self._require(mine, f"question {event.key!r} takes the answer to another")
                told[event.key] = event.value

    def _begin_effects(self) -> None:
        for effect in self.state.dropped:
            self.inflight.pop(effect, None)
        for effect in self.state.begun:
            self._require(effect not in self.inflight, f"{effect} begins twice")
            if isinstance(effect, Perform):
                self._witness(effect)
            delay = 0.0 if not isinstance(effect, Perform) else self.random.choice((0.0, 0.01, 1.0, 30.0))
            self.inflight[effect] = self.now + delay
        self.state.begun, self.state.dropped, self.state.set_timers = [], [], []
        extra, lacking = set(self.inflight) - wanted(self.state), wanted(self.state) - set(self.inflight)
        self._require(not extra, f"in progress though not wanted: {extra}")
        self._require(not lacking, f"wanted and not in progress: {lacking}")

    def _witness(self, effect: Perform) -> None:
        name = self.state.name(effect.task)
        self._require(name not in self.world.recorded, f"`{name}` has a recorded result and begins again")
        self.world.performed[name] = self.world.performed.get(name, 0) + 1
        node = self.state.nodes[effect.task]
        once = node.effect == "at_most_once" and not node.retry.max and name not in self.retried_by_person
        told = self.world.answered.get(name, {})
        done = self.world.performed[name] - len(told)  # what asks has done nothing yet
        self._require(not once or done == 1, f"`{name}` may be done once and is done again")
        knows = {key: answer.value for key, answer in self.state.answers.get(effect.task, {}).items()}
        self._require(knows == told, f"`{name}` goes on knowing {knows}, and was told {told}")
        tries = self.state.failures.get(effect.task, 0)
        self._require(tries <= node.retry.max, f"`{name}` is tried more often than its retry allows")

    # --- what the world does

    def _something_happens(self) -> None:
        faults = self.faults
        if self._chance(faults.crash):
            self._crash()
            return
        if self._chance(faults.stale_driver):
            self._stale_driver()
        if self._chance(faults.stop):
            self._stop_and_resume()
            return
        if self._chance(faults.clock_step):
            self.now += self.random.choice((-3600.0, 3600.0))
        if self._chance(faults.pause):
            self.inputs.append(SetHold("person", "sim"))
        if self._chance(faults.cancel):
            self.inputs.append(Cancel("sim"))
        if self.reported and self._chance(faults.doubled):
            self.inputs.append(self.random.choice(self.reported))
        if "person" in self.state.holds and (self.calm or self.random.random() < 0.2):
            self.inputs.append(ClearHold("person", "sim"))
        self._deliver()
        if not self.inputs:
            self._let_time_pass()

    def _deliver(self) -> None:
        due = [effect for effect, at in self.inflight.items() if at <= self.now]
        self.random.shuffle(due)
        for effect in due[: self.random.randint(1, 8)]:
            del self.inflight[effect]
            report = self._report(effect)
            if isinstance(effect, Perform):
                self.reported.append(report)
            self.inputs.append(report)

    def _let_time_pass(self) -> None:
        instants = list(self.inflight.values())
        wake = next_wake(self.state)
        if wake is not None:
            instants.append(wake)
        people = self.state.waits_for_people()
        if people and (not instants or self.random.random() < 0.3):
            self._a_person_acts(self.random.choice(people))
            return
        held = "person" in self.state.holds
        self._require(bool(instants) or held, f"nothing can ever happen again; the run is {self.state.status}")
        if instants:
            self.now = max(self.now, min(instants)) + self.random.choice((0.0, 0.0, 0.5))
        for (task, what), at in list(self.state.timers.items()):
            if at <= self.now:
                self.inputs.append(TimerDue(task, what, at))

    def _a_person_acts(self, task: int) -> None:
        name = self.state.name(task)
        if task in self.state.questions:
            key = self.state.questions[task].resumes
            told = self.world.answered.get(name)
            if told and self._chance(self.faults.stale_answer):
                key = self.random.choice(list(told))  # somebody answers what was answered before
            self.inputs.append(Answered(task, msgspec.json.encode(f"to {key}"), "person", key))
        elif task in self.state.parked or self.state.statuses[task] == UNKNOWN:
            how = self.random.choice(("retry", "succeeded", "failed"))
            if how == "retry":
                self.retried_by_person.add(name)
            self.inputs.append(Resolve(task, how, "person"))

    def _report(self, effect: Effect) -> AnyInput:
        match effect:
            case Perform(task, attempt):
                return self._attempt_report(task, attempt)
            case Prepare(task):
                return self._prepared(task)
            case Conclude(task, number):
                done = self._coin("until", task, number) or number >= 3
                return Concluded(task, number, done=done, value=b'{"n":1}')

    def _attempt_report(self, task: int, attempt: int) -> AnyInput:
        faults, roll = self.faults, self.random.random()
        if self.state.nodes[task].verb == "fail" or roll < faults.attempt_fails:
            return AttemptErred(task, attempt, Failure("exit", "simulated"))
        roll -= faults.attempt_fails
        if roll < faults.attempt_sleeps:
            return AttemptSlept(task, attempt, self.now + 60, b"1")
        roll -= faults.attempt_sleeps
        if roll < faults.attempt_asks and not self.calm:
            return AttemptAsked(task, attempt, b'{"question":"?","schema":{}}', self.now + 3600, "skip")
        roll -= faults.attempt_asks
        asked = len(self.world.answered.get(self.state.name(task), ()))
        likely = faults.attempt_asks_and_goes_on * (5 if 0 < asked < 4 else 1)  # one question seldom comes alone
        if roll < likely and not self.calm:
            key = f"question {asked}"
            at_last = self.random.choice(("skip", "fail", "value"))
            return AttemptAsked(
                task, attempt, b'{"question":"?","schema":{}}', self.now + 3600, at_last, b"false", key, 1.0
            )
        roll -= likely
        parks = self.state.nodes[task].effect != "at_most_once"  # what parks finds its other half again
        if parks and roll < faults.attempt_parks and not self.calm:
            return AttemptParked(task, attempt, "simulated")
        roll -= faults.attempt_parks
        if roll < faults.attempt_ends:
            return AttemptEnded(task, attempt, self.random.choice(("succeeded", "failed", "cancelled")))
        return AttemptSucceeded(task, attempt, msgspec.json.encode(self.state.name(task)))

    def _prepared(self, task: int) -> AnyInput:
        node = self.state.nodes[task]
        if node.when is not None and not self._coin("when", task, 0):
            return Prepared(task, when=False, why="simulated")
        if node.each is None:
            return Prepared(task)
        count = self._number("items", task) % 6
        after = (
            tuple((index - 1,) if index % 3 == 2 else () for index in range(count)) if node.each.item_after else None
        )
        items = msgspec.json.encode(list(range(count)))
        return Prepared(task, count=count, items=items, after=after)

    def _number(self, what: str, task: int) -> int:
        """The same for the same task in every life of the run, as a pure evaluation would be."""
        identity = f"{self.seed}:{what}:{self.state.name(task)}"
        return int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=4).digest(), "big")

    def _coin(self, what: str, task: int, number: int) -> bool:
        return self._number(f"{what}{number}", task) % 3 != 0

    def _chance(self, likelihood: float) -> bool:
        return not self.calm and self.random.random() < likelihood

    # --- faults

    def _crash(self) -> None:
        """Everything in memory is gone; another driver folds the journal."""
        self.crashes += 1
        self.inflight.clear()
        self.inputs.clear()
        if not self.world.batches:
            self.state = RunState(self.plan)
            self.inputs = [StartRun("sim", "plan", b"{}", {"kind": "simulation"}, "project")]
            return
        self.state = self._folded()
        self.inflight = {effect: self.now for effect in wanted(self.state) if not isinstance(effect, Perform)}
        self.inputs = [Recovered("simulation")]

    def _folded(self) -> RunState:
        state = RunState(self.plan)
        for payload in self.world.batches:
            batch = decode_batch(payload)
            core_turn.replay(state, batch.at, batch.events)
        return state

    def _stale_driver(self) -> None:
        """An old driver that woke up decides on an old state: its append must be refused by the expected number."""
        if len(self.world.batches) < 2:
            return
        state = RunState(self.plan)
        for payload in self.world.batches[:-1]:
            batch = decode_batch(payload)
            core_turn.replay(state, batch.at, batch.events)
        self._require(state.last != self.world.last, "a stale driver would be believed")

    def _stop_and_resume(self) -> None:
        self.inputs.append(Stop("sim", 0.0))
        self._take_turn()
        if not self.state.over:
            self._crash()

    # --- invariants

    def _require(self, true: bool, otherwise: str) -> None:
        if not true:
            raise BrokenInvariantError(f"seed {self.seed}, turn {self.turns}: {otherwise}")

    def _check_turn(self, events: list[AnyEvent], running_before: set[int]) -> None:
        state = self.state
        self._require(state.slots <= state.plan.max_parallel, f"{state.slots} tasks run, {state.plan.max_parallel} may")
        self._require(
            state.slots == sum(state.nodes[task].slot for task in state.running), "slots do not count what runs"
        )
        for task, each in state.each.items():
            policy = state.nodes[task].each
            assert policy is not None
            self._require(each.open <= policy.max_parallel, f"`{state.name(task)}` has {each.open} items open")
        for event in events:
            if isinstance(event, AttemptStarted | ScopeOpened):
                self._check_start(event)
        for task, status in enumerate(state.statuses):
            if status in TERMINAL:
                known = self.world.settled.setdefault(f"{task}", status)
                self._require(known == status, f"`{state.name(task)}` was settled and changed")

    def _check_start(self, event: AttemptStarted | ScopeOpened) -> None:
        task = event.task if isinstance(event, AttemptStarted) else event.owner
        if task == RUN:
            return
        state = self.state
        for need in state.nodes[task].needs:
            other = state.target(task, need.index, need.up)
            self._require(state.settled(other), f"`{state.name(task)}` began before `{state.name(other)}` was settled")
            allowed = expected_verdict(state, task) is None
            self._require(allowed, f"`{state.name(task)}` began against the rule of what flows")
        self._require("person" not in state.holds, f"`{state.name(task)}` began under a hold")

    def _check_replay(self) -> None:
        again = self._folded()
        for name in ("statuses", "attempts", "values", "where", "status", "failures", "phase", "slots", "timers",
                     "continued", "goes_on", "worked", "waited"):  # fmt: skip
            self._require(getattr(again, name) == getattr(self.state, name), f"replay gives another `{name}`")
        self._require(again.last == self.world.last, "event numbers have a gap")
