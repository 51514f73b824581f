"""A conversation as a state machine: decide, evolve, wanted, next_wake over plain values.

An exchange is one prompt and all that follows until its answer. Its life:

    preparing    wants leave and budget for the next request
    calling      a request is out
    deciding     a request came back; never at rest, the same batch goes on from here
    backing_off  waits until it may try again
    using_tools  the answer asked for tools; each runs
    ended        answered; for ever
    failed       gave up; asked again, it goes on
    stopped      somebody ended it; asked again, it goes on
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, Text, ToolResult, Usage, assistant
from orchestrator.core.retry import retry_at
from orchestrator.core.session_events import (
    AnswerArrived,
    AnswerRejected,
    AnyEvent,
    Asked,
    CallAnswered,
    CallFailed,
    CallLost,
    CallModel,
    CallSent,
    CallTool,
    Effect,
    ExchangeEnded,
    ExchangeFailed,
    ExchangeResumed,
    ExchangeStarted,
    ExchangeStopped,
    Input,
    PrepareRequest,
    Recovered,
    RequestDenied,
    RequestFailed,
    RequestPrepared,
    RetryDue,
    RetryPlanned,
    StopRequested,
    Terms,
    TimePassed,
    ToolFinished,
    ToolReturned,
)
from orchestrator.core.session_state import OPEN, Call, Exchange, Phase, Session

# event → the phases it may find the exchange in; `evolve` says which one it leaves
PHASE_TABLE: Final[dict[type[Any], frozenset[Phase]]] = {
    ExchangeResumed: frozenset({"preparing", "backing_off", "using_tools", "failed", "stopped"}),
    CallSent: frozenset({"preparing"}),
    CallAnswered: frozenset({"calling"}),
    CallFailed: frozenset({"calling"}),
    CallLost: frozenset({"calling"}),
    AnswerRejected: frozenset({"deciding"}),
    RetryPlanned: frozenset({"deciding"}),
    RetryDue: frozenset({"backing_off"}),
    ToolFinished: frozenset({"using_tools"}),
    ExchangeEnded: frozenset({"deciding"}),
    ExchangeFailed: frozenset({"preparing", "deciding", "using_tools", "backing_off"}),
    ExchangeStopped: OPEN - {"calling"},
}

LOST_MAX: Final = 1
"""A request that a crash cut off is repeated this often, then a person must ask for it."""

_AFRESH: Final = frozenset({"invalid_output", "refused"})
"""After these a retry starts from the prompt: another look at the same bad answer seldom helps."""


def decide(session: Session, given: Input, now: float) -> list[AnyEvent]:
    """The events that follow from an input; none if it comes too late to matter. Changes nothing."""
    if isinstance(given, Asked):
        return _asked(session, given, now)
    exchange = session.exchange
    if exchange is None or not exchange.open:
        return []
    match given:
        case Recovered():
            return _recovered(session, exchange, given, now)
        case RequestPrepared() if exchange.phase == "preparing":
            sent = CallSent(
                now, len(session.calls) + 1, exchange.turn, given.tokens_bound, given.cost_bound, given.model
            )
            return [sent]
        case RequestDenied() if exchange.phase == "preparing":
            return [ExchangeFailed(now, given.failure)]
        case AnswerArrived() if _awaits(session, exchange, given.number):
            return _answered(exchange, given, now)
        case RequestFailed() if _awaits(session, exchange, given.number):
            return _failed(session, exchange, given, now)
        case ToolReturned() if any(call.id == given.call_id for call in exchange.pending):
            return _tool_returned(exchange, given, now)
        case TimePassed() if exchange.wake_at is not None and now >= exchange.wake_at:
            return [RetryDue(now)]
        case StopRequested():
            return _stopped(session, exchange, given, now)
    return []


def _awaits(session: Session, exchange: Exchange, number: int) -> bool:
    return exchange.phase == "calling" and session.calls[-1].number == number


def _asked(session: Session, given: Asked, now: float) -> list[AnyEvent]:
    known = session.exchanges.get(given.key)
    if session.exchange is not None and session.exchange.phase == "calling":
        # A request is out: nothing else is asked until it is back, or the record was recovered.
        return []
    if known is None:
        return [ExchangeStarted(now, given.key, given.terms, given.prompt, given.deadline)]
    if known.phase == "ended" or given.key != session.current:
        return []
    afresh = known.phase == "failed" and known.failure is not None and known.failure.type in _AFRESH
    return [ExchangeResumed(now, given.key, given.deadline, afresh)]


def _recovered(session: Session, exchange: Exchange, given: Recovered, now: float) -> list[AnyEvent]:
    if exchange.phase == "using_tools":
        unknown = "the call was interrupted; nobody knows whether it took effect, and it must not be made twice"
        return [ToolFinished(now, c.id, unknown, True) for c in exchange.pending if c.name in given.unrepeatable]
    if exchange.phase != "calling":
        return []
    lost = CallLost(now, session.calls[-1].number)
    if exchange.lost >= LOST_MAX:
        message = f"request {lost.number} was cut off, as was the one before it: what they cost is unknown"
        return [lost, ExchangeFailed(now, Failure("lost", message, "rerun the task to ask once more"))]
    return [lost, RetryPlanned(now, now)]


def _answered(exchange: Exchange, given: AnswerArrived, now: float) -> list[AnyEvent]:
    events: list[AnyEvent] = [
        CallAnswered(now, given.number, given.message, given.finish, given.usage, given.cost, given.model)
    ]
    terms = exchange.terms
    if given.message.tool_calls:
        if exchange.turn >= terms.turns_max:
            events.append(ExchangeFailed(now, _too_many_turns(terms)))
        return events
    if not given.problems:
        return [*events, ExchangeEnded(now, given.finish)]
    cut = given.finish == "length"
    if cut or exchange.repairs >= terms.repair or exchange.turn >= terms.turns_max:
        return [*events, ExchangeFailed(now, _unfit(given, exchange.repairs, cut))]
    return [*events, AnswerRejected(now, given.problems, _repair_request(given.problems))]


def _too_many_turns(terms: Terms) -> Failure:
    return Failure("budget", f"no answer after {terms.turns_max} turns", "raise `max_turns`, or narrow the task")


def _unfit(given: AnswerArrived, repairs: int, cut: bool) -> Failure:
    said = "; ".join(given.problems)
    if cut:
        return Failure("invalid_output", f"the answer was cut at max_tokens: {said}", "raise `max_tokens`")
    tried = f" (after {repairs} repair{'s' if repairs != 1 else ''})" if repairs else ""
    return Failure("invalid_output", f"the answer does not fit `output`{tried}: {said}", given.help)


def _repair_request(problems: tuple[str, ...]) -> Message:
    lines = "\n".join(f"- {problem}" for problem in problems)
    return Message(
        "user",
        (Text(f"Your last answer does not fit the required JSON schema:\n{lines}\nAnswer again with the JSON only."),),
    )


def _failed(session: Session, exchange: Exchange, given: RequestFailed, now: float) -> list[AnyEvent]:
    failure = given.failure
    event = CallFailed(now, given.number, failure, given.charged, given.partial, given.usage, given.cost)
    if not given.retryable:
        return [event, ExchangeFailed(now, failure)]
    at = retry_at(
        exchange.terms.retry,
        failure,
        failures=exchange.tries + 1,
        identity=f"{session.id}:{given.number}",
        started=exchange.turn_started_at,
        now=now,
    )
    if at is None or (exchange.deadline is not None and at >= exchange.deadline):
        tries = f" (after {exchange.tries + 1} tries)" if exchange.tries else ""
        given_up = msgspec.structs.replace(failure, message=failure.message + tries)
        return [event, ExchangeFailed(now, given_up)]
    return [event, RetryPlanned(now, at)]


def _tool_returned(exchange: Exchange, given: ToolReturned, now: float) -> list[AnyEvent]:
    return [ToolFinished(now, given.call_id, given.content, given.is_error)]


def _stopped(session: Session, exchange: Exchange, given: StopRequested, now: float) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    if exchange.phase == "calling":
        cut = Failure("cancelled", f"cut off by {given.reason}")
        events.append(CallFailed(now, session.calls[-1].number, cut, True, given.partial))
    return [*events, ExchangeStopped(now, given.partial, given.reason)]


def evolve(session: Session, event: AnyEvent) -> None:
    """Apply one recorded event. An event that its table forbids is a bug of ours and raises AssertionError."""
    session.last += 1
    if isinstance(event, ExchangeStarted):
        _open(session, event)
        return
    exchange = session.exchange
    assert exchange is not None, f"{type(event).__name__} before any exchange"
    allowed = PHASE_TABLE[type(event)]
    assert exchange.phase in allowed, f"{type(event).__name__} while {exchange.phase}"
    match event:
        case ExchangeResumed():
            _reopen(session, exchange, event)
        case CallSent():
            row = Call(event.number, exchange.key, event.turn, event.at, event.tokens_bound, event.cost_bound)
            row.model = event.model
            session.calls.append(row)
            exchange.phase = "calling"
        case CallAnswered():
            _take_answer(session, exchange, event)
        case CallFailed():
            _close_call(session.calls[-1], "failed", event.at, event.usage, event.cost)
            session.calls[-1].charged = event.charged
            session.calls[-1].error = event.failure.type
            exchange.tries += 1
            exchange.partial = event.partial
            exchange.phase = "deciding"
        case CallLost():
            _close_call(session.calls[-1], "unknown", event.at, None, None)
            exchange.lost += 1
            exchange.phase = "deciding"
        case AnswerRejected():
            session.messages.append(event.request)
            exchange.repairs += 1
            _next_turn(exchange, event.at)
        case RetryPlanned():
            exchange.wake_at = event.until
            exchange.phase = "backing_off"
        case RetryDue():
            exchange.wake_at = None
            exchange.phase = "preparing"
        case ToolFinished():
            _take_result(session, exchange, event)
        case ExchangeEnded():
            exchange.finish = event.finish
            exchange.text = session.messages[-1].text
            exchange.phase = "ended"
        case ExchangeFailed():
            exchange.failure = event.failure
            exchange.wake_at = None
            exchange.phase = "failed"
        case ExchangeStopped():
            exchange.partial = event.partial
            exchange.wake_at = None
            exchange.phase = "stopped"


def _open(session: Session, event: ExchangeStarted) -> None:
    before = session.exchange
    if before is not None and before.phase != "ended":
        # What never got its answer would confuse the model, and dangling tool calls are refused by every provider.
        kept = before.partial if before.phase == "stopped" else ""
        del session.messages[before.first_message + bool(kept) :]
        if kept:
            session.messages.append(assistant(kept))
        if before.open:
            before.phase = "stopped"
            before.wake_at = None
    session.exchanges[event.key] = Exchange(
        event.key,
        event.terms,
        first_message=len(session.messages),
        first_call=len(session.calls) + 1,
        started_at=event.at,
        deadline=event.deadline,
        turn_started_at=event.at,
    )
    session.messages.append(event.prompt)
    session.current = event.key


def _reopen(session: Session, exchange: Exchange, event: ExchangeResumed) -> None:
    was_open = exchange.open
    exchange.deadline = event.deadline
    if was_open and exchange.phase != "backing_off":
        return
    exchange.wake_at = None
    if not was_open:
        # Somebody asked again on purpose: the counts that made it give up begin anew.
        exchange.tries = exchange.lost = exchange.repairs = 0
        exchange.turn_started_at = event.at
        exchange.first_call = len(session.calls) + 1
        exchange.failure = None
        exchange.partial = ""
    if event.from_prompt:
        del session.messages[exchange.first_message + 1 :]
        exchange.pending = exchange.results = ()
        exchange.turn = 1
    exchange.phase = "using_tools" if exchange.pending else "preparing"


def _take_answer(session: Session, exchange: Exchange, event: CallAnswered) -> None:
    _close_call(session.calls[-1], "answered", event.at, event.usage, event.cost)
    session.messages.append(event.message)
    exchange.model = event.model
    exchange.partial = ""
    exchange.pending = event.message.tool_calls
    exchange.phase = "using_tools" if exchange.pending else "deciding"


def _take_result(session: Session, exchange: Exchange, event: ToolFinished) -> None:
    done = next(call for call in exchange.pending if call.id == event.call_id)
    exchange.pending = tuple(call for call in exchange.pending if call.id != event.call_id)
    exchange.results += (ToolResult(done.id, done.name, event.content, event.is_error),)
    if not exchange.pending:
        # In the order the model asked, whichever came back first.
        order = [call.id for call in session.messages[-1].tool_calls]
        results = sorted(exchange.results, key=lambda result: order.index(result.call_id))
        session.messages.append(Message("tool", tuple(results)))
        exchange.results = ()
        _next_turn(exchange, event.at)


def _next_turn(exchange: Exchange, at: float) -> None:
    exchange.turn += 1
    exchange.turn_started_at = at
    exchange.tries = exchange.lost = 0
    exchange.phase = "preparing"


def _close_call(
    call: Call, status: Literal["answered", "failed", "unknown"], at: float, usage: Usage | None, cost: int | None
) -> None:
    call.status = status
    call.ended_at = at
    call.usage = usage
    call.cost = cost


def wanted(session: Session) -> list[Effect]:
    """What should be in progress now."""
    exchange = session.exchange
    if exchange is None:
        return []
    match exchange.phase:
        case "preparing":
            return [PrepareRequest(exchange.turn)]
        case "calling":
            return [CallModel(session.calls[-1].number)]
        case "using_tools":
            return [CallTool(call.id) for call in exchange.pending]
    return []


def next_wake(session: Session) -> float | None:
    """The instant at which TimePassed matters; None if never."""
    exchange = session.exchange
    return exchange.wake_at if exchange is not None else None
