"""WF701: a key, token or password that stands in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, Severity
from orchestrator.spec.loader import Document
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF701"
NAME = "secret-in-clear"
SUMMARY = "A secret stands in the file."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """Whoever reads the repository has it, for ever: git does not forget. Declare its name under `secrets`, and use
    `${{ secrets.NAME }}` in `env`, `http` or `mcp`; the value comes from the environment, a file, a keyring or a vault. Change
    a secret that was committed. A text with the form of a known key is an error, a suspicious name a warning.

    If it is none: `# wf: ignore[WF701] a public demo key`.""",
    bad="tasks:\n  post: {env: {API_TOKEN: f3a9c81d27}, run: ./post.sh}",
    good="secrets: [API_TOKEN]\ntasks:\n  post: {env: {API_TOKEN: '${{ secrets.API_TOKEN }}'}, run: ./post.sh}",
)
_KNOWN: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{30,}"
    r"|glpat-[A-Za-z0-9_-]{20,}|xox[baprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|hvs\.[A-Za-z0-9_-]{20,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|SG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----)"
)
_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:([^/\s:@$]{3,})@")
_NAMES: Final = re.compile(
    r"(?:^|[_-])(?:token|secret|passwd|password|api[_-]?key|private[_-]?key|access[_-]?key)s?$", re.I
)
_HEADERS: Final = frozenset({"authorization", "x-api-key", "proxy-authorization", "cookie"})
_PLACEHOLDER: Final = re.compile(
    r"\$|<.*>|(?:x+|\*+|\.+|change.?me|example|dummy|test|none|null|todo|your.*|.*_here)$", re.I
)
_SECTIONS: Final = ("env", "headers", "args", "auth", "query", "form", "json", "body", "extra")
LENGTH_MIN: Final = 8


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for document in (context.document, *(one for _, one in context.workflow.config.documents.values())):
        for key, value in document.data.items() if isinstance(document.data, dict) else ():
            if key != "secrets":
                yield from _walk(document, value, (key,), key if key in _SECTIONS else "")


def _walk(document: Document, value: Any, path: Path, section: str) -> Iterator[Diagnostic]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _walk(document, one, (*path, key), str(key) if key in _SECTIONS else section)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _walk(document, one, (*path, index), section)
    elif isinstance(value, str) and len(value) >= LENGTH_MIN:
        yield from _text(document, value, path, section)


def _text(document: Document, value: str, path: Path, section: str) -> Iterator[Diagnostic]:
    if found := _KNOWN.search(value):
        yield _finding(document, "a key that looks real stands in the file", "error", path, *found.span())
    elif "://" in value and (found := _IN_URL.search(value)):
        yield _finding(document, "a password stands in this address", "warning", path, *found.span(1))
    elif section and _suspicious(str(path[-1]), value):
        yield _finding(
            document,
            f"`{path[-1]}` looks like a secret, and its value stands in the file",
            "warning",
            path,
            0,
            len(value),
        )


def _suspicious(name: str, value: str) -> bool:
    if not (_NAMES.search(name) or name.lower() in _HEADERS):
        return False
    if value.isdecimal() and "pass" not in name.lower():
        return False  # `MAX_TOKENS: 4000000000` counts something
    return "${{" not in value and not _PLACEHOLDER.match(value) and not any(char.isspace() for char in value.strip())


def _finding(document: Document, message: str, severity: Severity, path: Path, start: int, end: int) -> Diagnostic:
    help = "declare its name under `secrets:`, and write `${{ secrets.NAME }}` here; change it if it was ever committed"
    span = document.position_in(path, start, end - start)
    return Diagnostic(code=CODE, severity=severity, message=message, file=document.file, span=span, help=help)
