"""Meters off the event loop: one thread asks them, in order; what is settled is not waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from orchestrator.ports.meters import Draw, Meters

T = TypeVar("T")
_log = logging.getLogger("orchestrator.workers")


class Metering:
    """Opens the meters when they are first needed: most projects have no limit that is shared."""

    def __init__(self, meters: Callable[[], Meters]) -> None:
        self._open = meters
        self._meters: Meters | None = None
        self._thread: ThreadPoolExecutor | None = None

    def _known(self) -> Meters:
        if self._meters is None:
            self._meters = self._open()
        return self._meters

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="meters")
        return self._thread.submit(work)

    async def reserve(self, draws: Iterable[Draw], now: float) -> str:
        """As `Meters.reserve`. Cancelled meanwhile, nothing stays drawn."""
        draws = tuple(draws)
        drawing = self._submit(lambda: self._known().reserve(draws, now))
        try:
            return await asyncio.wrap_future(drawing)
        except asyncio.CancelledError:
            # It may have been drawn all the same. The thread works in order, so by then it is known.
            self._later(lambda: self._known().withdraw(drawing.result()) if _drawn(drawing) else None)
            raise

    def settle(self, ticket: str, amounts: Mapping[str, int]) -> None:
        """As `Meters.settle`, soon. What cannot be settled stays drawn at its bound: the log says so."""
        self._later(lambda: self._known().settle(ticket, amounts))

    def withdraw(self, ticket: str) -> None:
        self._later(lambda: self._known().withdraw(ticket))

    async def drawn(self, meter: str, now: float, window: float | None = None) -> int:
        return await asyncio.wrap_future(self._submit(lambda: self._known().drawn(meter, now, window)))

    def _later(self, work: Callable[[], None]) -> None:
        self._submit(work).add_done_callback(_said)

    async def close(self) -> None:
        """Once what was settled is. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.to_thread(thread.shutdown)
        if self._meters is not None:
            self._meters.close()
            self._meters = None


def _drawn(drawing: Future[str]) -> bool:
    return drawing.done() and not drawing.cancelled() and drawing.exception() is None


def _said(future: Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.warning("a limit counts more than was used: %s", error)
