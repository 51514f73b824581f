"""The events of one answer, as they stand on a tape and back: each with the milliseconds since its request was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from orchestrator.ai.tapes.format import TapeError
from orchestrator.ai.tapes.secrets import Channel
from orchestrator.core.messages import Usage
from orchestrator.errors import ErrorType
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModelError,
    Finished,
    FinishReason,
    Notice,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)

JSON = Any
_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


class SafeStream:
    """Events in, events for the tape out: without secrets, also where one is split across events.

    Where a piece may be the beginning of a secret it is held back and comes with a later event of its channel.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._channels: dict[str | int, Channel] = {}
        self._rows: list[tuple[str | int | None, dict[str, JSON]]] = []
        """(channel, row)"""

    def take(self, event: ChatEvent, ms: int) -> None:
        clean = self._redactor.text
        match event:
            case TextDelta(text):
                self._add(ms, "text", text=self._channel("text").feed(text))
            case ReasoningDelta(text):
                self._add(ms, "reasoning", reasoning=self._channel("reasoning").feed(text))
            case ToolCallDelta():
                self._add(ms, event.index, tool_call=self._tool_call(event))
            case UsageReported(usage):
                self._add(ms, None, usage=usage_shown(usage))
            case Notice(message):
                self._add(ms, None, notice=clean(message))
            case Finished():
                self._flush()
                said = {"model": clean(event.model), "refusal": clean(event.refusal)}
                self._add(ms, None, finished=event.reason, **{k: v for k, v in said.items() if v})

    def rows(self) -> list[dict[str, JSON]]:
        """All events so far; ends the stream."""
        self._flush()
        return [row for _, row in self._rows]

    def _channel(self, name: str | int) -> Channel:
        return self._channels.setdefault(name, Channel(self._redactor))

    def _tool_call(self, event: ToolCallDelta) -> dict[str, JSON]:
        clean = self._redactor.text
        named = {name: clean(text) for name, text in (("id", event.id), ("name", event.name)) if text}
        return {"index": event.index, **named, "arguments": self._channel(event.index).feed(event.arguments)}

    def _add(self, ms: int, channel: str | int | None, **row: JSON) -> None:
        self._rows.append((channel, {"ms": ms, **row}))

    def _flush(self) -> None:
        """What is still held back belongs to the last event of its channel."""
        for name, channel in self._channels.items():
            rest = channel.flush()
            if rest:
                row = next(row for channel_of, row in reversed(self._rows) if channel_of == name)
                if isinstance(name, int):
                    row["tool_call"]["arguments"] += rest
                else:
                    row[name] += rest
        self._channels.clear()


def usage_shown(usage: Usage) -> dict[str, int]:
    """Zeros left out, but for input and output."""
    return {name: count for name in _USAGE if (count := getattr(usage, name)) or name in _USAGE[:2]}


def usage_of(data: JSON) -> Usage:
    return Usage(**{name: int(data.get(name, 0)) for name in _USAGE})


def error_shown(error: ChatModelError, redactor: Redactor) -> dict[str, JSON]:
    said: dict[str, JSON] = {
        "type": error.type,
        "message": redactor.text(error.message),
        "help": redactor.text(error.help) if error.help else None,
        "retry_after": error.retry_after,
        "retryable": error.retryable,
        "charged": error.charged,
    }
    return {name: value for name, value in said.items() if value is not None}


def error_of(data: dict[str, JSON]) -> ChatModelError:
    return ChatModelError(
        cast("ErrorType", data["type"]),
        str(data.get("message", "")),
        retry_after=data.get("retry_after"),
        retryable=data.get("retryable"),
        charged=bool(data.get("charged", True)),
        help=data.get("help"),
    )


def events_of(rows: list[dict[str, JSON]]) -> Iterator[tuple[int, ChatEvent]]:
    """(milliseconds, event) of every row. Raises TapeError for a row that is none."""
    for row in rows:
        try:
            yield int(row.get("ms", 0)), _event(row)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TapeError(f"{row!r} is no event of an answer") from None


def _event(row: dict[str, JSON]) -> ChatEvent:
    if "text" in row:
        return TextDelta(row["text"])
    if "reasoning" in row:
        return ReasoningDelta(row["reasoning"])
    if "tool_call" in row:
        call = row["tool_call"]
        return ToolCallDelta(call["index"], call["arguments"], call.get("id", ""), call.get("name", ""))
    if "usage" in row:
        return UsageReported(usage_of(row["usage"]))
    if "notice" in row:
        return Notice(row["notice"])
    return Finished(cast("FinishReason", row["finished"]), row.get("model", ""), row.get("refusal", ""))
