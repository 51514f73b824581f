"""One line a finding, for editors and grep: `file:line:column: severity[code]: message (help)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.spec.diagnostics import Diagnostic, in_order
from orchestrator.spec.reports._clean import clean
from orchestrator.spec.reports._summary import Summary


def render(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], summary: Summary) -> str:
    """Every finding, then the summary."""
    rows = [
        f"{clean(one.file)}:{one.span.line}:{one.span.column}: {one.severity}[{one.code}]: {clean(one.message)}"
        + (f" ({clean(one.help)})" if one.help else "")
        for one in in_order(diagnostics)
    ]
    return "\n".join([*rows, summary.line()]) + "\n"
