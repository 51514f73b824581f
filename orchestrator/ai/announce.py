"""What the user and the delegates are told of a conversation's turns, once it is on record."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.ai.record import SessionRecord
from orchestrator.ai.surroundings import Surroundings
from orchestrator.core.budget import amount
from orchestrator.core.session_events import (
    AnswerArrived,
    AnyEvent,
    ContextTrimmed,
    HandedOff,
    Input,
    ModelSwitched,
    RequestFailed,
    SummaryPlanned,
)
from orchestrator.core.session_state import Exchange


class Announcer:
    def __init__(self, around: Surroundings, record: SessionRecord, notice: Callable[[str], None]) -> None:
        self._around = around
        self._record = record
        self._notice = notice
        self.news: list[Callable[[], None]] = []
        """What is to be told after the next commit."""

    @property
    def _exchange(self) -> Exchange:
        exchange = self._record.session.exchange
        assert exchange is not None
        return exchange

    def note(self, events: Iterable[AnyEvent]) -> None:
        """Events that are about to be applied; the state is as it was before them."""
        for event in events:
            match event:
                case ModelSwitched():
                    self._later(self._switched, event, self._exchange.terms.model)
                case HandedOff():
                    self._later(self._handed_off, event, self._exchange.terms.agent)
                case ContextTrimmed() | SummaryPlanned():
                    self._later(self._shortened, event)

    def _later(self, tell: Callable[..., None], *facts: object) -> None:
        self.news.append(lambda: tell(*facts))

    def tell_news(self) -> None:
        """Tell what is on record by now."""
        news, self.news = self.news, []
        for tell in news:
            tell()

    def answered(self, given: Input, chunks: int | None) -> None:
        """Tell what came of a request, and that its `chunks` were all; None if nobody saw them."""
        if isinstance(given, AnswerArrived):
            self._answer(given, chunks)
        elif isinstance(given, RequestFailed):
            self._failure(given)

    def breaker(self, provider: str, wait: float) -> None:
        breaker = self._around.breakers.of(provider)
        self._notice(f"{provider} is left alone for {wait:.0f} s: {breaker.last_error}")
        self._around.voice.step(
            "breaker", provider=provider, state=breaker.state, seconds=round(wait, 3), error=breaker.last_error
        )

    def _answer(self, given: AnswerArrived, chunks: int | None) -> None:
        voice, exchange = self._around.voice, self._exchange
        cost = amount(given.cost) if given.cost is not None else None
        if chunks is not None:
            voice.chunk_received("", chunks, final=True)
        voice.response_received(
            given.message, given.finish, given.usage, cost, exchange.terms.model, self._around.model.synthetic
        )
        if given.problems and exchange.phase == "preparing":
            self._notice(f"the answer does not fit `output`, asking again: {'; '.join(given.problems)}")
            voice.step("repair", problems=list(given.problems), repairs=exchange.repairs)

    def _failure(self, given: RequestFailed) -> None:
        voice, exchange = self._around.voice, self._exchange
        voice.failed(given.failure.type, given.failure.message)
        if exchange.wake_at is not None:
            # As planned: what is left of it by now says more about the disk than about the wait.
            failed_at = self._record.session.calls[-1].ended_at
            assert failed_at is not None
            wait = exchange.wake_at - failed_at
            self._notice(f"{given.failure.type}: {given.failure.message}; trying again in {wait:.1f} s")
            voice.step("retry", error_type=given.failure.type, seconds=round(wait, 3), tries=exchange.tries)

    def _switched(self, event: ModelSwitched, before: str) -> None:
        dropped = (self._around.seat.fallback.dropped or {}).get(event.model, ())
        without = f", which does not know {', '.join(f'`{name}`' for name in dropped)}" if dropped else ""
        why = f"{event.failure.type}: {event.failure.message}"
        self._notice(f"{before} gives way to {event.model}{without} ({why})")
        self._around.voice.step(
            "fallback", model=event.model, instead_of=before, error_type=event.failure.type, dropped=list(dropped)
        )

    def _handed_off(self, event: HandedOff, before: str) -> None:
        self._notice(f"{before} hands the conversation over to {event.terms.agent}")
        self._around.voice.step("handoff", agent=event.terms.agent, instead_of=before, model=event.terms.model)

    def _shortened(self, event: ContextTrimmed | SummaryPlanned) -> None:
        count = len(event.left_out)
        messages = f"{count} older message{'s' if count != 1 else ''}"
        summed = isinstance(event, SummaryPlanned)
        done = f"{messages} are summed up" if summed else f"{messages} are no longer sent"
        self._notice(f"{done}: {event.reason}")
        self._around.voice.step("overflow", policy="summarise" if summed else "drop_oldest", left_out=count)
