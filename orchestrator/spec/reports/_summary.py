"""The last line of a report, and the counts behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.spec.diagnostics import Diagnostic

SHOWN_MAX = 50
"""Nobody reads more at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What was looked at and found. `files` are the names of all files checked, `duration_ms` the wall time."""

    errors: int = 0
    warnings: int = 0
    infos: int = 0
    fixable: int = 0
    files: tuple[str, ...] = ()
    files_with_findings: int = 0
    duration_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "files": list(self.files)}

    def line(self) -> str:
        """`Found 1 error, 1 warning in 1 of 9 workflows (31 ms). 1 fixable.`"""
        took = f" ({self.duration_ms} ms)" if self.duration_ms is not None else ""
        counts = [(self.errors, "error"), (self.warnings, "warning"), (self.infos, "info")]
        parts = [counted(number, word) for number, word in counts if number]
        if not parts:
            return f"Checked {counted(len(self.files), 'workflow')}: nothing found{took}."
        fixable = f" {self.fixable} fixable." if self.fixable else ""
        where = f"{self.files_with_findings} of {counted(len(self.files), 'workflow')}"
        if self.files_with_findings > len(self.files):  # of `config/`, too
            where = counted(self.files_with_findings, "file")
        return f"Found {', '.join(parts)} in {where}{took}.{fixable}"


def counted(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 or word == "info" else f"{number:,} {word}s"


def summarise(
    diagnostics: Iterable[Diagnostic], files: Iterable[str] | None = None, duration_ms: int | None = None
) -> Summary:
    """Count the findings; without `files` those that have findings are taken for all."""
    found = list(diagnostics)
    with_findings = list(dict.fromkeys(one.file for one in found))
    return Summary(
        errors=sum(one.severity == "error" for one in found),
        warnings=sum(one.severity == "warning" for one in found),
        infos=sum(one.severity == "info" for one in found),
        fixable=sum(one.fix is not None for one in found),
        files=tuple(files) if files is not None else tuple(with_findings),
        files_with_findings=len(with_findings),
        duration_ms=duration_ms,
    )
