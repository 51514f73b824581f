"""The user's text, made harmless for terminals and pages, and its width on a screen."""

from __future__ import annotations

import unicodedata
from typing import Final

TAB_COLUMNS: Final = 4
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_char(char: str, column: int = 0) -> str:
    """What is shown for one character: itself, spaces for a tab, `<U+202E>` for what a terminal would obey."""
    if char == "\t":
        return " " * (TAB_COLUMNS - column % TAB_COLUMNS)
    if char in _BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
        return f"<U+{ord(char):04X}>"
    return char


def clean(text: str) -> str:
    """A text that may stand in a line of a report; line breaks become `\\n`."""
    if text.isprintable():
        return text
    return "".join("\\n" if char == "\n" else clean_char(char) for char in text)


def width(char: str) -> int:
    """Columns a character takes in a terminal."""
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def text_width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(width, text))
