"""A tape's lines: one header, then one entry for each answer. JSON, readable in review, only ever appended to while recording.

A line that is not whole (the recording process died in the middle of it) can only be the last one: it is left aside and said.
Characters that would hide or turn text in a review (control, bidirectional, zero-width, halves of characters) are written as
escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import NotFoundError, WhisperFlowError

JSON = Any

FORMAT: Final = "whisper-flow-tape/1"
NAMED_MAX: Final = 5
"""Tapes of a folder that an error names."""
_NAME, _, _VERSION = FORMAT.partition("/")
_UNSEEN: Final = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


class TapeError(WhisperFlowError):
    """The file is no tape, or not one that this version reads."""

    exit_code = 2


@dataclass(slots=True, kw_only=True)
class Header:
    created: str
    """ISO 8601, UTC."""
    engine: str
    """Version of whisper-flow that recorded it."""
    workflow: str = ""
    digest: str = ""
    """Of the plan that was recorded."""
    more: dict[str, JSON] = field(default_factory=dict)

    def line(self) -> bytes:
        known = {"format": FORMAT, "created": self.created, "engine": self.engine}
        optional = {"workflow": self.workflow, "digest": self.digest}
        return encode_line({**known, **{k: v for k, v in optional.items() if v}, **self.more})


@dataclass(slots=True)
class Entry:
    """One line as it stands in the file, and what is asked of it most."""

    number: int
    """From 1, by its place on the tape."""
    data: dict[str, JSON]

    @property
    def kind(self) -> str:
        """`model`, `tool` (a call of one) or `tools` (which an agent was given)."""
        return str(self.data.get("entry", ""))

    @property
    def key(self) -> str:
        return str(self.data.get("key", ""))

    @property
    def end(self) -> str:
        """`answered`, `failed`, or `cut`: nobody knows how it would have gone on, so it is never played."""
        return str(self.data.get("end", ""))

    @property
    def lane(self) -> tuple[str, str, str, str]:
        """Entries of one lane and key are played first in, first out."""
        data = self.data
        return (str(data.get("run", "")), str(data.get("task", "")), str(data.get("agent", "")), self.kind)

    @property
    def conversation(self) -> str:
        return str(self.data.get("conversation", ""))

    @property
    def model(self) -> str:
        return str(self.data.get("model", ""))

    @property
    def request(self) -> dict[str, JSON]:
        request = self.data.get("request")
        return request if isinstance(request, dict) else {}

    @property
    def said(self) -> str:
        """Who was answered, in a few words: `writer in notes`."""
        what = str(self.request.get("tool", "")) if self.kind == "tool" else self.lane[2]
        what = f"tools of {what}" if self.kind == "tools" else what
        place = "/".join(filter(None, (self.lane[0], self.lane[1])))
        return f"{what} in {place}" if place else what

    @property
    def playable(self) -> bool:
        return self.end in ("answered", "failed")


@dataclass(slots=True)
class TapeFile:
    header: Header
    entries: list[Entry]
    torn: int = 0
    """Bytes of a last line that is not whole."""

    def encoded(self) -> bytes:
        return b"".join([self.header.line(), *(encode_line(entry.data) for entry in self.entries)])


def encode_line(data: dict[str, JSON]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(", ", ": "))
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text).encode() + b"\n"


def read_tape(path: Path) -> TapeFile:
    """Raises NotFoundError where there is none, TapeError for what is no tape."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no tape {path}", help="`whisper-flow run FILE --record TAPE` makes one"
        ) from None
    except IsADirectoryError:
        names = sorted(str(found) for found in path.rglob("*.jsonl"))[:NAMED_MAX]
        help = f"name a tape in it: {', '.join(names)}" if names else "there is no tape in it"
        raise TapeError(f"{path} is a folder", help=help) from None
    except OSError as error:
        raise TapeError(f"tape {path} cannot be read: {error.strerror}") from error
    return parse_tape(data, str(path))


def parse_tape(data: bytes, name: str) -> TapeFile:
    """Raises TapeError that names the line."""
    *lines, rest = data.split(b"\n")
    torn = len(rest)
    if rest and _whole(rest):
        # A person's editor leaves out the last line's end.
        lines, torn = [*lines, rest], 0
    if not lines:
        raise TapeError(f"{name} is no tape: it has no header")
    header = _header(_object(lines[0], name, 1), name)
    entries = [Entry(at, _entry(_object(line, name, at + 1), name, at + 1)) for at, line in enumerate(lines[1:], 1)]
    return TapeFile(header, entries, torn)


def _whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _object(line: bytes, name: str, number: int) -> dict[str, JSON]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TapeError(
            f"{name}:{number} is no line of a tape: every line is one JSON object",
            help="take the file from your version control again, or record anew",
        )
    return found


def _header(data: dict[str, JSON], name: str) -> Header:
    said = str(data.get("format", ""))
    kind, _, version = said.partition("/")
    if kind != _NAME:
        raise TapeError(f"{name} is no tape: its first line does not say `{FORMAT}`")
    if version != _VERSION:
        raise TapeError(f"{name} is of format {said}; this version reads {FORMAT}", help="record it anew")
    own = {"format", "created", "engine", "workflow", "digest"}
    return Header(
        created=str(data.get("created", "")),
        engine=str(data.get("engine", "")),
        workflow=str(data.get("workflow", "")),
        digest=str(data.get("digest", "")),
        more={key: value for key, value in data.items() if key not in own},
    )


def _entry(data: dict[str, JSON], name: str, number: int) -> dict[str, JSON]:
    missing = [key for key, kind in _SHAPE.items() if not isinstance(data.get(key), kind)]
    if missing:
        raise TapeError(f"{name}:{number} is no entry of a tape: `{missing[0]}` is missing or of the wrong type")
    if data["entry"] == "model" and not isinstance(data.get("events"), list):
        raise TapeError(f"{name}:{number} is no entry of a tape: `events` is missing or of the wrong type")
    return data


_SHAPE: Final[dict[str, type]] = {"entry": str, "key": str, "task": str, "agent": str, "request": dict, "end": str}


def without(entries: Iterable[Entry], left_out: set[int]) -> list[Entry]:
    """Entries but those numbers, numbered anew."""
    kept = [entry for entry in entries if entry.number not in left_out]
    return [Entry(number, entry.data) for number, entry in enumerate(kept, 1)]
