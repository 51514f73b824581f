"""Text to tokens: names, numbers, texts and operators, each with its place. Linear in the text."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from orchestrator.core.expressions.faults import ExpressionError
from orchestrator.core.expressions.values import INT_MAX, JSON

TEXT_MAX: Final = 65_536
"""Characters in one expression."""

NAME, VALUE, STRING, OP, END = "name", "value", "string", "op", "end"


class Token(NamedTuple):
    type: str
    value: JSON
    start: int
    end: int


_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    ([^\W\d]\w*)
    |(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)
    |('[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")
    |(\*\*|//|===?|!==?|<=|>=|&&|\|\||[-+*/%~|.,:()\[\]{}<>=!?])
    )""",
    re.VERBOSE | re.DOTALL,
)
_DIGITS = re.compile(r"\d+")
_SPACE = re.compile(r"[ \t\r\n]*")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"', "/": "/"}

_NOT_OURS: Final = {
    "**": ("powers are not in the language", "multiply instead"),
    "&&": ("`&&` is not an operator here", "write `and`"),
    "||": ("`||` is not an operator here", "write `or`"),
    "!": ("`!` is not an operator here", "write `not`"),
    "===": ("`===` is not an operator here", "write `==`"),
    "!==": ("`!==` is not an operator here", "write `!=`"),
    "?": ("`?` is not an operator here", "write `a if condition else b`, or `x | default(y)`"),
}


def tokenize(text: str, start: int = 0, closing: str = "") -> tuple[list[Token], int]:
    """Tokens from `start` on, an END token last, and the offset where reading stopped.

    With `closing` (`}}` or `%}`) reading stops before it where no bracket is open; without, at the end of the text.
    """
    tokens: list[Token] = []
    at, depth = start, 0
    after_dot = False
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            if at >= len(text) and not closing:
                break
            if depth == 0 and closing == "}}" and text.startswith("}}", at):
                break
            raise _unreadable(text, at, start, closing)
        group = found.lastindex
        begin, end = found.span(group)  # type: ignore[arg-type]
        if end - start > TEXT_MAX:
            raise ExpressionError(f"an expression of more than {TEXT_MAX:,} characters", begin, end)
        value: JSON = found.group(group)  # type: ignore[arg-type]
        if group == 1:
            tokens.append(Token(NAME, value, begin, end))
        elif group == 4:
            if closing and depth == 0 and _closes(text, begin, closing):
                at = begin
                break
            if value in _NOT_OURS:
                message, help = _NOT_OURS[value]
                raise ExpressionError(message, begin, end, help)
            if value in "([{":
                depth += 1
            elif value in ")]}":
                depth -= 1
            tokens.append(Token(OP, value, begin, end))
        elif group == 3:
            tokens.append(Token(STRING, _unescape(value, begin), begin, end))
        else:
            if after_dot:
                end = _DIGITS.match(text, begin).end()  # type: ignore[union-attr]
                value = text[begin:end]
            tokens.append(Token(VALUE, _number(text, value, begin, end), begin, end))
        after_dot = value == "." and group == 4
        at = end
    tokens.append(Token(END, None, at, at))
    return tokens, at


def _closes(text: str, at: int, closing: str) -> bool:
    return text.startswith(closing, at) or (closing == "%}" and text.startswith("-%}", at))


def _unreadable(text: str, at: int, start: int, closing: str) -> ExpressionError:
    if at >= len(text):
        opening = max(start - 3, 0)
        return ExpressionError(f"`{closing}` is missing", opening, len(text), "every `${{` and `{%` needs its end")
    character = text[at]
    if character in "'\"":
        return ExpressionError("text without its closing quote", at, len(text), f"add {character} at the end")
    if character == "$":
        return ExpressionError("`$` inside an expression", at, at + 1, "write the name alone, without `$` and braces")
    if character == "`":
        return ExpressionError("a backtick inside an expression", at, at + 1, "write text in ' or \" quotes")
    return ExpressionError(f"unexpected character {character!r}", at, at + 1)


def _unescape(quoted: str, start: int) -> str:
    body = quoted[1:-1]
    if "\\" not in body:
        return body

    def plain(found: re.Match[str]) -> str:
        code = found.group(1)
        if len(code) == 1:
            # An unknown escape stays as it is, so that patterns such as '\d+' need no second backslash.
            return _PLAIN_ESCAPES.get(code, found.group(0)) if code != "\n" else ""
        point = int(code[1:], 16)
        if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            where = start + 1 + found.start()
            raise ExpressionError(f"`{found.group(0)}` is not a character", where, where + len(found.group(0)))
        return chr(point)

    return _ESCAPE.sub(plain, body)


def _number(text: str, word: str, start: int, end: int) -> int | float:
    if end < len(text) and (text[end].isalnum() or text[end] == "_"):
        while end < len(text) and (text[end].isalnum() or text[end] == "_"):
            end += 1
        raise ExpressionError(f"`{text[start:end]}` is neither a number nor a name", start, end)
    try:
        if word.isdecimal() and len(word) > 1 and word[0] == "0" and word.strip("0"):
            raise ExpressionError(f"the number {word} starts with 0", start, end, f"write {word.lstrip('0')}")
        value = float(word) if _is_float(word) else _whole(word)
    except ValueError:
        raise ExpressionError(f"`{word}` is not a number", start, end) from None
    if (value > INT_MAX and type(value) is int) or not math.isfinite(value):
        raise ExpressionError("the number is too large", start, end, "numbers have at most 64 bits")
    return value


def _whole(word: str) -> int:
    if len(word) > 80:
        return INT_MAX + 1
    return int(word, 0) if word[:2].lower() in ("0x", "0o", "0b") else int(word)


def _is_float(word: str) -> bool:
    return word[:2].lower() != "0x" and ("." in word or "e" in word or "E" in word)
