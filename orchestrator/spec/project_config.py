"""What `config/` says for every workflow of a project.

    config/whisper-flow.yaml     the project (models.Project)
    config/agents/*.yaml         id → agent
    config/workers/*.yaml        id → worker

Files are read in the order of their names. Findings in them are reported with their own file and place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError
from orchestrator.spec.loader import Document, load_document
from orchestrator.spec.places import find_project, shown

CONFIG_FILE = "config/whisper-flow.yaml"
EMPTY_FILE = "WF110"
"""A file of nothing but comments: in `config/` that is how a default looks."""
FOLDERS = {"agents": "config/agents", "workers": "config/workers"}
"""What a folder's files declare → the folder."""


class Origin(NamedTuple):
    """Where something of `config/` is declared."""

    document: Document
    path: tuple[str | int, ...]


@dataclass(eq=False)
class ProjectConfig:
    root: Path
    data: dict[str, Any] = field(default_factory=dict)
    """`config/whisper-flow.yaml` as plain values; empty if there is none."""
    documents: dict[str, tuple[str, Document]] = field(default_factory=dict)
    """Path below the project → (`project`, `agents` or `workers`, document) of every file that was read."""
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[tuple[str, str], Origin] = field(default_factory=dict)
    """(`agents` or `workers`, id) → where it is declared."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """Findings of reading the files: syntax, ids declared twice."""

    def place_of(self, noun: str, name: str) -> tuple[str, tuple[str | int, ...]]:
        """(file below the project, path in it) of something that is declared here."""
        origin = self.origins[noun, name]
        file = next(path for path, (_, document) in self.documents.items() if document is origin.document)
        return file, origin.path

    @property
    def mcp(self) -> dict[str, dict[str, Any]]:
        servers = self.data.get("mcp")
        return {k: v for k, v in servers.items() if isinstance(v, dict)} if isinstance(servers, dict) else {}

    @property
    def mailboxes(self) -> tuple[str, ...]:
        names = self.data.get("mailboxes")
        return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()

    @property
    def limits(self) -> dict[str, int]:
        """`{processes, waiting_calls}` with defaults."""
        said = self.data.get("limits")
        return {"processes": 8, "waiting_calls": 64, **(said if isinstance(said, dict) else {})}


def load_config(project: str | Path | None = None) -> ProjectConfig:
    """Read `config/` of a project (found from the working directory if not given). Never raises for what a file says:
    findings wait in `diagnostics`."""
    root = Path(project) if project is not None else find_project(Path.cwd())
    config = ProjectConfig(root)
    if (root / CONFIG_FILE).is_file() and (document := _read(config, CONFIG_FILE, "project")) is not None:
        config.data = document.data if isinstance(document.data, dict) else {}
        for noun in FOLDERS:
            _declare(config, noun, document, config.data.get(noun), (noun,))
    for noun, folder in FOLDERS.items():
        for path in config_files(root, folder):
            if (document := _read(config, path, noun)) is not None:
                _declare(config, noun, document, document.data, ())
    return config


def config_files(root: Path, folder: str) -> list[str]:
    """The YAML files of a folder of `config/`, as paths below the project, in order."""
    place = root / folder
    if not place.is_dir():
        return []
    names = sorted(entry.name for entry in place.iterdir() if entry.suffix in (".yaml", ".yml"))
    return [f"{folder}/{name}" for name in names]


def _read(config: ProjectConfig, path: str, kind: str) -> Document | None:
    try:
        document = load_document(config.root / path, file=shown(config.root / path), tolerant=True)
    except DiagnosticsError as error:
        if [one.code for one in error.diagnostics if one.severity == "error"] != [EMPTY_FILE]:
            config.diagnostics.extend(error.diagnostics)
        return None
    config.diagnostics.extend(document.diagnostics)
    config.documents[path] = (kind, document)
    return document


def _declare(config: ProjectConfig, noun: str, document: Document, found: Any, path: tuple[str | int, ...]) -> None:
    if not isinstance(found, dict):
        return
    target = config.agents if noun == "agents" else config.workers
    for name, declared in found.items():
        if not isinstance(declared, dict):
            continue
        before = config.origins.get((noun, name))
        if before is not None:
            from orchestrator.spec.shape_findings import declared_twice

            config.diagnostics.append(declared_twice(noun, name, Origin(document, (*path, name)), before))
            continue
        target[name] = declared
        config.origins[noun, name] = Origin(document, (*path, name))
