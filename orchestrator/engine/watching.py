"""Following a run: what is recorded, from the journal; what is not (log lines, model text), from the driver if it lives here."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from orchestrator.core.plan import Plan
from orchestrator.engine.fold import Folder
from orchestrator.engine.stream import describe
from orchestrator.engine.values import load
from orchestrator.engine.views import StreamEvent
from orchestrator.ports.journal import Journal

EPHEMERAL_MAX: Final = 10_000
"""Log lines and chunks a slow watcher may be behind before the oldest are dropped; recorded events are never dropped."""


class Feed:
    """Where a driver puts what happens, for the watchers of one run."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def add(self, watcher: Watcher) -> None:
        self._watchers.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def recorded(self) -> None:
        """A turn was committed."""
        for watcher in self._watchers:
            watcher.wake()

    def say(self, event: StreamEvent, *, after: int) -> None:
        """Something that is not recorded; it came after event number `after`."""
        for watcher in self._watchers:
            watcher.say(event, after=after)


class Watcher:
    """One reader of one run's event stream, on one event loop."""

    def __init__(self, journal: Journal, run_id: str, *, after: int = 0, plan: Plan | None = None) -> None:
        self._folder = Folder(journal, run_id, plan)
        self._journal = journal
        self._run_id = run_id
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._ephemeral: deque[tuple[int, StreamEvent]] = deque(maxlen=EPHEMERAL_MAX)
        """What is not recorded, each with the number of the last event before it."""
        self._driver_left = False

    def wake(self) -> None:
        self._woken.set()

    def say(self, event: StreamEvent, *, after: int) -> None:
        self._ephemeral.append((after, event))
        self._woken.set()

    def leave(self) -> None:
        """The driver here let go of the run: end once everything recorded was told."""
        self._driver_left = True
        self._woken.set()

    async def events(self, *, until_parked: bool) -> AsyncIterator[StreamEvent]:
        """History, then live, until the run is over (or, with `until_parked`, its driver let go of it)."""
        stop = self._journal.listen(self._run_id, self._knock, events=True)
        try:
            while True:
                self._woken.clear()
                last_look = self._driver_left
                for event in self._folder.more():
                    while self._ephemeral and self._ephemeral[0][0] < self._folder.state.last:
                        yield self._ephemeral.popleft()[1]
                    if self._folder.state.last > self._after:
                        told = describe(self._folder.state, event, lambda value: load(self._journal, value))
                        if told is not None:
                            yield told
                while self._ephemeral and (last_look or self._ephemeral[0][0] <= self._folder.state.last):
                    yield self._ephemeral.popleft()[1]
                if self._folder.state.over or (until_parked and last_look):
                    return
                await self._woken.wait()
        finally:
            stop()

    def _knock(self, run_id: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._loop.call_soon_threadsafe(self._woken.set)
