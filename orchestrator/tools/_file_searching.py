"""`files.search`: where a text or a pattern stands, in time linear in what is searched, whatever the pattern."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.tools._file_reading import Looked, fits, text_of, walk
from orchestrator.tools._places import Places

JSON = Any

MATCHES_MAX: Final = 200
LINE_SHOWN: Final = 300
SEARCHED_BYTES: Final = 64 * 1024 * 1024
SEARCH_S: Final = 20.0
_STEPS: Final = 10**12
"""The pattern's own steps are bounded by the time, not by a count."""

Fits = Callable[[str], bool]


def search(places: Places, path: str, *, fitting: Fits, glob: str | None, most: int) -> dict[str, JSON]:
    """Matches as `{path, line, text}` in order of the paths; `incomplete` where a bound ended the search."""
    start = places.find(path)
    if not start.exists():
        raise TaskError("tool", f"there is no {path!r}")
    looked, matches, size = Looked(), list[JSON](), 0
    until = time.monotonic() + SEARCH_S
    for file in _files(places, start, glob, looked):
        try:
            text = text_of(file, places.shown(file))
        except TaskError:
            continue  # binary, too large, or gone meanwhile: nothing to find there
        size += len(text)
        for number, line in enumerate(text.splitlines(), 1):
            if fitting(line):
                matches.append({"path": places.shown(file), "line": number, "text": line.strip()[:LINE_SHOWN]})
                if len(matches) >= most:
                    looked.all = False
                    return {"matches": matches, **looked.left_out()}
            if not number % 256 and time.monotonic() > until:
                break
        if size > SEARCHED_BYTES or time.monotonic() > until:
            looked.all = False
            break
    return {"matches": matches, **looked.left_out()}


def _files(places: Places, start: Path, glob: str | None, looked: Looked) -> Iterator[Path]:
    if start.is_file():
        yield start
        return
    for entry in walk(places, start, deep=True, looked=looked):
        below = Path(entry.path).relative_to(start).as_posix()
        if entry.is_file(follow_symlinks=False) and (glob is None or fits(below, glob)):
            yield Path(entry.path)


def text_fits(wanted: str, ignore_case: bool) -> Fits:
    if not ignore_case:
        return lambda line: wanted in line
    folded = wanted.casefold()
    return lambda line: folded in line.casefold()


def pattern_fits(said: str, ignore_case: bool) -> Fits:
    """Raises TaskError `tool` if it is no pattern."""
    from orchestrator.core.expressions.faults import Fault
    from orchestrator.core.expressions.patterns import pattern
    from orchestrator.core.expressions.values import Context, Limits

    try:
        read = pattern(f"(?i){said}" if ignore_case else said)
    except Fault as fault:
        raise TaskError("tool", f"the pattern cannot be read: {fault}") from None
    context = Context(lambda name, otherwise: otherwise, 0.0, Limits(steps=_STEPS))
    return lambda line: read.found_in(line, context)
