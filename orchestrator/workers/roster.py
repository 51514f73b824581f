"""The instances of one process. Counts and moves happen under one lock, so that none is lost however many threads there are."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import msgspec

from orchestrator.workers.definitions import WorkerDefinition, configured
from orchestrator.workers.errors import InvalidArgumentError, WorkerNotFoundError, WorkerRateLimitedError
from orchestrator.workers.instances import InstanceStatus, TokenUsage, Turn, WorkerInstance, moved
from orchestrator.workers.performance import SPAWNED


class Roster:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._instances: dict[str, WorkerInstance] = {}

    def spawn(
        self,
        definition: WorkerDefinition,
        config_overrides: Mapping[str, Any] | None,
        file_contexts: Iterable[str],
        now: float,
    ) -> WorkerInstance:
        """An idle instance. Raises InvalidArgumentError, WorkerRateLimitedError if as many are at work as the worker allows."""
        config = configured(definition, config_overrides)
        files = tuple(dict.fromkeys([*definition.default_file_contexts, *file_contexts]))
        limit = definition.rate_limits.max_concurrent_active_instances
        with self._lock:
            active = len(self.list_active(definition.definition_id))
            if limit and active >= limit:
                raise WorkerRateLimitedError(
                    f"{active} instances of worker {definition.definition_id!r} are at work, as many as it allows",
                    retry_at=None,
                    help="retire one, or raise `max_concurrent_active_instances`",
                )
            made = WorkerInstance(
                instance_id=f"{SPAWNED}{uuid4().hex}",
                definition_id=definition.definition_id,
                created_at=now,
                last_activity_at=now,
                current_config=config.said(),
                active_file_contexts=files,
            )
            self._instances[made.instance_id] = made = moved(made, "idle", now)
        return made

    def get(self, instance_id: str) -> WorkerInstance:
        """Raises WorkerNotFoundError."""
        with self._lock:
            found = self._instances.get(instance_id)
        if found is None:
            raise WorkerNotFoundError(f"there is no instance {instance_id!r}", help="`list_active` names those at work")
        return found

    def all(self) -> list[WorkerInstance]:
        with self._lock:
            return list(self._instances.values())

    def list_active(self, definition_id: str | None = None) -> list[WorkerInstance]:
        """In the order they were spawned."""
        return [one for one in self.all() if one.active and definition_id in (None, one.definition_id)]

    def move(self, instance_id: str, status: InstanceStatus, now: float, **facts: Any) -> WorkerInstance:
        """Raises WorkerNotFoundError, PreconditionFailedError for a move the table lacks."""
        with self._lock:
            self._instances[instance_id] = made = moved(self.get(instance_id), status, now, **facts)
        return made

    def count_tokens(self, instance_id: str, tokens_in: int, tokens_out: int, limit: int, now: float) -> WorkerInstance:
        """Add to its usage; at `limit` (0: none) it becomes token_limit_reached. Raises as `get`, InvalidArgumentError."""
        if tokens_in < 0 or tokens_out < 0:
            raise InvalidArgumentError("tokens are counted upwards")
        with self._lock:
            before = self.get(instance_id)
            used = before.session_token_usage
            usage = TokenUsage(input=used.input + tokens_in, output=used.output + tokens_out)
            made = msgspec.structs.replace(before, session_token_usage=usage, last_activity_at=now)
            if limit and usage.total >= limit and made.status in ("idle", "busy", "rate_limited"):
                made = moved(made, "token_limit_reached", now, last_error=f"{usage.total} of {limit} tokens are used")
            self._instances[instance_id] = made
        return made

    def remember(self, instance_id: str, *turns: Turn) -> None:
        with self._lock:
            before = self.get(instance_id)
            history = (*before.conversation_history, *turns)
            self._instances[instance_id] = msgspec.structs.replace(before, conversation_history=history)
