"""JUnit XML, for CI services that show test results: one suite a file, one case a finding, one passing case for a clean file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from orchestrator.spec.diagnostics import Diagnostic, in_order
from orchestrator.spec.reports._clean import clean
from orchestrator.spec.reports._summary import Summary

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], summary: Summary) -> str:
    """Errors are failures; warnings and infos are passing cases that say so in `system-out`."""
    by_file: dict[str, list[Diagnostic]] = {file: [] for file in summary.files}
    for one in in_order(diagnostics):
        by_file.setdefault(one.file, []).append(one)
    suites = [row for file, found in by_file.items() for row in _suite(file, found)]
    tests = sum(max(len(found), 1) for found in by_file.values())
    time = f"{(summary.duration_ms or 0) / 1000:.3f}"
    head = f'<testsuites name="whisper-flow validate" tests="{tests}" failures="{summary.errors}" errors="0" time="{time}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>"]) + "\n"


def _suite(file: str, found: list[Diagnostic]) -> list[str]:
    failures = sum(one.severity == "error" for one in found)
    rows = [f'  <testsuite name={_attribute(file)} tests="{max(len(found), 1)}" failures="{failures}" errors="0">']
    if not found:
        rows.append(f'    <testcase classname={_attribute(file)} name="valid"/>')
    for one in found:
        name = f"{one.code} {one.span.line}:{one.span.column}"
        rows.append(f"    <testcase classname={_attribute(file)} name={_attribute(name)}>")
        rows.append(f"      {_outcome(one)}")
        rows.append("    </testcase>")
    return [*rows, "  </testsuite>"]


def _outcome(one: Diagnostic) -> str:
    text = f"{one.file}:{one.span.line}:{one.span.column}: {one.severity}[{one.code}]: {one.message}"
    body = escape(_legal(clean(text) + (f"\nhelp: {clean(one.help)}" if one.help else "")))
    if one.severity != "error":
        return f"<system-out>{body}</system-out>"
    return f"<failure type={_attribute(one.code)} message={_attribute(one.message)}>{body}</failure>"


def _attribute(text: str) -> str:
    return quoteattr(_legal(clean(text)))


def _legal(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
