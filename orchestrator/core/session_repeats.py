"""Whether a model goes round in circles: the same tool with the same arguments, again and again."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.core.messages import ToolCall
from orchestrator.core.session_state import Exchange


class Repeats(NamedTuple):
    last_call: tuple[str, str]
    times: int
    """How often in a row it was asked for."""
    warned: bool
    """It was asked for more often than it may be, and the model was told."""


def after_calls(exchange: Exchange, calls: tuple[ToolCall, ...]) -> Repeats:
    """The counts after an answer that asks for `calls`."""
    counts = Repeats(exchange.last_call, exchange.repeats, exchange.warned)
    for call in calls:
        counts = _after(counts, call, exchange.terms.identical_max)
    return counts


def repeated(exchange: Exchange, calls: tuple[ToolCall, ...]) -> list[ToolCall]:
    """Those of `calls` that go beyond what may be asked for in a row."""
    counts, found = Repeats(exchange.last_call, exchange.repeats, exchange.warned), []
    for call in calls:
        counts = _after(counts, call, exchange.terms.identical_max)
        if counts.times > exchange.terms.identical_max:
            found.append(call)
    return found


def _after(before: Repeats, call: ToolCall, most: int) -> Repeats:
    this = (call.name, call.arguments)
    if this != before.last_call:
        return Repeats(this, 1, False)
    return Repeats(this, before.times + 1, before.times + 1 > most)
