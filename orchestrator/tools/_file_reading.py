"""`files.read` and `files.list`: text out of the roots, bounded, and never a device or a pipe."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.tools._places import Places, visible

JSON = Any

RESULT_BYTES: Final = 256 * 1024
"""Text that one call gives at most."""
FILE_BYTES: Final = 64 * 1024 * 1024
"""Larger files are not even opened for reading or searching."""
ENTRIES_MAX: Final = 1000
WALKED_MAX: Final = 50_000
"""Entries a listing or a search looks at before it stops and says so."""
_BINARY_LOOK: Final = 8192


def read(places: Places, path: str, start: int | None, end: int | None) -> str:
    """The file's text, or its lines from `start` to `end` (from 1, both included). What was left out is said in a last line."""
    real = places.find(path)
    text = text_of(real, path)
    lines = text.splitlines(keepends=True)
    first = (start or 1) - 1
    if first >= len(lines) and lines:
        raise TaskError("tool", f"{path!r} has {len(lines)} lines, none from {start}")
    last = len(lines) if end is None else min(end, len(lines))
    if end is not None and end < first + 1:
        raise TaskError("tool", f"`end` ({end}) is before `start` ({first + 1})")
    given: list[str] = []
    size = 0
    for line in lines[first:last]:
        size += len(line.encode("utf-8", "replace"))
        if size > RESULT_BYTES and given:
            break
        given.append(line)
    made = "".join(given)
    cut_line = len(made) > RESULT_BYTES
    made = made[:RESULT_BYTES]
    shown_to = first + len(given)
    if shown_to < len(lines) or first or cut_line:
        gap = "" if made.endswith("\n") or not made else "\n"
        more = f"; go on with start: {shown_to + 1}" if shown_to < len(lines) else ""
        cut = ", the line is cut" if cut_line else ""
        made += f"{gap}[lines {first + 1} to {shown_to} of {len(lines)}{cut}{more}]"
    return made


def text_of(real: Path, said: str, *, exact: bool = False) -> str:
    """A whole file as text. `exact`: it must be UTF-8, since it is written again. Raises TaskError `tool`."""
    data = bytes_of(real, said)
    if b"\0" in data[:_BINARY_LOOK]:
        raise TaskError("tool", f"{said!r} is no text: a binary file of {len(data)} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if exact:
            raise TaskError("tool", f"{said!r} is no UTF-8 text, so it cannot be edited safely") from None
        return data.decode("utf-8", "replace")


def bytes_of(real: Path, said: str) -> bytes:
    try:
        # Never a link (they were resolved before), and never a pipe that would hold us up.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TaskError("tool", f"there is no file {said!r}", help=_near(real)) from None
    except OSError as error:
        raise TaskError("tool", f"{said!r} cannot be read: {error.strerror}") from None
    try:
        info = os.fstat(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise TaskError("tool", f"{said!r} is a folder: `files.list` shows what is in it")
        if not stat.S_ISREG(info.st_mode):
            raise TaskError("tool", f"{said!r} is no ordinary file")
        if info.st_size > FILE_BYTES:
            raise TaskError("tool", f"{said!r} has {info.st_size >> 20} MiB, more than {FILE_BYTES >> 20} MiB")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(FILE_BYTES)
    finally:
        os.close(descriptor)


def _near(real: Path) -> str | None:
    from orchestrator.spec.suggest import did_you_mean

    try:
        names = [entry.name for entry in os.scandir(real.parent)][:1000]
    except OSError:
        return None
    return did_you_mean(real.name, names)


def listing(places: Places, path: str, pattern: str | None, recursive: bool) -> dict[str, JSON]:
    """Entries below a folder, folders with a `/` at the end, links with an `@`."""
    folder = places.find(path)
    if not folder.is_dir():
        raise TaskError("tool", f"there is no folder {path!r}")
    found: list[str] = []
    looked = Looked()
    for entry in walk(places, folder, deep=recursive or "/" in (pattern or ""), looked=looked):
        below = Path(entry.path).relative_to(folder).as_posix()
        if pattern is not None and not fits(below, pattern):
            continue
        if len(found) == ENTRIES_MAX:
            looked.all = False
            break
        found.append(below + _sign(entry))
    made: dict[str, JSON] = {"path": places.shown(folder), "entries": found}
    return {**made, **looked.left_out()}


class Looked:
    """How far a walk came."""

    def __init__(self) -> None:
        self.count = 0
        self.all = True
        self.closed = 0
        """What permissions keep from the agent; what is below it is not counted."""

    def left_out(self) -> dict[str, JSON]:
        """What a result says of it."""
        return ({} if self.all else {"incomplete": True}) | ({"denied": self.closed} if self.closed else {})


def walk(places: Places, folder: Path, *, deep: bool, looked: Looked) -> Iterator[os.DirEntry[str]]:
    """What is visible below a folder, in order of the names, folders before what is in them. Links are not followed."""
    try:
        with os.scandir(folder) as entries:
            kept = visible(entries, places, folder)
    except OSError:
        looked.all = False
        return
    for entry in kept:
        if places.is_closed(Path(entry.path)):
            looked.closed += 1
            continue
        looked.count += 1
        if looked.count > WALKED_MAX:
            looked.all = False
            return
        yield entry
        if deep and entry.is_dir(follow_symlinks=False):
            yield from walk(places, Path(entry.path), deep=True, looked=looked)


def fits(below: str, pattern: str) -> bool:
    """Whether a path below the folder fits a glob; a glob without `/` is for the name alone."""
    if "/" not in pattern:
        return fnmatchcase(below.rpartition("/")[2], pattern)
    return fnmatchcase(below, pattern) or (pattern.startswith("**/") and fnmatchcase(below, pattern[3:]))


def _sign(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "@"
    return "/" if entry.is_dir(follow_symlinks=False) else ""
