"""The thin shell around the session machine: what it wants is done, what came of it is told to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from orchestrator.ai.announce import Announcer
from orchestrator.ai.answer import Answer, Assembly, Interruptible, with_own_ids
from orchestrator.ai.breaker import COUNTED
from orchestrator.ai.config import TIMEOUT_S
from orchestrator.ai.output import read_output
from orchestrator.ai.overflow import too_long
from orchestrator.ai.prepare import Preparation
from orchestrator.ai.record import SessionRecord
from orchestrator.ai.seats import breaker_key, same_provider
from orchestrator.ai.surroundings import Surroundings
from orchestrator.ai.tool_calls import ToolCalls
from orchestrator.core.events import Failure
from orchestrator.core.session import decide, next_model, next_wake, wanted
from orchestrator.core.session_events import (
    AnswerArrived,
    CallModel,
    CallTool,
    Input,
    ModelSwitched,
    PrepareRequest,
    RequestDenied,
    RequestFailed,
    RequestWithheld,
    StopRequested,
    TimePassed,
)
from orchestrator.core.session_state import Exchange, Session
from orchestrator.errors import CredentialsError, TaskError, UsageError
from orchestrator.ports.chat_model import ChatModelError, ChatRequest
from orchestrator.ports.tool import PersonNeeded
from orchestrator.workers.gate import NoRoom

__all__ = ["Drive", "Surroundings"]

AT_ONCE_S: Final = 0.02
"""A preparation that takes longer waits for somebody: what is noted by then is committed first."""
LOOK_S: Final = 0.25
"""How often a held or silent loop looks whether it may go on or should stop."""


class Drive:
    """Drives one exchange from where its record stands to its end."""

    def __init__(
        self,
        around: Surroundings,
        record: SessionRecord,
        *,
        publish: Callable[[str, dict[str, Any]], None],
        control: Callable[[], str | None],
    ) -> None:
        self._around = around
        self._record = record
        self._publish = publish
        self._control = control
        self._request: ChatRequest | None = None
        self._announcer = Announcer(around, record, self._notice)
        self._preparation = Preparation(around, record, self._notice)
        self._call: Interruptible | None = None
        self._arriving: Assembly | None = None
        """The answer that is on its way, or that did not come to its end."""
        self._seq = 0
        self._stop: str | None = None
        self._held = False
        self._changed = asyncio.Event()
        """Set when somebody stopped, held or released the loop: whoever waits looks again."""
        self._tools = ToolCalls(
            around, record, tell=self._tell, publish=publish, stopped=self._stopping, changed=self._changed
        )

    @property
    def session(self) -> Session:
        return self._record.session

    @property
    def _partial(self) -> str:
        return self._arriving.text if self._arriving is not None and not self.exchange.condensing else ""

    @property
    def exchange(self) -> Exchange:
        exchange = self._record.session.exchange
        assert exchange is not None
        return exchange

    # From outside

    def stop(self, reason: str) -> None:
        self._stop = self._stop or reason
        if self._call is not None:
            self._call.interrupt(reason)
        self._changed.set()

    def hold(self, held: bool) -> None:
        self._held = held
        self._changed.set()

    # The loop

    async def run(self) -> None:
        """Until the exchange is over and its end durable. Raises JournalError, and PersonNeeded with the exchange left open; a
        cancellation is recorded, then goes on."""
        try:
            while self.exchange.open:
                await self._step()
        except asyncio.CancelledError:
            self._tell(StopRequested(self._partial, "cancellation"))
            await self._record.commit()
            raise
        finally:
            self._preparation.close()
        await self._record.commit()
        self._announcer.tell_news()

    async def _step(self) -> None:
        if self._announcer.news:
            await self._record.commit()
            self._announcer.tell_news()
        if self._stop is not None:
            self._tell(StopRequested(self._partial, self._stop))
            return
        match wanted(self.session):
            case [PrepareRequest()]:
                self._tell(await self._prepare())
            case [CallModel(number)]:
                await self._ask_model(number)
            case [CallTool(), *_]:
                await self._take_seat()
                await self._tools.make()
            case _:
                await self._back_off()

    def _tell(self, given: Input) -> None:
        events = decide(self.session, given, self._around.clock.now())
        for event in events:
            if isinstance(event, ModelSwitched) and not isinstance(given, RequestWithheld):
                # Withheld ones are left alone already, or their breaker looks after them.
                terms = self.exchange.terms
                self._around.cooldowns.begin(self._around.seat.who, terms.model, terms.cooldown, event.failure)
        self._announcer.note(events)
        self._record.note(events)

    async def _take_seat(self) -> None:
        """Sit where the exchange's terms say. Raises TaskError if that agent or model is not to be had."""
        terms, around = self.exchange.terms, self._around
        if around.seat.agent == terms.agent and around.seat.config.model == terms.model:
            return
        try:
            around.seat = await around.seats.of(terms)
        except CredentialsError as error:
            raise TaskError("auth", error.message, help=error.help) from error
        except UsageError as error:
            raise TaskError("invalid_input", error.message, help=error.help) from error
        around.voice.as_agent(terms.agent)

    # Before a request

    async def _prepare(self) -> Input:
        exchange, around = self.exchange, self._around
        while await self._must_hold():
            await self._record.commit()
            await self._until_changed(LOOK_S)
        if (reason := self._stop_reason()) is not None:
            return StopRequested(self._partial, reason)
        if exchange.deadline is not None and around.clock.now() >= exchange.deadline:
            return RequestDenied(Failure("timeout", "the time for this task was over before the next model request"))
        try:
            await self._take_seat()
            if (otherwise := self._not_now() or self._too_long()) is not None:
                return otherwise
            self._request = await self._unless_stopped(self._preparation.request(self._time_left()))
        except NoRoom as later:
            self._notice(f"{later.message}; there is room in {later.seconds:.1f} s")
            around.voice.step("rate_limited", seconds=round(later.seconds, 3), reason=later.message)
            said = f"{later.message}; there is room in {later.seconds:.0f} s"
            failure = Failure("rate_limited", said, "wait, or raise `rate_limits`", later.seconds)
            return RequestWithheld(failure, later.seconds, self._unavailable())
        except PersonNeeded:
            await self._record.commit()
            raise
        except TaskError as error:
            around.voice.failed(error.type, error.message)
            return RequestDenied(Failure(error.type, error.message, error.help, error.meta.get("retry_after")))
        if (reason := self._stop_reason()) is not None:
            self._preparation.withdraw()
            return StopRequested(self._partial, reason)
        assert self._request is not None, "left unprepared without a stop"
        if wait := around.breaker.admit():
            self._preparation.withdraw()
            return self._broken(wait)
        return self._preparation.prepared()

    async def _unless_stopped(self, preparing: Coroutine[Any, Any, ChatRequest]) -> ChatRequest | None:
        """The request; None if somebody stopped the loop while it waited for its turn."""
        if not self._preparation.may_wait:
            return await preparing
        work = asyncio.create_task(preparing, name="request prepared")
        try:
            if not (await asyncio.wait([work], timeout=AT_ONCE_S))[0]:
                await self._record.commit()
            while not work.done():
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait(), name="loop changed")
                await asyncio.wait([work, changed], timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if self._control() == "stop":
                    self._stop = self._stop or "stop"
                if self._stop is not None and not work.done():
                    return None
            return work.result()
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # interrupted just then, nobody asks for it any more

    def _not_now(self) -> RequestWithheld | None:
        """Whether the model is left alone after a fallback, or its provider known to be down."""
        exchange, around = self.exchange, self._around
        if (why := around.cooldowns.why(around.seat.who, exchange.terms.model)) is not None:
            unavailable = self._unavailable()
            if next_model(exchange, why, unavailable) is not None:
                return RequestWithheld(why, 0.0, unavailable)
        wait = around.breaker.wait()
        return self._broken(wait) if wait else None

    def _broken(self, wait: float) -> RequestWithheld:
        key, error = self._around.seat.breaker, self._around.breaker.last_error
        self._announcer.breaker(key, wait)
        return RequestWithheld(
            Failure("outage", f"{key} did not answer lately ({error}); it is asked again in {wait:.0f} s", None, wait),
            wait,
            self._unavailable(),
        )

    def _unavailable(self) -> frozenset[str]:
        """Fallback models that are left alone or whose provider is down."""
        around, seat = self._around, self._around.seat
        found: set[str] = set()
        for backup in self.exchange.terms.fallback:
            key = breaker_key(backup.model, seat.worker if same_provider(seat, backup.model) else None)
            if around.cooldowns.why(seat.who, backup.model) is not None or around.breakers.of(key).wait():
                found.add(backup.model)
        return frozenset(found)

    def _too_long(self) -> Input | None:
        tools = [tool.spec for tool in self._around.tools.values()]
        return too_long(self.session, self.exchange, tools, self._preparation.outgoing.size)

    def _stop_reason(self) -> str | None:
        """Why the loop is to stop, looked at anew: it changes while we wait."""
        return self._stop

    def _stopping(self) -> bool:
        return self._stop is not None

    async def _must_hold(self) -> bool:
        """True while somebody asks for a pause; notes a stop that somebody asks for."""
        voice, exchange = self._around.voice, self.exchange
        if self._stop is not None:
            return False
        asked = self._control()
        if asked == "stop" or await voice.stop_asked(exchange.terms.model, exchange.turn):
            self._stop = "stop"
            return False
        return self._held or asked == "pause" or await voice.pause_asked(exchange.terms.model, exchange.turn)

    # A request

    async def _ask_model(self, number: int) -> None:
        around, request = self._around, self._request
        assert request is not None, "called without being prepared"
        given: Input = StopRequested()
        try:
            if not around.model.synthetic:
                await self._record.commit()
            around.voice.request_prepared(request, self.exchange.terms.model)
            given = await self._answer_to(request, number)
        finally:
            # Cut off here, it may have been paid for: it counts as its bound.
            self._preparation.settle(given)
            self._learn(given)
        summary = bool(self.exchange.condensing)
        self._tell(given)
        if not around.model.synthetic:
            await self._record.commit()
        self._announcer.answered(given, None if summary else self._seq)

    def _learn(self, given: Input) -> None:
        """Tell the provider's circuit breaker what came of a request."""
        breaker = self._around.breaker
        match given:
            case AnswerArrived():
                breaker.succeeded()
            case RequestFailed(failure=failure) if failure.type not in COUNTED:
                breaker.succeeded()
            case RequestFailed(failure=failure) if failure.type == "timeout" and self._cut_short:
                # Our own deadline says nothing about the provider.
                breaker.released()
            case RequestFailed(failure=failure):
                if breaker.failed(failure.message):
                    self._announcer.breaker(self._around.seat.breaker, breaker.wait())
            case _:
                breaker.released()

    async def _answer_to(self, request: ChatRequest, number: int) -> AnswerArrived | RequestFailed | StopRequested:
        self._seq = 0
        self._arriving = assembly = Assembly(on_text=self._text_arrived, on_notice=self._notice_once)
        # A budget of time may leave less than the task's own timeout: the request knows.
        limit = min(self._time_left(), self._timeout if request.timeout is None else request.timeout)
        self._cut_short = limit < self._timeout
        self._call = Interruptible(limit)
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        try:
            await self._call.run(self._around.model, request, assembly)
            given = await self._arrived(assembly.answer(), number)
            self._arriving = None
            return given
        except InterruptedError:
            return StopRequested(self._partial, self._stop or "stop")
        except ChatModelError as error:
            return await self._request_failed(error, assembly, number)
        finally:
            self._watch.cancel()
            self._call = None

    def _look(self) -> None:
        """Whether a person stopped the run while the model is silent, or left alone."""
        if self._control() == "stop":
            self.stop("stop")
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    async def _arrived(self, answer: Answer, number: int) -> AnswerArrived:
        schema = self.exchange.terms.output_schema
        problems: tuple[str, ...] = ()
        if schema is not None and not answer.message.tool_calls and not self.exchange.condensing:
            problems = read_output(answer.message.text, schema).problems
        if answer.finish == "length" and not self.exchange.condensing:
            self._notice("the answer was cut at `max_tokens`")
        cost = None if self._around.model.synthetic else await self._preparation.cost(answer.usage)
        message = with_own_ids(answer.message, self.session.tool_call_ids, number)
        return AnswerArrived(number, message, answer.finish, answer.usage, cost, answer.model, problems)

    async def _request_failed(self, error: ChatModelError, assembly: Assembly, number: int) -> RequestFailed:
        usage, cost = assembly.usage, None
        if usage is not None and not self._around.model.synthetic:
            cost = await self._preparation.cost(usage)
        failure = Failure(error.type, error.message, error.help, error.retry_after)
        return RequestFailed(
            number, failure, error.retryable, error.charged, assembly.text, usage, cost, self._unavailable()
        )

    # Waiting

    async def _back_off(self) -> None:
        wake = next_wake(self.session)
        assert wake is not None, f"nothing to do and nothing to wait for while {self.exchange.phase}"
        await self._record.commit()
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        try:
            await self._until_changed(max(wake - self._around.clock.now(), 0.0))
        finally:
            self._watch.cancel()
        self._tell(TimePassed())

    async def _until_changed(self, seconds: float) -> None:
        """Sleep, unless somebody stops, holds or releases the loop meanwhile."""
        self._changed.clear()
        slept = asyncio.ensure_future(self._around.sleep(seconds))
        changed = asyncio.create_task(self._changed.wait(), name="loop changed")
        try:
            await asyncio.wait([slept, changed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            changed.cancel()

    @property
    def _timeout(self) -> float:
        return float(self.exchange.terms.settings.get("timeout", TIMEOUT_S))

    def _time_left(self) -> float:
        deadline = self.exchange.deadline
        if deadline is None:
            return self._timeout
        return max(min(self._timeout, deadline - self._around.clock.now()), 0.0)

    def _text_arrived(self, text: str) -> None:
        terms = self.exchange.terms
        if not self.exchange.condensing:
            self._publish("chunk", {"agent": terms.agent, "model": terms.model, "text": text, "seq": self._seq})
            self._around.voice.chunk_received(text, self._seq)
            self._seq += 1
        if self._control() == "stop":
            self.stop("stop")

    def _notice_once(self, message: str) -> None:
        """What a provider has to say of its settings comes with every request, and is told once a conversation."""
        about = f"{self.exchange.terms.agent} {self.exchange.terms.model} {message}"
        if about not in self._around.told:
            self._around.told.add(about)
            self._notice(message)

    def _notice(self, message: str) -> None:
        self._publish("progress", {"agent": self.exchange.terms.agent, "message": message})
