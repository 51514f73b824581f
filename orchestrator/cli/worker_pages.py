"""How workers, their work and their money look on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from orchestrator.cli import formats
from orchestrator.cli.table import table
from orchestrator.cli.terminal import Screen, clean_line, cut

if TYPE_CHECKING:
    from orchestrator.workers.definitions import WorkerDefinition
    from orchestrator.workers.instances import WorkerInstance
    from orchestrator.workers.performance import PerformanceRecord, PerformanceSummary
    from orchestrator.workers.spending import Spent

UNKNOWN: Final = "unknown"
_KEY_STYLES: Final = {"Found": "green", "Not Found": "red", "Error": "red"}
_LIMITS: Final = {
    "max_requests_per_minute": "{} req/min",
    "max_requests_per_day": "{} req/day",
    "max_tokens_per_minute": "{} tok/min",
    "max_tokens_per_day": "{} tok/day",
    "max_concurrent_active_instances": "{} at once",
}


def worker_table(
    out: Screen,
    definitions: Iterable[WorkerDefinition],
    keys: Mapping[str, tuple[str, str]],
    summaries: Mapping[str, PerformanceSummary],
) -> str:
    head = ["worker", "model", "status", "key", "price in/out per M", "limits", "tasks", "ok", "cost"]
    rows, styles = [], []
    for one in definitions:
        summary, key = summaries[one.definition_id], keys[one.definition_id][0]
        rows.append(
            [
                one.definition_id,
                one.model,
                one.status,
                key,
                price(one),
                limits(one) or "none",
                str(summary.total_tasks_attempted),
                share(summary.average_success_rate),
                spent_text(summary.costs, summary.unknown_costs),
            ]
        )
        styles.append(["bold", "", "" if one.status == "active" else "dim", _KEY_STYLES.get(key, "dim")])
    return table(out, head, rows, styles=styles)


def show_worker(
    out: Screen, one: WorkerDefinition, place: str, key: tuple[str, str], summary: PerformanceSummary
) -> None:
    out.line(f"{out.style(one.definition_id, 'bold')}  {clean_line(one.model)}  {one.status}")
    facts = [
        ("name", one.name),
        ("about", one.description),
        ("from", place),
        ("key", f"{key[0]}: {key[1]}"),
        ("takes", ", ".join(one.interaction_models)),
        ("can", ", ".join(one.capabilities)),
        ("settings", ", ".join(f"{name} {value}" for name, value in one.base_config.said().items())),
        ("price", price(one)),
        ("limits", limits(one) or "none"),
        ("files", ", ".join(one.default_file_contexts)),
    ]
    _facts(out, facts)
    out.line(out.style("  performance", "dim"))
    rate = f" ({share(summary.average_success_rate)})" if summary.total_tasks_attempted else ""
    _facts(
        out,
        [
            ("tasks", f"{summary.total_tasks_attempted}, {summary.successful_tasks} succeeded{rate}"),
            (
                "took",
                formats.duration((summary.average_duration_ms or 0) / 1000) if summary.average_duration_ms else "",
            ),
            (
                "rating",
                f"{summary.average_quality_score:.1f} of 10" if summary.average_quality_score is not None else "",
            ),
            ("tokens", formats.count(summary.total_tokens_processed)),
            ("cost", spent_text(summary.costs, summary.unknown_costs)),
            ("at work", formats.plural(summary.active_instances_count, "instance")),
            ("last", formats.instant(summary.last_activity, now=time.time())),
        ],
    )


def _facts(out: Screen, facts: Iterable[tuple[str, str]]) -> None:
    for label, text in facts:
        if text:
            out.line(f"  {out.style(f'{label:<9}', 'dim')} {clean_line(text)}")


def instance_table(out: Screen, instances: Iterable[WorkerInstance]) -> str:
    head = ["instance", "worker", "status", "since", "tokens", ""]
    rows = [
        [
            one.instance_id,
            one.definition_id,
            one.status,
            formats.instant(one.created_at),
            formats.count(one.session_token_usage.total),
            one.last_error,
        ]
        for one in instances
    ]
    return table(out, head, rows, styles=[["bold"]] * len(rows))


def record_table(out: Screen, records: Iterable[PerformanceRecord]) -> str:
    from orchestrator.workers.performance import task_name

    head = ["task", "worker", "began", "took", "tokens", "cost", "", ""]
    rows, styles = [], []
    for one in records:
        rows.append(
            [
                task_name(one.task_id),
                one.definition_id,
                formats.instant(one.timestamp_start),
                formats.duration(one.duration_ms / 1000),
                formats.count(one.llm_metrics.total_tokens),
                UNKNOWN if one.cost_incurred is None else money(one.cost_incurred, one.currency),
                "ok" if one.success else "failed",
                cut(clean_line(one.output_summary if one.success else one.error_details), 80),
            ]
        )
        styles.append(["", "bold", "", "", "", "", "green" if one.success else "red"])
    return table(out, head, rows, styles=styles)


def spending_table(out: Screen, by: str, groups: list[Spent], whole: Spent) -> str:
    head = [by, "requests", "failed", "tokens in", "tokens out", "cost"]
    rows = [_spent_row(one, formats.short(one.name) if by == "run" else one.name) for one in groups]
    rows.append(_spent_row(whole, "total"))
    return table(out, head, rows, styles=[*([["bold"]] * len(groups)), ["dim"] * len(head)])


def _spent_row(one: Spent, name: str) -> list[str]:
    from orchestrator.core.budget import UNIT

    costs = {currency: Decimal(cost) / UNIT for currency, cost in one.costs.items()}
    at_most = {currency: Decimal(cost) / UNIT for currency, cost in one.at_most.items()}
    text = spent_text(costs, one.unknown, at_most)
    if one.synthetic and one.synthetic == one.requests:
        text = "nothing: not an AI model"
    return [
        name,
        str(one.requests),
        str(one.failed) if one.failed else "",
        formats.count(one.input_tokens),
        formats.count(one.output_tokens),
        text,
    ]


def spent_text(costs: Mapping[str, Decimal], unknown: int, at_most: Mapping[str, Decimal] | None = None) -> str:
    """`$0.031 + 2 unknown (at most $0.20)`; never a sum that hides what is not known."""
    known = [money(cost, currency) for currency, cost in sorted(costs.items()) if cost or not unknown]
    if unknown:
        bound = " and ".join(money(cost, currency) for currency, cost in sorted((at_most or {}).items()))
        known.append(f"{unknown} {UNKNOWN}" + (f" (some at most {bound})" if bound else ""))
    return " + ".join(known) or money(Decimal(0), "USD")


def money(cost: Decimal, currency: str) -> str:
    return formats.money(float(cost), currency)


def price(one: WorkerDefinition) -> str:
    metrics = one.cost_metrics
    if metrics is None:
        return "public list"
    sides = [
        (metrics.input_per_million, metrics.input_per_token),
        (metrics.output_per_million, metrics.output_per_token),
    ]
    shown = []
    for million, token in sides:
        value = million if million is not None else None if token is None else Decimal(str(token)) * 1_000_000
        shown.append(UNKNOWN if value is None else formats.money(float(value), metrics.currency))
    return "public list" if shown == [UNKNOWN, UNKNOWN] else " / ".join(shown)


def limits(one: WorkerDefinition) -> str:
    said = one.rate_limits.said()
    return ", ".join(text.format(formats.count(said[name])) for name, text in _LIMITS.items() if said.get(name))


def share(rate: float | None) -> str:
    return "" if rate is None else f"{rate * 100:.0f}%"
