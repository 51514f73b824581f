"""What the other end of our streams can show: a terminal or not, colours, width, characters; and what may be sent there."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TextIO

from orchestrator.host.terminal_text import clean_terminal

ColorChoice = Literal["auto", "always", "never"]

_ANSI: Final = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
}  # fmt: skip

_SEQUENCES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC and other strings: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"  # short ones
    r"|\x9b[0-?]*[ -/]*[@-~]"
)


def clean(text: str) -> str:
    """Text of a task, model or tool as it may reach a terminal.

    Escape sequences are dropped whole (their harmless-looking rest would be noise); other control, bidirectional and
    invisible characters become visible signs; line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return clean_terminal(_SEQUENCES.sub("", text))


def clean_line(text: str) -> str:
    """The same on one line: newlines and tabs become spaces."""
    return " ".join(clean(text).split())


def cell_width(text: str) -> int:
    """Columns the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """At most `width` columns, with an ellipsis where something was cut."""
    if cell_width(text) <= width:
        return text
    taken, used = [], 0
    for c in text:
        used += cell_width(c)
        if used > width - 1:
            break
        taken.append(c)
    return "".join(taken).rstrip() + "…" if width > 0 else ""


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def wants_color(choice: ColorChoice, terminal: bool, environ: Mapping[str, str]) -> bool:
    """`--color` decides; then NO_COLOR, FORCE_COLOR, TERM=dumb, CI; then whether it is a terminal."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return terminal and environ.get("TERM") != "dumb" and not environ.get("CI")


@dataclass(frozen=True, slots=True)
class Screen:
    """One output stream and what it can show."""

    stream: TextIO
    terminal: bool
    color: bool
    unicode: bool

    @classmethod
    def of(cls, stream: TextIO, choice: ColorChoice = "auto", environ: Mapping[str, str] = os.environ) -> Screen:
        terminal = is_terminal(stream)
        encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
        return cls(stream, terminal, wants_color(choice, terminal, environ), encoding.startswith("utf"))

    @property
    def width(self) -> int:
        """Columns; what is not a terminal is never wrapped or cut."""
        return shutil.get_terminal_size((100, 24)).columns if self.terminal else 100_000

    @property
    def height(self) -> int:
        return shutil.get_terminal_size((100, 24)).lines

    def style(self, text: str, *styles: str) -> str:
        """The text in the colours named (`red`, `bold`, …), if this stream shows colours."""
        if not (self.color and styles and text):
            return text
        return f"\x1b[{';'.join(_ANSI[name] for name in styles)}m{text}\x1b[0m"

    def write(self, text: str) -> None:
        """Write and flush; characters that the stream cannot encode are replaced."""
        if not self.unicode:
            text = (
                text.translate(_PLAIN)
                .encode(self.stream.encoding or "ascii", "replace")
                .decode(self.stream.encoding or "ascii")
            )
        self.stream.write(text)
        self.stream.flush()

    def line(self, text: str = "") -> None:
        self.write(text + "\n")


# What we write ourselves, for streams without Unicode.
_PLAIN: Final = str.maketrans(
    {"✓": "+", "✗": "x", "●": "*", "◌": ".", "⏸": "?", "⊘": "-", "↻": "~", "…": "...", "·": "-", "→": "->", "–": "-",
     "│": "|", "├": "|", "└": "`", "─": "-", "⚠": "!", "■": "#"}
)  # fmt: skip


def stdout(choice: ColorChoice = "auto") -> Screen:
    return Screen.of(sys.stdout, choice)


def stderr(choice: ColorChoice = "auto") -> Screen:
    return Screen.of(sys.stderr, choice)


def can_ask() -> bool:
    """A person sits in front of us: both where we read and where we write is a terminal."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)
