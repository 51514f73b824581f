"""The format for programs; its shape only ever grows.

{"schema": "whisper-flow/diagnostics/1",
 "diagnostics": [{"code": "WF203", "severity": "error"|"warning"|"info", "message": text, "file": text,
                  "span": {"line", "column", "end_line", "end_column"},       from 1, code points, the end is exclusive
                  "label": text, "labels": [{"file", "span", "text"}], "help": text|null,
                  "fix": [{"span", "new_text"}]|null}],                       in order of file and place
 "summary": {"errors", "warnings", "infos", "fixable", "files": [text], "files_with_findings", "duration_ms": number|null}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic, in_order
from orchestrator.spec.reports._summary import Summary

SCHEMA: Final = "whisper-flow/diagnostics/1"


def render(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], summary: Summary) -> str:
    """All findings, without a cap; ASCII, so that no terminal or log can be led astray."""
    report = {
        "schema": SCHEMA,
        "diagnostics": [one.as_json() for one in in_order(diagnostics)],
        "summary": summary.as_json(),
    }
    return json.dumps(report, indent=2) + "\n"
