"""The one gate for all calls of a worker: its rate limits, kept across agents, runs and processes.

A request draws its upper bound before it is sent and is settled with what it used. Windows slide and survive restarts. An
instance's place is held while its conversation is answered, and given up while it waits for its tools.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from orchestrator.errors import TaskError
from orchestrator.ports.clock import Clock
from orchestrator.ports.meters import Draw, MeterRefusal
from orchestrator.workers.metering import Metering

MINUTE: Final = 60.0
DAY: Final = 86_400.0
SHORT_S: Final = 2.0
"""A wait up to this long is waited here; a longer one is the caller's, who can be stopped and resumed meanwhile."""
LOOK_S: Final = 0.25
"""How often it is looked whether another process let go of something."""
Notice = Callable[[str], None]


class NoRoom(Exception):  # noqa: N818  an answer, not a fault
    """There is none now: ask again in `seconds`, an upper bound unless somebody else is quicker."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.message = message
        self.seconds = seconds


class Passed(NamedTuple):
    """What a request has drawn."""

    ticket: str
    tokens: tuple[str, ...]
    """The meters that count tokens."""


class _Limit(NamedTuple):
    word: str
    """As in `rate_limits`."""
    meter: str
    most: int
    window: float


_WINDOWS: Final = (
    ("max_requests_per_minute", "requests", MINUTE),
    ("max_requests_per_day", "requests", DAY),
    ("max_tokens_per_minute", "tokens", MINUTE),
    ("max_tokens_per_day", "tokens", DAY),
)
_PLACES: Final = "max_concurrent_active_instances"


class RateGate:
    def __init__(self, metering: Metering, clock: Clock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._metering = metering
        self._clock = clock
        self._sleep = sleep
        self._turnstiles: dict[str, asyncio.Lock] = {}
        """Who came first goes first: a large request is not overtaken for ever by small ones."""
        self._left: dict[str, asyncio.Event] = {}

    async def enter(self, worker: Mapping[str, Any], tokens: int) -> Passed | None:
        """Let a request of at most so many tokens pass; None if nothing limits it. It ends in `leave` or `turn_back`.

        Raises NoRoom, TaskError `rate_limited` for a request that never fits.
        """
        limits = _limits(worker)
        if not limits:
            return None
        draws = [
            Draw(
                meter=limit.meter, amount=tokens if _counts_tokens(limit) else 1, limit=limit.most, window=limit.window
            )
            for limit in limits
        ]
        for limit, draw in zip(limits, draws, strict=True):
            if draw.amount > limit.most:
                raise _never(worker, limit, tokens)
        async with self._turnstiles.setdefault(f"{_name(worker)} rate", asyncio.Lock()):
            ticket = await self._draw(_name(worker), draws, SHORT_S)
        return Passed(ticket, tuple(limit.meter for limit in limits if _counts_tokens(limit)))

    def leave(self, worker: Mapping[str, Any], passed: Passed, tokens: int) -> None:
        """The request used so many tokens."""
        self._metering.settle(passed.ticket, dict.fromkeys(passed.tokens, tokens))
        self._somebody_left(_name(worker))

    def turn_back(self, worker: Mapping[str, Any], passed: Passed) -> None:
        """The request was not sent."""
        self._metering.withdraw(passed.ticket)
        self._somebody_left(_name(worker))

    async def take_place(self, worker: Mapping[str, Any], notice: Notice) -> str | None:
        """A place among the worker's active instances, waited for as long as it takes; None if they are not limited."""
        most = int((worker.get("rate_limits") or {}).get(_PLACES) or 0)
        if not most:
            return None
        draw = Draw(meter=f"{_name(worker)} instances", amount=1, limit=most, place=True)
        turnstile = self._turnstiles.setdefault(draw.meter, asyncio.Lock())
        if turnstile.locked():
            notice(f"waits for one of the {most} places of worker `{_shown(worker)}`")
        async with turnstile:
            return await self._draw(_name(worker), [draw], math.inf)

    def give_place(self, worker: Mapping[str, Any], ticket: str) -> None:
        self._metering.withdraw(ticket)
        self._somebody_left(_name(worker))

    async def free_at(self, worker: Mapping[str, Any]) -> float | None:
        """When a small request will find room (epoch seconds); None if it does now. Only a look: nothing is drawn."""
        now, latest = self._clock.now(), None
        for limit in _limits(worker):
            if await self._metering.drawn(limit.meter, now, limit.window) >= limit.most:
                latest = max(latest or 0.0, now + limit.window)
        return latest

    async def _draw(self, who: str, draws: list[Draw], patience: float) -> str:
        """Draw as soon as there is room; raises NoRoom if that is further off than `patience`."""
        waited = 0.0
        while True:
            left = self._left.setdefault(who, asyncio.Event())
            left.clear()
            now = self._clock.now()
            try:
                return await self._metering.reserve(draws, now)
            except MeterRefusal as refusal:
                seconds = max(refusal.free_at - now, 0.01) if refusal.free_at is not None else patience
                pause = min(seconds, LOOK_S) if refusal.reserved else seconds
                if waited + pause > patience:
                    raise NoRoom(_used_up(refusal), seconds) from None
            await self._until(left, pause)
            waited += pause

    async def _until(self, left: asyncio.Event, seconds: float) -> None:
        slept = asyncio.ensure_future(self._sleep(seconds))
        freed = asyncio.create_task(left.wait(), name="rate gate")
        try:
            await asyncio.wait([slept, freed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            freed.cancel()

    def _somebody_left(self, who: str) -> None:
        if who in self._left:
            self._left[who].set()


def limited(worker: Mapping[str, Any] | None) -> bool:
    """Whether anything limits this worker."""
    return worker is not None and any((worker.get("rate_limits") or {}).values())


def _name(worker: Mapping[str, Any]) -> str:
    """The definition. Two of one name on different models are two: they share no provider's limit."""
    model = f"{worker.get('provider') or ''}/{worker.get('model_name') or ''}"
    return f"worker {worker.get('definition_id') or worker.get('name') or ''} {model}"


def _shown(worker: Mapping[str, Any]) -> str:
    return str(worker.get("definition_id") or worker.get("name") or worker.get("model_name") or "")


def _limits(worker: Mapping[str, Any]) -> list[_Limit]:
    said: Mapping[str, Any] = worker.get("rate_limits") or {}
    found: list[_Limit] = []
    for word, what, window in _WINDOWS:
        if said.get(word):
            per = "minute" if window == MINUTE else "day"
            found.append(_Limit(word, f"{_name(worker)} {what} a {per}", int(said[word]), window))
    return found


def _counts_tokens(limit: _Limit) -> bool:
    return limit.word.startswith("max_tokens")


def _used_up(refusal: MeterRefusal) -> str:
    draw = refusal.draw
    if draw.place:
        return f"all {draw.limit} places are taken: {draw.meter}"
    who, what, _, per = draw.meter.rsplit(" ", 3)
    return f"the limit of {draw.limit} {what} a {per} is used up for {who}"


def _never(worker: Mapping[str, Any], limit: _Limit, tokens: int) -> TaskError:
    return TaskError(
        "rate_limited",
        f"this request may use up to {tokens} tokens, and worker `{_shown(worker)}` may use {limit.most} ({limit.word})",
        help=f"raise `{limit.word}`, lower `max_tokens`, or send less",
    )
