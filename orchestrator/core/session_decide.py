"""What follows from an input to a conversation: a plain function over its state, which it does not change."""

from __future__ import annotations

from typing import Final

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, Text
from orchestrator.core.retry import retry_at, spread
from orchestrator.core.session_context import oldest, size
from orchestrator.core.session_events import (
    AnswerArrived,
    AnswerRejected,
    AnyEvent,
    Asked,
    CallAnswered,
    CallFailed,
    CallLost,
    CallSent,
    ContextTooLong,
    ContextTrimmed,
    ExchangeEnded,
    ExchangeFailed,
    ExchangeResumed,
    ExchangeStarted,
    ExchangeStopped,
    ExchangeUndone,
    HandedOff,
    HandOffAsked,
    Input,
    ModelSwitched,
    Recovered,
    RequestDenied,
    RequestFailed,
    RequestPrepared,
    RequestWithheld,
    RetryDue,
    RetryPlanned,
    StopRequested,
    SummaryPlanned,
    TimeOver,
    TimePassed,
    ToolBegins,
    ToolDeferred,
    ToolFinished,
    ToolReturned,
    ToolStarted,
    ToolWaits,
    UndoAsked,
)
from orchestrator.core.session_repeats import repeated
from orchestrator.core.session_state import Exchange, Session
from orchestrator.core.session_terms import Terms

LOST_MAX: Final = 1
"""A request that a crash cut off is repeated this often, then a person must ask for it."""

PATIENCE_S: Final = 30.0
"""A longer wait before the next try leads to the next model, where there is one."""

_AFRESH: Final = frozenset({"invalid_output", "refused"})
"""After these a retry starts from the prompt: another look at the same bad answer seldom helps."""

_UNKNOWN: Final = "the call was interrupted; nobody knows whether it took effect, and it must not be made twice"


def decide(session: Session, given: Input, now: float) -> list[AnyEvent]:
    """The events that follow from an input; none if it comes too late to matter. Changes nothing."""
    if isinstance(given, Asked):
        return _asked(session, given, now)
    exchange = session.exchange
    if isinstance(given, HandOffAsked):
        return _handed_off(exchange, given, now)
    if isinstance(given, UndoAsked):
        return _undone(session, exchange, now)
    if exchange is None or not exchange.open:
        return []
    match given:
        case Recovered():
            return _recovered(session, exchange, now)
        case RequestPrepared() if exchange.phase == "preparing":
            return [CallSent(now, len(session.calls) + 1, exchange.turn, *given)]
        case RequestDenied() if exchange.phase == "preparing":
            return [ExchangeFailed(now, given.failure)]
        case RequestWithheld() if exchange.phase == "preparing":
            return _withheld(session, exchange, given, now)
        case ContextTooLong() if exchange.phase == "preparing":
            return _shortened(session, exchange, given.failure, given.keep, now)
        case AnswerArrived() if _awaits(session, exchange, given.number):
            return _answered(exchange, given, now)
        case RequestFailed() if _awaits(session, exchange, given.number):
            return _failed(session, exchange, given, now)
        case ToolReturned() if _pends(exchange, given.call_id):
            return [ToolFinished(now, given.call_id, given.content, given.is_error)]
        case ToolBegins() if _pends(exchange, given.call_id) and given.call_id not in exchange.begun:
            return [ToolStarted(now, given.call_id)]
        case ToolWaits() if given.call_id in exchange.begun:
            return [ToolDeferred(now, given.call_id)]
        case TimeOver() if exchange.phase == "using_tools":
            late = Failure("timeout", "the time for this question was over while its tools ran")
            return [*_unknown_calls(exchange, now), ExchangeFailed(now, late)]
        case TimePassed() if exchange.wake_at is not None and now >= exchange.wake_at:
            return [RetryDue(now)]
        case StopRequested():
            return _stopped(session, exchange, given, now)
    return []


def _undone(session: Session, exchange: Exchange | None, now: float) -> list[AnyEvent]:
    if exchange is None or exchange.open:
        return []
    latest = next((known for known in reversed(session.exchanges.values()) if not known.undone), None)
    return [ExchangeUndone(now, latest.key)] if latest is not None else []


def _awaits(session: Session, exchange: Exchange, number: int) -> bool:
    return exchange.phase == "calling" and session.calls[-1].number == number


def _pends(exchange: Exchange, call_id: str) -> bool:
    return any(call.id == call_id for call in exchange.pending)


# Asked, stopped, read back


def _asked(session: Session, given: Asked, now: float) -> list[AnyEvent]:
    known = session.exchanges.get(given.key)
    if session.exchange is not None and session.exchange.phase == "calling":
        # A request is out: nothing else is asked until it is back, or the record was recovered.
        return []
    if known is None:
        until = _deadline(given.terms, given.deadline, now)
        return [ExchangeStarted(now, given.key, given.terms, given.prompt, until, given.failures)]
    if known.phase == "ended" or known.left or given.key != session.current:
        return []
    if known.phase == "failed" and given.failures is not None and given.failures == known.failures:
        return []
    afresh = known.phase == "failed" and known.failure is not None and known.failure.type in _AFRESH
    return [ExchangeResumed(now, given.key, _deadline(known.terms, given.deadline, now), afresh, given.failures)]


def _deadline(terms: Terms, given: float | None, now: float) -> float | None:
    if terms.time_max is None:
        return given
    return now + terms.time_max if given is None else min(given, now + terms.time_max)


def _recovered(session: Session, exchange: Exchange, now: float) -> list[AnyEvent]:
    if exchange.phase == "using_tools":
        return _unknown_calls(exchange, now)
    if exchange.phase != "calling":
        return []
    lost = CallLost(now, session.calls[-1].number)
    if exchange.lost >= LOST_MAX:
        message = f"request {lost.number} was cut off, as was the one before it: what they cost is unknown"
        return [lost, ExchangeFailed(now, Failure("lost", message, "rerun the task to ask once more"))]
    return [lost, RetryPlanned(now, now)]


def _unknown_calls(exchange: Exchange, now: float) -> list[AnyEvent]:
    """Calls that were begun, must not be made twice, and will not come back."""
    return [ToolFinished(now, call.id, _UNKNOWN, True) for call in exchange.pending if call.id in exchange.begun]


def _stopped(session: Session, exchange: Exchange, given: StopRequested, now: float) -> list[AnyEvent]:
    events: list[AnyEvent] = _unknown_calls(exchange, now)
    if exchange.phase == "calling":
        cut = Failure("cancelled", f"cut off by {given.reason}")
        events.append(CallFailed(now, session.calls[-1].number, cut, True, given.partial))
    return [*events, ExchangeStopped(now, given.partial, given.reason)]


# Answers


def _answered(exchange: Exchange, given: AnswerArrived, now: float) -> list[AnyEvent]:
    answered = CallAnswered(now, given.number, given.message, given.finish, given.usage, given.cost, given.model)
    terms = exchange.terms
    if exchange.condensing:
        if given.message.text.strip():
            return [answered]
        return [answered, ExchangeFailed(now, Failure("invalid_output", "the summary of the conversation is empty"))]
    if given.message.tool_calls:
        return [answered, *_tools_wanted(exchange, given, now)]
    if not given.problems:
        return [answered, ExchangeEnded(now, given.finish)]
    cut = given.finish == "length"
    if cut or exchange.repairs >= terms.repair or exchange.turn >= terms.turns_max:
        return [answered, ExchangeFailed(now, _unfit(given, exchange.repairs, cut))]
    return [answered, AnswerRejected(now, given.problems, _repair_request(given.problems))]


def _tools_wanted(exchange: Exchange, given: AnswerArrived, now: float) -> list[AnyEvent]:
    """The model is told once that it repeats itself; the calls that go on with it are not made."""
    terms, calls = exchange.terms, given.message.tool_calls
    if exchange.turn >= terms.turns_max:
        return [ExchangeFailed(now, _too_many_turns(terms))]
    too_many = repeated(exchange, calls)
    if too_many and exchange.warned and (calls[0].name, calls[0].arguments) == exchange.last_call:
        failure = Failure(
            "budget",
            f"the model goes on to call {too_many[0].name!r} with the same arguments",
            "narrow the task, or raise `max_identical_calls`",
        )
        return [ExchangeFailed(now, failure)]
    told = (
        f"this very call was asked for {terms.identical_max} times in a row already; its result will not change. "
        "Do something else, or answer with what you know."
    )
    return [ToolFinished(now, call.id, told, True) for call in too_many]


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


def _handed_off(exchange: Exchange | None, given: HandOffAsked, now: float) -> list[AnyEvent]:
    if not given.call_id:
        free = exchange is not None and not exchange.open
        return [HandedOff(now, "", given.terms, given.message)] if free else []
    if exchange is None or exchange.phase != "using_tools" or not _pends(exchange, given.call_id):
        return []
    if exchange.handoff is not None:
        told = f"not done: the conversation goes to {exchange.handoff.terms.agent!r} already"
        return [ToolFinished(now, given.call_id, told, True)]
    return [HandedOff(now, given.call_id, given.terms, given.message)]


# Failures


def _failed(session: Session, exchange: Exchange, given: RequestFailed, now: float) -> list[AnyEvent]:
    failure = given.failure
    event = CallFailed(now, given.number, failure, given.charged, given.partial, given.usage, given.cost)
    if failure.type == "context_too_long":
        shorter = _shortened(session, exchange, failure, size(session.context) // 2, now)
        if not isinstance(shorter[0], ExchangeFailed):
            return [event, *shorter]
        failure = shorter[0].failure
    at = _next_try(session, exchange, given, now) if given.retryable else None
    if (at is None or at - now > PATIENCE_S) and (
        moved := _moved(exchange, given.failure, given.unavailable, now)
    ) is not None:
        return [event, moved]
    if at is not None:
        return [event, RetryPlanned(now, at)]
    tries = f" (after {exchange.tries + 1} tries)" if exchange.tries and given.retryable else ""
    return [event, ExchangeFailed(now, msgspec.structs.replace(failure, message=failure.message + tries))]


def _next_try(session: Session, exchange: Exchange, given: RequestFailed, now: float) -> float | None:
    """When the same model is asked again; None if it is not."""
    failure, identity = given.failure, f"{session.id}:{given.number}"
    at = retry_at(
        exchange.terms.retry,
        failure,
        failures=exchange.tries + 1,
        identity=identity,
        started=exchange.turn_started_at,
        now=now,
    )
    if at is None:
        return None
    if failure.retry_after is not None:
        # All who were turned away together must not come back together.
        later = at + _spread_up(failure.retry_after, exchange, identity)
        at = later if exchange.deadline is None or later < exchange.deadline else at
    return None if exchange.deadline is not None and at >= exchange.deadline else at


def _spread_up(wait: float, exchange: Exchange, identity: str) -> float:
    return wait * exchange.terms.retry.jitter * (1 + spread(identity)) / 2


def next_model(exchange: Exchange, failure: Failure, unavailable: frozenset[str]) -> int | None:
    """The place in `fallback`, from 1, of the model to ask after such a failure; None if there is none."""
    terms = exchange.terms
    if failure.type not in terms.fallback_on or failure.type == "auth":
        return None
    for place in range(exchange.place, len(terms.fallback)):
        if terms.fallback[place].model not in unavailable:
            return place + 1
    return None


def _moved(exchange: Exchange, failure: Failure, unavailable: frozenset[str], now: float) -> ModelSwitched | None:
    if exchange.deadline is not None and now >= exchange.deadline:
        return None
    place = next_model(exchange, failure, unavailable)
    if place is None:
        return None
    backup = exchange.terms.fallback[place - 1]
    return ModelSwitched(now, backup.model, place, failure, backup.settings, backup.worker)


def _withheld(session: Session, exchange: Exchange, given: RequestWithheld, now: float) -> list[AnyEvent]:
    identity = f"{session.id}:{session.last}"
    at = now + given.wait + _spread_up(given.wait, exchange, identity)
    within = exchange.terms.retry.within
    too_late = (within is not None and at > exchange.turn_started_at + within) or (
        exchange.deadline is not None and at >= exchange.deadline
    )
    # Our own limits have room again at a known instant: a short wait for it changes no model.
    own_limit = given.failure.type == "rate_limited" and given.wait > 0
    worth_it = own_limit and not too_late and at - exchange.turn_started_at <= PATIENCE_S
    if not worth_it and (moved := _moved(exchange, given.failure, given.unavailable, now)) is not None:
        return [moved]
    if too_late:
        return [ExchangeFailed(now, given.failure)]
    return [RetryPlanned(now, at)]


# Too much to send


def _shortened(session: Session, exchange: Exchange, failure: Failure, keep: int, now: float) -> list[AnyEvent]:
    """What the agent's `on_overflow` says; ExchangeFailed if nothing can be left out."""
    policy = exchange.terms.on_overflow
    if policy == "fail":
        help = "set `on_overflow: drop_oldest` or `on_overflow: summarise` in `ai_config`, or send less"
        return [ExchangeFailed(now, msgspec.structs.replace(failure, help=help))]
    most = None
    if policy == "summarise":
        # What is summed up must fit itself: after a summary that did not, half of it.
        chosen = size([session.context[at] for at in exchange.condensing])
        keep, most = (0, chosen // 2) if exchange.condensing else (keep, keep * 3 // 2)
    left_out = oldest(session.context, exchange.first_context, keep, most)
    if not left_out or left_out == exchange.condensing:
        help = "nothing older can be left out: the question itself, or a tool's result, is too long"
        return [ExchangeFailed(now, msgspec.structs.replace(failure, help=help))]
    if policy == "drop_oldest":
        return [ContextTrimmed(now, left_out, failure.message)]
    if exchange.turn >= exchange.terms.turns_max:
        return [ExchangeFailed(now, _too_many_turns(exchange.terms))]
    return [SummaryPlanned(now, left_out, failure.message)]
