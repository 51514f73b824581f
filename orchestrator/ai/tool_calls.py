"""The tool calls of one answer: all at once, each result recorded as it comes, none made twice that must not be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orchestrator.ai.foreign_json import sound
from orchestrator.ai.handoff import HandOff
from orchestrator.ai.output import check
from orchestrator.ai.record import SessionRecord
from orchestrator.ai.seats import handed_terms
from orchestrator.ai.surroundings import Surroundings
from orchestrator.core.messages import ToolCall
from orchestrator.core.session_events import HandOffAsked, Input, TimeOver, ToolBegins, ToolReturned, ToolWaits
from orchestrator.core.session_state import Exchange
from orchestrator.errors import TaskError, WhisperFlowError
from orchestrator.ports.tool import ChildParked, PersonNeeded, Tool

JSON = Any


RESULT_MAX: Final = 300_000
"""Characters of one result that a model is given, whatever the tool. Tools of ours bound theirs at 256 KiB, and say how to go on."""


class Parked(NamedTuple):
    call: ToolCall
    needed: PersonNeeded | ChildParked


class ToolCalls:
    """Makes the pending calls of an exchange."""

    def __init__(
        self,
        around: Surroundings,
        record: SessionRecord,
        *,
        tell: Callable[[Input], None],
        publish: Callable[[str, dict[str, JSON]], None],
        stopped: Callable[[], bool],
        changed: asyncio.Event,
    ) -> None:
        self._around = around
        self._record = record
        self._tell = tell
        self._publish = publish
        self._stopped = stopped
        self._changed = changed

    @property
    def _exchange(self) -> Exchange:
        exchange = self._record.session.exchange
        assert exchange is not None
        return exchange

    async def make(self) -> None:
        """Make all that are pending. Raises PersonNeeded or ChildParked once the others are on record: that call stays pending."""
        calls = {call: self._fit(call) for call in self._exchange.pending}
        for call, fit in calls.items():
            if fit is not None and fit[0].effect == "at_most_once":
                self._tell(ToolBegins(call.id))
        await self._record.commit()
        running = {
            asyncio.create_task(self._make(call, fit), name=f"tool {call.name}"): call for call, fit in calls.items()
        }
        parked = await self._results(running)
        if parked or self._stopped():
            await self._record.commit()
        if parked and not self._stopped() and self._exchange.open:
            order = [call.id for call in calls]
            raise min(parked, key=lambda one: order.index(one.call.id)).needed

    def _fit(self, call: ToolCall) -> tuple[Tool, dict[str, JSON]] | None:
        """The tool and its arguments; None if the call cannot be made."""
        tool = self._around.tools.get(call.name)
        if tool is None or call.name not in self._exchange.terms.tools:
            return None
        arguments: dict[str, JSON] = json.loads(call.arguments)
        return None if check(arguments, tool.spec.parameters) else (tool, arguments)

    async def _results(self, running: dict[asyncio.Task[Input | Parked], ToolCall]) -> list[Parked]:
        """Record what comes back until all are done, the loop is stopped, or the time is over."""
        parked: list[Parked] = []
        # What happened before now was looked at by the loop.
        self._changed.clear()
        watch = asyncio.create_task(self._changed.wait(), name="loop changed")
        try:
            while running and not self._stopped():
                done, _ = await asyncio.wait(
                    [*running, watch], timeout=self._time_left(), return_when=asyncio.FIRST_COMPLETED
                )
                if not done and self._time_left() == 0.0:
                    self._tell(TimeOver())
                    break
                for task in [task for task in running if task in done]:
                    del running[task]
                    self._take(task.result(), parked)
                if running:
                    # The last result goes with what the loop does next, in one commit.
                    await self._record.commit()
                if watch in done:
                    self._changed.clear()
                    watch = asyncio.create_task(self._changed.wait(), name="loop changed")
        finally:
            await _called_off([*running, watch])
        return parked

    def _take(self, result: Input | Parked, parked: list[Parked]) -> None:
        if isinstance(result, Parked):
            self._tell(ToolWaits(result.call.id))
            self._around.voice.step("tool_waits", tool=result.call.name, tool_call_id=result.call.id)
            parked.append(result)
        else:
            self._tell(result)

    def _time_left(self) -> float | None:
        deadline = self._exchange.deadline
        return None if deadline is None else max(deadline - self._around.clock.now(), 0.0)

    async def _make(self, call: ToolCall, fit: tuple[Tool, dict[str, JSON]] | None) -> Input | Parked:
        voice = self._around.voice
        arguments = json.loads(call.arguments)
        voice.tool_call(call, arguments)
        tool = self._around.tools.get(call.name)
        told = {"name": call.name, "tool": tool.name if tool is not None else call.name, "call_id": call.id}
        self._publish("tool", {**told, "arguments": arguments})
        began = self._around.clock.monotonic()
        result: Input | Parked
        if fit is None:
            result = ToolReturned(call.id, self._misfit(call, arguments), True)
        else:
            voice.step("tool_started", tool=call.name, tool_call_id=call.id)
            result = await self._called(call, *fit)
        if isinstance(result, ToolReturned | HandOffAsked):
            seconds = round(self._around.clock.monotonic() - began, 3)
            error = result.content if isinstance(result, ToolReturned) and result.is_error else ""
            effect = tool.effect if tool is not None else ""
            self._publish(
                "tool_ended", {**told, "arguments": arguments, "effect": effect, "seconds": seconds, "error": error}
            )
            if fit is not None:
                voice.step("tool", tool=call.name, tool_call_id=call.id, is_error=error != "", seconds=seconds)
        return result

    def _misfit(self, call: ToolCall, arguments: dict[str, JSON]) -> str:
        tool = self._around.tools.get(call.name)
        if tool is None or call.name not in self._exchange.terms.tools:
            return f"there is no tool named {call.name!r}"
        return f"these arguments do not fit: {'; '.join(check(arguments, tool.spec.parameters))}"

    async def _called(self, call: ToolCall, tool: Tool, arguments: dict[str, JSON]) -> Input | Parked:
        try:
            value = await tool.call(arguments, call.id)
            if isinstance(value, HandOff):
                return await self._hand_off(call, value)
        except (PersonNeeded, ChildParked) as needed:
            return Parked(call, needed)
        except TaskError as error:
            return ToolReturned(call.id, bounded(sound(f"{error.type}: {error.message}")), True)
        except Exception as error:  # noqa: BLE001 - a tool's own mistake is the model's to work around, and is told
            self._around.voice.failed("tool", f"{call.name}: {error!r}")
            return ToolReturned(call.id, bounded(sound(f"the tool failed: {type(error).__name__}: {error}")), True)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return ToolReturned(call.id, bounded(sound(text)))

    async def _hand_off(self, call: ToolCall, to: HandOff) -> Input:
        try:
            seat = await self._around.seats.agent(to.agent_id)
        except WhisperFlowError as error:
            return ToolReturned(call.id, f"the conversation cannot be handed over: {error.message}", True)
        return HandOffAsked(call.id, handed_terms(seat, self._exchange.terms), to.message)


async def _called_off(tasks: list[asyncio.Task[Any]]) -> None:
    """End them, and wait until they have cleaned up behind them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def bounded(text: str) -> str:
    """Both ends of a result that is too long, and how much is missing between them."""
    if len(text) <= RESULT_MAX:
        return text
    half = RESULT_MAX // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out: too long; ask for less]\n{text[-half:]}"
