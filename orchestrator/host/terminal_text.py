"""Text from outside, made harmless for a terminal and a log."""

from __future__ import annotations

import re
from typing import Final

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029\u0085"
_INVISIBLE = "\u200b\u2060\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}{_SEPARATORS}{_INVISIBLE}\ud800-\udfff]")


def clean_terminal(text: str) -> str:
    """Control, bidi and invisible characters become visible signs, so that no output can move the cursor, recolour, hide or
    reorder what a person reads. Line feeds and tabs stay; a carriage return becomes a line feed. Idempotent.
    """
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(_visible, text.replace("\r\n", "\n").replace("\r", "\n"))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"
