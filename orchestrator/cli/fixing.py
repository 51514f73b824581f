"""Applying the fixes that findings carry: edits of the files themselves, each file written whole or not at all."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.spec.diagnostics import Diagnostic, Edit
    from orchestrator.spec.positions import LineIndex


def apply_fixes(findings: Iterable[Diagnostic]) -> int:
    """Apply every fix that does not touch what another one has touched; the number applied."""
    by_file: dict[str, list[Diagnostic]] = defaultdict(list)
    for one in findings:
        if one.fix:
            by_file[one.file].append(one)
    return sum(_fix_file(Path(name), found) for name, found in by_file.items() if Path(name).is_file())


def _fix_file(path: Path, findings: list[Diagnostic]) -> int:
    from orchestrator.spec.positions import LineIndex

    text = path.read_bytes().decode("utf-8")
    mark, text = (text[0], text[1:]) if text.startswith("\ufeff") else ("", text)
    lines = LineIndex(text)
    taken: list[tuple[int, int, str]] = []
    applied = 0
    for one in findings:
        edits = [_placed(edit, lines) for edit in one.fix or ()]
        if edits and not any(_overlap(edit, other) for edit in edits for other in taken):
            taken += edits
            applied += 1
    for start, end, new in sorted(taken, reverse=True):
        text = text[:start] + new + text[end:]
    if applied:
        _write(path, mark + text)
    return applied


def _placed(edit: Edit, lines: LineIndex) -> tuple[int, int, str]:
    span = edit.span
    return lines.offset(span.line, span.column), lines.offset(span.end_line, span.end_column), edit.new_text


def _overlap(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
    """Two insertions at one place overlap as well: their order would be a guess."""
    return (one[0] < other[1] and other[0] < one[1]) or one[0] == other[0]


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(text.encode())
        part.chmod(path.stat().st_mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
