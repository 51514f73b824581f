"""The one place that names concrete adapters: which journal, which processes, which models an engine has."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from orchestrator.ai.lazy import LazySessions
from orchestrator.core.plan import Plan
from orchestrator.delegates import DelegateManager
from orchestrator.engine.children import ChildRuns
from orchestrator.engine.engine import Adapters, Engine
from orchestrator.errors import RunBusyError
from orchestrator.host.clock import SystemClock
from orchestrator.host.project import Project, find_project, open_state
from orchestrator.ports.clock import Clock
from orchestrator.ports.journal import Journal
from orchestrator.ports.secret_source import Secret
from orchestrator.ports.services import Services
from orchestrator.ports.task_kind import TaskKind
from orchestrator.registry import find
from orchestrator.workers.keys import KeyRing

if TYPE_CHECKING:
    from orchestrator.ports.services import Sessions
    from orchestrator.stores._verify import Finding

Synchronous = Literal["FULL", "NORMAL"]


class ExecutionEngine(Engine):
    """Runs workflows of one project, with its state on disk unless another journal is given.

        async with ExecutionEngine() as engine:
            result = await engine.run(plan, inputs={"limit": 20})

    `project`: a folder inside the project, by default the current one. `state`: where runs are recorded, by default
    `.whisper-flow/` in the project. `journal`: another one (`MemoryJournal()` in tests); run folders then live in a temporary folder
    unless `state` is given. `settings`: the project's configuration as plain values (`limits`, `pass_env`, `http`, `tools`).
    """

    def __init__(
        self,
        project: Path | str | None = None,
        *,
        state: Path | None = None,
        journal: Journal | None = None,
        clock: Clock | None = None,
        delegate_manager: DelegateManager | None = None,
        synchronous: Synchronous = "FULL",
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = dict(os.environ) if environ is None else environ
        settings = settings or {}
        found = find_project(Path(project or "."))
        self._keys = KeyRing(environ, found.root)
        folder = _state_folder(found, state, in_memory=journal is not None, environ=environ)
        limits = settings.get("limits") or {}
        adapters = Adapters(
            project=found,
            state=folder,
            journal=journal or _sqlite(folder, synchronous),
            clock=clock or SystemClock(),
            services=lambda engine: _services(engine, settings, self._keys),
            find_kind=find_kind,
            environ=environ,
            processes_max=int(limits.get("processes", 8)),
            calls_max=int(limits.get("waiting_calls", 64)),
            pass_env=tuple(settings.get("pass_env") or ()),
            tool_settings=settings.get("tools") or {},
            own_journal=journal is None,
            old_processes_gone=lambda: _old_processes_gone(folder),
            check_agents=lambda plan: _check_agents(plan, environ, self._keys),
        )
        super().__init__(adapters, delegate_manager)
        self._temporary = folder if journal is not None and state is None else None

    async def close(self) -> None:
        """As `Engine.close`; a state folder that only served a journal in memory goes as well."""
        await super().close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


OLD_PROCESSES_S: Final = 15.0


def _old_processes_gone(state: Path) -> None:
    from orchestrator.host.reaper_link import wait_old_reapers

    if left := wait_old_reapers(state, OLD_PROCESSES_S):
        raise RunBusyError(
            "", f"processes that an engine which died had started and that cannot be ended ({', '.join(left)})"
        )


def _state_folder(project: Project, given: Path | None, *, in_memory: bool, environ: Mapping[str, str]) -> Path:
    if in_memory and given is None:
        return Path(tempfile.mkdtemp(prefix="whisper-flow-"))
    return open_state(project, given, environ)


def _sqlite(folder: Path, synchronous: Synchronous) -> Journal:
    from orchestrator.stores.sqlite import SqliteJournal

    return SqliteJournal(folder, synchronous=synchronous)


_kinds: dict[str, TaskKind] = {}


def find_kind(verb: str) -> TaskKind:
    """The kind that performs a verb; each is imported when it is first needed."""
    kind = _kinds.get(verb)
    if kind is None:
        module = find("orchestrator.kinds", verb)
        kind = _kinds[verb] = module.KIND
    return kind


def _services(engine: Engine, settings: Mapping[str, Any], keys: KeyRing) -> Services:
    from orchestrator.host.http import HttpxHttp
    from orchestrator.host.processes import ReapedProcesses
    from orchestrator.tools._toolbox import DiscoveredTools

    adapters = engine.adapters
    return Services(
        processes=ReapedProcesses(adapters.state),
        http=HttpxHttp(allow_private=tuple((settings.get("http") or {}).get("allow_private") or ())),
        runs=ChildRuns(engine),
        sessions=LazySessions(lambda: _sessions(engine, keys)),
        tools=DiscoveredTools(),
    )


def _sessions(engine: Engine, keys: KeyRing) -> Sessions:
    from orchestrator.ai.factory import AILoopFactory
    from orchestrator.ai.sessions import AgentSessions, tools_of_call

    factory = AILoopFactory(
        journal=engine.journal,
        clock=engine.clock,
        environ=engine.adapters.environ,
        keys=keys,
        delegates=lambda run_id: DelegateManager(engine.manager_of(run_id)),
    )
    return AgentSessions(factory, tools=tools_of_call)


def _check_agents(plan: Plan, environ: Mapping[str, str], keys: KeyRing) -> tuple[Secret, ...]:
    if not plan.agents:
        return ()
    from orchestrator.ai.readiness import check_agents, preload

    found = check_agents(plan, environ, keys)
    preload(plan)
    return found


def verify(state: Path) -> list[Finding]:
    """Everything that is wrong with a state folder, worst first; [] is a clean bill. Never raises for what it finds."""
    from orchestrator.engine.blobs import blobs_named
    from orchestrator.stores.sqlite import verify as verify_store

    return verify_store(state, references=blobs_named)
