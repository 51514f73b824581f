"""The workers that people declare in `config/`, and the manager of a project's workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from orchestrator.ports.journal import Journal
from orchestrator.ports.services import Sessions
from orchestrator.workers.calling import CheckLimits
from orchestrator.workers.definitions import WorkerDefinition, from_plan
from orchestrator.workers.manager import WorkerManager

FOLDER: Final = "config/workers"
KEPT: Final = "workers"
"""Folder of the state for what was added by other means than a file."""


class Declared(NamedTuple):
    definitions: list[WorkerDefinition]
    places: dict[str, str]
    """id → `config/workers/models.yaml:3`."""


def declared_workers(project: Path) -> Declared:
    """What `config/whisper-flow.yaml` and `config/workers/*.yaml` declare. Raises DiagnosticsError with every finding."""
    from orchestrator.spec import compile_values
    from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError, has_errors
    from orchestrator.spec.project_config import load_config
    from orchestrator.spec.shape import check_declarations, check_project

    config = load_config(project)
    found: list[Diagnostic] = []
    for kind, document in config.documents.values():
        if kind == "workers":
            found += [*document.diagnostics, *check_declarations(document, kind)]
        elif kind == "project":
            found += [*document.diagnostics, *check_project(document)]
    if has_errors(found) or has_errors(config.diagnostics):
        raise DiagnosticsError(found or config.diagnostics)
    names = {id(document): path for path, (_, document) in config.documents.items()}
    places = {}
    for (noun, name), origin in config.origins.items():
        if noun == "workers":
            places[name] = f"{names[id(origin.document)]}:{origin.document.line(origin.path)}"
    definitions = [from_plan(name, compile_values.worker(said)) for name, said in config.workers.items()]
    return Declared(definitions, places)


def project_manager(
    project: Path,
    *,
    state: Path | None = None,
    journal: Journal | None = None,
    sessions: Sessions | None = None,
    environ: Mapping[str, str] | None = None,
    check_limits: CheckLimits | None = None,
    now: Callable[[], float] | None = None,
) -> WorkerManager:
    """All workers of a project: those of its `config/`, and those that were added and kept in its state.

    Raises DiagnosticsError for what a file says, InvalidArgumentError for what is kept.
    """
    found = declared_workers(project)
    more = {} if now is None else {"now": now}
    return WorkerManager(
        found.definitions,
        places=found.places,
        project=project,
        folder=state,
        kept=state / KEPT if state is not None else None,
        journal=journal,
        sessions=sessions,
        environ=environ,
        check_limits=check_limits,
        **more,
    )
