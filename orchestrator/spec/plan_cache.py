"""Compiled plans, kept in the user's cache folder: an unchanged file starts without YAML, pydantic or networkx.

An entry belongs to one workflow file. It holds the plan, what validation had to say besides errors, and the hash of every byte
that the plan was made from: the file, the workflows it calls, `config/`, and this program itself. It is used only if all of that
is the same, if its own hash is right, and if nobody but its owner could have written it. Anything else is ignored: a cache may
forget, never mislead.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator import __version__
from orchestrator.core.plan import PLAN_FORMAT, Plan
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.places import cache_folder, find_project, identity_of, shown

if TYPE_CHECKING:
    from orchestrator.spec.load import Workflow

_MAGIC: Final = b"whisper-flow plan 1\n"
ENTRY_BYTES_MAX: Final = 64 * 1024 * 1024
FOLDER_BYTES_MAX: Final = 256 * 1024 * 1024
ENTRIES_MAX: Final = 500
_OUR_CODE: Final = ("spec", "spec/verbs", "spec/rules", "core", "core/expressions", "tools")
_WATCHED: Final = ("config/whisper-flow.yaml",)
_LISTED: Final = ("config/agents", "config/workers")


class Source(msgspec.Struct, frozen=True, array_like=True):
    """A file that the plan was made from. An empty hash: there was no such file."""

    path: str
    real: str
    """Where the path led to, links followed."""
    sha256: str


class _Entry(msgspec.Struct, array_like=True):
    program: str
    sources: list[Source]
    listings: list[tuple[str, list[str]]]
    """Folders of `config/` and the files in them."""
    plan: Plan
    diagnostics: list[Diagnostic]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Entry)


def load_plan(
    path: str | os.PathLike[str], project: str | os.PathLike[str] | None = None, *, folder: Path | None = None
) -> tuple[Plan, list[Diagnostic]]:
    """The plan of a workflow file and what there is to say about it, from the cache if nothing changed.

    Raises DiagnosticsError with every finding, NotFoundError if there is no such file.
    """
    found = _lookup(Path(path), project, folder)
    if found is not None:
        root = _root(Path(path), project)
        return found.plan, _with_files(found.diagnostics, lambda file: shown(root / file))
    from orchestrator.spec.compile import lower
    from orchestrator.spec.diagnostics import DiagnosticsError, has_errors
    from orchestrator.spec.load import load_workflow
    from orchestrator.spec.validate import validate

    workflow = load_workflow(path, project)
    diagnostics = validate(workflow)
    if has_errors(diagnostics):
        raise DiagnosticsError(diagnostics)
    plan = lower(workflow)
    store_plan(workflow, plan, diagnostics, folder=folder)
    return plan, diagnostics


def cached_plan(
    path: str | os.PathLike[str], project: str | os.PathLike[str] | None = None, *, folder: Path | None = None
) -> Plan | None:
    """The plan of an unchanged file, or None."""
    found = _lookup(Path(path), project, folder)
    return None if found is None else found.plan


def store_plan(workflow: Workflow, plan: Plan, diagnostics: list[Diagnostic], *, folder: Path | None = None) -> bool:
    """Keep a plan for the next start. False where that is not possible; the plan is none the worse for it."""
    sources = _sources(workflow)
    if sources is None:
        return False
    root = workflow.project
    kept = _with_files(diagnostics, lambda file: identity_of(Path(file), root))
    entry = _Entry(_program(), sources, [(name, _listing(root / name)) for name in _LISTED], plan, kept)
    payload = _encode(entry)
    if len(payload) > ENTRY_BYTES_MAX:
        return False
    place = _folder(folder)
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(place / _name(workflow.path, root), _MAGIC + hashlib.sha256(payload).digest() + payload)
        _prune(place)
    except OSError:
        return False
    return True


def _lookup(path: Path, project: str | os.PathLike[str] | None, folder: Path | None) -> _Entry | None:
    root = _root(path, project)
    data = _read(_folder(folder) / _name(path.resolve(), root))
    if data is None or not data.startswith(_MAGIC):
        return None
    start = len(_MAGIC) + 32
    if hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        return None
    try:
        entry = _decoder.decode(memoryview(data)[start:])
    except (msgspec.DecodeError, RecursionError):
        return None
    return entry if entry.plan.workflow == identity_of(path, root) and _is_current(entry, root) else None


def _root(path: Path, project: str | os.PathLike[str] | None) -> Path:
    return Path(project).resolve() if project is not None else find_project(path)


def _with_files(diagnostics: list[Diagnostic], name: Callable[[str], str]) -> list[Diagnostic]:
    """Findings with other names for their files: kept below the project, shown from the working directory."""
    return [
        replace(
            one,
            file=name(one.file),
            labels=tuple(
                label if label.file is None else replace(label, file=name(label.file)) for label in one.labels
            ),
        )
        for one in diagnostics
    ]


def _is_current(entry: _Entry, root: Path) -> bool:
    if entry.program != _program() or entry.plan.format != PLAN_FORMAT:
        return False
    if any(_listing(root / name) != files for name, files in entry.listings):
        return False
    return all(_hash_of(source.path) == (source.real, source.sha256) for source in entry.sources)


def _folder(folder: Path | None) -> Path:
    return folder if folder is not None else cache_folder() / "plans"


def _name(path: Path, root: Path) -> str:
    return hashlib.sha256(f"{root}\0{path}".encode()).hexdigest()[:40] + ".plan"


def _program() -> str:
    """Changes whenever this program could make another plan of the same files: release, Python, and its own source."""
    hasher = hashlib.sha256(f"{__version__} {PLAN_FORMAT} {sys.version_info[:2]}".encode())
    package = Path(__file__).parent.parent
    for name in _OUR_CODE:
        with contextlib.suppress(OSError), os.scandir(package / name) as entries:
            files = sorted((entry.name, entry.stat()) for entry in entries if entry.name.endswith(".py"))
            for file, status in files:
                hasher.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return hasher.hexdigest()


def _hash_of(path: str) -> tuple[str, str]:
    """(real path, SHA-256) of a file; an empty hash if there is none."""
    real = os.path.realpath(path)
    try:
        with open(real, "rb") as file:  # noqa: PTH123 - a cached start reads many small files
            return real, hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return real, ""


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))  # noqa: PTH208
    except OSError:
        return []


def _sources(workflow: Workflow) -> list[Source] | None:
    """Every file behind a plan; None if one of them changed while it was read."""
    from orchestrator.spec.loader_read import decode

    documents = {str(workflow.project / path): document for path, (_, document) in workflow.config.documents.items()}
    documents |= {str(one.path): one.document for one in workflow.children.values()}
    called = [str(path) for one in workflow.children.values() for path in one.called_paths]
    watched = [str(workflow.project / path) for path in _WATCHED]
    found: dict[str, Source] = {}
    for path in [*documents, *called, *watched]:
        real, digest = _hash_of(path)
        found[path] = Source(path, real, digest)
        document = documents.get(path)
        if document is not None:
            try:
                text = decode(Path(path).read_bytes(), file=path)[0]
            except OSError:
                return None
            if text != document.text:
                return None
    return list(found.values())


def _read(path: Path) -> bytes | None:
    """The bytes of a file that only its owner, who is us, can have written."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
        if not ours or status.st_size > ENTRY_BYTES_MAX + 1024:
            return None
        try:
            return file.read()
        except OSError:
            return None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, readable by nobody else."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _prune(folder: Path) -> None:
    """Keep the folder small: the plans made longest ago go first."""
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            entries.append((status.st_mtime, status.st_size, path))
    entries.sort(reverse=True)
    total = 0
    for count, (_, size, path) in enumerate(entries, 1):
        total += size
        if count > ENTRIES_MAX or total > FOLDER_BYTES_MAX:
            with contextlib.suppress(OSError):
                path.unlink()
