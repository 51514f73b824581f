"""What agents remember: one Markdown file for each memory, which people may read and edit like any other.

    ## deploys
    <!-- 2026-11-21T04:30:00Z, run 7f3a -->

    No deploys on Fridays.

A second-level heading opens an entry and is its key; the comment below says when it was written, and by which run. A line of
an entry's text that looks like such a heading has a backslash before it. What stands before the first heading is a
person's and stays. Writers take turns by a lock beside the file, and replace it whole.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.errors import TaskError
from orchestrator.host.terminal_text import clean_terminal
from orchestrator.host.whole_files import replace_file

SIZE_MAX: Final = 256 * 1024
"""Bytes of a memory whose agent names no `max_size`."""
ENTRY_BYTES_MAX: Final = 16 * 1024
KEY_LENGTH_MAX: Final = 120
FILE_BYTES_READ: Final = 16 * 1024 * 1024

_HEADING: Final = re.compile(r"## +(\S.*)")
_LOOKS_LIKE_HEADING: Final = re.compile(r"(?m)^(\\*)(?=## )")
_ESCAPED: Final = re.compile(r"(?m)^\\(\\*)(?=## )")
_ORIGIN: Final = re.compile(r"<!-- (.*) -->")
_WORD: Final = re.compile(r"\w+")


@dataclass(slots=True, frozen=True)
class Entry:
    key: str
    text: str
    origin: str = ""
    """When it was written, and by whom; as it stands in the file."""


@dataclass(slots=True)
class Remembered:
    """A memory's file, read."""

    preamble: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)


class MemoryStore:
    """One memory. `lock` is a file of ours, never the memory itself: that one is replaced."""

    def __init__(self, path: Path, lock: Path, size_max: int = SIZE_MAX) -> None:
        self.path = path
        self._lock = lock
        self._size_max = size_max

    def read(self) -> Remembered:
        try:
            with self.path.open("rb") as file:
                data = file.read(FILE_BYTES_READ + 1)
        except FileNotFoundError:
            return Remembered()
        except OSError as error:
            raise TaskError("tool", f"the memory cannot be read: {error.strerror}") from None
        if len(data) > FILE_BYTES_READ:
            raise TaskError("tool", f"the memory has more than {FILE_BYTES_READ >> 20} MiB")
        return parse(data.decode("utf-8", "replace"))

    def write(self, key: str, text: str, origin: str) -> bool:
        """Put an entry, in place of the one with its key. True if there was none. Raises TaskError `tool` if it is full."""
        key, text = clean_key(key), clean_terminal(text).strip("\n")
        if len(text.encode()) > ENTRY_BYTES_MAX:
            raise TaskError("tool", f"an entry may have {ENTRY_BYTES_MAX >> 10} KiB; write it shorter, or as several")
        with self._turn():
            known = self.read()
            new = key not in known.entries
            known.entries[key] = Entry(key, text, origin)
            made = formed(known)
            if len(made.encode()) > self._size_max:
                raise TaskError(
                    "tool",
                    f"the memory is full: it may have {self._size_max} bytes",
                    help="forget what is no longer needed, or put several entries into one",
                )
            replace_file(self.path, made.encode())
            return new

    def forget(self, key: str) -> bool:
        with self._turn():
            known = self.read()
            if known.entries.pop(clean_key(key), None) is None:
                return False
            replace_file(self.path, formed(known).encode())
            return True

    def clear(self) -> int:
        """Forget everything; how many entries there were."""
        with self._turn():
            count = len(self.read().entries)
            self.path.unlink(missing_ok=True)
            return count

    def replace(self, text: str) -> int:
        """What a person made of the whole file; how many entries it holds."""
        with self._turn():
            known = parse(text)
            replace_file(self.path, formed(known).encode())
            return len(known.entries)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise TaskError("tool", f"the memory cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise TaskError("tool", f"the memory cannot be written: {error.strerror}") from None
        finally:
            os.close(descriptor)


def clean_key(key: str) -> str:
    """One line, as a heading can hold it. Raises TaskError `tool` for one that is empty or too long."""
    plain = " ".join(clean_terminal(key).split())
    if not plain:
        raise TaskError("tool", "the key is empty")
    if len(plain) > KEY_LENGTH_MAX:
        raise TaskError("tool", f"the key has more than {KEY_LENGTH_MAX} characters")
    return plain


def parse(text: str) -> Remembered:
    """Whatever a person made of the file; of two entries with one key the later counts."""
    known = Remembered()
    key: str | None = None
    lines: list[str] = []

    def close() -> None:
        if key is None:
            known.preamble = "\n".join(lines).strip("\n")
        else:
            known.entries[key] = _entry(key, lines)

    for line in clean_terminal(text).split("\n"):
        heading = _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        close()
        key, lines = " ".join(heading[1].split())[:KEY_LENGTH_MAX].strip(), []
    close()
    return known


def _entry(key: str, lines: list[str]) -> Entry:
    origin = ""
    if lines and (found := _ORIGIN.fullmatch(lines[0].strip())):
        origin, lines = found[1], lines[1:]
    return Entry(key, _ESCAPED.sub(r"\1", "\n".join(lines).strip("\n")), origin)


def formed(known: Remembered) -> str:
    parts = [known.preamble] if known.preamble else []
    for entry in known.entries.values():
        text = _LOOKS_LIKE_HEADING.sub(r"\\\1", entry.text)
        # Without a comment the text's own first line could be taken for one.
        parts.append(f"## {entry.key}\n<!-- {entry.origin or 'by hand'} -->\n\n{text}")
    return "\n\n".join(parts) + "\n" if parts else ""


def origin(now: float, run_id: str) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}, run {run_id}"


def found(known: Remembered, query: str, most: int) -> list[Entry]:
    """Entries that hold words of the query, the best first: those that hold more of them, then those named so."""
    words = {word.casefold() for word in _WORD.findall(query)}
    scored: list[tuple[float, int, Entry]] = []
    for position, entry in enumerate(known.entries.values()):
        key, text = entry.key.casefold(), entry.text.casefold()
        score = sum((2.0 if word in key else 0.0) + (1.0 if word in text else 0.0) for word in words)
        if query.casefold().strip() and query.casefold().strip() in f"{key}\n{text}":
            score += 3.0
        if score:
            scored.append((-score, -position, entry))  # of equals, the one written later
    return [entry for _, _, entry in sorted(scored, key=lambda one: one[:2])[:most]]
