"""Does a value fit a JSON Schema? Ours are checked by the core's fast checker; a user's own, with any other word, by jsonschema."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from orchestrator.host.json_schema import UnusableSchemaError, misfits, validator

JSON = Any


def problems(schema: dict[str, Any], value: JSON) -> list[str]:
    """What is wrong with `value`, one sentence each with its path; empty if it fits."""
    from orchestrator.core.expressions import can_check, check_value

    if can_check(schema):
        return [str(problem) for problem in check_value(schema, value)]
    try:
        found = misfits(_validator(msgspec.json.encode(schema, order="sorted")), value)
    except UnusableSchemaError as error:
        return [f"the JSON Schema itself cannot be used: {error}"]
    return [f"{error.json_path}: {error.message}" for error in found]


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Any:
    return validator(msgspec.json.decode(schema), formats=True)
