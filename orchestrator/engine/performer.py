"""Carries out one attempt: renders the task's templates, calls its kind, and says as an input what came of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from orchestrator.core import retry
from orchestrator.core.events import Failure, Value
from orchestrator.core.expressions import ExpressionError, render_tree
from orchestrator.core.inputs import (
    AnyInput,
    AttemptAsked,
    AttemptEnded,
    AttemptErred,
    AttemptInterrupted,
    AttemptParked,
    AttemptSlept,
    AttemptSucceeded,
)
from orchestrator.core.plan import Node
from orchestrator.engine.evaluate import failure_of
from orchestrator.engine.output_files import keep_files, mentions_files
from orchestrator.engine.places import Place, YieldingRuns
from orchestrator.engine.schemas import problems
from orchestrator.engine.values import Values, load, store
from orchestrator.errors import JournalError, JournalFullError, TaskError, WhisperFlowError
from orchestrator.host.project import Project, resolve_inside
from orchestrator.host.redact import Redactor, harmless
from orchestrator.host.space import no_space
from orchestrator.ports.services import Services
from orchestrator.ports.task_kind import Asking, Attempt, Ending, Outcome, Parked, Sleeping, Succeeded, TaskKind

JSON = Any
_log = logging.getLogger("orchestrator.engine")

PROCESS_VERBS: Final = frozenset({"run", "python"})
CALL_VERBS: Final = frozenset({"http", "agent", "tool"})
TOOL_VERBS: Final = frozenset({"agent", "tool"})
_UNKEYED: Final = frozenset({"budgets", "mcp", "plan", "tool_settings"})


@dataclass(slots=True, kw_only=True)
class Limits:
    """What one engine does at once, over all its runs (`limits:` in the project's config)."""

    processes: asyncio.Semaphore
    calls: asyncio.Semaphore


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What every attempt of a run shares."""

    run_id: str
    project: Project
    run_dir: Path
    base_env: Mapping[str, str]
    secrets: tuple[str, ...]
    redactor: Redactor
    services: Callable[[], Services]
    """Called when an attempt needs them: a run that performs nothing outside starts no reaper."""
    limits: Limits
    find_kind: Callable[[str], TaskKind]
    publish: Callable[[str, dict[str, JSON]], None]
    control: Callable[[], str | None]
    reusable: Mapping[str, AttemptSucceeded] = field(default_factory=dict)
    """Instance name → the result a rerun takes over."""
    budgets: Callable[[int], tuple[dict[str, JSON], ...]] = lambda task: ()
    """What agents of a task draw on, outermost first."""
    tool_settings: Mapping[str, JSON] = field(default_factory=dict)
    """`tools:` of the project's configuration."""
    attended: Callable[[], bool] = bool
    """Whether a person at the terminal can be asked at once."""


class Performer:
    def __init__(self, values: Values, around: Surroundings, now: Callable[[], float]) -> None:
        self._values = values
        self._around = around
        self._now = now

    def immediate(self, task: int) -> bool:
        """Whether the attempt needs no asyncio task: its kind never waits, or its result is taken over."""
        node = self._values.state.nodes[task]
        return self._around.find_kind(node.verb).immediate or self._reused(task) is not None

    def _reused(self, task: int) -> AttemptSucceeded | None:
        if not self._around.reusable:
            return None
        return self._around.reusable.get(self._values.state.name(task))

    def perform_now(self, task: int, number: int) -> AnyInput:
        """One attempt of an immediate kind, in no time."""
        reused = self._reused(task)
        if reused is not None:
            return msgspec.structs.replace(reused, task=task, attempt=number)
        node = self._values.state.nodes[task]
        try:
            attempt = self._attempt(task, number, node)
            outcome = self._around.find_kind(node.verb).perform_now(attempt)
            return self._report(task, number, node, outcome, attempt)
        except Exception as error:  # noqa: BLE001  whatever a kind raises is that task's failure, not the run's
            return self._failed(task, number, error)

    async def perform(self, task: int, number: int) -> AnyInput:
        """One attempt; only cancellation comes out as an exception."""
        node = self._values.state.nodes[task]
        try:
            places = self._places(node.verb)
            if waits := places.locked():
                self._say_waits(task, "a free place: so many are at work already (`limits:` in the configuration)")
            async with Place(places) as place:
                if waits:
                    self._say_waits(task, None)
                return await self._perform(task, number, node, place)
        except Exception as error:  # noqa: BLE001  whatever a kind raises is that task's failure, not the run's
            return self._failed(task, number, error)

    def _say_waits(self, task: int, what: str | None) -> None:
        """Begun as far as the journal goes, and yet nothing happens."""
        self._around.publish("waits", {"task": self._values.state.name(task), "for": what})

    def _places(self, verb: str) -> asyncio.Semaphore:
        if verb in PROCESS_VERBS:
            return self._around.limits.processes
        return self._around.limits.calls if verb in CALL_VERBS else asyncio.Semaphore(1)

    async def _perform(self, task: int, number: int, node: Node, place: Place) -> AnyInput:
        attempt = self._attempt(task, number, node)
        if node.verb in TOOL_VERBS:
            attempt.services = replace(attempt.services, runs=YieldingRuns(attempt.services.runs, place))
        attempt.cwd = resolve_inside(self._around.project, self._render(task, node.cwd, attempt.now))
        attempt.log_dir = self._around.run_dir / "logs" / log_name(attempt.task) / str(number)
        attempt.env = self._environment(task, node, attempt.now)
        _private_folders(self._around.run_dir.parent.parent, attempt.log_dir)
        key = self._cache_key(attempt) if node.cache is not None else None
        if key is not None and (known := self._values.journal.recall(key, attempt.now)) is not None:
            value, meta = msgspec.msgpack.decode(known, type=tuple[bytes, bytes])
            return AttemptSucceeded(task, number, value, meta, reused="cache")
        outcome = await self._bounded(task, node, attempt)
        if isinstance(outcome, Succeeded) and node.output is not None and mentions_files(node.output):
            outcome.value = await asyncio.to_thread(self._keep_files, node.output, outcome.value, attempt)
        report = self._report(task, number, node, outcome, attempt)
        if key is not None and isinstance(report, AttemptSucceeded) and isinstance(report.value, bytes):
            kept = msgspec.msgpack.encode((report.value, report.meta if isinstance(report.meta, bytes) else b"{}"))
            self._values.journal.remember(key, kept, self._now() + (node.cache or 0.0))
        return report

    async def _bounded(self, task: int, node: Node, attempt: Attempt) -> Outcome:
        """The kind's own work within the time it has. Raises TaskError (`timeout`)."""
        started = self._values.state.clock(task)
        left = self._time_left(task, node, attempt.now)
        try:
            async with asyncio.timeout(left) as limit:
                return await self._around.find_kind(node.verb).perform(attempt)
        except TimeoutError as error:
            said = retry.out_of_time(node, started, self._now()) if limit.expired() else str(error) or "timed out"
            raise TaskError("timeout", said) from error

    # --- what goes in

    def _render(self, task: int, template: JSON, now: float) -> JSON:
        return render_tree(template, self._values.scope(task), now=now)

    def _attempt(self, task: int, number: int, node: Node) -> Attempt:
        """What every kind needs; folders and environment are filled in for those that may wait."""
        around, values = self._around, self._values
        now = self._now()
        name = values.state.name(task)
        resolve = values.scope(task)
        left = self._time_left(task, node, now)
        fields = render_tree(node.fields, resolve, now=now)
        if node.verb in TOOL_VERBS:
            fields = {**fields, **self._for_tools(task, now)}
        return Attempt(
            run_id=around.run_id,
            task=name,
            node=node,
            number=number,
            failures=values.state.failures.get(task, 0),
            key=self._key(task, name, node),
            fields=fields,
            env={},
            secrets=around.secrets,
            project=around.project.root,
            cwd=around.project.root,
            run_dir=around.run_dir,
            log_dir=around.run_dir,
            output_schema=node.output,
            now=now,
            deadline=None if left is None else now + left,
            services=around.services(),
            publish=lambda type, data: around.publish(type, around.redactor.value({"task": name, **data})),
            answers=self._answers(task),
            attended=around.attended(),
            control=around.control,
        )

    def _time_left(self, task: int, node: Node, now: float) -> float | None:
        """What people let it wait for counts neither against `timeout` nor against `retry.for`."""
        state = self._values.state
        return retry.time_left(node, state.clock(task), now, state.worked.get(task, 0.0))

    def _answers(self, task: int) -> dict[str, JSON]:
        known = self._values.state.answers.get(task)
        return {key: load(self._values.journal, answer.value) for key, answer in known.items()} if known else {}

    def _for_tools(self, task: int, now: float) -> dict[str, JSON]:
        around, plan = self._around, self._values.state.plan
        return {
            "agents": plan.agents,
            "workers": plan.workers,
            "mcp": self._render(task, plan.mcp, now) if plan.mcp else {},
            "tool_settings": around.tool_settings,
            "budgets": around.budgets(task),
            "plan": {"workflow": plan.workflow, "timezone": plan.timezone},
        }

    def _key(self, task: int, name: str, node: Node) -> str:
        """The same for every attempt of a series. A child run that failed has ended: another try is another child."""
        calls = node.verb == "workflow" or (
            node.verb == "tool" and node.fields["name"] in self._values.state.plan.children
        )
        failures = self._values.state.failures.get(task, 0) if calls else 0
        return f"{self._around.run_id}:{name}" + (f"\n{failures}" if failures else "")

    def _environment(self, task: int, node: Node, now: float) -> dict[str, str]:
        """The base variables, the workflow's, the task's own: the nearer wins."""
        own = self._render(task, node.env, now) if node.env else {}
        return {**self._around.base_env, **self._values.env, **{name: _as_text(value) for name, value in own.items()}}

    def _cache_key(self, attempt: Attempt) -> str:
        """By content: what is done, with which values and settings; never where it stands or when."""
        node = attempt.node
        # What may hold secrets or differs between machines says nothing about the result.
        fields = {name: value for name, value in attempt.fields.items() if name not in _UNKEYED}
        facts = (node.verb, node.digest, fields, attempt.env, str(attempt.cwd), node.output)
        return hashlib.sha256(msgspec.msgpack.encode(facts, order="sorted")).hexdigest()

    # --- what comes out

    def _keep_files(self, schema: dict[str, JSON], value: JSON, attempt: Attempt) -> JSON:
        roots = (self._around.project.root, self._around.run_dir)
        return keep_files(schema, value, self._values.journal, roots, attempt.cwd)

    def _report(self, task: int, number: int, node: Node, outcome: Outcome, attempt: Attempt) -> AnyInput:
        match outcome:
            case Succeeded():
                return self._success(task, number, node, outcome)
            case Sleeping():
                return AttemptSlept(task, number, outcome.until, self._store(outcome.value))
            case Asking():
                return self._asked(task, number, outcome, attempt)
            case Parked():
                return AttemptParked(task, number, outcome.reason, outcome.cost)
            case Ending():
                return AttemptEnded(task, number, outcome.status, outcome.message)

    def _success(self, task: int, number: int, node: Node, outcome: Succeeded) -> AnyInput:
        if node.output is not None and (found := problems(node.output, outcome.value)):
            message = f"the value does not fit its `output`: {found[0]}"
            raise TaskError("invalid_output", message, meta={**outcome.meta, "value": outcome.value})
        meta = self._store(outcome.meta) if outcome.meta else None
        return AttemptSucceeded(task, number, self._store(outcome.value), meta, outcome.cost, outcome.usage or None)

    def _asked(self, task: int, number: int, outcome: Asking, attempt: Attempt) -> AnyInput:
        if outcome.resumes is not None and outcome.resumes in attempt.answers:
            raise TaskError("internal", f"it asks again what was answered: {outcome.question}")
        question = {"question": outcome.question, "schema": outcome.schema, "show": outcome.show, "to": outcome.to}
        word = outcome.on_expired if isinstance(outcome.on_expired, str) else "value"
        value = None if isinstance(outcome.on_expired, str) else self._store(outcome.on_expired)
        worked = max(self._now() - attempt.now, 0.0) if outcome.resumes else 0.0
        expires_at = None if outcome.expires_at is None else outcome.expires_at + worked
        told = outcome.cost if outcome.resumes else None
        return AttemptAsked(
            task, number, self._store(question), expires_at, word, value, outcome.resumes or "", worked, told
        )

    def _store(self, value: JSON) -> Value:
        return store(self._values.journal, self._around.redactor.value(value) if self._around.secrets else value)

    def _failed(self, task: int, number: int, error: Exception) -> AnyInput:
        clean = self._around.redactor.text
        if isinstance(error, JournalError):
            raise error
        if no_space(error):
            raise JournalFullError("no space is left for the files of a task", help="free some space") from error
        if isinstance(error, TaskError):
            if error.type == "cancelled" and self._around.control() == "stop":
                # It left off because the run is being stopped: that is no failure, it goes on when the run does.
                return AttemptInterrupted(task, number, "the run was stopped")
            retry_after = error.meta.get("retry_after")
            failure = Failure(error.type, clean(error.message), clean(error.help or "") or None, retry_after)
            cost = error.meta.get("cost")
            return AttemptErred(task, number, failure, self._store(error.meta) if error.meta else None, cost)
        if isinstance(error, ExpressionError):
            failure = failure_of(error, "in an expression")
            return AttemptErred(task, number, Failure(failure.type, clean(failure.message), failure.help))
        if isinstance(error, WhisperFlowError):
            return AttemptErred(
                task, number, Failure("invalid_input", clean(error.message), clean(error.help or "") or None)
            )
        told = error if harmless(error, self._around.redactor) else None
        _log.error("attempt %d of task %d failed inside the engine", number, task, exc_info=told)
        return AttemptErred(task, number, Failure("internal", clean(f"{type(error).__name__}: {error}")))


def _private_folders(state: Path, folder: Path) -> None:
    """Make `folder` and those above it, up to the state folder, for this user only (`parents=True` would forget the mode)."""
    if folder != state and not folder.is_dir():
        _private_folders(state, folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def log_name(task: str) -> str:
    """A task's name as the name of its log folder: nothing that a path could mean, and never too long."""
    safe = "".join(char if char.isalnum() or char in "._-#[]~" else "_" for char in task)
    if safe == task and len(safe) <= 100:
        return safe
    return f"{safe[:80]}-{hashlib.sha256(task.encode()).hexdigest()[:12]}"


def _as_text(value: JSON) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
