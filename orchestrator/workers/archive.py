"""All performance records there are: those the journal tells, and those that somebody logged or loaded beside it.

Where both know the same piece of work the journal's facts count, and the feedback that was given to it stays.
"""

from __future__ import annotations

import threading
from decimal import Decimal

import msgspec

from orchestrator.workers.derived import Conversations
from orchestrator.workers.errors import InvalidArgumentError
from orchestrator.workers.performance import PerformanceRecord, task_name

Identity = tuple[str, str, float]


class Archive:
    """Safe under threads."""

    def __init__(self, conversations: Conversations) -> None:
        self.conversations = conversations
        self._lock = threading.Lock()
        self._logged: dict[Identity, PerformanceRecord] = {}

    def log(self, *records: PerformanceRecord) -> None:
        """A record of the same instance, task and start replaces the earlier one. Raises InvalidArgumentError, keeping none."""
        for record in records:
            if record.timestamp_end < record.timestamp_start:
                raise InvalidArgumentError(f"record of {record.task_id!r} ends before it begins")
        with self._lock:
            self._logged.update({record.identity: record for record in records})

    def logged(self) -> list[PerformanceRecord]:
        """Those that do not stand in the journal, or carry more than it knows."""
        with self._lock:
            return list(self._logged.values())

    def all(self) -> list[PerformanceRecord]:
        """In the order they began. Raises JournalError."""
        with self._lock:
            found = dict(self._logged)
        for record in self.conversations.records():
            known = found.get(record.identity)
            if known is not None and known.supervisor_feedback is not None:
                record = msgspec.structs.replace(record, supervisor_feedback=known.supervisor_feedback)
            found[record.identity] = record
        return sorted(found.values(), key=lambda one: (one.timestamp_start, one.identity))


def passes(
    record: PerformanceRecord,
    *,
    definition_id: str | None = None,
    task_id: str | None = None,
    instance_id: str | None = None,
    success: bool | None = None,
    duration_ms_min: int | None = None,
    duration_ms_max: int | None = None,
    cost_min: Decimal | None = None,
    cost_max: Decimal | None = None,
    since: float | None = None,
) -> bool:
    """Whether a record passes every filter that is given. `task_id` may be the task's name alone; a record of unknown cost
    passes no filter on cost."""
    cost = record.cost_incurred
    return (
        definition_id in (None, record.definition_id)
        and (task_id is None or _is_of(record, task_id))
        and instance_id in (None, record.instance_id)
        and success in (None, record.success)
        and (duration_ms_min is None or record.duration_ms >= duration_ms_min)
        and (duration_ms_max is None or record.duration_ms <= duration_ms_max)
        and (cost_min is None or (cost is not None and cost >= cost_min))
        and (cost_max is None or (cost is not None and cost <= cost_max))
        and (since is None or record.timestamp_start >= since)
    )


def _is_of(record: PerformanceRecord, task_id: str) -> bool:
    whole = task_name(record.task_id)
    return task_id in (record.task_id, whole) or whole.endswith(f":{task_id}")
