"""What a recorded event changes in a conversation. Replaying a journal is folding this over it."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from orchestrator.core.messages import Message, Text, ToolResult, Usage, assistant
from orchestrator.core.session_context import for_newcomer, size, with_summary, without
from orchestrator.core.session_events import (
    AnswerRejected,
    AnyEvent,
    CallAnswered,
    CallFailed,
    CallLost,
    CallSent,
    ContextTrimmed,
    ExchangeEnded,
    ExchangeFailed,
    ExchangeResumed,
    ExchangeStarted,
    ExchangeStopped,
    ExchangeUndone,
    HandedOff,
    ModelSwitched,
    RetryDue,
    RetryPlanned,
    SummaryPlanned,
    ToolDeferred,
    ToolFinished,
    ToolStarted,
)
from orchestrator.core.session_repeats import after_calls
from orchestrator.core.session_state import OPEN, Call, Exchange, Phase, Session
from orchestrator.core.session_terms import Terms

# event → the phases it may find the exchange in; `evolve` says which one it leaves
PHASE_TABLE: Final[dict[type[Any], frozenset[Phase]]] = {
    ExchangeResumed: frozenset({"preparing", "backing_off", "using_tools", "failed", "stopped"}),
    CallSent: frozenset({"preparing"}),
    CallAnswered: frozenset({"calling"}),
    CallFailed: frozenset({"calling"}),
    CallLost: frozenset({"calling"}),
    AnswerRejected: frozenset({"deciding"}),
    RetryPlanned: frozenset({"preparing", "deciding"}),
    RetryDue: frozenset({"backing_off"}),
    ToolStarted: frozenset({"using_tools"}),
    ToolDeferred: frozenset({"using_tools"}),
    ToolFinished: frozenset({"using_tools"}),
    HandedOff: frozenset({"using_tools", "ended", "failed", "stopped"}),
    ModelSwitched: frozenset({"preparing", "deciding"}),
    ContextTrimmed: frozenset({"preparing", "deciding"}),
    SummaryPlanned: frozenset({"preparing", "deciding"}),
    ExchangeEnded: frozenset({"deciding"}),
    ExchangeFailed: frozenset({"preparing", "deciding", "using_tools", "backing_off"}),
    ExchangeStopped: OPEN - {"calling"},
    ExchangeUndone: frozenset({"ended", "failed", "stopped"}),
}


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
        case CallSent() | CallAnswered() | CallFailed() | CallLost():
            _of_call(session, exchange, event)
        case ToolStarted() | ToolDeferred() | ToolFinished():
            _of_tool(session, exchange, event)
        case ModelSwitched():
            _switch(exchange, event)
        case HandedOff():
            _hand_off(session, exchange, event)
        case ContextTrimmed(left_out=left_out):
            _leave_out(session, exchange, left_out)
            exchange.phase = "preparing"
        case SummaryPlanned():
            exchange.condensing = event.left_out
            exchange.phase = "preparing"
        case AnswerRejected():
            _say(session, event.request)
            exchange.repairs += 1
            _next_turn(exchange, event.at)
        case RetryPlanned():
            exchange.wake_at = event.until
            exchange.phase = "backing_off"
        case RetryDue():
            exchange.wake_at = None
            exchange.phase = "preparing"
        case _:
            _of_exchange(session, exchange, event)


def _of_exchange(session: Session, exchange: Exchange, event: AnyEvent) -> None:
    match event:
        case ExchangeResumed():
            _reopen(session, exchange, event)
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
        case ExchangeUndone():
            _undo(session, event.key)


def _say(session: Session, message: Message) -> None:
    session.messages.append(message)
    session.context.append(message)


# An exchange begins, goes on, is left, is taken back


def _open(session: Session, event: ExchangeStarted) -> None:
    before = session.exchange
    if before is not None:
        _leave_unfinished(session, before)
    if session.agent and session.agent != event.terms.agent:
        session.context = for_newcomer(session.context)
    session.agent = event.terms.agent
    session.exchanges[event.key] = Exchange(
        event.key,
        event.terms,
        asked=event.terms,
        first_message=len(session.messages),
        first_context=len(session.context),
        first_call=len(session.calls) + 1,
        started_at=event.at,
        deadline=event.deadline,
        failures=event.failures,
        turn_started_at=event.at,
    )
    session.messages.append(event.prompt)
    session.context.append(_with_handover(session, event.prompt))
    session.current = event.key


def _undo(session: Session, key: str) -> None:
    taken_back = session.exchanges[key]
    del session.messages[taken_back.first_message :]
    if key == session.current:
        del session.context[taken_back.first_context :]
    else:
        # What came after may have reshaped the context before it; as a newcomer sees it, it is sound in any case.
        session.context = for_newcomer(session.messages)
    taken_back.undone = taken_back.left = True


def _with_handover(session: Session, prompt: Message) -> Message:
    told, session.handover = session.handover, ""
    return Message(prompt.role, (Text(told), *prompt.parts)) if told else prompt


def _leave_unfinished(session: Session, before: Exchange) -> None:
    """What never got its answer would confuse the model, and dangling tool calls are refused by every provider."""
    if before.phase == "ended" or before.left:
        return
    kept = before.partial if before.phase == "stopped" else ""
    del session.messages[before.first_message + bool(kept) :]
    del session.context[before.first_context + bool(kept) :]
    if kept:
        _say(session, assistant(kept))
    if before.open:
        before.phase = "stopped"
        before.wake_at = None
    before.left = True


def _reopen(session: Session, exchange: Exchange, event: ExchangeResumed) -> None:
    was_open = exchange.open
    exchange.deadline = event.deadline
    exchange.failures = event.failures
    if was_open and exchange.phase != "backing_off":
        return
    exchange.wake_at = None
    if not was_open:
        # Somebody asked again on purpose: the counts that made it give up begin anew, with the agent's own model.
        exchange.tries = exchange.lost = exchange.repairs = exchange.repeats = 0
        exchange.warned = False
        exchange.terms = exchange.asked
        exchange.place = 0
        exchange.turn_started_at = event.at
        exchange.first_call = len(session.calls) + 1
        exchange.failure = None
        exchange.partial = ""
    if event.from_prompt:
        del session.messages[exchange.first_message + 1 :]
        del session.context[exchange.first_context + 1 :]
        exchange.pending = exchange.results = exchange.condensing = ()
        exchange.handoff = None
        exchange.turn = 1
    exchange.phase = "using_tools" if exchange.pending else "preparing"


# Requests


def _of_call(session: Session, exchange: Exchange, event: CallSent | CallAnswered | CallFailed | CallLost) -> None:
    match event:
        case CallSent():
            row = Call(event.number, exchange.key, event.turn, event.at, event.tokens_bound, event.cost_bound)
            row.model, row.worker = event.model, event.worker
            row.currency, row.synthetic, row.last = event.currency, event.synthetic, event.last
            row.agent = exchange.terms.agent
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


def _take_answer(session: Session, exchange: Exchange, event: CallAnswered) -> None:
    _close_call(session.calls[-1], "answered", event.at, event.usage, event.cost)
    exchange.model = event.model
    exchange.partial = ""
    if exchange.condensing:
        _condense(session, exchange, event)
        return
    if exchange.terms.context_window is not None and event.usage.input_tokens:
        session.bytes_per_token = max(size(session.context) / event.usage.input_tokens, 0.5)
    _say(session, event.message)
    calls = event.message.tool_calls
    session.tool_call_ids.update(call.id for call in calls)
    exchange.last_call, exchange.repeats, exchange.warned = after_calls(exchange, calls)
    exchange.pending = calls
    exchange.phase = "using_tools" if calls else "deciding"


def _close_call(
    call: Call, status: Literal["answered", "failed", "unknown"], at: float, usage: Usage | None, cost: int | None
) -> None:
    call.status = status
    call.ended_at = at
    call.usage = usage
    call.cost = cost


def _next_turn(exchange: Exchange, at: float) -> None:
    exchange.turn += 1
    exchange.turn_started_at = at
    exchange.tries = exchange.lost = 0
    exchange.phase = "preparing"


def _switch(exchange: Exchange, event: ModelSwitched) -> None:
    exchange.terms = msgspec.structs.replace(
        exchange.terms, model=event.model, settings=event.settings, worker=event.worker
    )
    exchange.place = event.place
    exchange.tries = 0
    exchange.turn_started_at = event.at
    exchange.phase = "preparing"


# Less is sent than was said


def _leave_out(session: Session, exchange: Exchange, left_out: tuple[int, ...]) -> None:
    session.context = without(session.context, left_out)
    exchange.first_context -= sum(at < exchange.first_context for at in left_out)


def _condense(session: Session, exchange: Exchange, event: CallAnswered) -> None:
    summary = event.message.text.strip()
    if not summary:
        exchange.phase = "deciding"
        return
    _leave_out(session, exchange, exchange.condensing)
    at = exchange.first_context
    session.context[at] = with_summary(session.context[at], summary, exchange.summaries)
    exchange.summaries += 1
    exchange.condensing = ()
    _next_turn(exchange, event.at)


# Tools and hand-offs


def _of_tool(session: Session, exchange: Exchange, event: ToolStarted | ToolDeferred | ToolFinished) -> None:
    match event:
        case ToolStarted():
            exchange.begun |= {event.call_id}
        case ToolDeferred():
            exchange.begun -= {event.call_id}
        case ToolFinished():
            _take_result(session, exchange, event.call_id, event.content, event.is_error, event.at)


def _take_result(session: Session, exchange: Exchange, call_id: str, content: str, is_error: bool, at: float) -> None:
    done = next(call for call in exchange.pending if call.id == call_id)
    exchange.pending = tuple(call for call in exchange.pending if call is not done)
    exchange.begun -= {call_id}
    exchange.results += (ToolResult(done.id, done.name, content, is_error),)
    if exchange.pending:
        return
    # In the order the model asked, whichever came back first.
    order = [call.id for call in session.messages[-1].tool_calls]
    results = sorted(exchange.results, key=lambda result: order.index(result.call_id))
    _say(session, Message("tool", tuple(results)))
    exchange.results = ()
    _next_turn(exchange, at)
    if exchange.handoff is not None:
        handoff, exchange.handoff = exchange.handoff, None
        _seat(session, exchange, handoff.terms, handoff.message)


def _hand_off(session: Session, exchange: Exchange, event: HandedOff) -> None:
    if event.call_id:
        exchange.handoff = event
        _take_result(session, exchange, event.call_id, f"handed over to {event.terms.agent}", False, event.at)
        return
    _leave_unfinished(session, exchange)
    exchange.left = True
    session.context = for_newcomer(session.context)
    session.agent = event.terms.agent
    session.handover = f"(The agent before you says: {event.message})\n\n" if event.message else ""


def _seat(session: Session, exchange: Exchange, terms: Terms, message: str) -> None:
    """Another agent goes on with the open question."""
    session.context = for_newcomer(session.context, exchange.first_context, session.agent, message)
    exchange.first_context = len(session.context) - 1
    exchange.summaries = 0
    exchange.terms = exchange.asked = terms
    exchange.place = exchange.repeats = 0
    exchange.last_call, exchange.warned = ("", ""), False
    session.agent = terms.agent
