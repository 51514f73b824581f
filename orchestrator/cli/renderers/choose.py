"""Which renderer shows a run: asked for by `--progress`, else what the other end can show."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from orchestrator.cli.renderers.ending import Ending
from orchestrator.cli.renderers.story import Story
from orchestrator.cli.terminal import Screen

Progress = Literal["auto", "live", "plain", "json", "none"]
PROGRESS_CHOICES: tuple[Progress, ...] = ("auto", "live", "plain", "json", "none")
Outlook = Callable[[Story, int], tuple[list[tuple[str, str, str]], int]]
"""(story, room) → the first `room` tasks that have not started as (status, task, what it waits for), and how many more."""


class Renderer(Protocol):
    story: Story
    interval: float
    """Seconds between two calls of `tick`."""

    def begin(self, title: str, workflow: str) -> None:
        """The first thing anybody sees, before the engine is there."""
        ...

    def recall(self, event: dict[str, Any]) -> None:
        """Something that was shown when it happened, before this driver took over: it counts, but is not told again."""
        ...

    def show(self, event: dict[str, Any]) -> None: ...

    def tick(self, now: float) -> None: ...

    def notice(self, text: str) -> None:
        """A line from us to the person who watches."""
        ...

    def hold(self) -> None:
        """Leave the terminal alone until `release`: a person is being asked."""
        ...

    def release(self) -> None: ...

    def end(self, ending: Ending) -> None: ...

    def close(self) -> None:
        """Give the terminal back; called however things went. Idempotent."""
        ...


class SilentRenderer:
    """`--progress none`: follows the story and says nothing."""

    interval: float = 3600.0

    def __init__(self) -> None:
        self.story = Story()

    def begin(self, title: str, workflow: str) -> None: ...

    def recall(self, event: dict[str, Any]) -> None:
        self.story.apply(event)

    def show(self, event: dict[str, Any]) -> None:
        self.story.apply(event)

    def tick(self, now: float) -> None: ...

    def notice(self, text: str) -> None: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def end(self, ending: Ending) -> None: ...

    def close(self) -> None: ...


def chosen(progress: Progress, err: Screen, environ: Mapping[str, str] = os.environ) -> Progress:
    """What `auto` means here: `live` on a terminal that can move its cursor, outside of CI; else `plain`."""
    if progress != "auto":
        return progress
    return "live" if err.terminal and environ.get("TERM", "dumb") != "dumb" and not environ.get("CI") else "plain"


def make_renderer(
    progress: Progress,
    *,
    out: Screen,
    err: Screen,
    verbose: bool = False,
    cost_max: str = "",
    outlook: Outlook | None = None,
) -> Renderer:
    """The renderer for a run; only the chosen one is imported."""
    kind = chosen(progress, err)
    if kind == "json":
        from orchestrator.cli.renderers.json_lines import JsonLinesRenderer

        return JsonLinesRenderer(out)
    if kind == "none":
        return SilentRenderer()
    if kind == "live":
        from orchestrator.cli.renderers.live import LiveRenderer

        return LiveRenderer(err, verbose=verbose, cost_max=cost_max, outlook=outlook or (lambda story, room: ([], 0)))
    from orchestrator.cli.renderers.plain import PlainRenderer

    return PlainRenderer(err, verbose=verbose)
