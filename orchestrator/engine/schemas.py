"""Does a value fit a JSON Schema? Ours are checked by the core's fast checker; a user's own, with any other word, by jsonschema."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

JSON = Any


def problems(schema: dict[str, Any], value: JSON) -> list[str]:
    """What is wrong with `value`, one sentence each with its path; empty if it fits."""
    from orchestrator.core.expressions import can_check, check_value

    if can_check(schema):
        return [str(problem) for problem in check_value(schema, value)]
    validator = _validator(msgspec.json.encode(schema, order="sorted"))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Any:
    from jsonschema import Draft202012Validator  # heavy: only for schemas beyond our own words

    return Draft202012Validator(msgspec.json.decode(schema), format_checker=Draft202012Validator.FORMAT_CHECKER)
