"""Patterns over tool calls, as people write them under `permissions`: `tool` or `tool:argument=glob`."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

_PATTERN: Final = re.compile(r"(?P<tool>.+?)(?::(?P<argument>[A-Za-z_]\w*)=(?P<glob>.*))?", re.DOTALL)


@dataclass(slots=True, frozen=True)
class Pattern:
    text: str
    """As it was written."""
    tool: str
    argument: str | None = None
    glob: str = "*"


@functools.cache
def parse_pattern(text: str) -> Pattern:
    """`files.write:path=docs/*`; a colon that no `name=` follows belongs to the tool's name (`reports:count`)."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        return Pattern(text, text)
    return Pattern(text, found["tool"], found["argument"], found["glob"] if found["argument"] else "*")


def matches(glob: str, text: str) -> bool:
    """`*` is any characters, none included. Takes time in proportion to both lengths, whatever they hold."""
    first, *rest = glob.split("*")
    if not rest:
        return text == glob
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
