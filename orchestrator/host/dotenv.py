"""A project's `.env`: lines of `NAME=value`. It gives inputs and declared secrets, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

SIZE_MAX: Final = 256 * 1024
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_ESCAPES: Final = {"\\n": "\n", "\\t": "\t", "\\r": "\r", '\\"': '"', "\\\\": "\\"}


def read_dotenv(path: Path) -> dict[str, str]:
    """Name → value; empty if there is no such file. Lines that say nothing are passed over.

    Values may stand in single quotes (taken as they are) or double quotes (with `\\n`, `\\t`, `\\"`); `# …` after a blank ends
    a value without quotes. Nothing is expanded.
    """
    try:
        text = path.read_bytes()[:SIZE_MAX].decode("utf-8-sig", "replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for row in text.splitlines():
        match = _LINE.fullmatch(row)
        if match is not None and not row.lstrip().startswith("#"):
            found[match[1]] = _value(match[2])
    return found


def _value(text: str) -> str:
    if text[:1] == "'" and (end := text.find("'", 1)) > 0:
        return text[1:end]
    if quoted := re.match(r'"((?:[^"\\]|\\.)*)"', text):
        return re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), quoted[1])
    return re.split(r"\s+#", text, maxsplit=1)[0]
