"""Lanes: where one delegate works off what it is told, at its own pace, without anybody waiting for it.

A sync delegate has a thread of its own, an async one a task on the engine's loop that lives only while there is work.
A lane holds a bounded number of notifications; a full one drops the oldest and counts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from orchestrator.delegates.hooks import Hook


class Parcel(NamedTuple):
    """One notification for one delegate."""

    hook: Hook
    sender: Any
    payload: dict[str, Any]


class Lane(Protocol):
    name: str
    dropped: int

    def put(self, parcels: list[Parcel]) -> int:
        """Take a turn's notifications; returns how many older ones fell out for them."""
        ...

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, from any thread, when nothing is queued or being delivered; now if that is so."""
        ...

    def waiting(self) -> int:
        """Notifications not delivered yet, the one being delivered included."""
        ...

    def close(self) -> None:
        """Deliver nothing more. A call that hangs is left behind."""
        ...


class _Queue:
    """What both lanes share: the bounded queue and who waits for it to run dry. Its lock is held for moments only."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.dropped = 0
        self.capacity = capacity
        self.changed = threading.Condition(threading.Lock())
        self.closed = False
        self._parcels: deque[Parcel] = deque()
        self._working = False
        self._idle: list[Callable[[], None]] = []

    def add(self, parcels: list[Parcel]) -> int:
        """The condition is held."""
        self._parcels.extend(parcels)
        surplus = max(0, len(self._parcels) - self.capacity)
        for _ in range(surplus):
            self._parcels.popleft()
        self.dropped += surplus
        return surplus

    def next(self) -> Parcel | None:
        """The next parcel, marking the lane as working; None, and idle waiters told, if there is none."""
        with self.changed:
            if self._parcels and not self.closed:
                self._working = True
                return self._parcels.popleft()
            self._working = False
            told, self._idle = self._idle, []
        for callback in told:
            callback()
        return None

    def when_idle(self, callback: Callable[[], None]) -> None:
        with self.changed:
            if self._parcels or self._working:
                self._idle.append(callback)
                return
        callback()

    def waiting(self) -> int:
        with self.changed:
            return len(self._parcels) + self._working

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self._parcels.clear()
            self.changed.notify_all()


class ThreadLane(_Queue):
    """`deliver(parcel)` runs on a daemon thread: a delegate that hangs does not keep the process from ending."""

    def __init__(self, name: str, capacity: int, deliver: Callable[[Parcel], None]) -> None:
        super().__init__(name, capacity)
        self._deliver = deliver
        self._thread: threading.Thread | None = None

    def put(self, parcels: list[Parcel]) -> int:
        with self.changed:
            if self.closed:
                return 0
            surplus = self.add(parcels)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"delegate {self.name}", daemon=True)
                self._thread.start()
            self.changed.notify_all()
        return surplus

    def _work(self) -> None:
        while True:
            while (parcel := self.next()) is not None:
                self._deliver(parcel)
            with self.changed:
                self.changed.wait_for(lambda: self.closed or self._parcels)
                if self.closed:
                    return


class TaskLane(_Queue):
    """`deliver(parcel)` is awaited on `loop`; `put` may be called from any thread."""

    def __init__(
        self,
        name: str,
        capacity: int,
        deliver: Callable[[Parcel], Awaitable[None]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(name, capacity)
        self._deliver = deliver
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._called = False

    def put(self, parcels: list[Parcel]) -> int:
        with self.changed:
            if self.closed:
                return 0
            surplus = self.add(parcels)
            call, self._called = not self._called, True
        if call:
            call_soon(self._loop, self._start)
        return surplus

    def _start(self) -> None:
        self._called = False
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._work(), name=f"delegate {self.name}")

    async def _work(self) -> None:
        while (parcel := self.next()) is not None:
            await self._deliver(parcel)

    def close(self) -> None:
        super().close()
        if self._task is not None:
            self._task.cancel()


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    """Run `callback` on the loop, from any thread; a loop that is closed has nobody left to hear it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
