"""The engine: opens a project's state, starts and resumes runs, and carries other people's words to them.

`Engine` takes every adapter as an argument; `orchestrator.bootstrap.ExecutionEngine` fills them in for users.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from orchestrator.core.inputs import AttemptSucceeded, Recovered, StartRun
from orchestrator.core.plan import Plan, encode_plan
from orchestrator.core.run_state import RunState
from orchestrator.delegates import DelegateManager
from orchestrator.engine import admission, full_disk, inspect, reuse
from orchestrator.engine.admission import Credentials
from orchestrator.engine.conversations import conversations
from orchestrator.engine.fold import fold, pinned_plan
from orchestrator.engine.handle import RunHandle
from orchestrator.engine.inbox import Message, check_how
from orchestrator.engine.letters import Letters
from orchestrator.engine.performer import Limits
from orchestrator.engine.running import Running
from orchestrator.engine.values import load, store
from orchestrator.engine.views import RunResult, RunView, StreamEvent
from orchestrator.engine.watching import Watcher
from orchestrator.engine.why import why
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.host.dotenv import read_dotenv
from orchestrator.host.person import whoami
from orchestrator.host.project import Project
from orchestrator.ports.clock import Clock
from orchestrator.ports.journal import Journal, StreamRow
from orchestrator.ports.secret_source import Secret
from orchestrator.ports.services import Services
from orchestrator.ports.task_kind import TaskKind

JSON = Any


@dataclass(slots=True, kw_only=True)
class Adapters:
    """Everything the engine reaches the world through."""

    project: Project
    state: Path
    journal: Journal
    clock: Clock
    services: Callable[[Engine], Services]
    """Made when the first run begins; closed with the engine."""
    find_kind: Callable[[str], TaskKind]
    environ: Mapping[str, str]
    processes_max: int = 8
    calls_max: int = 64
    pass_env: tuple[str, ...] = ()
    tool_settings: Mapping[str, JSON] = field(default_factory=dict)
    """`tools:` of the project's configuration."""
    own_journal: bool = True
    """Whether closing the engine closes the journal."""
    old_processes_gone: Callable[[], None] = lambda: None
    """Waits until the processes of engines that died are gone, so that no attempt is repeated beside its old self (rule 14)."""
    tape: Mapping[str, str] | None = None
    """{mode: `record` or `replay`, file}: how runs meet their models here, as it stands on record with each of them."""
    secrets_known: Callable[[Iterable[str]], None] = lambda values: None
    """Told every value that must not reach a tape, before its run begins."""
    check_agents: Callable[[Plan], tuple[Secret, ...]] = lambda plan: ()
    """The keys that the plan's models will be asked with. Raises CredentialsError if one cannot be asked. May block."""


class Engine:
    """Runs workflows of one project. Use as an async context manager, on one event loop."""

    def __init__(self, adapters: Adapters, delegate_manager: DelegateManager | None = None) -> None:
        self.adapters = adapters
        self.delegate_manager = delegate_manager or DelegateManager()
        self.journal = adapters.journal
        self.clock = adapters.clock
        self.limits = Limits(
            processes=asyncio.Semaphore(adapters.processes_max), calls=asyncio.Semaphore(adapters.calls_max)
        )
        self.letters = Letters(self.journal, self.clock)
        self.attended = False
        """Whether somebody sits at the terminal that drives the runs, and can be asked at once."""
        self.talks: dict[str, Callable[[], tuple[dict[str, JSON], ...]]] = {}
        """A person's talks by id → their budgets: runs that are called in one draw on them."""
        self._services: Services | None = None
        self._runs: dict[str, Running] = {}
        self.closing = False
        self._closed = False

    def get_delegate_manager(self) -> DelegateManager:
        return self.delegate_manager

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def services(self) -> Services:
        if self._services is None:
            self._services = self.adapters.services(self)
        return self._services

    # --- runs driven here

    async def start(
        self,
        plan: Plan,
        inputs: Mapping[str, JSON] | None = None,
        *,
        run_id: str | None = None,
        trigger: Mapping[str, JSON] | None = None,
        holds: tuple[str, ...] = (),
        budget: Mapping[str, JSON] | None = None,
        parent: str = "",
        park: bool = True,
        reused: Mapping[str, JSON] | None = None,
    ) -> RunHandle:
        """Begin a run and return once its start is recorded.

        `park`: let go of a run that only waits for people. Raises NotYetError, InvalidInputsError, CredentialsError before anything
        is recorded; JournalError if nothing could be.
        """
        self._refuse_if_closed()
        admission.refuse_what_is_no_plan(plan)
        admission.refuse_not_yet(plan)
        given = admission.check_inputs(plan, inputs or {})
        run_id = run_id or admission.new_run_id()
        credentials = await self.credentials_of(plan)
        given = admission.masked_inputs(given, credentials)
        running = Running(self, run_id, RunState(plan), given, credentials, parent=parent)
        if reused:
            running.reusable = self.results_of(reused)
        running.claim()
        try:
            first = StartRun(
                run_id=run_id,
                plan_blob=self.journal.put_blob(encode_plan(plan)),
                inputs=store(self.journal, given),
                trigger={"kind": "manual", **(trigger or {}), **self._taped()},
                project=str(self.adapters.project.root),
                git=running.git_commit(),
                reuse=store(self.journal, reused) if reused else None,
                parent=parent,
                holds=(*holds, *running.queue_hold()),
                budget=dict(budget) if budget else None,
            )
        except BaseException:
            running.release()
            raise
        return await self._drive(running, [first], park=park)

    async def resume(self, run_id: str, *, park: bool = True) -> RunHandle:
        """Go on with a recorded run: what was in progress when its driver went is attempted again, or becomes `unknown`.

        Raises NotFoundError; RunBusyError if another living process drives it; UsageError if it is over.
        """
        self._refuse_if_closed()
        if run_id in self._runs:
            return self._runs[run_id].handle
        plan = pinned_plan(self.journal, run_id)
        running = Running(self, run_id, RunState(plan), {}, Credentials(), parent="")
        running.claim()
        try:
            state = fold(self.journal, run_id, plan)
            if state.over:
                raise UsageError(
                    f"run {run_id} is over ({state.status})",
                    help=f"`whisper-flow rerun {run_id}` makes a new run of it",
                )
            assert state.start is not None
            self._refuse_other_tape(run_id, state.start.trigger.get("tape"))
            credentials = await self.credentials_of(plan)
            await asyncio.to_thread(self.adapters.old_processes_gone)
            running.recovered(state, load(self.journal, state.start.inputs), credentials)
        except BaseException:
            running.release()
            raise
        return await self._drive(running, [Recovered(admission.driver_name()), *running.first], park=park)

    def _taped(self) -> dict[str, JSON]:
        return {"tape": dict(self.adapters.tape)} if self.adapters.tape else {}

    def _refuse_other_tape(self, run_id: str, tape: Mapping[str, JSON] | None) -> None:
        """A replay that went on without its tape would ask models, and pay them. Raises UsageError."""
        own = self.adapters.tape or {}
        replayed = (tape or {}).get("mode") == "replay"
        if replayed != (own.get("mode") == "replay"):
            said = f"replays {tape['file']}" if replayed and tape else "asks its models for real"
            raise UsageError(
                f"run {run_id} {said}, and can only go on like that",
                help=f"`whisper-flow resume {run_id}`, or `ExecutionEngine(tape=…)`",
            )

    async def _drive(self, running: Running, first: list[Any], *, park: bool) -> RunHandle:
        self._runs[running.run_id] = running
        try:
            await running.begin(first, park=park)
        except asyncio.CancelledError:
            raise  # the run has begun all the same, and is driven
        except BaseException:
            self._runs.pop(running.run_id, None)
            raise
        return running.handle

    async def run(self, plan: Plan, inputs: Mapping[str, JSON] | None = None, **options: Any) -> RunResult:
        """`start`, then wait for the end (or for the run to park)."""
        handle = await self.start(plan, inputs, **options)
        return await handle.wait()

    async def rerun(
        self,
        run_id: str,
        *,
        from_task: str | None = None,
        failed: bool = False,
        plan: Plan | None = None,
        inputs: Mapping[str, JSON] | None = None,
        park: bool = True,
    ) -> RunHandle:
        """A new run with the same inputs that takes over the finished results of an old one.

        Nothing is taken over if neither `from_task` nor `failed` is given. `plan`: the latest version of the file; results
        of tasks that do something else in it are not taken over. See `engine/reuse.py` for the rule.
        """
        old = fold(self.journal, run_id)
        assert old.start is not None
        if not old.over and self.journal.holder(run_id) is not None:
            raise UsageError(f"run {run_id} is still running", help=f"`whisper-flow watch {run_id}` follows it")
        plan = plan or old.plan
        before = load(self.journal, old.start.inputs)
        given = {**{name: value for name, value in before.items() if name in plan.inputs}, **(inputs or {})}
        names = reuse.reusable(old, plan, from_task=from_task) if from_task or failed else []
        trigger = {"kind": "rerun", "of": run_id, "attempt": int(old.start.trigger.get("attempt", 1)) + 1}
        reused = {"from_run": run_id, "tasks": names} if names else None
        return await self.start(plan, given, trigger=trigger, park=park, reused=reused)

    def budgets_of_talk(self, id: str) -> tuple[dict[str, JSON], ...]:
        """As `AgentCall.budgets` has them; () for whatever is no talk of this engine."""
        return self.talks[id]() if id in self.talks else ()

    def forget(self, run_id: str) -> None:
        self._runs.pop(run_id, None)

    def driving(self, run_id: str) -> RunHandle | None:
        """The handle of a run driven by this engine, None for any other."""
        running = self._runs.get(run_id)
        return running.handle if running else None

    def manager_of(self, run_id: str) -> DelegateManager:
        """The run-level manager that a run's AI loops bubble to; the engine's own for a run not driven here."""
        running = self._runs.get(run_id)
        return running.manager if running else self.delegate_manager

    # --- any run, wherever it is driven

    def pause(self, run_id: str, *, name: str = "user", by: str = "", reason: str = "") -> None:
        """Set a named hold: nothing new starts until it is lifted; what runs goes on to its end."""
        self._send(run_id, Message(kind="hold", name=name, by=by or whoami(), reason=reason))

    def unpause(self, run_id: str, *, name: str = "user", by: str = "") -> None:
        self._send(run_id, Message(kind="unhold", name=name, by=by or whoami()))

    def cancel(self, run_id: str, *, by: str = "", reason: str = "") -> None:
        self._send(run_id, Message(kind="cancel", by=by or whoami(), reason=reason))

    def stop(self, run_id: str, *, grace: float = 30.0, by: str = "") -> None:
        """Drain: see RunHandle.stop."""
        self._send(run_id, Message(kind="stop", by=by or whoami(), grace=grace))

    def answer(self, run_id: str, task: str | None, value: JSON, *, by: str = "", question: str = "") -> None:
        """Answer a question; checked against its form before it is accepted. UsageError says what does not fit.

        `question`: the name (`key`) of the question that was read, where it has one: another one is not answered by mistake.
        """
        self._send(run_id, Message(kind="answer", task=task or "", value=value, by=by or whoami(), question=question))

    def resolve(self, run_id: str, task: str, how: str, *, by: str = "", value: JSON = None) -> None:
        """Say what became of an `unknown` task: `retry`, `succeeded` (with its value) or `failed`."""
        check_how(how)
        self._send(run_id, Message(kind="resolve", task=task, how=how, value=value, by=by or whoami()))

    def _send(self, run_id: str, message: Message) -> None:
        self.letters.send(run_id, message)

    def find_run(self, text: str) -> str:
        """The run that `text` names: an id, a unique prefix of one, `@last`, or `-1` for the newest, `-2` for the one before.

        Raises NotFoundError or UsageError (the prefix fits several).
        """
        if text == "@last" or (text.startswith("-") and text[1:].isdigit()):
            number = 1 if text == "@last" else int(text[1:])
            rows = self.journal.rows(parent="", limit=max(number, 1))
            if not 1 <= number <= len(rows):
                raise NotFoundError("there is no run yet" if not rows else f"there are only {len(rows)} runs")
            return rows[number - 1].stream
        found = [row.stream for row in self.journal.rows(prefix=text, limit=6) if "/" not in row.stream]
        if text in found:
            return text
        if not found:
            raise NotFoundError(f"no run is called {text!r}", help="`whisper-flow runs` lists them")
        if len(found) > 1:
            raise UsageError(f"{text!r} fits several runs: {', '.join(found[:5])}", help="give more of its letters")
        return found[0]

    def runs(self, **filters: Any) -> list[StreamRow]:
        """Runs, newest first; the filters are those of `Journal.rows`. One held for want of space is `paused` here."""
        asked = tuple(filters.get("status") or ())
        if "paused" in asked and "running" not in asked:
            filters = {**filters, "status": (*asked, "running")}
        rows = (full_disk.as_held(self.journal, row) for row in self.journal.rows(**filters) if "/" not in row.stream)
        return [row for row in rows if not asked or row.status in asked]

    def inspect(self, run_id: str) -> RunView:
        return inspect.run_view(fold(self.journal, run_id), self.journal)

    def why(self, run_id: str, task: str) -> dict[str, JSON]:
        """Why a task is as it is: its reason, what it needs and how that stands, its attempts. NotFoundError."""
        return why(fold(self.journal, run_id), self.journal, task)

    def conversations(self, run_id: str, task: str) -> list[dict[str, JSON]]:
        """What a task's agents talked, outer before inner; see `engine/conversations.py`."""
        return conversations(self.journal, run_id, task)

    async def watch(self, run_id: str, after: int = 0) -> AsyncIterator[StreamEvent]:
        """The run's events (see views.py) from number `after` on, then live until it is over."""
        running = self._runs.get(run_id)
        if running is not None:
            async for event in running.handle.watch(after):
                yield event
            return
        watcher = Watcher(self.journal, run_id, after=after)
        async for event in watcher.events(until_parked=False):
            yield event

    # --- the rest

    async def credentials_of(self, plan: Plan) -> Credentials:
        """The plan's secrets and its models' keys, read now and off the loop: a vault may be asked. Raises CredentialsError."""
        if not plan.secrets and not plan.agents:
            return Credentials()
        found = await asyncio.to_thread(self._look_for_credentials, plan)
        self.adapters.secrets_known(found.masked)
        return found

    def _look_for_credentials(self, plan: Plan) -> Credentials:
        keys = tuple(key.reveal() for key in self.adapters.check_agents(plan))
        return Credentials(self.secrets_of(plan), keys)

    def secrets_of(self, plan: Plan) -> dict[str, str]:
        """The secrets a plan declares, read now. Raises CredentialsError naming those that are missing. May block."""
        if not plan.secrets:
            return {}
        root = self.adapters.project.root
        return admission.resolve_secrets(plan, root, self.adapters.environ, read_dotenv(root / ".env"))

    def results_of(self, wanted: Mapping[str, JSON]) -> Mapping[str, AttemptSucceeded]:
        """What a rerun takes over ({from_run, tasks}), read from the run it came from; nothing if that run is gone."""
        try:
            old = fold(self.journal, wanted["from_run"])
        except NotFoundError:
            return {}
        return reuse.results(old, wanted["tasks"], wanted["from_run"])

    async def close(self) -> None:
        """Stop what is driven here (resumable), end all processes, release the journal. Idempotent."""
        if self.closing:
            return
        self.closing = True
        await asyncio.gather(*(running.abandon() for running in list(self._runs.values())))
        if self._services is not None:
            await self._services.sessions.close()
            await self._services.tools.close()
            await self._services.processes.close()
            await self._services.http.close()
        if self.adapters.own_journal:
            self.journal.close()
        self._closed = True

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise UsageError("the engine is closed", help="make a new one: `async with ExecutionEngine() as engine:`")
