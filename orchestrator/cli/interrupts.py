"""Ctrl-C and SIGTERM as a run's driver takes them: the first drains, the second stops at once; both leave the run resumable."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Final

from orchestrator.cli.exit_codes import ExitCode

_SIGNALS: Final = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupts:
    """While entered, signals call `on_first`, then `on_second`; a third one ends the process as it would without us."""

    def __init__(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        self.code: ExitCode | None = None
        """What to exit with, once a signal came: by the first one."""
        self._answers = [on_first, on_second]
        self._count = 0

    def __enter__(self) -> Interrupts:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._came, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _came(self, number: signal.Signals) -> None:
        self.code = self.code or _SIGNALS[number]
        self._count += 1
        if self._count <= len(self._answers):
            self._answers[self._count - 1]()
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
