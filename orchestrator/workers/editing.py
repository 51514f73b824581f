"""Workers changed in people's own YAML: the fewest characters are touched, comments and order stay.

Every edit is read back before it is written: unless the file then says exactly what was asked for, and every comment is still
in it, nothing is written and the error says what to change by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.host.whole_files import replace_file
from orchestrator.workers.declared import FOLDER
from orchestrator.workers.definitions import DURATIONS, WorkerDefinition
from orchestrator.workers.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    WorkerInternalError,
    WorkerNotFoundError,
)

if TYPE_CHECKING:
    from orchestrator.spec.loader import Document
    from orchestrator.spec.positions import TreeNode

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


class Edited(NamedTuple):
    path: Path
    text: str | None
    """The new content; None: the file goes."""


class _Place(NamedTuple):
    path: Path
    document: Document
    keys: tuple[str | int, ...]


def declare(project: Path, definition: WorkerDefinition) -> Path:
    """A new file `config/workers/ID.yaml`. Raises PreconditionFailedError if the id or the file is taken."""
    if _find(project, definition.definition_id) is not None:
        raise PreconditionFailedError(f"worker {definition.definition_id!r} is declared already", help="update it")
    path = project / FOLDER / f"{definition.definition_id}.yaml"
    if path.exists():
        raise PreconditionFailedError(f"{FOLDER}/{path.name} is there already", help="write the worker into it by hand")
    said = yaml_fields(definition)
    lines = [f"{definition.definition_id}:", *(f"  {name}: {flow(value)}" for name, value in said.items())]
    _write(Edited(path, "\n".join(lines) + "\n"))
    return path


def yaml_fields(definition: WorkerDefinition) -> dict[str, Any]:
    """What a file says of it: only what is not a default, durations with their unit."""
    page = definition.as_worker()
    page |= {name: getattr(definition, name) for name in ("name", "description", "metadata")}
    page |= {"capabilities": list(definition.capabilities)}
    del page["definition_id"]
    for name in DURATIONS & set(page["base_config"]):
        page["base_config"][name] = f"{page['base_config'][name]:g}s"
    if page["interaction_models"] == ["conversational"]:
        del page["interaction_models"]
    if page["status"] == "active":
        del page["status"]
    return {name: value for name, value in page.items() if value not in ("", [], {}, None)}


def change(project: Path, definition_id: str, changes: Mapping[str, Any]) -> Path:
    """Set fields of a declared worker, None removes one. Returns the file.

    Raises WorkerNotFoundError if no file of `config/` declares it, PreconditionFailedError where it takes a person's hand.
    """
    place = _known(project, definition_id)
    for name, value in changes.items():
        text = _changed(place, name, value)
        wanted = _with(place.document.data, (*place.keys, name), value)
        place = place._replace(document=_read_back(place, text, wanted, f"set `{name}: {flow(value)}`"))
    _write(Edited(place.path, place.document.text))
    return place.path


def withdraw(project: Path, definition_id: str) -> Path:
    """Take a worker out of the file that declares it; a file that holds nothing else goes. Raises as `change`."""
    place = _known(project, definition_id)
    text = _without_lines(place, place.keys)
    wanted = _with(place.document.data, place.keys, None)
    by_hand = f"remove `{definition_id}`"
    if not text.strip():
        _write(Edited(place.path, None))
        return place.path
    if not wanted:
        raise _by_hand(place, by_hand)
    document = _read_back(place, text, wanted, by_hand, own_comments=True)
    _write(Edited(place.path, document.text))
    return place.path


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, str):
        return (
            value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else json.dumps(value, ensure_ascii=False)
        )
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(name))}: {flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return json.dumps(value)


def _find(project: Path, definition_id: str) -> _Place | None:
    from orchestrator.spec.project_config import load_config

    config = load_config(project)
    origin = config.origins.get(("workers", definition_id))
    if origin is None:
        return None
    path = next(path for path, (_, document) in config.documents.items() if document is origin.document)
    return _Place(project / path, origin.document, origin.path)


def _known(project: Path, definition_id: str) -> _Place:
    place = _find(project, definition_id)
    if place is None:
        raise WorkerNotFoundError(
            f"no file of `config/` declares worker {definition_id!r}",
            help="one that a workflow declares is changed there; `workers list` says where each comes from",
        )
    from orchestrator.spec.diagnostics import DiagnosticsError, has_errors

    if has_errors(place.document.diagnostics):
        raise DiagnosticsError(place.document.diagnostics)
    return place


def _changed(place: _Place, name: str, value: Any) -> str:
    """The file's text with one field set, added or removed."""
    document, text = place.document, place.document.text
    path = (*place.keys, name)
    node = document.node(path)
    if value is None:
        return text if node is None else _without_lines(place, path)
    if node is None:
        return _added(place, name, value)
    from orchestrator.spec.positions import content_start

    start, end = content_start(text, node), len(text[: node.end].rstrip())
    if document.line(path) == text[:end].count("\n") + 1:
        return text[:start] + flow(value) + text[node.end :]
    # It goes over several lines; its new value stands on the key's own.
    line_end = text.find("\n", end)
    above = len(text[:start].rstrip())
    if "#" in text[above : line_end if line_end >= 0 else None]:
        raise _by_hand(place, f"set `{name}: {flow(value)}`")
    return f"{text[:above]} {flow(value)}{text[end:]}"


def _added(place: _Place, name: str, value: Any) -> str:
    document, text = place.document, place.document.text
    worker = document.node(place.keys)
    assert worker is not None
    if text[worker.start : worker.start + 1] == "{":
        before = text[: worker.end - 1].rstrip()
        comma = "" if before.endswith(("{", ",")) else ", "
        return f"{before}{comma}{name}: {flow(value)}{text[len(before) :]}"
    first = _first_key(worker)
    if first is None:
        raise _by_hand(place, f"add `{name}: {flow(value)}`")
    line_start = text.rfind("\n", 0, first) + 1
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{text[:line_start]}{text[line_start:first]}{name}: {flow(value)}{newline}{text[line_start:]}"


def _first_key(node: TreeNode) -> int | None:
    kids = node.kids
    return min((key[0] for key, _ in kids.values()), default=None) if isinstance(kids, dict) else None


def _without_lines(place: _Place, path: tuple[str | int, ...]) -> str:
    """Without the lines of a key and its value, if nothing else stands on them."""
    text = place.document.text
    lines = text.splitlines(keepends=True)
    first = place.document.line(path)
    node = place.document.node(path)
    assert node is not None
    last = first + text[: len(text[: node.end].rstrip())].count("\n") - text[: _offset(lines, first)].count("\n")
    return "".join(lines[: first - 1] + lines[last:])


def _offset(lines: list[str], line: int) -> int:
    return sum(map(len, lines[: line - 1]))


def _with(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """What the file should say afterwards."""
    changed = dict(data)
    if len(path) > 1:
        changed[path[0]] = _with(data[path[0]], path[1:], value)
    elif value is None:
        changed.pop(path[0], None)
    else:
        changed[path[0]] = value
    return changed


def _read_back(place: _Place, text: str, wanted: Any, by_hand: str, *, own_comments: bool = False) -> Document:
    """The new text, read. `own_comments`: those among the lines that go may go with them."""
    from orchestrator.spec.diagnostics import DiagnosticsError, has_errors
    from orchestrator.spec.loader import load_document
    from orchestrator.spec.shape import check_declarations, check_project

    try:
        document = load_document(text.encode(), file=place.document.file)
    except DiagnosticsError:
        raise _by_hand(place, by_hand) from None
    lost = set() if own_comments else _comments(place.document.text) - _comments(text)
    if document.data != wanted or lost:
        raise _by_hand(place, by_hand)
    found = check_declarations(document, "workers") if len(place.keys) == 1 else check_project(document)
    if has_errors(found):
        # What is wrong stands in no file yet, so no place of one is shown.
        said = [f"{one.message}: {one.label}" if one.label else one.message for one in found]
        raise InvalidArgumentError("; ".join(said), help=found[0].help)
    return document


def _comments(text: str) -> set[str]:
    return {line[line.index("#") :].strip() for line in text.splitlines() if re.search(r"(^|\s)#", line)}


def _by_hand(place: _Place, what: str) -> PreconditionFailedError:
    line = place.document.line(place.keys)
    return PreconditionFailedError(
        f"{place.path.name} is written so that it cannot be changed without losing something",
        help=f"{what} by hand, at line {line} of {place.path.name}",
    )


def _write(edited: Edited) -> None:
    """In the old file's place, with its permissions."""
    path = edited.path
    try:
        if edited.text is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, edited.text.encode(), mode=None if path.exists() else 0o644)
    except OSError as error:
        raise WorkerInternalError(f"{path.name} cannot be written: {error.strerror}") from error
