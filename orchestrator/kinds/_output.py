"""From what a command put out to a value."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final, NoReturn

from orchestrator.errors import TaskError
from orchestrator.kinds._processes import text_of

JSON = Any
FILE_LIMIT: Final = 64 * 1024 * 1024


def text_value(stdout: bytes) -> str:
    """Standard output without blank ends; the first line keeps its indentation."""
    return text_of(stdout).rstrip().lstrip("\r\n")


def read_output_file(path: Path) -> str | None:
    """What was written to `$WHISPER_OUTPUT`; None if nothing. Raises TaskError `invalid_output`."""
    try:
        # A command may have put anything there: a link out, or a pipe that never ends.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TaskError("invalid_output", f"$WHISPER_OUTPUT cannot be read: {error.strerror}") from None
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise TaskError("invalid_output", "$WHISPER_OUTPUT is no ordinary file any more")
    with os.fdopen(descriptor, "rb") as file:
        if info.st_size > FILE_LIMIT:
            raise TaskError(
                "invalid_output",
                f"$WHISPER_OUTPUT holds {info.st_size >> 20} MiB, which is more than {FILE_LIMIT >> 20} MiB",
                help="write it to a file in $WHISPER_RUN_DIR/artifacts and give its path",
            )
        data = file.read(FILE_LIMIT)
    path.unlink(missing_ok=True)
    return text_of(data) if data.strip() else None


def json_value(text: str, where: str, schema: dict[str, JSON] | None) -> JSON:
    """`text` as the one JSON value it must be. Where the schema only takes text, or takes text too and this is no JSON, text.

    Raises TaskError `invalid_output` that names `where` and the place.
    """
    if schema is not None and (schema.get("type") == "string" or schema.get("format") == "file"):
        return text
    import json

    try:
        value = json.loads(text, parse_constant=_no_number, parse_int=_whole_number)
        if "\\ud" in text.lower():
            # Half a surrogate pair is valid JSON and no text.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError:
        raise TaskError("invalid_output", f"{where} is nested too deeply to be read") from None
    except ValueError as error:
        if schema is not None and takes_text(schema):
            return text
        raise TaskError(
            "invalid_output", f"{where} is not one JSON value: {error}{_excerpt(text)}", help=_help_for(text, where)
        ) from None


def takes_text(schema: dict[str, JSON]) -> bool:
    kinds = schema.get("type")
    if kinds == "string" or (isinstance(kinds, list) and "string" in kinds):
        return True
    if "const" in schema:
        return isinstance(schema["const"], str)
    if "enum" in schema:
        return any(isinstance(value, str) for value in schema["enum"])
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return any(takes_text(branch) for branch in branches)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _whole_number(digits: str) -> int:
    # Looked at by length first: reading a number of a million digits takes minutes.
    if len(digits) < 25 and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    raise ValueError(f"{digits[:24]} is a number of more than 64 bits: write it as text")


def _excerpt(text: str) -> str:
    first = text.strip()[:60]
    return f" in {first!r}" if first else " (it is empty)"


def _help_for(text: str, where: str) -> str:
    if where.startswith("$"):
        return "write exactly one JSON value to it"
    return "print one JSON value and nothing else (messages belong on standard error), or write it to $WHISPER_OUTPUT"
