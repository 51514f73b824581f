"""For programs: every event as one line of JSON; the first line names the shape of the rest."""

from __future__ import annotations

import json
from typing import Any, Final

from orchestrator.cli import formats
from orchestrator.cli.renderers.ending import Ending
from orchestrator.cli.renderers.story import Story
from orchestrator.cli.terminal import Screen

SCHEMA: Final = "whisper-flow/events/1"


class JsonLinesRenderer:
    interval: float = 3600.0

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.story = Story()
        self._begun = False

    def begin(self, title: str, workflow: str) -> None:
        if not self._begun:
            self._begun = True
            self._write({"type": "schema", "schema": SCHEMA})

    def recall(self, event: dict[str, Any]) -> None:
        self.story.apply(event)

    def show(self, event: dict[str, Any]) -> None:
        self.begin("", "")
        self.story.apply(event)
        self._write({**event, "time": formats.iso(event.get("at"))})

    def tick(self, now: float) -> None:
        """Programs need no heartbeat."""

    def notice(self, text: str) -> None:
        """What is said to people only is in the events already."""

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def end(self, ending: Ending) -> None:
        """Says how this driver left the run, which `run_ended` cannot where the run did not end."""
        self._write(
            {
                "type": "left",
                "run_id": ending.run_id,
                "status": ending.status,
                "artifacts": [path for path, _ in ending.artifacts],
            }
        )

    def close(self) -> None: ...

    def _write(self, line: dict[str, Any]) -> None:
        # A terminal is shown escapes instead of what the characters would do to it.
        text = json.dumps(line, ensure_ascii=self.screen.terminal, separators=(",", ":"), default=str)
        self.screen.stream.write(text + "\n")
        self.screen.stream.flush()
