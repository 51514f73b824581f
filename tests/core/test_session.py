"""The conversation's machine: laws over random histories, and the cases that decide money."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, Text, ToolCall, Usage, assistant, user
from orchestrator.core.plan import Retry
from orchestrator.core.session import PATIENCE_S, PHASE_TABLE, decide, evolve, next_wake, wanted
from orchestrator.core.session_events import (
    AnswerArrived,
    AnyEvent,
    Asked,
    CallAnswered,
    CallFailed,
    CallLost,
    CallModel,
    CallSent,
    CallTool,
    ContextTooLong,
    ExchangeEnded,
    ExchangeFailed,
    ExchangeResumed,
    ExchangeStarted,
    HandedOff,
    HandOffAsked,
    Input,
    ModelSwitched,
    PrepareRequest,
    Recovered,
    RequestDenied,
    RequestFailed,
    RequestPrepared,
    RequestWithheld,
    RetryPlanned,
    StopRequested,
    Terms,
    TimeOver,
    TimePassed,
    ToolBegins,
    ToolDeferred,
    ToolFinished,
    ToolReturned,
    ToolStarted,
    ToolWaits,
    decode_events,
    encode_events,
)
from orchestrator.core.session_state import Session, usage_since_asked
from orchestrator.core.session_terms import Backup

TERMS = Terms(agent="a", model="scripted/m", retry=Retry(max=2, delay=1.0, within=100.0), turns_max=4, repair=1)
OUTAGE = Failure("outage", "gone")


class World:
    """A session, its record, and the time."""

    def __init__(self, session_id: str = "r1/agent/k") -> None:
        self.session = Session(session_id)
        self.record: list[AnyEvent] = []
        self.now = 1000.0

    def give(self, given: Input) -> list[AnyEvent]:
        events = decide(self.session, given, self.now)
        assert events == decide(self.session, given, self.now), "deciding changed something"
        for event in events:
            evolve(self.session, event)
        self.record += events
        return events

    def ask(self, key: str = "k", terms: Terms = TERMS, deadline: float | None = None) -> list[AnyEvent]:
        return self.give(Asked(key, terms, user("Hello?"), deadline))

    def send(self) -> int:
        self.give(RequestPrepared(100, 1000))
        return self.session.calls[-1].number

    def answer(self, text: str = "Hello.", *, problems: tuple[str, ...] = (), finish: str = "stop") -> list[AnyEvent]:
        number = self.session.calls[-1].number
        return self.give(AnswerArrived(number, assistant(text), finish, Usage(10, 5), 77, "m", problems))

    def fail(self, failure: Failure = OUTAGE, *, retryable: bool = True) -> list[AnyEvent]:
        return self.give(RequestFailed(self.session.calls[-1].number, failure, retryable))

    def crash(self) -> World:
        """Another process reads the record."""
        other = World(self.session.id)
        other.now = self.now
        for event in decode_events(encode_events(self.record)):
            evolve(other.session, event)
        other.record = list(self.record)
        return other

    @property
    def phase(self) -> str:
        assert self.session.exchange is not None
        return self.session.exchange.phase


def test_a_question_is_answered_in_one_turn() -> None:
    world = World()
    world.ask()
    assert wanted(world.session) == [PrepareRequest(1)]
    number = world.send()
    assert wanted(world.session) == [CallModel(number)]
    world.answer()
    assert world.phase == "ended"
    assert wanted(world.session) == []
    assert world.session.exchanges["k"].text == "Hello."


def test_a_recorded_answer_is_never_asked_for_again() -> None:
    world = World()
    world.ask()
    world.send()
    world.answer()
    again = world.crash()
    again.give(Recovered())
    assert again.ask() == []
    assert wanted(again.session) == []
    assert again.session.exchanges["k"].text == "Hello."


def test_a_request_that_a_crash_cut_off_is_unknown_and_repeated_once() -> None:
    world = World()
    world.ask()
    world.send()
    second = world.crash()
    assert isinstance(second.give(Recovered())[0], CallLost)
    second.give(TimePassed())
    assert second.session.calls[0].status == "unknown"
    assert second.session.calls[0].tokens_counted == 100
    assert second.session.calls[0].cost_counted == 1000
    second.send()
    third = second.crash()
    events = third.give(Recovered())
    assert isinstance(events[-1], ExchangeFailed)
    assert events[-1].failure.type == "lost"
    assert len(third.session.calls) == 2


def test_asked_again_on_purpose_after_two_losses_it_goes_on() -> None:
    world = World()
    world.ask()
    world.send()
    for _ in range(2):
        world = world.crash()
        world.give(Recovered())
        if world.phase == "backing_off":
            world.give(TimePassed())
            world.send()
    assert world.phase == "failed"
    world.ask()
    assert wanted(world.session) == [PrepareRequest(1)]


def test_retries_wait_longer_each_time_and_are_spread_but_the_same_on_replay() -> None:
    waits = []
    for _ in range(2):
        world = World()
        world.ask()
        for _ in range(2):
            world.send()
            world.fail()
            wake = next_wake(world.session)
            assert wake is not None
            waits.append(wake - world.now)
            world.now = wake
            world.give(TimePassed())
    assert waits[:2] == waits[2:]
    assert 0.8 <= waits[0] <= 1.2
    assert 1.6 <= waits[1] <= 2.4


def test_time_that_has_not_come_changes_nothing() -> None:
    world = World()
    world.ask()
    world.send()
    world.fail()
    world.now += 0.1
    assert world.give(TimePassed()) == []


def test_what_the_provider_asks_to_wait_is_honoured_and_those_it_turned_away_come_back_one_by_one() -> None:
    wakes = set()
    for name in "abcdefgh":
        world = World(name)
        world.ask()
        world.send()
        world.fail(Failure("rate_limited", "slow down", None, 30.0))
        wakes.add(next_wake(world.session))
    assert len(wakes) == 8
    assert all(1030 <= wake <= 1036 for wake in wakes if wake is not None)


def test_the_spreading_of_waits_never_misses_the_deadline() -> None:
    world = World()
    world.ask(deadline=1030.001)
    world.send()
    world.fail(Failure("rate_limited", "slow down", None, 30.0))
    assert next_wake(world.session) == 1030.0


def test_a_wait_beyond_the_deadline_fails_at_once_with_the_cause() -> None:
    world = World()
    world.ask(deadline=1010.0)
    world.send()
    events = world.fail(Failure("rate_limited", "slow down", None, 30.0))
    assert isinstance(events[-1], ExchangeFailed)
    assert events[-1].failure.type == "rate_limited"
    assert events[-1].failure.retry_after == 30.0


def test_an_absurd_wait_fails_at_once() -> None:
    world = World()
    world.ask()
    world.send()
    assert isinstance(world.fail(Failure("rate_limited", "slow down", None, 86_400.0))[-1], ExchangeFailed)


def test_tries_are_counted_and_said() -> None:
    world = World()
    world.ask()
    for _ in range(2):
        world.send()
        world.fail()
        world.now += 10
        world.give(TimePassed())
    world.send()
    events = world.fail()
    assert isinstance(events[-1], ExchangeFailed)
    assert events[-1].failure.message == "gone (after 3 tries)"


def test_what_another_try_cannot_mend_is_not_tried() -> None:
    world = World()
    world.ask()
    world.send()
    assert isinstance(world.fail(Failure("auth", "no"), retryable=False)[-1], ExchangeFailed)


def test_an_answer_that_does_not_fit_is_repaired_at_most_as_often_as_said() -> None:
    world = World()
    world.ask()
    world.send()
    world.answer("{}", problems=("points is missing",))
    assert wanted(world.session) == [PrepareRequest(2)]
    assert "points is missing" in world.session.messages[-1].text
    world.send()
    events = world.answer("{}", problems=("points is missing",))
    assert isinstance(events[-1], ExchangeFailed)
    assert events[-1].failure.type == "invalid_output"
    assert "after 1 repair)" in events[-1].failure.message


def test_a_cut_answer_is_not_repaired_because_it_would_be_cut_again() -> None:
    world = World()
    world.ask()
    world.send()
    events = world.answer('{"po', problems=("the answer is not JSON",), finish="length")
    assert isinstance(events[-1], ExchangeFailed)
    assert events[-1].failure.help == "raise `max_tokens`"


def test_after_an_answer_that_did_not_fit_a_retry_of_the_task_starts_from_the_prompt() -> None:
    world = World()
    world.ask(terms=Terms(agent="a", model="scripted/m", repair=0))
    world.send()
    world.answer("{}", problems=("no",))
    world.ask()
    assert [m.role for m in world.session.messages] == ["user"]
    assert wanted(world.session) == [PrepareRequest(1)]


def test_after_an_outage_a_retry_of_the_task_goes_on_at_the_last_recorded_turn() -> None:
    world = World()
    world.ask()
    world.send()
    _call_tools(world, "one")
    world.give(ToolReturned("one", "1"))
    world.send()
    world.fail(OUTAGE, retryable=False)
    world.ask()
    assert [m.role for m in world.session.messages] == ["user", "assistant", "tool"]
    assert wanted(world.session) == [PrepareRequest(2)]


def _call_tools(world: World, *ids: str) -> None:
    calls = tuple(ToolCall(id_, f"tool_{id_}", "{}") for id_ in ids)
    number = world.session.calls[-1].number
    world.give(AnswerArrived(number, Message("assistant", calls), "tool_calls", Usage(1, 1), None, "m"))


def test_tools_run_together_and_their_results_stand_in_the_order_they_were_asked() -> None:
    world = World()
    world.ask()
    world.send()
    _call_tools(world, "one", "two")
    assert wanted(world.session) == [CallTool("one"), CallTool("two")]
    world.give(ToolReturned("two", "2"))
    assert wanted(world.session) == [CallTool("one")]
    assert world.give(ToolReturned("two", "again")) == []
    world.give(ToolReturned("one", "1"))
    results: Any = world.session.messages[-1].parts
    assert [result.content for result in results] == ["1", "2"]


def test_after_a_crash_only_tools_without_result_run_again_and_never_those_that_must_not() -> None:
    world = World()
    world.ask()
    world.send()
    _call_tools(world, "one", "two", "three")
    world.give(ToolReturned("one", "1"))
    world.give(ToolBegins("three"))
    again = world.crash()
    again.give(Recovered())
    assert wanted(again.session) == [CallTool("two")]
    again.give(ToolReturned("two", "2"))
    results: Any = again.session.messages[-1].parts
    assert [result.is_error for result in results] == [False, False, True]
    assert "nobody knows" in results[2].content


def test_turns_have_an_end() -> None:
    world = World()
    world.ask()
    for turn in range(4):
        world.send()
        _call_tools(world, f"t{turn}")
        if world.phase == "using_tools":
            world.give(ToolReturned(f"t{turn}", "x"))
    assert world.phase == "failed"
    assert world.session.exchanges["k"].failure is not None
    assert world.session.exchanges["k"].failure.type == "budget"
    assert len(world.session.calls) == 4


def test_a_stop_keeps_what_has_arrived_and_counts_the_request() -> None:
    world = World()
    world.ask()
    world.send()
    world.give(StopRequested("Hel"))
    assert world.phase == "stopped"
    assert world.session.exchanges["k"].partial == "Hel"
    assert world.session.calls[0].status == "failed"
    assert world.session.calls[0].cost_counted == 1000
    world.ask("next")
    assert [m.text for m in world.session.messages] == ["Hello?", "Hel", "Hello?"]


def test_a_denied_request_was_never_sent() -> None:
    world = World()
    world.ask()
    world.give(RequestDenied(Failure("budget", "too dear")))
    assert world.phase == "failed"
    assert world.session.calls == []


def test_a_failed_question_leaves_nothing_behind_for_the_next() -> None:
    world = World()
    world.ask()
    world.send()
    _call_tools(world, "one")
    world.give(StopRequested())
    world.ask("next")
    assert [m.role for m in world.session.messages] == ["user"]


def test_usage_counts_from_when_it_was_last_asked_for() -> None:
    world = World()
    world.ask()
    world.send()
    world.fail(retryable=False)
    world.ask()
    world.send()
    world.answer()
    assert usage_since_asked(world.session, "k") == (Usage(10, 5), 77, 1)


def test_answers_that_come_too_late_change_nothing() -> None:
    world = World()
    world.ask()
    number = world.send()
    world.answer()
    before = encode_events(world.record)
    assert world.give(AnswerArrived(number, assistant("late"), "stop", Usage(), None, "m")) == []
    assert world.give(RequestFailed(number, OUTAGE, True)) == []
    assert world.give(StopRequested("late")) == []
    assert world.give(Recovered()) == []
    assert encode_events(world.record) == before


def test_every_event_has_a_row_in_the_table_or_opens() -> None:
    from typing import get_args

    assert set(get_args(AnyEvent)) == {*PHASE_TABLE, ExchangeStarted}


def test_an_event_out_of_place_is_our_bug_and_says_where() -> None:
    world = World()
    world.ask()
    with pytest.raises(AssertionError, match="CallAnswered while preparing"):
        evolve(world.session, CallAnswered(1.0, 1, assistant("x"), "stop", Usage()))


class Conversation(RuleBasedStateMachine):
    """Random inputs in any order, crashes anywhere; what must hold, holds."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.crashes = 0
        self.keys = 0

    @initialize(policy=st.sampled_from(["fail", "drop_oldest", "summarise"]))
    def begin(self, policy: Any) -> None:
        self.terms = msgspec.structs.replace(
            TERMS,
            fallback=(Backup("b/1"), Backup("b/2")),
            on_overflow=policy,
            turns_max=9,
            identical_max=2,
            time_max=10_000.0,
        )
        self.world.ask("k0", self.terms)

    @precondition(lambda self: self.world.phase == "preparing")
    @rule()
    def prepare(self) -> None:
        self.world.give(RequestPrepared(10, 10))

    @precondition(lambda self: self.world.phase == "calling")
    @rule(problems=st.sampled_from([(), (), ("bad",)]), finish=st.sampled_from(["stop", "length"]))
    def answer(self, problems: tuple[str, ...], finish: str) -> None:
        number = len(self.world.session.calls)
        self.world.give(AnswerArrived(number, assistant("text"), finish, Usage(1, 1), 5, "m", problems))

    @precondition(lambda self: self.world.phase == "calling")
    @rule(tools=st.integers(1, 3), same=st.booleans())
    def ask_for_tools(self, tools: int, same: bool) -> None:
        number = len(self.world.session.calls)
        agent = self.world.session.agent
        arguments = ["{}" if same else f'{{"n": {number * 10 + i}}}' for i in range(tools)]
        calls = tuple(ToolCall(f"c{number}_{i}", f"{agent}_t", arguments[i]) for i in range(tools))
        message = Message("assistant", (Text("hm"), *calls))
        self.world.give(AnswerArrived(number, message, "tool_calls", Usage(1, 1), 5, "m"))

    @precondition(lambda self: self.world.phase == "using_tools")
    @rule(index=st.integers(0, 2))
    def return_tool(self, index: int) -> None:
        self.world.give(ToolReturned(self._call_id(index), "done"))

    @precondition(lambda self: self.world.phase == "using_tools")
    @rule(index=st.integers(0, 2), to=st.sampled_from(["a", "b"]))
    def hand_over(self, index: int, to: str) -> None:
        terms = msgspec.structs.replace(self.terms, agent=to)
        self.world.give(HandOffAsked(self._call_id(index), terms, "Take it."))

    @precondition(lambda self: self.world.phase == "using_tools")
    @rule(index=st.integers(0, 2), waits=st.booleans())
    def begin_tool(self, index: int, waits: bool) -> None:
        self.world.give(ToolBegins(self._call_id(index)))
        if waits:
            self.world.give(ToolWaits(self._call_id(index)))

    @precondition(lambda self: self.world.phase == "calling")
    @rule(
        what=st.sampled_from(["outage", "context_too_long", "context_too_long"]),
        retryable=st.booleans(),
        unavailable=st.sets(st.sampled_from(["b/1", "b/2"])),
    )
    def fail(self, what: str, retryable: bool, unavailable: set[str]) -> None:
        number, failure = len(self.world.session.calls), Failure(what, "gone")
        self.world.give(RequestFailed(number, failure, retryable, True, "par", None, None, frozenset(unavailable)))

    @precondition(lambda self: self.world.phase == "preparing")
    @rule(keep=st.integers(0, 60), wait=st.floats(0, 30), long=st.booleans())
    def hold_back(self, keep: int, wait: float, long: bool) -> None:
        too_long = ContextTooLong(Failure("context_too_long", "too long"), keep)
        self.world.give(too_long if long else RequestWithheld(OUTAGE, wait))

    @precondition(lambda self: self.world.phase == "backing_off")
    @rule(seconds=st.floats(0, 50))
    def pass_time(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.give(TimePassed())

    @precondition(lambda self: self.world.phase in ("ended", "failed", "stopped"))
    @rule(fresh=st.booleans(), to=st.sampled_from([None, None, "a", "b"]))
    def ask(self, fresh: bool, to: str | None) -> None:
        if to is not None:
            self.world.give(HandOffAsked("", msgspec.structs.replace(self.terms, agent=to), "Over to you."))
        self.keys += fresh
        self.world.ask(f"k{self.keys}", self.terms)

    @rule(what=st.integers(0, 40))
    def happen(self, what: int) -> None:
        """What may come at any time, seldom: a stop, a crash, another question, an input out of place."""
        number = len(self.world.session.calls)
        match what:
            case 0:
                self.world.give(StopRequested("part"))
                self._nothing_begun()
            case 1 | 2 | 3:
                self.crashes += 1
                self.world = self.world.crash()
                self.world.give(Recovered())
                self._nothing_begun()
            case 4:
                self.keys += 1
                self.world.ask(f"k{self.keys}", self.terms)
            case 5:
                self.world.give(TimeOver())
                self._nothing_begun()
            case 6:
                self.world.give(HandOffAsked("", self.terms))
            case 7:
                self.world.give(AnswerArrived(max(number - 1, 0), assistant("late"), "stop", Usage(1, 1), 5, "m"))
            case 8:
                self.world.give(RequestPrepared(10, 10))
            case 9:
                self.world.give(ToolReturned(self._call_id(0), "late"))
                self.world.give(HandOffAsked(self._call_id(1), self.terms))

    def _call_id(self, index: int) -> str:
        return f"c{len(self.world.session.calls)}_{index}"

    def _nothing_begun(self) -> None:
        exchange = self.world.session.exchange
        assert exchange is not None
        assert not exchange.begun, "a call that began would be made a second time"

    @precondition(lambda self: bool(self.world.record))
    @invariant()
    def folding_the_record_gives_the_same_session(self) -> None:
        assert self.world.crash().session == self.world.session

    @invariant()
    def every_sent_call_ends_at_most_once_and_in_order(self) -> None:
        sent = [e.number for e in self.world.record if isinstance(e, CallSent)]
        ended = [e.number for e in self.world.record if isinstance(e, CallAnswered | CallFailed | CallLost)]
        assert sent == list(range(1, len(sent) + 1))
        assert ended == sent[: len(ended)]
        assert len(sent) - len(ended) in (0, 1)

    @invariant()
    def an_ended_exchange_stays_as_it_is(self) -> None:
        ended = [e for e in self.world.record if isinstance(e, ExchangeEnded)]
        done = [x for x in self.world.session.exchanges.values() if x.phase == "ended"]
        assert len(ended) == len(done)

    @invariant()
    def an_open_exchange_always_has_something_to_do_or_to_wait_for(self) -> None:
        exchange = self.world.session.exchange
        if exchange is not None and exchange.open:
            assert wanted(self.world.session) or next_wake(self.world.session) is not None
        else:
            assert wanted(self.world.session) == []

    @invariant()
    def every_request_for_a_tool_is_followed_by_all_its_results(self) -> None:
        messages = self.world.session.messages
        for message, after in itertools.pairwise(messages):
            if message.tool_calls:
                assert [part.call_id for part in after.parts] == [c.id for c in message.tool_calls]  # type: ignore[union-attr]

    @invariant()
    def what_is_sent_is_what_every_provider_takes(self) -> None:
        session = self.world.session
        if not wanted(session) or isinstance(wanted(session)[0], CallTool):
            return
        context, exchange = session.context, session.exchange
        assert exchange is not None
        assert context[0].role == "user"
        assert context[-1].role in ("user", "tool")
        assert "Hello?" in context[exchange.first_context].text
        for message, after in itertools.pairwise(context):
            if message.tool_calls:
                assert [part.call_id for part in after.parts] == [c.id for c in message.tool_calls]  # type: ignore[union-attr]
            else:
                assert after.role != "tool"
        assert not context[-1].tool_calls

    @invariant()
    def nobody_is_sent_calls_of_tools_that_are_not_its_own(self) -> None:
        names = {call.name for message in self.world.session.context for call in message.tool_calls}
        assert names <= {f"{self.world.session.agent}_t"}

    @invariant()
    def an_answered_turn_is_never_asked_for_again(self) -> None:
        answered: set[int] = set()
        turn_of: dict[int, int] = {}
        for event in self.world.record:
            match event:
                case ExchangeStarted() | ExchangeResumed(from_prompt=True):
                    answered.clear()
                case CallSent(number=number, turn=turn):
                    assert turn not in answered
                    turn_of[number] = turn
                case CallAnswered(number=number):
                    answered.add(turn_of[number])

    @invariant()
    def a_call_that_began_gets_a_result_before_it_can_be_made_again(self) -> None:
        begun: set[str] = set()
        for event in self.world.record:
            match event:
                case ToolStarted(call_id=call_id):
                    assert call_id not in begun
                    begun.add(call_id)
                case ToolFinished(call_id=call_id) | ToolDeferred(call_id=call_id) | HandedOff(call_id=call_id):
                    begun.discard(call_id)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


@given(st.lists(st.sampled_from(["answer", "fail", "crash", "wait"]), max_size=30))
def test_requests_are_at_most_turns_plus_failures_plus_crashes(happenings: list[str]) -> None:
    world, crashes = World(), 0
    world.ask(terms=Terms(agent="a", model="m/m", repair=3))
    for happening in happenings:
        if wanted(world.session) and isinstance(wanted(world.session)[0], PrepareRequest):
            world.send()
        if happening == "answer":
            world.answer("x", problems=("bad",)) if world.session.calls else None
        elif happening == "fail" and world.session.calls:
            world.fail()
        elif happening == "crash":
            crashes += world.phase == "calling"
            world = world.crash()
            world.give(Recovered())
        else:
            world.now += 100
            world.give(TimePassed())
    answered = sum(call.status == "answered" for call in world.session.calls)
    failed = sum(call.status == "failed" for call in world.session.calls)
    in_flight = world.phase == "calling"
    assert len(world.session.calls) == answered + failed + crashes + in_flight


OWN_LIMIT = Failure("rate_limited", "the limit of 1 requests a minute is used up")
WITH_BACKUP = msgspec.structs.replace(TERMS, fallback=(Backup("b/1"),))


def held_back(wait: float, failure: Failure = OWN_LIMIT, *, deadline: float | None = None) -> AnyEvent:
    world = World()
    world.ask(terms=WITH_BACKUP, deadline=deadline)
    (event,) = world.give(RequestWithheld(failure, wait))
    return event


def test_a_short_wait_for_our_own_limit_changes_no_model() -> None:
    event = held_back(10.0)
    assert isinstance(event, RetryPlanned)
    assert 1010 <= event.until <= 1030


@pytest.mark.parametrize(
    ("wait", "failure", "deadline"),
    [(40.0, OWN_LIMIT, None), (10.0, OWN_LIMIT, 1005.0), (10.0, OUTAGE, None), (0.0, OWN_LIMIT, None)],
    ids=["a long wait", "a wait beyond the deadline", "a provider that is down", "a model in its cooldown"],
)
def test_any_other_wait_leads_to_the_next_model(wait: float, failure: Failure, deadline: float | None) -> None:
    assert isinstance(held_back(wait, failure, deadline=deadline), ModelSwitched)


def test_short_waits_in_a_row_lead_to_the_next_model_all_the_same() -> None:
    world = World()
    world.ask(terms=WITH_BACKUP)
    for _ in range(10):
        (event,) = world.give(RequestWithheld(OWN_LIMIT, 8.0))
        if isinstance(event, ModelSwitched):
            break
        assert isinstance(event, RetryPlanned)
        world.now = event.until
        world.give(TimePassed())
    assert isinstance(event, ModelSwitched)
    assert world.now <= 1000 + PATIENCE_S
