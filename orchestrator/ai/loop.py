"""AILoop: one agent, one conversation, one config. As many at once as you like; they share nothing but connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.ai.breaker import Breakers
from orchestrator.ai.budgets import Budgets
from orchestrator.ai.config import AILoopConfig
from orchestrator.ai.delegation import LoopDelegates, LoopVoice
from orchestrator.ai.drive import Drive
from orchestrator.ai.fallback import Cooldowns
from orchestrator.ai.output import read_output
from orchestrator.ai.record import SessionRecord
from orchestrator.ai.seats import Seat, Seats, asked_terms
from orchestrator.ai.surroundings import Surroundings
from orchestrator.core.budget import Account, amount
from orchestrator.core.messages import File, Image, Message, Usage, user
from orchestrator.core.session import decide
from orchestrator.core.session_events import Asked, HandOffAsked, Recovered, Terms
from orchestrator.core.session_state import Exchange, Session, unpriced_since_asked, usage_since_asked
from orchestrator.errors import TaskError, UsageError
from orchestrator.host.redact import Redactor
from orchestrator.ports.clock import Clock
from orchestrator.ports.tool import ChildParked, PersonNeeded
from orchestrator.workers.gate import RateGate


@dataclass(slots=True, kw_only=True, frozen=True)
class LoopAnswer:
    value: Any
    """The text, or what fits `output_schema`."""
    text: str
    model: str
    """`provider/model`, as configured."""
    finish: str
    """`stop`, or `length` if max_tokens cut it."""
    usage: Usage
    requests: int
    """Model requests since it was asked for, failed ones included."""
    turns: int
    cost: float | None
    """None: nothing was paid, or the price is unknown."""
    currency: str
    synthetic: bool
    unpriced: int = 0
    """How many of the requests may have been paid at a cost that nobody knows."""
    agent: str = ""
    """Who answered: another one than was asked, if the conversation was handed over."""
    wrapped_up: bool = False
    """A budget had room for one last turn only: it is what could be said by then."""


class AILoop:
    """Ask it, and it answers; what was said before stays in its conversation.

    Made by an AILoopFactory. One question at a time: a second `ask` waits for the first.
    """

    def __init__(
        self,
        seat: Seat,
        *,
        seats: Seats,
        open_record: Callable[[], SessionRecord],
        delegates: LoopDelegates,
        clock: Clock,
        budgets: Budgets,
        gate: RateGate,
        breakers: Breakers,
        cooldowns: Cooldowns,
        accounts: Iterable[Account] = (),
        run_id: str = "",
        task_id: str = "",
        redactor: Redactor | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seat = seat
        self._redactor = redactor or Redactor()
        self.delegate_manager = delegates
        self._open_record = open_record
        self._record: SessionRecord | None = None
        self._given_up: str | None = None
        """Key of the question that ended when the record was read back."""
        self._drive: Drive | None = None
        self._turnstile = asyncio.Lock()
        self._held = False
        self._stopped: str | None = None
        self._closed = False
        self._began = False
        self._around = Surroundings(
            seat=seat,
            seats=seats,
            voice=LoopVoice(delegates, self, run_id=run_id, task_id=task_id, agent_id=seat.agent),
            budgets=budgets,
            gate=gate,
            breakers=breakers,
            cooldowns=cooldowns,
            accounts=tuple(accounts),
            clock=clock,
            sleep=sleep,
        )

    @property
    def agent_id(self) -> str:
        """Whom the next question goes to."""
        return self._seat.agent

    @property
    def config(self) -> AILoopConfig:
        """What the next question is asked with. A loop keeps it, whatever becomes of the agent's file."""
        return self._seat.config

    @property
    def instructions(self) -> str:
        return self._seat.instructions

    @property
    def last_agent(self) -> str:
        """Who had the conversation last, by its record; empty if nothing was asked yet. To go on there, `switch` to it."""
        return self._read().session.agent

    def get_delegate_manager(self) -> LoopDelegates:
        return self.delegate_manager

    @property
    def conversation(self) -> tuple[Message, ...]:
        """What has been said so far, the system's instructions not included."""
        return tuple(self._read().session.messages)

    @property
    def busy(self) -> bool:
        return self._drive is not None

    async def ask(
        self,
        prompt: str,
        *,
        key: str | None = None,
        files: Iterable[Image | File] = (),
        instructions: str | None = None,
        output_schema: dict[str, Any] | None = None,
        repair: int = 2,
        deadline: float | None = None,
        failures: int | None = None,
        publish: Callable[[str, dict[str, Any]], None] = lambda type, data: None,
        control: Callable[[], str | None] = lambda: None,
    ) -> LoopAnswer:
        """One prompt, until its answer. Asked again under the same `key`, it goes on at its last recorded turn.

        `instructions` are added to the loop's own; `deadline` is in epoch seconds; `failures` says how often the task that asks
        has failed, so that a failure nobody learned of before a crash is not taken for one that is to be tried again.

        Raises TaskError of the type that says what happened (`cancelled` after `stop`); its meta has `partial`, `usage`,
        `cost`, `turns`. JournalError goes out as it is, and the next `ask` reads the record anew. PersonNeeded (or
        ChildParked) goes out where a tool needs a person's word: its call stays pending, and is made again when the same is
        asked again. A secret in the prompt, the instructions or a file is neither recorded nor sent.
        """
        async with self._turnstile:
            self._check_usable()
            try:
                session = self._read().session
                key = key if key is not None else f"{len(session.exchanges) + 1}"
                clean = self._redactor.text
                prompted = user(clean(prompt), *[await self._kept(file) for file in files])
                added = clean(instructions) if instructions else None
                terms = asked_terms(self._seat, added=added, output_schema=output_schema, repair=repair)
                return await self._exchange(Asked(key, terms, prompted, deadline, failures), publish, control)
            except (TaskError, PersonNeeded, ChildParked):
                raise
            except BaseException:
                # Whatever got in between: what the journal says is what was. Without one, memory is all there is.
                if self._record is not None and self._record.journal is not None:
                    self._record = None
                raise

    def stop(self, reason: str = "stop") -> None:
        """End the question in progress within one event of its stream; what has arrived is kept. Later ones are refused."""
        self._stopped = reason
        if self._drive is not None:
            self._drive.stop(reason)

    def pause(self) -> None:
        """Send no further request until `resume`; one that is out is finished."""
        self._hold(True)

    def resume(self) -> None:
        self._hold(False)

    def _hold(self, held: bool) -> None:
        self._held = held
        if self._drive is not None:
            self._drive.hold(held)

    async def close(self) -> None:
        """Stop what is in progress and end the conversation here; its record stays. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.stop("close")
        async with self._turnstile:
            if self._began:
                self._around.voice.session_ended("closed")

    def _check_usable(self) -> None:
        if self._closed:
            raise UsageError(f"the loop of agent {self.agent_id!r} is closed")
        if self._stopped is not None:
            raise TaskError("cancelled", f"agent {self.agent_id!r} was stopped")

    async def switch(self, agent_id: str, message: str = "") -> None:
        """Let another agent go on: the next question goes to it, with its own model, settings, instructions and tools.

        It sees what was said as plain messages, no tool call of the agent before (see `ai/handoff.py`), and `message` before
        the next prompt. Waits for a question in progress. Raises UsageError while one is unanswered (parked for a person), and
        what the loop's `agents` callable raises for an agent it cannot seat.
        """
        async with self._turnstile:
            self._check_usable()
            seat = await self._around.seats.agent(agent_id)
            record = self._read()
            exchange = record.session.exchange
            if exchange is not None:
                if exchange.open:
                    raise UsageError(
                        f"{self.agent_id!r} has not answered yet", help="answer or stop its question first"
                    )
                terms = asked_terms(seat, added=None, output_schema=None, repair=0)
                self._note(HandOffAsked("", terms, message))
                await record.commit()
            before, self._seat = self.agent_id, seat
            voice = self._around.voice
            voice.in_session(record.session.id)
            voice.step("handoff", agent=agent_id, instead_of=before, model=seat.config.model)
            voice.as_agent(agent_id)

    def _read(self) -> SessionRecord:
        if self._record is None:
            self._record = self._open_record()
            exchange = self._record.session.exchange
            if exchange is not None:
                was_open = exchange.open
                self._note(Recovered())
                self._given_up = exchange.key if was_open and not exchange.open else None
        return self._record

    def _note(self, given: Asked | Recovered | HandOffAsked) -> None:
        assert self._record is not None
        self._record.note(decide(self._record.session, given, self._around.clock.now()))

    async def _kept(self, file: Image | File) -> Image | File:
        """The file as it stands in the record: without secrets, and by hash where there is a journal."""
        journal = self._read().journal
        if isinstance(file, File):
            file = msgspec.structs.replace(file, data=self._redactor.bytes(file.data))
        if journal is None or not file.data:
            return file
        digest = await asyncio.to_thread(journal.put_blob, file.data)
        return msgspec.structs.replace(file, data=b"", digest=digest)

    async def _exchange(
        self, asked: Asked, publish: Callable[[str, dict[str, Any]], None], control: Callable[[], str | None]
    ) -> LoopAnswer:
        record, voice = self._read(), self._around.voice
        voice.in_session(record.session.id)
        resumed = asked.key in record.session.exchanges
        if self._given_up == asked.key:
            # Reading the record ended it a moment ago. Whoever goes on did not know that: to ask once more is a decision.
            self._given_up = None
            await record.commit()
            return self._answer(record.session, record.session.exchanges[asked.key])
        self._note(asked)
        if not self._began:
            self._began = True
            voice.session_started(self.config.model)
        exchange = record.session.exchanges[asked.key]
        if exchange.open:
            if resumed and not _same(exchange.asked, asked.terms):
                began = f"{exchange.asked.agent} on {exchange.asked.model}"
                message = f"goes on as it began, as {began}; what changed since takes effect with the next question"
                publish("progress", {"agent": exchange.asked.agent, "message": message})
            voice.as_agent(exchange.terms.agent)
            voice.loop_started(exchange.terms.model, resumed)
            await self._run(record, exchange, publish, control)
        return self._answer(record.session, exchange)

    async def _run(
        self,
        record: SessionRecord,
        exchange: Exchange,
        publish: Callable[[str, dict[str, Any]], None],
        control: Callable[[], str | None],
    ) -> None:
        drive = Drive(self._around, record, publish=publish, control=control)
        drive.hold(self._held)
        self._drive = drive
        try:
            await drive.run()
        finally:
            self._drive = None
            reason = "waiting" if exchange.open else exchange.phase
            self._around.voice.loop_stopped(exchange.terms.model, reason, exchange.turn)

    def _answer(self, session: Session, exchange: Exchange) -> LoopAnswer:
        usage, cost, requests = usage_since_asked(session, exchange.key)
        last = next((call for call in reversed(session.calls) if call.key == exchange.key), None)
        if exchange.phase != "ended":
            raise self._error(exchange, usage, cost)
        schema = exchange.terms.output_schema
        return LoopAnswer(
            value=exchange.text if schema is None else read_output(exchange.text, schema).value,
            text=exchange.text,
            model=exchange.terms.model,
            finish=exchange.finish,
            usage=usage,
            requests=requests,
            turns=exchange.turn,
            cost=amount(cost) if cost is not None else None,
            currency=(last.currency if last is not None else "") or self._seat.prices.currency,
            synthetic=last.synthetic if last is not None else self._seat.model.synthetic,
            unpriced=unpriced_since_asked(session, exchange.key),
            agent=exchange.terms.agent,
            wrapped_up=last is not None and last.last,
        )

    def _error(self, exchange: Exchange, usage: Usage, cost: int | None) -> TaskError:
        meta: Mapping[str, Any] = {
            "partial": exchange.partial,
            "model": exchange.terms.model,
            "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
            "cost": amount(cost) if cost is not None else None,
            "turns": exchange.turn,
        }
        failure = exchange.failure
        if failure is None:
            return TaskError("cancelled", f"agent {exchange.terms.agent!r} was stopped", meta=dict(meta))
        retry_after = {} if failure.retry_after is None else {"retry_after": failure.retry_after}
        return TaskError(
            failure.type,  # type: ignore[arg-type]  # recorded as text; written from an ErrorType
            failure.message,
            help=failure.help,
            meta={**meta, **retry_after},
        )


def _same(began: Terms, now: Terms) -> bool:
    return (began.agent, began.model, began.instructions, began.settings, began.tools) == (
        now.agent,
        now.model,
        now.instructions,
        now.settings,
        now.tools,
    )
