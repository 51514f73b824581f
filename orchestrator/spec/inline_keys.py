"""Keys that stand in a file (`auth: {inline: …}`) stay there: a plan is recorded and cached, and holds only where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from orchestrator.spec.diagnostics import Span
from orchestrator.spec.loader import Document
from orchestrator.spec.positions import LineIndex

STAR: Final = "*"


def located(worker: dict[str, Any], file: str, path: tuple[str | int, ...]) -> dict[str, Any]:
    """The worker with `{file, path}` in the place of its key; the worker itself if it has none. `path` is the worker's."""
    auth = worker.get("auth")
    if not isinstance(auth, dict) or not isinstance(auth.get("inline"), str):
        return worker
    return {**worker, "auth": {**auth, "inline": {"file": file, "path": [*path, "auth", "inline"]}}}


def masked_source(document: Document) -> str:
    """The file's text with stars in the place of its workers' keys; every other character stays where it is."""
    workers = document.data.get("workers") if isinstance(document.data, dict) else None
    paths = [
        ("workers", name, "auth", "inline")
        for name, worker in (workers.items() if isinstance(workers, dict) else ())
        if isinstance(worker, dict) and located(worker, "", ()) is not worker
    ]
    return masked(document.text, (document.value_span(path) for path in paths))


def masked(text: str, spans: Iterable[Span]) -> str:
    """The text with a star for every character of the spans; lines keep their ends."""
    index = LineIndex(text)
    for span in spans:
        start, end = index.offset(span.line, span.column), index.offset(span.end_line, span.end_column)
        stars = "".join(char if char in "\r\n" else STAR for char in text[start:end])
        text = text[:start] + stars + text[end:]
    return text
