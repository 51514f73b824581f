"""The files that travel with the program: JSON Schemas, example workflows, default configuration.

In an installed wheel they are `orchestrator/data/<kind>/`; in a checkout they are the folders at its root, so that
what a developer edits is what runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

from orchestrator.errors import NotFoundError

ResourceKind = Literal["schemas", "workflows", "config"]

_PACKAGE: Final = Path(__file__).resolve().parents[1]


def resource_folder(kind: ResourceKind) -> Path:
    """The folder that holds all of a kind. Raises NotFoundError if this installation lacks it."""
    assert kind in get_args(ResourceKind), kind
    for folder in (_PACKAGE / "data" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise NotFoundError(f"this installation has no {kind}", help="install whisper-flow again")


def resource_names(kind: ResourceKind, suffix: str = "") -> list[str]:
    """Names below the folder, sorted, `/` between parts: what `resource` takes. `suffix` keeps those that end so."""
    folder = resource_folder(kind)
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        p.as_posix() for p in found if p.name.endswith(suffix) and not {"__pycache__", ".whisper-flow"} & set(p.parts)
    )


def resource(kind: ResourceKind, name: str) -> Path:
    """The path of one file. Raises NotFoundError, with near names, if there is none, and for a name that leads
    elsewhere.
    """
    folder = resource_folder(kind)
    path = folder / name
    if path.resolve().is_relative_to(folder) and path.is_file():
        return path
    from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

    raise NotFoundError(f"there is no {name!r} among the {kind}", help=did_you_mean(name, resource_names(kind)))


def resource_bytes(kind: ResourceKind, name: str) -> bytes:
    """The content of one file. Raises NotFoundError as `resource` does."""
    return resource(kind, name).read_bytes()
