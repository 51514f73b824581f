"""A workflow file with everything that is merged into it: agents, workers, tool servers, mailboxes and defaults of `config/`.

workflow = load_workflow("workflows/x.yaml")
workflow.data          the file as plain values
workflow.agents        id → agent, `config/` and defaults merged
workflow.document      positions of everything in the file
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NotFoundError
from orchestrator.spec.diagnostics import Diagnostic, has_errors
from orchestrator.spec.loader import Document, load_document
from orchestrator.spec.merge import merged, model_named
from orchestrator.spec.places import find_project, identity_of
from orchestrator.spec.places import shown as shown

if TYPE_CHECKING:
    from orchestrator.spec.compile_graph import Analysis
    from orchestrator.spec.project_config import ProjectConfig


@dataclass(eq=False)
class Workflow:
    """One loaded file. What it holds may still be wrong: `validate` says so, `compile_plan` refuses it."""

    identity: str
    """Path below the project, POSIX style."""
    project: Path
    document: Document
    config: ProjectConfig
    file: str
    """How findings name the file: relative to the working directory where that is shorter."""
    children: dict[str, Workflow] = field(default_factory=dict)
    """Workflows that were loaded for this one's `workflow:` tasks, shared by all files of one load, by identity."""

    called_paths: set[Path] = field(default_factory=set)
    """Paths of called workflows as they were said, links not followed."""
    findings: list[Diagnostic] | None = None
    """What validation found, once somebody asked."""

    @property
    def path(self) -> Path:
        return self.project / self.identity

    @property
    def data(self) -> dict[str, Any]:
        """The file's top map; empty if the file holds something else."""
        data = self.document.data
        return data if isinstance(data, dict) else {}

    @property
    def title(self) -> str:
        name = self.data.get("name")
        return name if isinstance(name, str) and name else Path(self.identity).stem

    @cached_property
    def shape(self) -> list[Diagnostic]:
        """What is wrong with the file's shape."""
        from orchestrator.spec.shape import check_workflow

        return check_workflow(self.document)

    @property
    def has_shape(self) -> bool:
        """Whether everything in the file can be taken for what it says it is, so that `analysis` may be asked for."""
        return not has_errors(self.document.diagnostics) and not self.shape

    @cached_property
    def defaults(self) -> dict[str, dict[str, Any]]:
        """Kind of default (`tasks`, `agents`, a verb) → fields; the file's own win over the project's."""
        ours, theirs = self.data.get("defaults"), self.config.data.get("defaults")
        made: dict[str, dict[str, Any]] = {}
        for source in (theirs, ours):
            if isinstance(source, dict):
                for kind, fields in source.items():
                    if isinstance(fields, dict):
                        made[kind] = merged(made.get(kind, {}), fields)
        return made

    @cached_property
    def agents(self) -> dict[str, dict[str, Any]]:
        """id → agent with its defaults; an id in the file hides the one in `config/`."""
        declared = {**self.config.agents, **_maps(self.data.get("agents"))}
        return {name: self.with_agent_defaults(agent) for name, agent in declared.items()}

    def with_agent_defaults(self, agent: dict[str, Any]) -> dict[str, Any]:
        """An agent that names a model by itself hides all three ways in which the defaults may name one."""
        defaults = self.defaults.get("agents", {})
        if defaults and model_named(agent):
            defaults = {key: value for key, value in defaults.items() if key not in ("worker", "model")}
            if isinstance(defaults.get("ai_config"), dict):
                defaults["ai_config"] = {k: v for k, v in defaults["ai_config"].items() if k != "model"}
        return merged(defaults, agent) if defaults else agent

    @cached_property
    def workers(self) -> dict[str, dict[str, Any]]:
        """id → worker; an id in the file hides the one in `config/`. Keys written in a file stay there: `inline` says where."""
        from orchestrator.spec.inline_keys import located

        ours = _maps(self.data.get("workers"))
        return {
            **{
                name: located(worker, *self.config.place_of("workers", name))
                for name, worker in self.config.workers.items()
            },
            **{name: located(worker, self.identity, ("workers", name)) for name, worker in ours.items()},
        }

    @cached_property
    def mcp(self) -> dict[str, dict[str, Any]]:
        return {**self.config.mcp, **_maps(self.data.get("mcp"))}

    @cached_property
    def mailboxes(self) -> tuple[str, ...]:
        ours = self.data.get("mailboxes")
        names = [*self.config.mailboxes, *(ours if isinstance(ours, list) else ())]
        return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))

    @cached_property
    def analysis(self) -> Analysis:
        """Who depends on whom; only for a file whose shape is right."""
        from orchestrator.spec.compile_graph import analyse

        return analyse(self)

    def child(self, said: str) -> Workflow:
        """The workflow that a `workflow:` task names: `./x.yaml` beside this file, else from the project's root.

        Raises NotFoundError if there is none inside the project, DiagnosticsError if it cannot be read.
        """
        path = child_path(self.project, self.identity, said)
        self.called_paths.add(path)
        identity = child_identity(self.project, path, said)
        if identity not in self.children:
            path = self.project / identity
            document = load_document(path, file=shown(path), tolerant=True)
            self.children[identity] = Workflow(
                identity, self.project, document, self.config, document.file, self.children
            )
        return self.children[identity]


def load_workflow(path: str | os.PathLike[str], project: str | os.PathLike[str] | None = None) -> Workflow:
    """Read a workflow file and the `config/` beside it.

    Raises NotFoundError if the file does not exist, DiagnosticsError if it cannot be read as YAML.
    """
    file = Path(path)
    if not file.exists():
        raise NotFoundError(f"no such file: {os.fspath(path)}")
    root = Path(project).resolve() if project is not None else find_project(file)
    return _opened(file, root, load_document(file, file=shown(file), tolerant=True))


def workflow_from_text(
    text: str, *, path: str = "workflows/untitled.yaml", project: str | os.PathLike[str] | None = None
) -> Workflow:
    """A workflow that is not (yet) a file: what an editor holds, or a test."""
    root = Path(project if project is not None else os.curdir).resolve()
    return _opened(root / path, root, load_document(text.encode(), file=path, tolerant=True))


def _opened(file: Path, root: Path, document: Document) -> Workflow:
    from orchestrator.spec.project_config import load_config

    workflow = Workflow(identity_of(file, root), root, document, load_config(root), document.file)
    workflow.children[workflow.identity] = workflow
    return workflow


def child_path(project: Path, caller: str, said: str) -> Path:
    """Where a called workflow should be: `./x.yaml` beside the caller, anything else from the project's root."""
    base = (project / caller).parent if said.startswith(("./", "../")) else project
    return base / said


def child_identity(project: Path, path: Path, said: str) -> str:
    """Raises NotFoundError unless the path leads to a file inside the project, links included."""
    try:
        inside = path.resolve().relative_to(project.resolve())
    except (ValueError, OSError, RuntimeError):
        raise NotFoundError(f"`{said}` leads out of the project") from None
    if not path.is_file():
        raise NotFoundError(f"there is no file `{said}`", help=_near_file(project, path))
    return inside.as_posix()


def _near_file(project: Path, path: Path) -> str | None:
    from orchestrator.spec.suggest import did_you_mean

    folder = path.parent if path.parent.is_dir() else project / "workflows"
    if not folder.is_dir():
        return None
    names = {entry.name: entry for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml")}
    return did_you_mean(path.name, names)


def _maps(value: Any) -> Mapping[str, dict[str, Any]]:
    return {key: one for key, one in value.items() if isinstance(one, dict)} if isinstance(value, dict) else {}
