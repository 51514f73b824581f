"""A conversation's record: its events in the journal, read back into a Session, appended and made durable in order."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.core.budget import amount
from orchestrator.core.session import evolve
from orchestrator.core.session_events import AnyEvent, ExchangeStarted, decode_events, encode_events
from orchestrator.core.session_state import Session
from orchestrator.ports.journal import Batch, Journal, StreamRow

STATUS = {"ended": "idle", "failed": "failed", "stopped": "stopped"}
"""A conversation's status in lists; `answering` for every phase that is not here. None of them is a run's."""


class SessionRecord:
    """One stream of the journal, or memory alone if there is no journal.

    Events are applied at once and appended together at the next `commit`: what must not run ahead of the journal (a paid
    request, a tool, an answer to the caller) waits for it. After an error the record is useless and must be read anew.
    """

    def __init__(self, journal: Journal | None, stream: str, *, parent: str = "", replayed: bool = False) -> None:
        self.journal = journal
        self.session = read_session(journal, stream)
        self._parent = parent
        self._replayed = replayed
        self._pending: list[AnyEvent] = []
        self._started_at = _started_at(journal, stream)

    def note(self, events: list[AnyEvent]) -> None:
        """Apply events; they are durable after the next `commit`."""
        for event in events:
            evolve(self.session, event)
            if not self._started_at and isinstance(event, ExchangeStarted):
                self._started_at = event.at
        self._pending += events

    async def commit(self) -> None:
        """Return once everything noted is durable. Raises JournalError."""
        if self.journal is None or not self._pending:
            self._pending.clear()
            return
        events, self._pending = self._pending, []
        batch = Batch(
            stream=self.session.id,
            expected=self.session.last - len(events),
            count=len(events),
            payload=encode_events(events),
            row=self._row(events[-1].at),
        )
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if committed.done():
                return
            if error is None:
                committed.set_result(None)
            else:
                committed.set_exception(error)

        self.journal.append(batch, lambda error: _call_in(loop, settle, error))
        # A cancelled caller must not leave a batch whose fate nobody learned: it waits for the disk all the same.
        await _uncancelled(committed)

    def _row(self, at: float) -> StreamRow:
        exchange = self.session.exchange
        assert exchange is not None
        return StreamRow(
            stream=self.session.id,
            status=STATUS.get(exchange.phase, "answering"),
            parent=self._parent,
            started_at=self._started_at,
            ended_at=None if exchange.open else at,
            summary=summary(self.session) | ({"replayed": True} if self._replayed else {}),
        )


def summary(session: Session) -> dict[str, Any]:
    """What lists and budgets know of a conversation: agent, model, requests, tokens, cost, and what is unknown."""
    exchange = session.exchange
    assert exchange is not None
    return {
        "kind": "agent",
        "agent": exchange.terms.agent,
        "model": exchange.terms.model,
        "worker": exchange.terms.worker,
        "currency": session.calls[-1].currency if session.calls else "",
        "requests": len(session.calls),
        "unknown": sum(call.status == "unknown" for call in session.calls),
        "tokens": sum(call.tokens_counted for call in session.calls),
        "cost": amount(sum(call.cost_counted for call in session.calls)),
        "cost_counted": sum(call.cost_counted for call in session.calls),
    }


def read_session(journal: Journal | None, stream: str) -> Session:
    """Fold a stream's events; a stream that does not exist is a fresh conversation."""
    session = Session(stream)
    if journal is not None:
        for batch in journal.read(stream):
            for event in decode_events(batch.payload):
                evolve(session, event)
    return session


def _started_at(journal: Journal | None, stream: str) -> float:
    row = journal.row(stream) if journal is not None else None
    return row.started_at if row is not None else 0.0


def _call_in(loop: asyncio.AbstractEventLoop, settle: Any, error: BaseException | None) -> None:
    """Journals call back from any thread, or before `append` returns."""
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        settle(error)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(settle, error)


async def _uncancelled(committed: asyncio.Future[None]) -> None:
    try:
        await asyncio.shield(committed)
    except asyncio.CancelledError:
        if not committed.done():
            await asyncio.wait([committed])
        committed.exception()
        raise
