"""Draws a plan: `graph(plan, as_="mermaid")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from orchestrator.core.plan import Plan
from orchestrator.errors import UsageError
from orchestrator.spec.graph_view import picture

Form = Literal["ascii", "mermaid", "dot", "svg", "json"]
FORMS: tuple[str, ...] = get_args(Form)


def graph(plan: Plan, as_: str = "ascii", *, status: Mapping[str, str] | None = None, ascii_only: bool = False) -> str:
    """The tasks of a plan and what they wait for, ending in a line break.

    `ascii` is for terminals (with `ascii_only` without any character beyond ASCII), `mermaid` for pages, `dot` for Graphviz,
    `svg` stands alone, `json` is complete: no edge is left out, no fan-out folded. `status`: a task's path (`build.code`),
    id or instances (`build[a].code`) → its word, shown in every form. Raises UsageError for another form.
    """
    if as_ == "json":
        from orchestrator.spec.graph_markup import as_json

        return as_json(picture(plan, status, fold=False, reduce=False))
    if as_ not in FORMS:
        raise UsageError(f"a graph cannot be drawn as {as_!r}", help="one of " + ", ".join(FORMS))
    drawn = picture(plan, status)
    if as_ == "ascii":
        from orchestrator.spec.graph_text import as_text

        return as_text(drawn, ascii_only=ascii_only)
    if as_ == "svg":
        from orchestrator.spec.graph_svg import as_svg

        return as_svg(drawn)
    from orchestrator.spec.graph_markup import as_dot, as_mermaid

    return as_mermaid(drawn) if as_ == "mermaid" else as_dot(drawn)
