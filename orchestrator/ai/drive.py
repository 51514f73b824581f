"""The thin shell around the session machine: what it wants is done, what came of it is told to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.ai.answer import Answer, Assembly, Interruptible
from orchestrator.ai.budgets import Budgets
from orchestrator.ai.delegation import LoopVoice
from orchestrator.ai.output import check, read_output
from orchestrator.ai.prepare import Preparation
from orchestrator.ai.prices import PriceBook
from orchestrator.ai.record import SessionRecord
from orchestrator.core.budget import Account, amount
from orchestrator.core.events import Failure
from orchestrator.core.messages import ToolCall
from orchestrator.core.session import decide, next_wake, wanted
from orchestrator.core.session_events import (
    AnswerArrived,
    CallModel,
    CallTool,
    Input,
    PrepareRequest,
    RequestDenied,
    RequestFailed,
    StopRequested,
    TimePassed,
    ToolReturned,
)
from orchestrator.core.session_state import Exchange, Session
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModel, ChatModelError, ChatRequest
from orchestrator.ports.clock import Clock
from orchestrator.ports.tool import Tool

LOOK_S: Final = 0.25
"""How often a held or silent loop looks whether it may go on or should stop."""


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What a loop works with; the same for all its exchanges."""

    model: ChatModel
    voice: LoopVoice
    prices: PriceBook
    budgets: Budgets
    accounts: tuple[Account, ...]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    tools: Mapping[str, Tool]


class Drive:
    """Drives one exchange from where its record stands to its end."""

    def __init__(
        self,
        around: Surroundings,
        record: SessionRecord,
        *,
        publish: Callable[[str, dict[str, Any]], None],
        control: Callable[[], str | None],
        timeout: float,
    ) -> None:
        self._around = around
        self._record = record
        self._publish = publish
        self._control = control
        self._timeout = timeout
        self._request: ChatRequest | None = None
        self._preparation = Preparation(around, record, self._notice)
        self._call: Interruptible | None = None
        self._arriving: Assembly | None = None
        """The answer that is on its way, or that did not come to its end."""
        self._seq = 0
        self._stop: str | None = None
        self._held = False
        self._changed = asyncio.Event()
        """Set when somebody stopped, held or released the loop: whoever waits looks again."""

    @property
    def session(self) -> Session:
        return self._record.session

    @property
    def _partial(self) -> str:
        return self._arriving.text if self._arriving is not None else ""

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
        """Until the exchange is over and its end durable. Raises JournalError; a cancellation is recorded, then goes on."""
        try:
            while self.exchange.open:
                await self._step()
        except asyncio.CancelledError:
            self._tell(StopRequested(self._partial, "cancellation"))
            await self._record.commit()
            raise
        await self._record.commit()

    async def _step(self) -> None:
        effects = wanted(self.session)
        if self._stop is not None:
            self._tell(StopRequested(self._partial, self._stop))
            return
        match effects:
            case [PrepareRequest()]:
                self._tell(await self._prepare())
            case [CallModel(number)]:
                await self._ask_model(number)
            case [CallTool(), *_]:
                await self._use_tools()
            case _:
                await self._back_off()

    def _tell(self, given: Input) -> None:
        self._record.note(decide(self.session, given, self._around.clock.now()))

    # Before a request

    async def _prepare(self) -> Input:
        exchange, around = self.exchange, self._around
        while await self._must_hold():
            await self._until_changed(LOOK_S)
        if (reason := self._stopping()) is not None:
            return StopRequested(self._partial, reason)
        if exchange.deadline is not None and around.clock.now() >= exchange.deadline:
            return RequestDenied(Failure("timeout", "the time for this task was over before the next model request"))
        try:
            self._request = await self._preparation.request(self._time_left())
        except TaskError as error:
            around.voice.failed(error.type, error.message)
            return RequestDenied(Failure(error.type, error.message, error.help))
        if (reason := self._stopping()) is not None:
            self._preparation.withdraw()
            return StopRequested(self._partial, reason)
        return self._preparation.prepared()

    def _stopping(self) -> str | None:
        """Why the loop is to stop, looked at anew: it changes while we wait."""
        return self._stop

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
        self._tell(given)
        if not around.model.synthetic:
            await self._record.commit()
        self._report(given)

    async def _answer_to(self, request: ChatRequest, number: int) -> AnswerArrived | RequestFailed | StopRequested:
        self._seq = 0
        self._arriving = assembly = Assembly(on_text=self._text_arrived, on_notice=self._notice)
        self._call = Interruptible(self._time_left())
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        try:
            await self._call.run(self._around.model, request, assembly)
            given = await self._arrived(assembly.answer(), number)
            self._arriving = None
            return given
        except InterruptedError:
            return StopRequested(assembly.text, self._stop or "stop")
        except ChatModelError as error:
            return await self._request_failed(error, assembly, number)
        finally:
            self._watch.cancel()
            self._call = None

    def _look(self) -> None:
        """Whether a person stopped the run while the model is silent."""
        if self._control() == "stop":
            self.stop("stop")
        self._watch = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    async def _arrived(self, answer: Answer, number: int) -> AnswerArrived:
        schema = self.exchange.terms.output_schema
        problems: tuple[str, ...] = ()
        if schema is not None and not answer.message.tool_calls:
            problems = read_output(answer.message.text, schema).problems
        cost = None if self._around.model.synthetic else await self._preparation.cost(answer.usage)
        return AnswerArrived(number, answer.message, answer.finish, answer.usage, cost, answer.model, problems)

    async def _request_failed(self, error: ChatModelError, assembly: Assembly, number: int) -> RequestFailed:
        usage, cost = assembly.usage, None
        if usage is not None and not self._around.model.synthetic:
            cost = await self._preparation.cost(usage)
        failure = Failure(error.type, error.message, error.help, error.retry_after)
        return RequestFailed(number, failure, error.retryable, error.charged, assembly.text, usage, cost)

    def _report(self, given: Input) -> None:
        """Tell the delegates what is on record now."""
        voice, exchange = self._around.voice, self.exchange
        if isinstance(given, AnswerArrived):
            cost = amount(given.cost) if given.cost is not None else None
            synthetic = self._around.model.synthetic
            voice.chunk_received("", self._seq, final=True)
            voice.response_received(given.message, given.finish, given.usage, cost, exchange.terms.model, synthetic)
            if exchange.phase == "preparing":
                self._notice(f"the answer does not fit `output`, asking again: {'; '.join(given.problems)}")
                voice.step("repair", problems=list(given.problems), repairs=exchange.repairs)
        elif isinstance(given, RequestFailed):
            voice.failed(given.failure.type, given.failure.message)
            if exchange.wake_at is not None:
                wait = max(exchange.wake_at - self._around.clock.now(), 0.0)
                self._notice(f"{given.failure.type}: {given.failure.message}; trying again in {wait:.1f} s")
                voice.step("retry", error_type=given.failure.type, seconds=round(wait, 3), tries=exchange.tries)

    # Tools

    async def _use_tools(self) -> None:
        await self._record.commit()
        running = {
            asyncio.create_task(self._use_tool(call), name=f"tool {call.name}"): call for call in self.exchange.pending
        }
        self._changed.clear()
        stopped = asyncio.create_task(self._changed.wait(), name="loop stopped")
        try:
            while running and self._stop is None:
                done, _ = await asyncio.wait([*running, stopped], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopped}:
                    del running[task]  # type: ignore[arg-type]
                    self._tell(task.result())  # type: ignore[arg-type]
                await self._record.commit()
                if stopped in done and self._stop is None:
                    self._changed.clear()
                    stopped = asyncio.create_task(self._changed.wait(), name="loop stopped")
        finally:
            for task in (*running, stopped):
                task.cancel()
            await asyncio.gather(*running, stopped, return_exceptions=True)

    async def _use_tool(self, call: ToolCall) -> ToolReturned:
        arguments = json.loads(call.arguments)
        self._around.voice.tool_call(call, arguments)
        self._publish("tool", {"name": call.name, "arguments": arguments, "call_id": call.id})
        tool = self._around.tools.get(call.name)
        if tool is None or call.name not in self.exchange.terms.tools:
            return ToolReturned(call.id, f"there is no tool named {call.name!r}", True)
        if problems := check(arguments, tool.spec.parameters):
            return ToolReturned(call.id, f"these arguments do not fit: {'; '.join(problems)}", True)
        try:
            value = await tool.call(arguments, call.id)
        except TaskError as error:
            return ToolReturned(call.id, f"{error.type}: {error.message}", True)
        except Exception as error:  # noqa: BLE001 - a tool's own mistake is the model's to work around, and is told
            self._around.voice.failed("tool", f"{call.name}: {error!r}")
            return ToolReturned(call.id, f"the tool failed: {type(error).__name__}: {error}", True)
        self._around.voice.step("tool", tool=call.name)
        return ToolReturned(call.id, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    # Waiting

    async def _back_off(self) -> None:
        wake = next_wake(self.session)
        assert wake is not None, f"nothing to do and nothing to wait for while {self.exchange.phase}"
        await self._record.commit()
        await self._until_changed(max(wake - self._around.clock.now(), 0.0))
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

    def _time_left(self) -> float:
        deadline = self.exchange.deadline
        if deadline is None:
            return self._timeout
        return max(min(self._timeout, deadline - self._around.clock.now()), 0.0)

    def _text_arrived(self, text: str) -> None:
        terms = self.exchange.terms
        self._publish("chunk", {"agent": terms.agent, "model": terms.model, "text": text, "seq": self._seq})
        self._around.voice.chunk_received(text, self._seq)
        self._seq += 1
        if self._control() == "stop":
            self.stop("stop")

    def _notice(self, message: str) -> None:
        self._publish("progress", {"agent": self.exchange.terms.agent, "message": message})
