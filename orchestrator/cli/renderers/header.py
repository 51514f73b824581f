"""The run in one line: what it is on the left, its clock, cost and tokens on the right."""

from __future__ import annotations

from typing import Any

from orchestrator.cli import formats
from orchestrator.cli.renderers.story import Story
from orchestrator.cli.terminal import cell_width, clean_line, cut

NOT_A_MODEL = "not an AI model"


def who_answers(story: Story) -> str:
    """What is to be said of the run's models; nothing where all of them are AI models."""
    if not story.synthetic:
        return ""
    return (
        f"some of its models are small programs, {NOT_A_MODEL}"
        if story.live
        else f"its models are small programs, {NOT_A_MODEL}"
    )


def header_line(title: str, run_id: str, workflow: str, *, synthetic: bool = False) -> str:
    parts = [
        clean_line(title),
        f"run {formats.short(run_id)}" if run_id else "",
        clean_line(workflow) if workflow != title else "",
    ]
    if synthetic:
        parts.append(f"({NOT_A_MODEL})")
    return "  ".join(part for part in parts if part)


def figures(story: Story, now: float, cost_max: str = "") -> str:
    """`0:42   $0.031 of $0.50   18.2k tok`; what is unknown or zero is left out."""
    started = story.first_at if story.first_at is not None else now
    parts = [formats.elapsed(now - started)]
    if story.cost is not None or story.unpriced or cost_max:
        cost = formats.cost(story.cost or 0.0, {"unpriced": story.unpriced}, story.currency)
        parts.append(cost + (f" of {cost_max}" if cost_max else ""))
    if story.tokens:
        parts.append(f"{formats.count(story.tokens)} tok")
    return "   ".join(parts)


def spread(left: str, right: str, width: int) -> str:
    """Left and right ends of one line of `width` columns; the left gives way."""
    room = width - cell_width(right) - 2
    left = cut(left, max(room, 10))
    return f"{left}{' ' * max(2, width - cell_width(left) - cell_width(right))}{right}"


def budget_text(budget: dict[str, Any] | None) -> str:
    """The cost limit of a plan's budget (`{cost: amount, currency}`), or empty."""
    cost = (budget or {}).get("cost")
    return (
        formats.money(float(cost), str((budget or {}).get("currency", "USD"))) if isinstance(cost, int | float) else ""
    )
