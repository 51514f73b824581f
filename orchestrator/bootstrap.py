"""The one place that names concrete adapters: which journal, which processes, which models an engine has."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
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
from orchestrator.ports.meters import Meters
from orchestrator.ports.secret_source import Secret
from orchestrator.ports.services import Services
from orchestrator.ports.task_kind import TaskKind
from orchestrator.registry import find
from orchestrator.workers.keys import KeyRing
from orchestrator.workers.lazy import LazyWorkers

if TYPE_CHECKING:
    from orchestrator.ai.tapes import TapePlayer, TapeRecorder
    from orchestrator.ai.tapes.place import Surroundings
    from orchestrator.engine.handle import RunHandle
    from orchestrator.ports.chat_model import ChatModelError
    from orchestrator.ports.services import Sessions
    from orchestrator.ports.tool import Toolbox
    from orchestrator.ports.workers import WorkerOperations
    from orchestrator.stores._verify import Finding
    from orchestrator.workers.manager import WorkerManager

    EngineTape = TapePlayer | TapeRecorder

Synchronous = Literal["FULL", "NORMAL"]


class ExecutionEngine(Engine):
    """Runs workflows of one project, with its state on disk unless another journal is given.

        async with ExecutionEngine() as engine:
            result = await engine.run(plan, inputs={"limit": 20})

    `project`: a folder inside the project, by default the current one. `state`: where runs are recorded, by default
    `.whisper-flow/` in the project. `journal`: another one (`MemoryJournal()` in tests); run folders then live in a temporary folder
    unless `state` is given. `settings`: the project's configuration as plain values (`limits`, `pass_env`, `http`, `tools`).
    `tape`: a TapeRecorder writes down what models and tools answer, a TapePlayer answers in their place; closed with the engine.
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
        tape: EngineTape | None = None,
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
            services=lambda engine: _services(engine, settings, self._keys, tape),
            find_kind=find_kind,
            environ=environ,
            processes_max=int(limits.get("processes", 8)),
            calls_max=int(limits.get("waiting_calls", 64)),
            pass_env=tuple(settings.get("pass_env") or ()),
            tool_settings=settings.get("tools") or {},
            own_journal=journal is None,
            old_processes_gone=lambda: _old_processes_gone(folder),
            tape=_tape_note(tape, found) if tape else None,
            secrets_known=tape.secrets.add if tape else lambda values: None,
            check_agents=lambda plan: () if tape and tape.replaying else _check_agents(plan, environ, self._keys),
        )
        super().__init__(adapters, delegate_manager)
        self.tape = tape
        if tape is not None:
            tape.around = _tape_surroundings(self)
        self._temporary = folder if journal is not None and state is None else None

    async def resume(self, run_id: str, *, park: bool = True) -> RunHandle:
        """As `Engine.resume`; a replay passes over what its conversations have on record."""
        handle = await super().resume(run_id, park=park)
        if self.tape is not None and self.tape.replaying:
            from orchestrator.ai.tapes.on_record import conversations

            for stream in conversations(self.journal, run_id):
                self.tape.catch_up(stream)
        return handle

    async def close(self) -> None:
        """As `Engine.close`; a state folder that only served a journal in memory goes as well."""
        await super().close()
        if self.tape is not None:
            self.tape.close()
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


def _services(engine: Engine, settings: Mapping[str, Any], keys: KeyRing, tape: EngineTape | None) -> Services:
    from orchestrator.host.http import HttpxHttp
    from orchestrator.host.processes import ReapedProcesses

    adapters = engine.adapters
    sessions = LazySessions(lambda: _sessions(engine, keys, tape))
    return Services(
        processes=ReapedProcesses(adapters.state),
        http=HttpxHttp(allow_private=tuple((settings.get("http") or {}).get("allow_private") or ())),
        runs=ChildRuns(engine),
        sessions=sessions,
        tools=_tools(tape),
        workers=LazyWorkers(lambda: _worker_operations(engine, sessions)),
    )


def worker_manager(engine: Engine, sessions: Sessions | None = None) -> WorkerManager:
    """All workers of the engine's project, asked through the engine's own loops. Reads `config/`: off the loop, please.

    Raises DiagnosticsError for what a file there says.
    """
    from orchestrator.workers.declared import project_manager

    adapters = engine.adapters
    asked = sessions or engine.services.sessions
    return project_manager(
        adapters.project.root,
        state=adapters.state,
        journal=engine.journal,
        sessions=asked,
        environ=adapters.environ,
        check_limits=asked.free_at if isinstance(asked, LazySessions) else None,
        now=engine.clock.now,
    )


def _worker_operations(engine: Engine, sessions: Sessions) -> WorkerOperations:
    from orchestrator.workers.operations import ManagedOperations

    return ManagedOperations(lambda: worker_manager(engine, sessions), engine.journal)


def _tools(tape: EngineTape | None) -> Toolbox:
    from orchestrator.tools._toolbox import DiscoveredTools

    if tape is None:
        return DiscoveredTools()
    from orchestrator.ai.tapes.tools import taped_tools

    return taped_tools(DiscoveredTools(), tape)


def _sessions(engine: Engine, keys: KeyRing, tape: EngineTape | None) -> Sessions:
    from orchestrator.ai.factory import AILoopFactory
    from orchestrator.ai.sessions import AgentSessions, tools_of_call

    played: dict[str, Any] = {}
    if tape is not None and tape.virtual:
        from orchestrator.ai.tapes.virtual_time import VirtualClock, VirtualSessions

        clock = VirtualClock(engine.clock)
        played = {"clock": clock, "sleep": clock.sleep}
    factory = AILoopFactory(
        journal=engine.journal,
        environ=engine.adapters.environ,
        keys=keys,
        tape=tape,
        meters=_meters(engine, replaying=tape is not None and tape.replaying),
        delegates=lambda run_id: DelegateManager(engine.manager_of(run_id)),
        **{"clock": engine.clock, **played},
    )
    sessions = AgentSessions(factory, tools=tools_of_call)
    return VirtualSessions(sessions) if played else sessions


def _meters(engine: Engine, *, replaying: bool) -> Callable[[], Meters]:
    """What rate limits and days' budgets are counted on. A replay asks nobody and draws on nothing that is shared."""

    def opened() -> Meters:
        if replaying or not engine.adapters.own_journal:
            from orchestrator.stores._meters_memory import MemoryMeters

            return MemoryMeters()
        from orchestrator.stores._meters_sqlite import SqliteMeters

        return SqliteMeters(engine.adapters.state)

    return opened


def _tape_note(tape: EngineTape, project: Project) -> dict[str, str]:
    """As it stands with each run: the file below the project where it can be, so that a moved project finds it."""
    path = tape.path.resolve()
    inside = path.is_relative_to(project.root.resolve())
    file = path.relative_to(project.root.resolve()).as_posix() if inside else str(path)
    return {"mode": "replay" if tape.replaying else "record", "file": file}


def _tape_surroundings(engine: Engine) -> Surroundings:
    from orchestrator.ai.tapes import on_record
    from orchestrator.ai.tapes.place import Surroundings
    from orchestrator.core.events import Failure
    from orchestrator.engine.callers import Callers

    callers = Callers(engine.journal)

    def missed(run_id: str, error: ChatModelError) -> None:
        """The outermost run that is driven here ends: what calls a run cannot go on without its answer."""
        while (called := callers.of(run_id)) is not None and engine.driving(called[0]) is not None:
            run_id = called[0]
        if (handle := engine.driving(run_id)) is not None:
            handle.cancel(by="the replay", reason=error.message, failure=Failure(error.type, error.message, error.help))

    return Surroundings(
        path_of=callers.path,
        settled=partial(on_record.settled, engine.journal),
        tools_done=partial(on_record.tools_done, engine.journal),
        missed=missed,
    )


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
