"""A tool's two names: the one people write, and the one that goes over the wire to a model."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orchestrator.ports.tool import Tool

WIRE_LENGTH_MAX: Final = 64
_NOT_WIRE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_GLOB: Final = re.compile(r"[*?\[]")


def is_glob(name: str) -> bool:
    return _GLOB.search(name) is not None


def wants(wanted: Iterable[str], name: str) -> bool:
    """Whether any of `wanted` (names and globs) is this tool."""
    return any(word == name or fnmatchcase(name, word) for word in wanted)


def wire_name(name: str) -> str:
    """What every provider accepts: letters, digits, `_` and `-`, at most 64. The same name always gives the same."""
    plain = _NOT_WIRE.sub("_", name).strip("_")
    if not plain:
        return f"tool_{_mark(name)}"
    return plain if len(plain) <= WIRE_LENGTH_MAX else _marked(plain, name)


def with_unique_wire_names(tools: Sequence[Tool]) -> list[Tool]:
    """The same tools in the same order, no two with one wire name. Who is renamed follows from the names alone."""
    taken: set[str] = set()
    renamed: dict[str, Tool] = {}
    for tool in sorted(tools, key=lambda one: one.name):
        wire = tool.spec.name
        if wire in taken:
            wire = _marked(wire, tool.name)
            tool.spec = dataclasses.replace(tool.spec, name=wire)
        taken.add(wire)
        renamed[tool.name] = tool
    return [renamed[tool.name] for tool in tools]


def _marked(wire: str, name: str) -> str:
    mark = _mark(name)
    return f"{wire[: WIRE_LENGTH_MAX - len(mark) - 1]}_{mark}"


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
