"""`--delegate log`: one line for people on standard error for each event.

Options: `events` (default: every notification but the chunks of streamed answers).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.delegates.catalogue import CHUNK_RECEIVED
from orchestrator.delegates.envelope import check_options, chosen_events
from orchestrator.errors import UsageError
from orchestrator.ports.delegate import DelegateContext, Delegates

TEXT_MAX: Final = 200
"""Characters of a field that a line shows."""


class LogDelegate:
    def attach(self, manager: Delegates, options: Mapping[str, Any], context: DelegateContext) -> None:
        check_options("log", options, ())
        named = bool(options.get("events"))

        def log(sender: Any, event: str, /, **payload: Any) -> None:
            context.write(line(event, payload))

        for name in chosen_events(options):
            if named or name != CHUNK_RECEIVED:
                manager.register(name, log)

    def options_from_text(self, text: str) -> dict[str, Any]:
        raise UsageError("delegate `log` takes nothing after its name", help="write --delegate log")


def line(event: str, payload: Mapping[str, Any]) -> str:
    """`12:00:00Z event field=value …`, printable characters only: payloads hold what models and commands wrote."""
    time = datetime.now(UTC).strftime("%H:%M:%SZ")
    fields = [f"{name}={_shown(value)}" for name, value in payload.items() if value not in ("", None, {}, [])]
    return " ".join([time, event, *fields])


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    text = text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "…"
    return repr(text) if " " in text and isinstance(value, str) else text


PLUGIN = LogDelegate()
