"""Values as the texts that commands, people and durations take."""

from __future__ import annotations

from typing import Any

from orchestrator.core.units import UnitError, parse_duration
from orchestrator.errors import TaskError

JSON = Any


def word_of(value: JSON) -> str:
    """A value as one word for a command: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def seconds_of(value: JSON, field: str) -> float:
    """A duration that was given in seconds, or came as text out of a template. Raises TaskError `invalid_input`."""
    try:
        seconds = (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else parse_duration(value)
        )
    except UnitError as error:
        raise TaskError("invalid_input", f"`{field}`: {error.message}", help=error.help) from None
    if not 0 <= seconds < float("inf"):
        raise TaskError("invalid_input", f"`{field}`: {seconds:g} seconds is no time to wait")
    return seconds
