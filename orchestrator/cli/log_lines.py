"""What the engine's own log says while a run is shown: one line among the others, never across the live view.

Warnings of Python itself, which libraries raise for their programmers, are lines with `debug` only.
"""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.cli.terminal import Screen, clean, clean_line


class LogLines(logging.Handler):
    """Warnings and errors as lines; the traceback of an exception only with `debug`, else the place it came from."""

    def __init__(self, tell: Callable[[str], None], screen: Screen, *, debug: bool) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._screen = screen
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._tell(self._line(record))
        except Exception:  # noqa: BLE001 - whatever it is, a log must not end a run
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        word, style = ("error", "red") if record.levelno >= logging.ERROR else ("warning", "yellow")
        told = f"{self._screen.style(word, style)}: {clean_line(record.getMessage())}"
        if error is None:
            return told
        if self._debug:
            return f"{told}\n{clean(''.join(traceback.format_exception(error))).rstrip()}"
        frames = traceback.extract_tb(error.__traceback__)
        return f"{told} ({clean_line(frames[-1].filename)}:{frames[-1].lineno})" if frames else told


@contextmanager
def log_lines(tell: Callable[[str], None], screen: Screen, *, debug: bool) -> Iterator[None]:
    """Takes the log of this package for as long as the body runs."""
    log, lines = logging.getLogger("orchestrator"), LogLines(tell, screen, debug=debug)
    before = log.propagate
    log.addHandler(lines)
    log.propagate = False
    raw = warnings.showwarning
    warnings.showwarning = _programmers_warning if debug else _unheard
    try:
        yield
    finally:
        warnings.showwarning = raw
        log.propagate = before
        log.removeHandler(lines)


def _programmers_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    logging.getLogger("orchestrator.python").warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)


def _unheard(*_: object, **__: object) -> None: ...
