"""`ai_worker_definitions.json` and `ai_worker_performance_data.json`: arrays of the nouns, written whole or not at all.

Keys are written in snake_case and read in camelCase too. A key that stands inline in a definition is never written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from orchestrator.host.whole_files import PRIVATE, replace_file
from orchestrator.workers.definitions import WorkerDefinition, read_definition
from orchestrator.workers.errors import InvalidArgumentError, WorkerInternalError, WorkerNotFoundError
from orchestrator.workers.performance import PerformanceRecord
from orchestrator.workers.reading import read_noun

DEFINITIONS_FILE: Final = "ai_worker_definitions.json"
PERFORMANCE_FILE: Final = "ai_worker_performance_data.json"
FILE_SIZE_MAX: Final = 256 * 1024 * 1024

T = TypeVar("T")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
"""Every digit of an amount, as a number."""


class Saved(NamedTuple):
    path: Path
    rows: int
    keys_left_out: tuple[str, ...] = ()
    """Ids of definitions whose inline key was not written."""


def write_definitions(folder: Path, definitions: Iterable[WorkerDefinition]) -> Saved:
    """Raises WorkerInternalError if the disk refuses."""
    kept = sorted(definitions, key=lambda one: one.definition_id)
    left_out = tuple(one.definition_id for one in kept if one.auth is not None and one.auth.inline)
    path = folder / DEFINITIONS_FILE
    _write(path, [one.shown() for one in kept])
    return Saved(path, len(kept), left_out)


def read_definitions(path: Path) -> list[WorkerDefinition]:
    """Raises WorkerNotFoundError, InvalidArgumentError naming the place."""
    found = _rows(_file(path, DEFINITIONS_FILE), lambda row: read_definition(_without_nulls(row), exact=True))
    ids = [one.definition_id for one in found]
    if twice := next((one for one in ids if ids.count(one) > 1), None):
        raise InvalidArgumentError(f"{path.name}: worker `{twice}` stands in it twice")
    return found


def write_performance(folder: Path, records: Iterable[PerformanceRecord]) -> Saved:
    """Raises WorkerInternalError if the disk refuses."""
    rows = sorted(records, key=lambda one: (one.timestamp_start, one.identity))
    path = folder / PERFORMANCE_FILE
    _write(path, rows)
    return Saved(path, len(rows))


def read_performance(path: Path) -> list[PerformanceRecord]:
    """Raises WorkerNotFoundError, InvalidArgumentError naming the place."""
    return _rows(
        _file(path, PERFORMANCE_FILE),
        lambda row: read_noun(PerformanceRecord, row, "performance record", exact=True),
    )


def _file(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path


def _rows(path: Path, read: Callable[[Any], T]) -> list[T]:
    try:
        if path.stat().st_size > FILE_SIZE_MAX:
            raise InvalidArgumentError(f"{path.name} is larger than {FILE_SIZE_MAX // 2**20} MiB")
        data = json.loads(path.read_bytes(), parse_float=Decimal)
    except FileNotFoundError:
        raise WorkerNotFoundError(f"there is no file {str(path)!r}", help="`save` writes it") from None
    except OSError as error:
        raise WorkerInternalError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(data, list):
        raise InvalidArgumentError(f"{path.name} must hold an array, not {type(data).__name__}")
    found = []
    for at, row in enumerate(data):
        try:
            found.append(read(row))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{path.name}[{at}]: {error.message}", help=error.help) from None
    return found


def _without_nulls(row: Any) -> Any:
    return {key: value for key, value in row.items() if value is not None} if isinstance(row, dict) else row


def _write(path: Path, rows: list[Any]) -> None:
    """A crash leaves the old file or the new one, whole. Only its owner may read it."""
    body = msgspec.json.format(_ENCODER.encode(rows), indent=2) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, body, mode=PRIVATE)
    except OSError as error:
        raise WorkerInternalError(f"{path.name} cannot be written: {error.strerror}") from error
