"""`whisper-flow events list`: the catalogue of what delegates can hear and answer."""

from __future__ import annotations

import json

import click

from orchestrator.cli.command import Group
from orchestrator.cli.session import current
from orchestrator.cli.table import table


@click.group(cls=Group, default="list")
def command() -> None:
    """List the events and controls that delegates can hear."""


@command.command(name="list")
@click.option("--kind", type=click.Choice(["notification", "control"]), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the schema of every payload.")
def list_events(kind: str | None, as_json: bool) -> None:
    """List every event and control: name, fields of its payload, and when it happens.

    \b
    whisper-flow run workflows/digest.yaml --delegate my_module:on_event
    """
    from orchestrator import catalogue

    out = current().out
    entries = [entry for entry in catalogue() if kind in (None, entry.kind)]
    if as_json:
        shapes = [
            {
                "name": entry.name,
                "kind": entry.kind,
                "origin": entry.origin,
                "description": entry.description,
                "fields": list(entry.fields),
                "payload": _schema(entry.payload),
            }
            for entry in entries
        ]
        out.line(json.dumps({"schema": "whisper-flow/delegate-events/1", "events": shapes}, indent=2))
        return
    rows = [[entry.name, entry.kind, entry.description, ", ".join(entry.fields)] for entry in entries]
    out.write(table(out, ["event", "kind", "when", "payload"], rows))


def _schema(payload: type) -> dict[str, object]:
    import msgspec

    return msgspec.json.schema(payload)
