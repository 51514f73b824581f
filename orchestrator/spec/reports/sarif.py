"""SARIF 2.1.0, for code scanning services and editors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from orchestrator.spec.diagnostics import Diagnostic, Edit, Span, in_order
from orchestrator.spec.reports._summary import Summary

_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def render(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], summary: Summary) -> str:
    """One run with every finding; the rules that found something, each with its explanation."""
    found = in_order(diagnostics)
    codes = sorted({one.code for one in found})
    driver = {"name": "whisper-flow", "rules": [_rule(code) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "artifacts": [{"location": _location(file)} for file in sorted({*summary.files, *(one.file for one in found)})],
        "results": [_result(one, codes) for one in found],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str) -> dict[str, Any]:
    from orchestrator.spec.rules import find

    rule = find(code)
    made: dict[str, Any] = {"id": code}
    if rule is not None:
        made["name"] = "".join(word.capitalize() for word in rule.name.split("-"))
        made["shortDescription"] = {"text": rule.summary}
        made["fullDescription"] = {"text": rule.summary}
        made["help"] = {"text": rule.explanation, "markdown": rule.explanation}
        made["defaultConfiguration"] = {"level": _LEVELS[rule.severity]}
    return made


def _result(one: Diagnostic, codes: list[str]) -> dict[str, Any]:
    text = one.message + (f". Help: {one.help}" if one.help else "")
    result: dict[str, Any] = {
        "ruleId": one.code,
        "ruleIndex": codes.index(one.code),
        "level": _LEVELS[one.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": _physical(one.file, one.span)}],
    }
    if one.labels:
        result["relatedLocations"] = [
            {
                "id": number,
                "physicalLocation": _physical(label.file or one.file, label.span),
                "message": {"text": label.text},
            }
            for number, label in enumerate(one.labels)
        ]
    if one.fix:
        change = {"artifactLocation": _location(one.file), "replacements": [_replacement(edit) for edit in one.fix]}
        result["fixes"] = [{"description": {"text": one.help or one.message}, "artifactChanges": [change]}]
    return result


def _replacement(edit: Edit) -> dict[str, Any]:
    return {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.new_text}}


def _physical(file: str, span: Span) -> dict[str, Any]:
    return {"artifactLocation": _location(file), "region": _region(span)}


def _location(file: str) -> dict[str, str]:
    return {"uri": quote(file)}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
