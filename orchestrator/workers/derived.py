"""What the journal says of workers: every prompt an agent was asked on one, as a performance record, and who is at work.

The journal is the truth; nothing here is written anywhere. A conversation is read again only when it grew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from orchestrator.core.budget import UNIT
from orchestrator.core.messages import File, Image, Message
from orchestrator.core.session import evolve
from orchestrator.core.session_events import (
    AnyEvent,
    ExchangeEnded,
    ExchangeFailed,
    ExchangeStopped,
    decode_events,
)
from orchestrator.core.session_state import Call, Exchange, Session
from orchestrator.ports.journal import Journal, StreamRow
from orchestrator.workers.instances import InstanceStatus, TokenUsage, WorkerInstance
from orchestrator.workers.performance import SPAWNED, STATELESS, LlmMetrics, PerformanceRecord, trimmed

ROWS_MAX: Final = 10_000_000
AGENT: Final = "/agent/"
KEPT_MAX: Final = 10_000
ANSWER_S: Final = 3600.0
"""An answer that nobody drives for so long, in no run, will not come: its process was killed."""
CURRENCY: Final = "USD"
"""Of records from before it was kept."""


class Conversation(msgspec.Struct):
    """One stream of the journal, read."""

    row: StreamRow
    session: Session
    ended_at: dict[str, float]
    """Exchange → when it came to an end, the last time."""
    records: tuple[PerformanceRecord, ...] = ()
    """What was done on workers. With it the messages themselves are let go."""


class Conversations:
    """All conversations of a journal, the latest `KEPT_MAX` of them kept between looks. Safe under threads."""

    def __init__(self, journal: Journal | None, *, keep: int = KEPT_MAX) -> None:
        self._journal = journal
        self._keep = keep
        self._read: dict[str, Conversation] = {}
        self._lock = threading.Lock()

    def all(self, prefix: str = "", *, replayed: bool = False, since: float = 0.0) -> Iterator[Conversation]:
        """Raises JournalError. Replayed ones asked no model: they are left out unless asked for; and so are those that were
        over before `since`, which are not even read."""
        for row in agent_rows(self._journal, prefix):
            if row.ended_at is not None and row.ended_at < since:
                continue
            if replayed or not row.summary.get("replayed"):
                yield self._one(row)

    def workflow(self, run_id: str) -> str:
        """The workflow of a run; empty for what was no run's."""
        row = self._journal.row(run_id) if self._journal is not None else None
        return row.workflow if row is not None else ""

    def instances(self, now: float) -> Iterator[WorkerInstance]:
        """Every conversation on a worker, the newest first."""
        for conversation in self.all():
            assert self._journal is not None
            if (found := conversation_instance(self._journal, conversation, now)) is not None:
                yield found

    def records(self) -> Iterator[PerformanceRecord]:
        for conversation in self.all():
            yield from conversation.records

    def of_call(self, run_id: str, key: str) -> PerformanceRecord | None:
        """The record of a single call; None if it never came to a conversation, or was replayed."""
        return next((found for one in self.all(f"{run_id}{AGENT}{key}") for found in one.records), None)

    def _one(self, row: StreamRow) -> Conversation:
        assert self._journal is not None
        with self._lock:
            known = self._read.get(row.stream)
        if known is not None and known.row.last == row.last:
            return known
        found = read_conversation(self._journal, row)
        with self._lock:
            self._read.pop(row.stream, None)
            self._read[row.stream] = found
            while len(self._read) > self._keep:
                del self._read[next(iter(self._read))]
        return found


def agent_rows(journal: Journal | None, prefix: str = "") -> list[StreamRow]:
    """Rows of conversations, the newest first."""
    if journal is None:
        return []
    return [row for row in journal.rows(prefix=prefix, limit=ROWS_MAX) if row.summary.get("kind") == "agent"]


def read_conversation(journal: Journal, row: StreamRow) -> Conversation:
    found = Conversation(row, Session(row.stream), {})
    for batch in journal.read(row.stream):
        for event in decode_events(batch.payload):
            _take(found, event)
    found.records = tuple(_records(found))
    found.session.messages = found.session.context = []
    for exchange in found.session.exchanges.values():
        exchange.text = exchange.partial = ""
    return found


def _take(conversation: Conversation, event: AnyEvent) -> None:
    session = conversation.session
    evolve(session, event)
    if isinstance(event, ExchangeEnded | ExchangeFailed | ExchangeStopped):
        conversation.ended_at[session.current] = event.at


def _records(conversation: Conversation) -> Iterator[PerformanceRecord]:
    """One for each prompt that was asked on a worker and came to an end."""
    for exchange in conversation.session.exchanges.values():
        if exchange.terms.worker and not exchange.open:
            yield _record(conversation, exchange)


def _record(conversation: Conversation, exchange: Exchange) -> PerformanceRecord:
    calls = [call for call in conversation.session.calls if call.key == exchange.key]
    ended_at = conversation.ended_at.get(exchange.key, conversation.row.ended_at or exchange.started_at)
    tokens_in = sum(call.usage.input_tokens for call in calls if call.usage is not None)
    tokens_out = sum(call.usage.output_tokens for call in calls if call.usage is not None)
    return PerformanceRecord(
        task_id=exchange.key,
        instance_id=instance_id(conversation.row.stream),
        definition_id=exchange.terms.worker,
        timestamp_start=exchange.started_at,
        timestamp_end=ended_at,
        duration_ms=max(round((ended_at - exchange.started_at) * 1000), 0),
        success=exchange.phase == "ended",
        error_details=_error(exchange),
        input_context=_context(conversation.session, exchange),
        llm_metrics=LlmMetrics(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            total_tokens=tokens_in + tokens_out,
            finish_reason=exchange.finish,
            model=exchange.terms.model,
        ),
        cost_incurred=cost_of(calls),
        currency=next((call.currency for call in reversed(calls) if call.currency), CURRENCY),
        output_summary=trimmed(exchange.text or exchange.partial),
    )


def instance_id(stream: str) -> str:
    """A conversation's own name; for single calls and spawned instances the name they were given."""
    name = stream.rsplit("/", 1)[-1].removeprefix("@").split(":", 1)[0]
    return name if name.startswith((STATELESS, SPAWNED)) else stream


def _error(exchange: Exchange) -> str:
    if exchange.phase == "stopped":
        return "stopped"
    return f"{exchange.failure.type}: {exchange.failure.message}" if exchange.failure is not None else ""


def _context(session: Session, exchange: Exchange) -> dict[str, object]:
    context: dict[str, object] = {"agent": exchange.terms.agent}
    prompt = session.messages[exchange.first_message] if exchange.first_message < len(session.messages) else None
    if prompt is not None:
        context["prompt"] = trimmed(prompt.text)
        if files := _files(prompt):
            context["files"] = files
    return context


def _files(prompt: Message) -> list[str]:
    named = [part.name for part in prompt.parts if isinstance(part, File)]
    return named + [part.media_type for part in prompt.parts if isinstance(part, Image)]


def cost_of(calls: list[Call]) -> Decimal | None:
    """What they cost together; None as soon as one of them may have been paid for and nobody knows how much."""
    if any(is_unknown(call) for call in calls):
        return None
    return Decimal(sum(call.cost or 0 for call in calls)) / UNIT


def is_unknown(call: Call) -> bool:
    """It may have been paid for, and the price or the usage is unknown."""
    return call.cost is None and call.charged and not call.synthetic


_STATUS: Final[dict[str, InstanceStatus]] = {
    "answering": "busy",
    "idle": "idle",
    "failed": "error",
    "stopped": "retired_completed",
}
_OVER: Final[dict[str, InstanceStatus]] = {"failed": "retired_error", "cancelled": "retired_error"}
_ENDED: Final = frozenset({"succeeded", "warned", "failed", "cancelled"})


def _last_activity(conversation: Conversation) -> float:
    sent = [call.sent_at for call in conversation.session.calls]
    return max([conversation.row.started_at, *conversation.ended_at.values(), *sent])


def conversation_instance(journal: Journal, conversation: Conversation, now: float) -> WorkerInstance | None:
    """The conversation as an instance of the worker it was last asked on; None if it was on none.

    Where its run is over, so is it.
    """
    row, session, exchange = conversation.row, conversation.session, conversation.session.exchange
    if exchange is None or not exchange.terms.worker:
        return None
    status: InstanceStatus = _STATUS.get(row.status, "busy")
    run = journal.row(row.parent or row.stream.split(AGENT)[0])
    reason = ""
    if run is not None and run.status in _ENDED:
        status, reason = _OVER.get(run.status, "retired_completed"), f"its run has {run.status}"
    elif run is None and not exchange.open:
        # Of no run: a single call, or an instance of another process.
        status, reason = ("retired_completed" if exchange.phase == "ended" else "retired_error"), "it was answered"
    elif run is None and now - _last_activity(conversation) > ANSWER_S:
        status, reason = "retired_error", "its process ended before the answer came"
    usage = [call.usage for call in session.calls if call.usage is not None]
    return WorkerInstance(
        instance_id=instance_id(row.stream),
        definition_id=exchange.terms.worker,
        status=status,
        created_at=row.started_at,
        last_activity_at=_last_activity(conversation),
        session_token_usage=TokenUsage(
            input=sum(one.input_tokens for one in usage), output=sum(one.output_tokens for one in usage)
        ),
        current_config={k: v for k, v in exchange.terms.settings.items() if v not in (None, {})},
        last_error=_error(exchange),
        retirement_reason=reason,
    )
