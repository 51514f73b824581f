"""How an event looks outside this process: one JSON object, the same in a trace file, in a webhook and on a command's
stdin.

`schemas/delegates.schema.json` describes it, generated from the payload models: `python -m
orchestrator.delegates.envelope`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from orchestrator.delegates.catalogue import catalogue, entry
from orchestrator.errors import UsageError

SCHEMA_VERSION: Final = "whisper-flow.delegates/1"


def envelope(event_type: str, payload: Mapping[str, Any]) -> bytes:
    """One line of JSON without its newline; what is not JSON is written as its text."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"schema": SCHEMA_VERSION, "event_type": event_type, "time": now, "payload": dict(payload)}
    return msgspec.json.encode(body, enc_hook=str)


def chosen_events(options: Mapping[str, Any], *, controls: bool = False) -> list[str]:
    """The events an `events:` option names; every notification if it names none. Raises UsageError for an unknown
    name, and for a control where the delegate cannot answer one.
    """
    named = options.get("events")
    if not named:
        return [e.name for e in catalogue() if e.kind == "notification"]
    names = named.split(",") if isinstance(named, str) else list(named)
    return [entry(name.strip(), None if controls else "notification").name for name in names]


def check_options(plugin: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises UsageError for an option the built-in delegate does not have."""
    known = (*known, "events")
    for name in options:
        if name not in known:
            from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

            raise UsageError(
                f"delegate `{plugin}` has no option `{name}`",
                help=did_you_mean(name, known) or f"it has {', '.join(known)}",
            )


def delegates_schema() -> dict[str, Any]:
    """JSON Schema (Draft 2020-12) of the envelope, one branch for each event and control."""
    models = [e.payload for e in catalogue()]
    refs, definitions = msgspec.json.schema_components(models, ref_template="#/$defs/{name}")
    branches = []
    for known, ref in zip(catalogue(), refs, strict=True):
        branches.append(
            {
                "title": known.name,
                "description": f"{known.kind} of the {known.origin.replace('_', ' ')}: {known.description}",
                "properties": {"event_type": {"const": known.name}, "payload": ref},
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "whisper-flow delegate events",
        "description": "What a delegate is told or asked: a line of a trace file, a webhook's body, a command's stdin.",
        "type": "object",
        "required": ["schema", "event_type", "time", "payload"],
        "additionalProperties": False,
        "properties": {
            "schema": {"const": SCHEMA_VERSION},
            "event_type": {"enum": [e.name for e in catalogue()]},
            "time": {"type": "string", "format": "date-time"},
            "payload": {"type": "object"},
        },
        "oneOf": branches,
        "$defs": definitions,
    }


def schema_text() -> str:
    """What `schemas/delegates.schema.json` holds."""
    return msgspec.json.format(msgspec.json.encode(delegates_schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(schema_text())
