"""The filters on text and single values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from orchestrator.core.expressions.faults import Fault, TooMuch
from orchestrator.core.expressions.patterns import pattern
from orchestrator.core.expressions.signatures import REQUIRED, Signature
from orchestrator.core.expressions.values import INT_MAX, INT_MIN, JSON, Context, kind, number, to_json, to_text

_MANY_DIGITS = re.compile(r"\d{19}")
_WHOLE = re.compile(r"[+-]?\d{1,25}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def text_of(name: str, value: JSON) -> str:
    if type(value) is str:
        return value
    raise Fault(
        f"`{name}` takes text, not {kind(value)}", "make it text first: `| string`" if value is not None else None
    )


def _count_of(name: str, argument: str, value: JSON, least: int = 0, most: int = 1_000_000_000) -> int:
    if type(value) is int and least <= value <= most:
        return value
    raise Fault(f"`{argument}` of `{name}` is a whole number from {least} to {most:,}")


def _numeric(name: str, value: JSON) -> JSON:
    if type(value) is int or type(value) is float:
        return value
    help = f"make it a number first: `| float | {name}`" if isinstance(value, str) else None
    raise Fault(f"`{name}` takes a number, not {kind(value)}", help)


def _plain(name: str, change: Callable[[str], str]) -> Signature:
    def run(context: Context, value: JSON) -> str:
        context.grow(len(text_of(name, value)))
        return change(value)

    return Signature(name, run)


def _split(context: Context, value: JSON, sep: JSON) -> list[str]:
    text = text_of("split", value)
    context.grow(len(text))
    if sep is None:
        return text.split()
    if text_of("split", sep) == "":
        raise Fault("`split` cannot split at empty text", "`| list` gives the characters")
    return text.split(sep)


def split_lines(text: str) -> list[str]:
    """At \\n and \\r\\n only; a last line end adds no empty line."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def _lines(context: Context, value: JSON) -> list[str]:
    context.grow(len(text_of("lines", value)))
    return split_lines(value)


def _replace(context: Context, value: JSON, a: JSON, b: JSON) -> str:
    text, old, new = text_of("replace", value), text_of("replace", a), text_of("replace", b)
    growth = (text.count(old) * max(len(new) - len(old), 0)) if len(new) > len(old) else 0
    context.grow(len(text) + growth)
    return text.replace(old, new)


def _truncate(context: Context, value: JSON, n: JSON) -> str:
    text = text_of("truncate", value)
    length = _count_of("truncate", "n", n, 1)
    context.grow(min(len(text), length))
    return text if len(text) <= length else text[: length - 1] + "…"


def _indent(context: Context, value: JSON, n: JSON) -> str:
    first, *rest = text_of("indent", value).split("\n")
    margin = " " * _count_of("indent", "n", n, most=1_000)
    context.grow(len(value) + len(margin) * len(rest))
    return "\n".join([first, *(margin + line if line else line for line in rest)])


def _matches(context: Context, value: JSON, re: JSON) -> bool:
    return pattern(text_of("matches", re)).found_in(text_of("matches", value), context)


def _check_pattern(arguments: list[JSON]) -> None:
    if isinstance(arguments[0], str):
        if "\b" in arguments[0]:
            raise Fault("`\\b` in quotes is a backspace", "write `\\\\b` for the border of a word")
        pattern(arguments[0])


def _int(context: Context, value: JSON) -> int:
    match value:
        case bool():
            return int(value)
        case int():
            return value
        case float():
            return int(number(int(value)))
        case str() if _WHOLE.fullmatch(value.strip()):
            return int(number(int(value)))
        case str() if _FLOAT.fullmatch(value.strip()) and len(value) <= 64:
            return int(number(int(_finite(value))))
    raise Fault(f"{_shown(value)} is not a whole number")


def _float(context: Context, value: JSON) -> float:
    match value:
        case int() | float():
            return float(value)
        case str() if len(value) <= 400 and _FLOAT.fullmatch(value.strip()):
            return _finite(value)
    raise Fault(f"{_shown(value)} is not a number")


def _finite(text: str) -> float:
    return float(number(float(text)))


def _shown(value: JSON) -> str:
    return f"{value[:40]!r}" if isinstance(value, str) else kind(value)


def _string(context: Context, value: JSON) -> str:
    return to_text(value, context)


def _round(context: Context, value: JSON, n: JSON) -> JSON:
    if type(n) is not int or not -30 <= n <= 30:
        raise Fault("`n` of `round` is a whole number from -30 to 30")
    return number(round(_numeric("round", value), n))


def _abs(context: Context, value: JSON) -> JSON:
    return number(abs(_numeric("abs", value)))


def _tojson(context: Context, value: JSON) -> str:
    return to_json(value, context)


def _fromjson(context: Context, value: JSON) -> JSON:
    text = text_of("fromjson", value)
    context.grow(len(text))
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Fault(f"not valid JSON: {str(error)[:120]}") from None
    if _MANY_DIGITS.search(text):
        _refuse_long_numbers(found)
    return found


def _refuse_long_numbers(value: JSON) -> None:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif type(part) is int and not INT_MIN <= part <= INT_MAX:
            raise TooMuch("the JSON holds a whole number beyond 64 bits")


def _urlencode(context: Context, value: JSON) -> str:
    from urllib.parse import quote, quote_plus  # here and below: modules that most runs do not need

    if isinstance(value, dict):
        pairs = [
            f"{_quoted(key, quote_plus)}={_quoted(to_text(part, context), quote_plus)}" for key, part in value.items()
        ]
        encoded = "&".join(pairs)
    elif isinstance(value, list):
        raise Fault("`urlencode` takes text or a map, not a list")
    else:
        encoded = _quoted(to_text(value, context), quote)
    context.grow(len(encoded))
    return encoded


def _quoted(text: str, how: Callable[[bytes], str]) -> str:
    return how(_utf8(text))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Fault("text with half of a surrogate pair: not valid Unicode") from None


def _sha256(context: Context, value: JSON) -> str:
    import hashlib

    text = text_of("sha256", value)
    context.grow(len(text))
    return hashlib.sha256(_utf8(text)).hexdigest()


def _date(context: Context, value: JSON, pattern: JSON, tz: JSON, plus: JSON) -> str:
    from orchestrator.core.expressions.dates import format_date

    context.grow(len(pattern) if isinstance(pattern, str) else 0)
    return format_date(value, pattern, tz, plus)


TEXT_FILTERS: Final = {
    signature.name: signature
    for signature in (
        Signature("split", _split, (("sep", None),)),
        Signature("lines", _lines),
        _plain("trim", str.strip),
        _plain("lower", str.lower),
        _plain("upper", str.upper),
        Signature("replace", _replace, (("a", REQUIRED), ("b", REQUIRED))),
        Signature("truncate", _truncate, (("n", REQUIRED),)),
        Signature("indent", _indent, (("n", 4),)),
        Signature("matches", _matches, (("re", REQUIRED),), _check_pattern),
        Signature("int", _int),
        Signature("float", _float),
        Signature("string", _string),
        Signature("round", _round, (("n", 0),)),
        Signature("abs", _abs),
        Signature("tojson", _tojson),
        Signature("fromjson", _fromjson),
        Signature("urlencode", _urlencode),
        Signature("sha256", _sha256),
        Signature("date", _date, (("format", "%Y-%m-%d"), ("tz", None), ("plus", None))),
    )
}
