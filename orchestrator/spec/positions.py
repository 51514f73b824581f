"""Where things stand: offsets to lines and columns, and offsets inside a scalar's *value* back to the file.

The loader keeps offsets only (code points from the start of the text); lines are counted when somebody asks.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from functools import cached_property
from typing import Any, Final, NamedTuple

from orchestrator.spec.diagnostics import Span

PLAIN: Final = ""
SINGLE: Final = "'"
DOUBLE: Final = '"'
LITERAL: Final = "|"
FOLDED: Final = ">"
FLOW_MAP: Final = "{"
FLOW_LIST: Final = "["
BLOCK_MAP: Final = ":"
BLOCK_LIST: Final = "-"

_BREAK: Final = re.compile(r"\r\n|\n|\r")
_ANCHOR: Final = re.compile(r"&[^\s,\[\]{}]+[ \t]*")


class TreeNode(NamedTuple):
    """One node of the file: `[start, end)` in the text, its style, and for a scalar the text YAML read from it.

    `kids` is None for a scalar, a list of nodes, or name → (key node, value node). The loader builds plain tuples of this
    shape (a NamedTuple costs three times as much) and `Document.node` dresses them.
    """

    start: int
    end: int
    style: str
    raw: str | None
    kids: Any


class LineIndex:
    """Offsets ↔ lines and columns of one text. `\\n`, `\\r\\n` and a lone `\\r` end a line, as in editors."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def starts(self) -> array[int]:
        starts = array("I", (0,))  # four bytes a line: a file may be nothing but line ends
        starts.extend(found.end() for found in _BREAK.finditer(self.text))
        return starts

    def place(self, offset: int) -> tuple[int, int]:
        """(line, column), both from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        return Span(*self.place(start), *self.place(max(start, end)))

    def offset(self, line: int, column: int) -> int:
        """The inverse of `place`; clipped to the text."""
        if line > len(self.starts):
            return len(self.text)
        return min(self.starts[max(line, 1) - 1] + max(column, 1) - 1, len(self.text))

    def line_text(self, line: int) -> str:
        """A line without its end; empty past the last."""
        if not 1 <= line <= len(self.starts):
            return ""
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return self.text[self.starts[line - 1] : end].rstrip("\r\n")


def content_start(text: str, node: TreeNode) -> int:
    """Where the value itself begins: behind an anchor."""
    if text.startswith("&", node.start) and (found := _ANCHOR.match(text, node.start, node.end)):
        return found.end()
    return node.start


def value_offsets(text: str, node: TreeNode) -> list[int] | None:
    """For each character of a scalar's value its offset in the text, plus one entry for the end.

    Rebuilds the value from the source and compares: None where the two differ, so an answer is never a wrong place.
    """
    if node.raw is None:
        return None
    start = content_start(text, node)
    if node.style in (LITERAL, FOLDED):
        return _block_offsets(text, start, node)
    if (
        node.style == PLAIN
        and "\n" not in node.raw
        and text.startswith(node.raw, start)
        and node.end - start == len(node.raw)
    ):
        return list(range(start, node.end + 1))
    quoted = node.style in (SINGLE, DOUBLE)
    pieces = _flow_pieces(text, start + quoted, node.end - quoted, node.style)
    return _checked(pieces, node.raw, node.end - quoted)


def _checked(pieces: list[tuple[str, int]], raw: str, end: int) -> list[int] | None:
    built = "".join(piece for piece, _ in pieces)
    if built[: len(raw)] != raw or built[len(raw) :].strip("\n"):
        return None
    offsets = [offset for piece, offset in pieces for _ in piece]
    return [*offsets[: len(raw)], offsets[len(raw)] if len(offsets) > len(raw) else end]


_ESCAPES: Final = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b", " ": " ",
    '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
_FOLD: Final = re.compile(r"[ \t]*(?:(?:\r\n|\n|\r)[ \t]*)+")


def _flow_pieces(text: str, start: int, end: int, style: str) -> list[tuple[str, int]]:
    """(characters of the value, where they come from) of a plain or quoted scalar, lines folded and escapes read."""
    pieces: list[tuple[str, int]] = []
    at = start
    while at < end:
        char = text[at]
        if char in " \t\r\n" and (fold := _FOLD.match(text, at, end)):
            breaks = len(_BREAK.findall(fold.group()))
            pieces.append((" " if breaks == 1 else "\n" * (breaks - 1), at))
            at = fold.end()
        elif style == SINGLE and char == "'":
            pieces.append(("'", at))
            at += 2
        elif style == DOUBLE and char == "\\":
            piece, length = _escape(text, at)
            pieces.append((piece, at))
            at += length
        else:
            pieces.append((char, at))
            at += 1
    return pieces


def _escape(text: str, at: int) -> tuple[str, int]:
    """(what the escape at `at` stands for, its length); an escaped line break stands for nothing."""
    letter = text[at + 1]
    if letter in _HEX_DIGITS:
        digits = _HEX_DIGITS[letter]
        return chr(int(text[at + 2 : at + 2 + digits], 16)), 2 + digits
    if letter in "\r\n":
        found = re.compile(r"\\(?:\r\n|\n|\r)[ \t]*").match(text, at)
        return "", found.end() - at if found else 2
    return _ESCAPES.get(letter, letter), 2


_HEADER: Final = re.compile(r"[|>]([-+0-9]*)[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|$)")


def _block_offsets(text: str, start: int, node: TreeNode) -> list[int] | None:
    assert node.raw is not None
    header = _HEADER.match(text, start, node.end)
    if header is None:
        return None
    lines = _lines(text, header.end(), node.end)
    first = next((text[a:b] for a, b, _ in lines if text[a:b].strip(" ")), "")
    indent = len(first) - len(first.lstrip(" "))
    # An explicit indentation indicator counts from the parent, which we do not know: try, and let the comparison decide.
    explicit = any(char.isdigit() for char in header.group(1))
    for candidate in range(indent, 0, -1) if explicit else [indent]:
        found = _checked(_block_pieces(text, lines, candidate, folded=node.style == FOLDED), node.raw, node.end)
        if found is not None:
            return found
    return None


def _lines(text: str, start: int, end: int) -> list[tuple[int, int, int]]:
    """(start, end without the break, start of the next) of every line in the range."""
    lines = []
    while start < end:
        found = _BREAK.search(text, start, end)
        stop, after = found.span() if found else (end, end)
        lines.append((start, stop, after))
        start = after
    return lines


def _block_pieces(text: str, lines: list[tuple[int, int, int]], indent: int, *, folded: bool) -> list[tuple[str, int]]:
    pieces: list[tuple[str, int]] = []
    breaks: list[int] = []  # offsets of the line ends since the last line with content
    after_indented = False
    for start, stop, _ in lines:
        content = min(start + indent, stop)
        if not text[start:stop].strip(" ") and stop - start <= indent:
            breaks.append(stop)
            continue
        indented = text[content] in " \t"
        foldable = folded and pieces and not after_indented and not indented
        if foldable and len(breaks) == 1:
            pieces.append((" ", breaks[0]))
        else:
            pieces.extend(("\n", offset) for offset in (breaks[1:] if foldable else breaks))
        breaks = []
        pieces.extend((text[at], at) for at in range(content, stop))
        after_indented = indented
        breaks.append(stop)
    pieces.extend(("\n", offset) for offset in breaks)
    return pieces
