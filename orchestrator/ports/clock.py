"""Time as the shell takes it. The core never asks: it is told `now`."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for timers and durations."""
        ...
