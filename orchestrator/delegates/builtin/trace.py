"""`--delegate trace:FILE`: every event as one line of JSON (NDJSON), appended to a file only its owner can read.

Options: `file` (below the project unless absolute), `events` (default: every notification).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.delegates.envelope import check_options, chosen_events, envelope
from orchestrator.errors import UsageError
from orchestrator.ports.delegate import DelegateContext, Delegates


class TraceDelegate:
    def attach(self, manager: Delegates, options: Mapping[str, Any], context: DelegateContext) -> None:
        check_options("trace", options, ("file",))
        if not options.get("file"):
            raise UsageError("delegate `trace` needs a file", help="write --delegate trace:FILE")
        path = context.project / str(options["file"])
        append(path, b"")  # a folder that is not there is found now, not at the first event

        def trace(sender: Any, event: str, /, **payload: Any) -> None:
            append(path, envelope(event, payload) + b"\n")

        for name in chosen_events(options):
            manager.register(name, trace)

    def options_from_text(self, text: str) -> dict[str, Any]:
        return {"file": text}


def append(path: Path, data: bytes) -> None:
    """Add one line at once, so that several processes may trace into one file. Raises UsageError if it cannot be
    written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write the trace file {str(path)!r}: {error.strerror}") from error
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


PLUGIN = TraceDelegate()
