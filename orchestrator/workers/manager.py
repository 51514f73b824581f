"""WorkerManager: everything one can do with workers, behind one door.

    manager = engine_workers(engine)                              # or WorkerManager() with nothing but memory
    manager.add_definition({"definition_id": "fast", "provider": "embedded", "model_name": "writer",
                            "interaction_models": ["stateless_task"]})
    output, record = await manager.execute_stateless_task("fast", "A note on bridges")

Safe under concurrent use, from threads and from tasks. Methods that read the journal or a disk block for that long; on an
event loop call them through `asyncio.to_thread`. Every error is a WorkerError whose `kind` says what can be done next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestrator.ports.journal import Journal
from orchestrator.ports.services import Sessions
from orchestrator.ports.workers import Asker
from orchestrator.workers import files
from orchestrator.workers.archive import Archive, passes
from orchestrator.workers.calling import Caller, CheckLimits, StatelessResult
from orchestrator.workers.definitions import (
    DefinitionStatus,
    Interaction,
    WorkerDefinition,
    configured,
    from_plan,
)
from orchestrator.workers.derived import Conversations
from orchestrator.workers.errors import InvalidArgumentError, PreconditionFailedError, WorkerNotFoundError
from orchestrator.workers.files import Saved
from orchestrator.workers.instances import InstanceStatus, WorkerInstance
from orchestrator.workers.kept import Kept
from orchestrator.workers.keys import key_status
from orchestrator.workers.performance import PerformanceRecord, PerformanceSummary, summarise
from orchestrator.workers.reading import read_noun
from orchestrator.workers.roster import Roster
from orchestrator.workers.store import DefinitionStore, fits

__all__ = ["StatelessResult", "WorkerManager"]


class WorkerManager:
    """`sessions` asks the models, `journal` is where what they did is read. Without the first nothing can be asked, without
    the second only this process's own calls are known."""

    def __init__(
        self,
        definitions: Iterable[WorkerDefinition] = (),
        *,
        places: Mapping[str, str] | None = None,
        project: Path | None = None,
        folder: Path | None = None,
        kept: Path | None = None,
        journal: Journal | None = None,
        sessions: Sessions | None = None,
        environ: Mapping[str, str] | None = None,
        check_limits: CheckLimits | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`definitions` are declared by a person, in the files of `places`. `folder` is where `save_all` writes;
        `kept` holds what was added and logged in earlier processes, and is read at once. Raises InvalidArgumentError."""
        self._store = DefinitionStore(definitions, places)
        self._roster = Roster()
        self._archive = Archive(Conversations(journal))
        self._project = project or Path()
        self._folder = folder
        self._kept = Kept(kept) if kept is not None else None
        self._environ = os.environ if environ is None else environ
        self._now = now
        self._caller = Caller(
            self._archive,
            sessions,
            environ=self._environ,
            project=self._project,
            check_limits=check_limits,
            recorded=journal is not None,
            now=now,
        )
        if self._kept is not None:
            self._kept.load(self._store, self._archive)

    def now(self) -> float:
        """Epoch seconds by the manager's clock."""
        return self._now()

    def keep(self) -> tuple[str, ...]:
        """Make what was added, removed and logged outlive this process. Returns ids whose inline key was not written.

        Does nothing without a `kept` folder. Raises WorkerInternalError.
        """
        return self._kept.save(self._store, self._archive) if self._kept is not None else ()

    def beside(self, workers: Mapping[str, Mapping[str, Any]], place: str = "the workflow") -> WorkerManager:
        """The same manager, seen from a workflow whose own `workers:` (as its plan has them) come first."""
        view = copy(self)
        view.__dict__["_store"] = self._store.beside([from_plan(name, said) for name, said in workers.items()], place)
        return view

    # Definitions

    def add_definition(self, definition: WorkerDefinition | Mapping[str, Any]) -> WorkerDefinition:
        """Raises InvalidArgumentError, PreconditionFailedError if there is one of that id."""
        return self._store.add(definition)

    def get_definition(self, definition_id: str) -> WorkerDefinition:
        """Raises WorkerNotFoundError with near ids."""
        return self._store.get(definition_id)

    def list_definitions(
        self,
        *,
        definition_id: str | None = None,
        name: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        status: DefinitionStatus | None = None,
        interaction_model: Interaction | None = None,
        capabilities: Iterable[str] = (),
    ) -> list[WorkerDefinition]:
        """Those that pass every filter given, by id. `name` may be a part of it; all `capabilities` must be there."""
        wanted = capabilities if isinstance(capabilities, str) else tuple(capabilities)
        return [
            one
            for one in self._store.all()
            if fits(
                one,
                definition_id=definition_id,
                name=name,
                provider=provider,
                model=model,
                status=status,
                interaction_model=interaction_model,
                capabilities=wanted,
            )
        ]

    def update_definition(self, definition_id: str, changes: Mapping[str, Any]) -> WorkerDefinition:
        """Fields given replace the old ones, None brings back a default; instances at work keep what they began with.

        Raises WorkerNotFoundError, InvalidArgumentError, PreconditionFailedError for one that a person's file declares.
        """
        return self._store.update(definition_id, changes)

    def remove_definition(self, definition_id: str) -> WorkerDefinition:
        """Raises as `update_definition`, and PreconditionFailedError while instances of it are at work. Records stay."""
        if active := self._roster.list_active(definition_id):
            raise PreconditionFailedError(
                f"{len(active)} instances of worker {definition_id!r} are at work", help="retire them, or archive it"
            )
        return self._store.remove(definition_id)

    def place(self, definition_id: str) -> str | None:
        """The file that declares it, None for one that was added."""
        return self._store.place(definition_id)

    def key_status(self, definition_id: str) -> tuple[str, str]:
        """(Found | Not Found | Not Configured | Error, where that is); never the value. May ask a vault: off the loop."""
        return key_status(self.get_definition(definition_id).as_worker(), self._environ, self._project)

    def save_all(self, folder: Path | None = None) -> Saved:
        """All definitions into `ai_worker_definitions.json`; inline keys stay out, and the answer says whose."""
        return files.write_definitions(self._where(folder), self._store.all())

    def load_all(self, path: Path | None = None) -> tuple[int, tuple[str, ...]]:
        """From that file, or the folder that holds it: (how many came in, ids left aside because a person's file declares them).

        One bad row and nothing changes.
        """
        found = files.read_definitions(self._where(path))
        hidden = self._store.take(found)
        return len(found) - len(hidden), hidden

    # Instances

    def spawn(
        self,
        definition: str | WorkerDefinition,
        config_overrides: Mapping[str, Any] | None = None,
        file_contexts: Iterable[str] = (),
    ) -> WorkerInstance:
        """An idle instance for a conversation. Raises WorkerNotFoundError, PreconditionFailedError for a definition that is not
        active or not conversational, InvalidArgumentError, WorkerRateLimitedError if too many are at work."""
        found = self._usable(definition, "conversational")
        return self._roster.spawn(found, config_overrides, file_contexts, self._now())

    def get_instance(self, instance_id: str) -> WorkerInstance:
        """Spawned here, or a conversation on record. Raises WorkerNotFoundError."""
        try:
            return self._roster.get(instance_id)
        except WorkerNotFoundError:
            for found in self._archive.conversations.instances(self._now()):
                if found.instance_id == instance_id:
                    return found
            raise

    def list_active(self, definition_id: str | None = None) -> list[WorkerInstance]:
        """At work now: spawned here and not retired, and every conversation of a run that is not over."""
        own = self._roster.list_active(definition_id)
        known = {one.instance_id for one in self._roster.all()}
        others = [
            one
            for one in self._archive.conversations.instances(self._now())
            if one.active and one.instance_id not in known and definition_id in (None, one.definition_id)
        ]
        return own + others

    def retire(
        self, instance_id: str, reason: str = "", *, status: InstanceStatus = "retired_completed"
    ) -> WorkerInstance:
        """Raises WorkerNotFoundError, PreconditionFailedError if it is retired, InvalidArgumentError."""
        if not status.startswith("retired_"):
            raise InvalidArgumentError(f"an instance is not retired as {status!r}")
        if not self._roster.get(instance_id).active:
            raise PreconditionFailedError(f"instance {instance_id} is retired already")
        return self._roster.move(instance_id, status, self._now(), retirement_reason=reason)

    def update_status(self, instance_id: str, status: InstanceStatus, *, error: str | None = None) -> WorkerInstance:
        """Raises WorkerNotFoundError, PreconditionFailedError for a move that `STATUS_TABLE` lacks."""
        facts = {} if error is None else {"last_error": error}
        return self._roster.move(instance_id, status, self._now(), **facts)

    def update_token_usage(self, instance_id: str, input_tokens: int, output_tokens: int) -> WorkerInstance:
        """Add to its count; once it alone has used the worker's tokens of a day it is token_limit_reached."""
        instance = self._roster.get(instance_id)
        try:
            limit = self._store.get(instance.definition_id).rate_limits.max_tokens_per_day
        except WorkerNotFoundError:
            limit = 0
        return self._roster.count_tokens(instance_id, input_tokens, output_tokens, limit, self._now())

    async def converse(
        self, instance_id: str, prompt: str, *, deadline: float | None = None, asker: Asker | None = None
    ) -> str:
        """The next prompt of an instance's conversation, and the answer. Raises as `execute_stateless_task`, and
        PreconditionFailedError while it is busy or cannot go on."""
        instance = self._roster.get(instance_id)
        if instance.status == "busy":
            raise PreconditionFailedError(f"instance {instance_id} is busy")
        definition = self._usable(instance.definition_id, "conversational")
        answer = await self._caller.turn(definition, instance, prompt, self._roster, deadline=deadline, asker=asker)
        self.update_token_usage(instance_id, answer.usage.get("input_tokens", 0), answer.usage.get("output_tokens", 0))
        return answer.text

    # Single calls

    async def execute_stateless_task(
        self,
        definition: str | WorkerDefinition,
        prompt: str,
        config_overrides: Mapping[str, Any] | None = None,
        *,
        file_contexts: Iterable[str] = (),
        deadline: float | None = None,
        asker: Asker | None = None,
    ) -> StatelessResult:
        """One prompt, one answer: (output, record). Checked in this order, each with its own error: it exists, is active, takes
        single calls, has room in its limits, has its key; then it is called, and what came of it is on record.

        `deadline` is in epoch seconds; `asker` is the run it is done for, if any, which pays for it. Raises WorkerNotFoundError,
        PreconditionFailedError, InvalidArgumentError, WorkerRateLimitedError (with when to try again),
        WorkerConfigurationError, ModelError, WorkerInternalError.
        """
        found = self._usable(definition, "stateless_task")
        config = configured(found, config_overrides)
        return await self._caller.single(found, config, prompt, files=file_contexts, deadline=deadline, asker=asker)

    # Performance

    def log_performance(self, record: PerformanceRecord | Mapping[str, Any]) -> PerformanceRecord:
        """Put a record beside the journal's: of work done elsewhere, or the journal's own with a supervisor's feedback.

        Raises InvalidArgumentError, WorkerNotFoundError for an unknown definition.
        """
        made = (
            record
            if isinstance(record, PerformanceRecord)
            else read_noun(PerformanceRecord, record, "performance record")
        )
        self._store.get(made.definition_id)
        self._archive.log(made)
        return made

    def get_performance_records(
        self,
        *,
        definition_id: str | None = None,
        task_id: str | None = None,
        instance_id: str | None = None,
        success: bool | None = None,
        duration_ms_min: int | None = None,
        duration_ms_max: int | None = None,
        cost_min: Decimal | float | None = None,
        cost_max: Decimal | float | None = None,
        since: float | None = None,
    ) -> list[PerformanceRecord]:
        """Those that pass every filter given, in the order they began. Replayed work is in none."""
        return [
            record
            for record in self._archive.all()
            if passes(
                record,
                definition_id=definition_id,
                task_id=task_id,
                instance_id=instance_id,
                success=success,
                duration_ms_min=duration_ms_min,
                duration_ms_max=duration_ms_max,
                cost_min=_decimal(cost_min),
                cost_max=_decimal(cost_max),
                since=since,
            )
        ]

    def get_performance_summary(self, definition_id: str) -> PerformanceSummary:
        """Derived anew from all records. Raises WorkerNotFoundError."""
        self._store.get(definition_id)
        return self.summaries([definition_id])[0]

    def summaries(self, definition_ids: Iterable[str] | None = None) -> list[PerformanceSummary]:
        """One for each id, by default for every definition; the records are read once."""
        ids = [one.definition_id for one in self._store.all()] if definition_ids is None else list(definition_ids)
        records, active = self._archive.all(), self.list_active()
        spawned = self._roster.all()
        return [
            summarise(
                one,
                records,
                instances={each.instance_id for each in (*spawned, *active) if each.definition_id == one},
                active=sum(each.definition_id == one for each in active),
            )
            for one in ids
        ]

    def save_performance_data(self, folder: Path | None = None) -> Saved:
        """All records into `ai_worker_performance_data.json`."""
        return files.write_performance(self._where(folder), self._archive.all())

    def load_performance_data(self, path: Path | None = None) -> int:
        """From that file, or the folder that holds it; how many. What the journal knows too is not counted twice."""
        found = files.read_performance(self._where(path))
        self._archive.log(*found)
        return len(found)

    # What several of them need

    def _usable(self, definition: str | WorkerDefinition, interaction: Interaction) -> WorkerDefinition:
        found = self._store.get(definition if isinstance(definition, str) else definition.definition_id)
        if found.status != "active":
            help = f"`whisper-flow workers enable {found.definition_id}`" if found.status == "disabled" else None
            raise PreconditionFailedError(f"worker {found.definition_id!r} is {found.status}", help=help)
        if not found.takes(interaction):
            does = {"stateless_task": "single calls", "conversational": "conversations"}.get(interaction, interaction)
            raise PreconditionFailedError(
                f"worker {found.definition_id!r} does not take {does}",
                help=f"set `interaction_models: both`; it says {', '.join(found.interaction_models)}",
            )
        return found

    def _where(self, given: Path | None) -> Path:
        where = given or self._folder
        if where is None:
            raise InvalidArgumentError("no folder is given", help="name one, or give the manager a `folder`")
        return where


def _decimal(value: Decimal | float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
