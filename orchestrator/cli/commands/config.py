"""`whisper-flow config show`: the settings in force and where each comes from."""

from __future__ import annotations

import json

import click

from orchestrator.cli.command import Group
from orchestrator.cli.session import current
from orchestrator.cli.table import table


@click.group(cls=Group, default="show")
def command() -> None:
    """Show the settings and where each comes from."""


@command.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from, and what it is for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(origin: bool, as_json: bool) -> None:
    """Show every setting. The nearer wins: flags, `WHISPER_FLOW_*` variables, the project's `config/whisper-flow.yaml`, the
    user's own file, defaults. A project's `.env` gives inputs and secrets only.
    """
    from orchestrator.cli.settings import SETTINGS

    session = current()
    project = session.project()
    settings = session.settings(project)
    if as_json:
        shapes = {
            setting.name: {
                "value": settings.value(setting.name),
                "origin": settings.resolved[setting.name].origin,
                "variable": setting.variable,
                "description": setting.description,
            }
            for setting in SETTINGS
        }
        page = {"schema": "whisper-flow/config/1", "project": str(project), "settings": shapes, "notes": settings.notes}
        session.out.line(json.dumps(page, indent=2))
        return
    rows = [[setting.name, str(settings.value(setting.name))] for setting in SETTINGS]
    if origin:
        for row, setting in zip(rows, SETTINGS, strict=True):
            row += [settings.resolved[setting.name].origin, setting.description]
    session.out.write(table(session.out, ["setting", "value", "from", "what for"][: len(rows[0])], rows))
    for note in settings.notes:
        session.err.line(f"{session.err.style('note', 'yellow')}: {note}")
