"""When a draw counts: sliding windows kept as a few hundred slots each, so that a sum stays cheap however much is drawn."""

from __future__ import annotations

import math
from typing import Final

SLOTS: Final = 512
"""A window's resolution. A draw counts from its slot's end: up to 1/512 of the window longer, never shorter."""
EVER: Final = 0
"""The slot of a meter without a window."""


def slot_of(now: float, window: float | None) -> int:
    """End of the slot, in whole milliseconds since the epoch; a draw in it stands until that plus the window."""
    if window is None:
        return EVER
    width = max(window * 1000 / SLOTS, 1.0)
    return math.ceil(math.ceil(now * 1000 / width) * width)


def window_start(now: float, window: float | None) -> int:
    """Slots at or before this, in milliseconds, count no more."""
    return -1 if window is None else math.floor((now - window) * 1000)


def leaves_at(slot: int, window: float) -> float:
    """When what stands in a slot has left the window (epoch seconds)."""
    return slot / 1000 + window + 0.001
