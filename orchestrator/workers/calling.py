"""A worker is asked: single calls and instances' conversations, through the loops that agents use.

So every call is journaled, priced, limited and counted like an agent's. `Sessions` is handed in; this floor knows no loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_OID, uuid4, uuid5

from orchestrator.errors import CredentialsError, TaskError, WhisperFlowError
from orchestrator.ports.services import AgentAnswer, AgentCall, Sessions
from orchestrator.ports.workers import Asker
from orchestrator.workers.archive import Archive
from orchestrator.workers.definitions import BaseConfig, WorkerDefinition
from orchestrator.workers.errors import (
    InvalidArgumentError,
    ModelError,
    WorkerConfigurationError,
    WorkerError,
    WorkerInternalError,
    WorkerRateLimitedError,
)
from orchestrator.workers.instances import InstanceStatus, Turn, WorkerInstance
from orchestrator.workers.keys import key_status
from orchestrator.workers.performance import STATELESS, LlmMetrics, PerformanceRecord, trimmed
from orchestrator.workers.reading import read_noun
from orchestrator.workers.roster import Roster

AFTER_ERROR: Final[dict[str, InstanceStatus]] = {"context_too_long": "context_full", "rate_limited": "rate_limited"}
"""What a failed call makes of its instance; everything else: error."""
TASK: Final = "prompt"


PROMPT_MAX: Final = 10 * 1024 * 1024
"""Bytes of a prompt."""

CheckLimits = Callable[[Mapping[str, Any]], Awaitable[float | None]]
"""Whether the windows of a worker (as a plan has it) have room: None, or the epoch second from which they will. Only a look,
`RateGate.free_at`; the gate in the loop reserves."""


class StatelessResult(NamedTuple):
    output: str
    record: PerformanceRecord


class Caller:
    """Asks, and sees to it that what came of it is on record."""

    def __init__(
        self,
        archive: Archive,
        sessions: Sessions | None,
        *,
        environ: Mapping[str, str],
        project: Path,
        check_limits: CheckLimits | None,
        recorded: bool,
        now: Callable[[], float],
    ) -> None:
        """`recorded`: what `sessions` do stands in the journal that the archive reads."""
        self._archive = archive
        self._sessions = sessions
        self._environ = environ
        self._project = project
        self._check_limits = check_limits
        self._recorded = recorded
        self._now = now

    async def single(
        self,
        definition: WorkerDefinition,
        config: BaseConfig,
        prompt: str,
        *,
        files: Iterable[str] = (),
        deadline: float | None = None,
        asker: Asker | None = None,
    ) -> StatelessResult:
        """Raises WorkerError, after a record of what failed."""
        await self._ready(definition, prompt)
        # Asked for again under the same key it is the same call, whose answer may stand on record already.
        name = uuid5(NAMESPACE_OID, asker.key) if asker is not None else uuid4()
        instance_id, started = f"{STATELESS}{name.hex}", self._now()
        # Below the asker's own key: what it costs is found there, and counts for the asker.
        key = f"{asker.key}/{instance_id}:{TASK}" if asker is not None else f"{instance_id}:{TASK}"
        try:
            answer = await self._ask(
                definition,
                config,
                prompt,
                instance_id=instance_id,
                key=key,
                files=[*definition.default_file_contexts, *files],
                deadline=deadline,
                asker=asker,
            )
        except WhisperFlowError as error:
            record = _record(definition, instance_id, key, prompt, started, self._now(), error=error)
            await self._note(record, asker)
            raise typed(error, definition, self._now()) from error
        record = _record(definition, instance_id, key, prompt, started, self._now(), answer=answer)
        record = await self._note(record, asker)
        return StatelessResult(answer.text, record)

    async def turn(
        self,
        definition: WorkerDefinition,
        instance: WorkerInstance,
        prompt: str,
        roster: Roster,
        *,
        deadline: float | None = None,
        asker: Asker | None = None,
    ) -> AgentAnswer:
        """The next prompt of an instance, whose status and history follow. Raises WorkerError."""
        await self._ready(definition, prompt)
        own, number = instance.instance_id, sum(one.role == "user" for one in instance.conversation_history) + 1
        roster.move(own, "busy", self._now())
        try:
            answer = await self._ask(
                definition,
                read_noun(BaseConfig, instance.current_config, "settings"),
                prompt,
                instance_id=own,
                # Below the asker's own key, as a single call's.
                key=f"{asker.key}/{own}:{number}" if asker is not None else f"{own}:{number}",
                session=own,
                files=instance.active_file_contexts if number == 1 else (),
                deadline=deadline,
                asker=asker,
            )
        except WhisperFlowError as error:
            status = AFTER_ERROR.get(error.type, "error") if isinstance(error, TaskError) else "error"
            roster.move(own, status, self._now(), last_error=error.message)
            raise typed(error, definition, self._now()) from error
        except BaseException:
            roster.move(own, "idle", self._now())
            raise
        roster.move(own, "idle", self._now())
        roster.remember(own, Turn(role="user", content=prompt), Turn(role="assistant", content=answer.text))
        return answer

    async def _ready(self, definition: WorkerDefinition, prompt: str) -> None:
        """Prompt, limits, key, in this order; nothing is asked if one of them fails."""
        _check_prompt(prompt)
        if self._sessions is None:
            raise WorkerInternalError("this manager has nobody to ask models", help="give it `sessions`")
        who = f"worker {definition.definition_id!r}"
        if self._check_limits is not None:
            at = await self._check_limits(definition.as_worker())
            if at is not None:
                raise WorkerRateLimitedError(
                    f"the limits of {who} are used up for another {max(at - self._now(), 0.0):.0f} s",
                    retry_at=at,
                    help="wait, or raise its `rate_limits`",
                )
        status, where = await asyncio.to_thread(key_status, definition.as_worker(), self._environ, self._project)
        needed = definition.auth is not None and definition.auth.method != "none"
        if status in ("Not Found", "Error") or (status == "Not Configured" and needed):
            raise WorkerConfigurationError(f"the key of {who}: {status}: {where}")

    async def _ask(
        self,
        definition: WorkerDefinition,
        config: BaseConfig,
        prompt: str,
        *,
        instance_id: str,
        key: str,
        session: str | None = None,
        files: Iterable[str],
        deadline: float | None,
        asker: Asker | None,
    ) -> AgentAnswer:
        """Raises TaskError; asked again under the same key it goes on where it stood."""
        assert self._sessions is not None
        settings = {name: value for name, value in config.said().items() if name != "base_url"}
        # Its files are given once, with the first prompt, together with the instance's own.
        worker = {**definition.as_worker(), "base_config": config.said(), "default_file_contexts": []}
        call = AgentCall(
            run_id=asker.run_id if asker is not None else instance_id,
            task=TASK,
            key=key,
            agent_id=definition.definition_id,
            agent={"worker": definition.definition_id, "ai_config": settings},
            prompt=prompt,
            files=list(files),
            session=session,
            deadline=asker.deadline if asker is not None and deadline is None else deadline,
            publish=lambda type, data: None,
            control=asker.control if asker is not None else lambda: None,
            budgets=asker.budgets if asker is not None else (),
            depth=asker.depth + 1 if asker is not None else 0,
            worker=worker,
            project=self._project,
            workers={definition.definition_id: worker},
        )
        try:
            answer = await self._sessions.run_turns(call)
        except TaskError as error:
            _told(asker, error.meta.get("cost"))
            raise
        _told(asker, answer.cost)
        return answer

    async def _note(self, record: PerformanceRecord, asker: Asker | None) -> PerformanceRecord:
        """The journal's record of a single call, where it has one; else this one is kept."""
        if self._recorded:
            run_id = asker.run_id if asker is not None else record.instance_id
            told = await asyncio.to_thread(self._archive.conversations.of_call, run_id, record.task_id)
            if told is not None:
                return told
            if record.success:
                return record  # it is a replay: it stands in no figure
        self._archive.log(record)
        return record


def _record(
    definition: WorkerDefinition,
    instance_id: str,
    key: str,
    prompt: str,
    started: float,
    ended: float,
    *,
    answer: AgentAnswer | None = None,
    error: WhisperFlowError | None = None,
) -> PerformanceRecord:
    """What one process knows by itself of a call."""
    usage: Mapping[str, int] = answer.usage if answer is not None else {}
    tokens_in, tokens_out = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return PerformanceRecord(
        task_id=key,
        instance_id=instance_id,
        definition_id=definition.definition_id,
        timestamp_start=started,
        timestamp_end=max(ended, started),
        duration_ms=max(round((ended - started) * 1000), 0),
        success=error is None,
        error_details=error.message if error is not None else "",
        input_context={"agent": definition.definition_id, "prompt": trimmed(prompt)},
        llm_metrics=LlmMetrics(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            total_tokens=tokens_in + tokens_out,
            finish_reason=answer.finish if answer is not None else "",
            model=answer.model if answer is not None else definition.model,
        ),
        cost_incurred=_cost(answer),
        currency=definition.cost_metrics.currency if definition.cost_metrics is not None else "USD",
        output_summary=trimmed(answer.text) if answer is not None else "",
    )


def _cost(answer: AgentAnswer | None) -> Decimal | None:
    if answer is None:
        return None
    if answer.synthetic:
        return Decimal(0)
    return Decimal(str(answer.cost)) if answer.cost is not None else None


def _told(asker: Asker | None, cost: float | None) -> None:
    if asker is not None and cost is not None:
        asker.costs.append(cost)


def _check_prompt(prompt: str) -> None:
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidArgumentError("the prompt is empty")
    if len(prompt.encode(errors="surrogatepass")) > PROMPT_MAX:
        raise InvalidArgumentError(f"the prompt is larger than {PROMPT_MAX // 2**20} MiB")


def typed(error: Exception, definition: WorkerDefinition, now: float) -> WorkerError:
    who = f"worker {definition.definition_id!r}"
    if isinstance(error, CredentialsError):
        return WorkerConfigurationError(f"{who}: {error.message}", help=error.help)
    if not isinstance(error, TaskError):
        return WorkerInternalError(f"{who}: {type(error).__name__}: {error}")
    said = f"{who}: {error.message}"
    match error.type:
        case "rate_limited":
            return WorkerRateLimitedError(said, retry_at=_retry_at(error, now), help=error.help)
        case "auth":
            return WorkerConfigurationError(said, help=error.help)
        case "invalid_input":
            return InvalidArgumentError(said, help=error.help)
        case "internal":
            return WorkerInternalError(said, help=error.help)
    return ModelError(said, error_type=error.type, help=error.help)


def _retry_at(error: TaskError, now: float) -> float | None:
    """From what the gate or the provider said: an instant, or seconds from now."""
    facts: dict[str, Any] = error.meta
    if isinstance(at := facts.get("retry_at"), int | float):
        return float(at)
    after = facts.get("retry_after", getattr(error, "retry_after", None))
    return now + float(after) if isinstance(after, int | float) else None
