"""`--delegate log`: one line for people on standard error for each event.

Options: `events` (default: every notification but the chunks of streamed answers).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.delegates.catalogue import CHUNK_RECEIVED
from orchestrator.delegates.envelope import check_options, chosen_events
from orchestrator.errors import UsageError
from orchestrator.ports.delegate import DelegateContext, Delegates

LAID_FLAT: Final = ("task_details", "result_summary", "tokens_used", "details")
LEFT_OUT: Final = ("run_id", "session_id", "failed_event_type")
"""Said once for a whole run, or twice in one event."""
NOTHING: Final[tuple[Any, ...]] = (None, "", False, {}, [])
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
    """`12:00:00Z event field=value …`: what says nothing is left out, objects are laid flat, and only printable characters
    remain, because payloads hold what models and commands wrote.
    """
    time = datetime.now(UTC).strftime("%H:%M:%SZ")
    flat: dict[str, Any] = {}
    for name, value in payload.items():
        flat.update(value if isinstance(value, Mapping) and name in LAID_FLAT else {name: value})
    fields = [
        f"{name}={_shown(value)}" for name, value in flat.items() if name not in LEFT_OUT and value not in NOTHING
    ]
    return " ".join([time, event, *fields])


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False, default=str)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    text = text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "…"
    return f'"{text}"' if " " in text and isinstance(value, str) else text


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


PLUGIN = LogDelegate()
