"""`# wf: ignore[WF701] reason` hides a finding on its line, or, on a line of its own, on the next line.

Errors cannot be hidden, except those about security (WF7xx): a key that looks real may be a published demo key.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic, Edit, Span
from orchestrator.spec.loader import Document
from orchestrator.spec.suggest import did_you_mean

_COMMENT: Final = re.compile(r"#[ \t]*wf:[ \t]*ignore\[([^\]\r\n]*)\][ \t]*([^\r\n]*)")


@dataclass(slots=True)
class _Suppression:
    codes: tuple[str, ...]
    reason: str
    line: int
    """The line it is about."""
    span: Span
    used: bool = False


def suppress(
    document: Document,
    findings: Iterable[Diagnostic],
    *,
    complete: bool = True,
    known: Callable[[], Iterable[str]] = tuple,
) -> list[Diagnostic]:
    """The findings without those that the file asks to be quiet about, and with what is wrong about the asking.

    `complete`: everything was looked at, so that a comment which hid nothing is worth a word. `known` gives all codes.
    """
    if "wf:" not in document.text:
        return list(findings)
    suppressions = _read(document)
    by_line: dict[int, list[_Suppression]] = {}
    for suppression in suppressions:
        by_line.setdefault(suppression.line, []).append(suppression)
    kept = [one for one in findings if one.file != document.file or not _hidden(one, by_line.get(one.span.line, []))]
    left = {(one.span.line, one.code) for one in kept}
    codes = list(known()) if complete else []
    for one in suppressions:
        if not one.reason:
            kept.append(_without_reason(document, one))
        elif complete and not one.used:
            kept.append(_unused(document, one, left, codes))
    return kept


def _read(document: Document) -> list[_Suppression]:
    found = list(_COMMENT.finditer(document.text))
    scalars = sorted((node.start, node.end) for node in document.scalars()) if found else []
    made = []
    for comment in found:
        start = comment.start()
        before = bisect_left(scalars, (start,)) - 1
        if before >= 0 and start < scalars[before][1]:
            continue  # text, not a comment
        line, column = document.lines.place(start)
        alone = not document.lines.line_text(line)[: column - 1].strip()
        codes = tuple(code.strip().upper() for code in comment.group(1).split(",") if code.strip())
        span = document.lines.span(start, start + len(comment.group().rstrip()))
        made.append(_Suppression(codes, comment.group(2).strip(), _next_line(document, line) if alone else line, span))
    return made


def _next_line(document: Document, line: int) -> int:
    """The next line that is neither empty nor a comment."""
    following = line + 1
    while following <= len(document.lines.starts):
        text = document.lines.line_text(following).strip()
        if text and not text.startswith("#"):
            break
        following += 1
    return following


def _hidden(one: Diagnostic, suppressions: list[_Suppression]) -> bool:
    if one.severity == "error" and not one.code.startswith("WF7"):
        return False
    hidden = False
    for suppression in suppressions:
        if one.code in suppression.codes and suppression.reason:
            suppression.used = hidden = True
    return hidden


def _without_reason(document: Document, one: _Suppression) -> Diagnostic:
    codes = ",".join(one.codes)
    return Diagnostic(
        code="WF141", severity="error", file=document.file, span=one.span,
        message="a suppression needs its reason, and hides nothing without",
        help=f"write `# wf: ignore[{codes}]` and, behind it, why",
    )  # fmt: skip


def _unused(document: Document, one: _Suppression, left: set[tuple[int, str]], codes: list[str]) -> Diagnostic:
    unknown = next((code for code in one.codes if code not in codes), None)
    shown = ", ".join(f"`{code}`" for code in one.codes) or "nothing"
    help: str | None = "remove it"
    fix: tuple[Edit, ...] | None = None
    if unknown is not None and codes:
        message, help = f"there is no rule `{unknown}`", did_you_mean(unknown, codes)
    elif any((one.line, code) in left for code in one.codes):
        message, help = f"{shown} is an error and cannot be hidden", "repair it"
    else:
        message, fix = f"nothing on this line gives {shown}", (Edit(one.span, ""),)
    return Diagnostic(
        code="WF142", severity="warning", file=document.file, span=one.span, message=message, help=help, fix=fix
    )
