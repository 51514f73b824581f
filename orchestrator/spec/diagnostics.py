"""What a check has to say about a file: plain values, made by the loader, the models and the rules, printed by `reports/`.

Words: a *code* (`WF203`) never changes its meaning and is never used again; a *span* is where; a *label* is what stands
under the carets; `help` is the remedy and the only place for it; a *fix* is a list of edits that is safe to apply unasked.
Messages are lower case, name the problem, and show the user's own text exactly as written between backticks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from orchestrator.errors import WhisperFlowError

Severity = Literal["error", "warning", "info"]

SEVERITY_RANK: Final[dict[str, int]] = {"error": 0, "warning": 1, "info": 2}


class Span(NamedTuple):
    """A piece of a file. Lines and columns start at 1 and count code points; `end_column` is the column after the last one."""

    line: int
    column: int
    end_line: int
    end_column: int


FILE_START: Final = Span(1, 1, 1, 1)
"""Where a finding about a whole file points."""


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that matters: the other end of a cycle, the first of two duplicates. `file` None: the same file."""

    span: Span
    text: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace what `span` covers by `new_text`; an empty span inserts."""

    span: Span
    new_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding: one cause, one message."""

    code: str
    severity: Severity
    message: str
    file: str
    span: Span = FILE_START
    label: str = ""
    """Under the carets of `span`; empty: carets alone."""
    labels: tuple[Label, ...] = ()
    help: str | None = None
    fix: tuple[Edit, ...] | None = None

    def __post_init__(self) -> None:
        # A message may quote what somebody wrote, and people write more than one line. It stays one, in every report.
        if "\n" in self.message or "\r" in self.message:
            object.__setattr__(self, "message", " ".join(self.message.split()))

    def as_json(self) -> dict[str, Any]:
        """The shape `--format json` prints for one finding (documented in `reports/json.py`)."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.file,
            "span": span_json(self.span),
            "label": self.label,
            "labels": [
                {"file": one.file or self.file, "span": span_json(one.span), "text": one.text} for one in self.labels
            ],
            "help": self.help,
            "fix": None
            if self.fix is None
            else [{"span": span_json(edit.span), "new_text": edit.new_text} for edit in self.fix],
        }


def shown(text: str, length_max: int = 60) -> str:
    """The user's text as it may stand in a message: as written, but no longer than a line."""
    first = text.splitlines()[0] if text else ""
    whole = len(first) == len(text) and len(text) <= length_max
    return text if whole else f"{first[: length_max - 1]}…"


def span_json(span: Span) -> dict[str, int]:
    return span._asdict()


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, place, gravity, code: the order every report prints. Equal findings appear once."""
    unique = dict.fromkeys(diagnostics)
    return sorted(unique, key=lambda one: (one.file, one.span, SEVERITY_RANK[one.severity], one.code, one.message))


def worst_first(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return sorted(in_order(diagnostics), key=lambda one: SEVERITY_RANK[one.severity])


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(one.severity == "error" for one in diagnostics)


class DiagnosticsError(WhisperFlowError):
    """The file is not valid; `diagnostics` holds every finding, the warnings included. Nothing was started."""

    exit_code = 3

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics: list[Diagnostic] = in_order(diagnostics)
        errors = [one for one in self.diagnostics if one.severity == "error"] or self.diagnostics
        lines = [
            f"{one.file}:{one.span.line}:{one.span.column}: {one.severity}[{one.code}]: {one.message}"
            for one in errors[:5]
        ]
        if len(errors) > 5:
            lines.append(f"and {len(errors) - 5} more")
        super().__init__("\n".join(lines) or "the workflow is not valid", help=errors[0].help if errors else None)
