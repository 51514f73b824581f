"""Finds plug-ins: one file each in their folder, discovered by the file's name, never listed, imported when asked for.

A file whose name starts with `_` serves the plug-ins beside it and is none itself. A hyphen in a name is an underscore
in the file's: `tool-caller` is `tool_caller.py`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from orchestrator.errors import NotFoundError


@functools.cache
def names(package: str) -> tuple[str, ...]:
    """The plug-ins in a package, sorted, as users write them. Imports the package, none of its modules."""
    path = importlib.import_module(package).__path__
    found = (m.name for m in pkgutil.iter_modules(path) if not m.ispkg and not m.name.startswith("_"))
    return tuple(sorted(name.replace("_", "-") for name in found))


def find(package: str, name: str, *, noun: str = "plug-in") -> ModuleType:
    """The module that is named like the plug-in, imported. Raises NotFoundError with up to three near names."""
    if name.replace("_", "-") not in names(package):
        raise NotFoundError(f"unknown {noun} {name!r}", help=_suggestion(name, names(package)))
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def load(package: str, name: str, attribute: str, *, noun: str = "plug-in") -> Any:
    """The object a plug-in's file offers under `attribute` (`KIND`, `PROVIDER`, …); a file without it is our bug."""
    module = find(package, name, noun=noun)
    assert hasattr(module, attribute), f"{module.__name__} defines no {attribute}"
    return getattr(module, attribute)


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    import difflib  # only when somebody mistyped

    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"`{word}`" for word in near) + "?"
    return "there are: " + ", ".join(known[:10])
