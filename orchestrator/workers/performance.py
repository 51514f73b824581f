"""PerformanceRecord: one piece of work of a worker; and what many of them say about their worker.

Money is Decimal, so that sums are exact. An unknown cost is None and stays unknown: it never counts as 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

TEXT_MAX: Final = 500
"""Characters kept of prompts and answers."""
STATELESS: Final = "stateless-"
"""How the ids of single calls begin."""
SPAWNED: Final = "instance-"
"""How the ids of spawned instances begin."""


class LlmMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    finish_reason: str = ""
    model: str = ""


class SupervisorFeedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rating: Annotated[float, Meta(ge=0, le=10)]
    """0 to 10."""
    comments: str = ""
    correction_instructions: str = ""
    supervisor_agent_id: str = ""
    timestamp: float = 0.0


class PerformanceRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    task_id: str
    """For an agent task `RUN:TASK`."""
    instance_id: str
    definition_id: str
    timestamp_start: float
    timestamp_end: float
    """Epoch seconds."""
    duration_ms: int
    success: bool
    error_details: str = ""
    input_context: dict[str, Any] = {}
    """The prompt (trimmed), agent and files."""
    llm_metrics: LlmMetrics = LlmMetrics()
    cost_incurred: Decimal | None = None
    """None: unknown."""
    currency: str = "USD"
    output_summary: str = ""
    supervisor_feedback: SupervisorFeedback | None = None

    @property
    def identity(self) -> tuple[str, str, float]:
        """Two records with the same one are the same piece of work."""
        return self.instance_id, self.task_id, self.timestamp_start

    @property
    def stateless(self) -> bool:
        return self.instance_id.startswith(STATELESS)

    def shown(self) -> dict[str, Any]:
        return to_json(self)


class PerformanceSummary(msgspec.Struct, frozen=True, kw_only=True):
    definition_id: str
    total_tasks_attempted: int = 0
    successful_tasks: int = 0
    failed_tasks: int = 0
    total_instances_spawned: int = 0
    average_success_rate: float | None = None
    """0 to 1; None while nothing was attempted."""
    average_duration_ms: float | None = None
    average_quality_score: float | None = None
    """Of the supervisors' ratings; None while there are none."""
    total_tokens_processed: int = 0
    total_cost_incurred: Decimal | None = Decimal(0)
    """Of what is known; None if nothing is, or if currencies are mixed (see `costs`)."""
    costs: dict[str, Decimal] = {}
    """Currency → sum of what is known."""
    unknown_costs: int = 0
    """Pieces of work whose cost nobody knows."""
    last_activity: float | None = None
    active_instances_count: int = 0

    def shown(self) -> dict[str, Any]:
        return to_json(self)


_PLAIN: Final = msgspec.json.Encoder(decimal_format="number")


def to_json(noun: msgspec.Struct) -> dict[str, Any]:
    """Plain values; money as numbers."""
    return msgspec.json.decode(_PLAIN.encode(noun))  # type: ignore[no-any-return]


def task_name(task_id: str) -> str:
    """`RUN:TASK` of a piece of work, without what was asked on behalf of it (`/call/…`): items may have a slash in their key."""
    depth = 0
    for at, sign in enumerate(task_id):
        depth += (sign == "[") - (sign == "]")
        if sign == "/" and depth <= 0:
            return task_id[:at]
    return task_id


def trimmed(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}…"


def summarise(
    definition_id: str, records: Iterable[PerformanceRecord], *, instances: Iterable[str] = (), active: int = 0
) -> PerformanceSummary:
    """What the records of one definition come to. `instances`: ids of spawned ones, with or without a record."""
    own = [record for record in records if record.definition_id == definition_id]
    successes = sum(record.success for record in own)
    ratings = [record.supervisor_feedback.rating for record in own if record.supervisor_feedback is not None]
    costs: dict[str, Decimal] = {}
    for record in own:
        if record.cost_incurred is not None:
            costs[record.currency] = costs.get(record.currency, Decimal(0)) + record.cost_incurred
    return PerformanceSummary(
        definition_id=definition_id,
        total_tasks_attempted=len(own),
        successful_tasks=successes,
        failed_tasks=len(own) - successes,
        total_instances_spawned=len({*instances, *(one.instance_id for one in own if not one.stateless)}),
        average_success_rate=successes / len(own) if own else None,
        average_duration_ms=sum(record.duration_ms for record in own) / len(own) if own else None,
        average_quality_score=sum(ratings) / len(ratings) if ratings else None,
        total_tokens_processed=sum(record.llm_metrics.total_tokens for record in own),
        total_cost_incurred=_total(costs, bool(own)),
        costs=costs,
        unknown_costs=sum(record.cost_incurred is None for record in own),
        last_activity=max((record.timestamp_end for record in own), default=None),
        active_instances_count=active,
    )


def _total(costs: dict[str, Decimal], worked: bool) -> Decimal | None:
    if len(costs) == 1:
        return next(iter(costs.values()))
    return None if worked else Decimal(0)
