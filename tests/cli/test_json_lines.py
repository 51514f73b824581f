"""The renderer for programs."""

from __future__ import annotations

import io
import json

from orchestrator.cli.renderers.ending import Ending
from orchestrator.cli.renderers.json_lines import SCHEMA, JsonLinesRenderer
from tests.cli.conftest import Told
from tests.cli.streams import AT, DIGEST


def test_the_first_line_names_the_schema_and_every_event_follows_whole(screen: Told) -> None:
    renderer = JsonLinesRenderer(screen)
    renderer.begin("digest", "workflows/digest.yaml")
    for event in DIGEST:
        renderer.show(event)
    renderer.end(Ending(status="succeeded", run_id="7f3a00000000", artifacts=[("out/a.md", 3)]))
    first, *lines, last = [json.loads(row) for row in screen.text.splitlines()]
    assert first == {"type": "schema", "schema": SCHEMA}
    assert [{key: value for key, value in line.items() if key != "time"} for line in lines] == DIGEST
    assert lines[0]["time"] == "2026-07-01T14:03:00.000Z"
    assert last == {"type": "left", "run_id": "7f3a00000000", "status": "succeeded", "artifacts": ["out/a.md"]}


def test_a_terminal_sees_escapes_instead_of_what_characters_would_do() -> None:
    for terminal in (True, False):
        screen = Told(io.StringIO(), terminal=terminal, color=False, unicode=True)
        JsonLinesRenderer(screen).show(
            {"type": "task_log", "at": AT, "seq": None, "task": "a", "text": "\u202eé\x1b[2J"}
        )
        line = screen.text.splitlines()[1]
        assert "\x1b" not in line
        assert ("\u202e" in line) is not terminal
        assert json.loads(line)["text"] == "\u202eé\x1b[2J"
