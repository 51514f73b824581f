"""For what is not a terminal: one line for each change on stderr, and a heartbeat so that a quiet log is not a dead one."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.cli import formats
from orchestrator.cli.renderers.ending import Ending, ending_lines
from orchestrator.cli.renderers.header import header_line, who_answers
from orchestrator.cli.renderers.lines import History, icon
from orchestrator.cli.renderers.story import Story
from orchestrator.cli.terminal import Screen, clean_line, cut

HEARTBEAT: Final = 30.0
"""Seconds without a line after which one says what is still running."""
NAMED_MAX: Final = 5
DETAIL_MAX: Final = 100
CLOCK: Final = 6
"""Columns of the clock and its gap."""


class PlainRenderer:
    interval: float = 1.0
    """How often the driver should call `tick`, in seconds."""

    def __init__(self, screen: Screen, *, verbose: bool = False) -> None:
        self.screen = screen
        self.story = Story()
        self.history = History(self.story, screen, verbose=verbose, margin=CLOCK)
        self._told_at: float | None = None
        self._held: list[str] | None = None
        self._begun: dict[str, tuple[list[str], float | None]] = {}
        """In a rerun: attempts of which the next event may say that their result was there already."""

    def begin(self, title: str, workflow: str) -> None:
        """The first line, before there is a run: it says that work has begun."""
        self._tell([f"{icon(self.screen, 'running')} {header_line(title, '', workflow)}"], None)

    def recall(self, event: dict[str, Any]) -> None:
        self.story.apply(event)

    def show(self, event: dict[str, Any]) -> None:
        self.story.apply(event)
        lines = self.history.lines(event)
        kind = event.get("type")
        if kind == "run_started":
            lines = self._started(event.get("at"))
        elif kind == "task_started" and not lines:
            lines = self._attempt(event)
            if self.story.rerun_of:
                self._begun[event["task"]] = lines, event.get("at")
                return
        elif kind == "task_progress":
            lines = self.history.progress(event)
        elif kind == "run_status" and event.get("status") in ("waiting", "paused"):
            lines = [
                f"{icon(self.screen, 'paused')} {self.story.status}{': ' if self.story.reason else ''}{self.story.reason}"
            ]
        if kind == "task_succeeded" and event.get("reused"):
            self._begun.pop(event["task"], None)
        elif kind != "task_chunk":
            self._tell_begun()
        self._tell(lines, event.get("at"))

    def _tell_begun(self) -> None:
        begun, self._begun = self._begun, {}
        for lines, at in begun.values():
            self._tell(lines, at)

    def _started(self, at: float | None) -> list[str]:
        story = self.story
        done = sum(story.counts().values())
        verb = f"resumed, {formats.plural(done, 'task')} done" if story.resumed else "started"
        if story.rerun_of and not story.resumed:
            verb = f"started, a rerun of {formats.short(story.rerun_of)}"
        models = f"; {who_answers(story)}" if story.synthetic else ""
        return [
            f"{icon(self.screen, 'running')} run {formats.short(story.run_id)} {verb}  {formats.instant(at)}{models}"
        ]

    def _attempt(self, event: dict[str, Any]) -> list[str]:
        line = self.story.tasks[event["task"]]
        facts = [
            line.name,
            "goes on" if line.goes_on else line.tries if line.attempt > 1 else "started",
            cut(line.detail, DETAIL_MAX),
        ]
        return [
            f"{'  ' * line.depth}{icon(self.screen, 'running')} {'  '.join(clean_line(fact) for fact in facts if fact)}"
        ]

    def tick(self, now: float) -> None:
        """Say what still runs, if nothing was said for a while."""
        self._tell_begun()
        if self._told_at is None:
            self._told_at = now
        if now - self._told_at < HEARTBEAT or self.story.ended is not None:
            return
        names = [
            f"{cut(clean_line(line.name), 40)} ({formats.duration(now - (line.started_at or now))})"
            for line in list(self.story.open.values())[:NAMED_MAX]
        ]
        more = len(self.story.open) - NAMED_MAX
        told = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        self._tell([f"{icon(self.screen, 'sleeping')} still at work: {told or 'nothing open'}"], now)

    def notice(self, text: str) -> None:
        self._tell([text], None)

    def hold(self) -> None:
        """Keep lines back while a person is being asked."""
        self._held = [] if self._held is None else self._held

    def release(self) -> None:
        held, self._held = self._held or [], None
        for line in held:
            self.screen.line(line)

    def end(self, ending: Ending) -> None:
        self._tell_begun()
        self.release()
        for line in ending_lines(self.story, ending, self.screen):
            self.screen.line(line)

    def close(self) -> None:
        """Nothing to put back."""

    def _tell(self, lines: list[str], at: float | None) -> None:
        start = self.story.first_at
        clock = f"{formats.elapsed(at - start):>5}" if at is not None and start is not None else "     "
        for line in lines:
            text = f"{self.screen.style(clock, 'dim')} {line}"
            if self._held is None:
                self.screen.line(text)
            else:
                self._held.append(text)
        if lines and at is not None:
            self._told_at = at
