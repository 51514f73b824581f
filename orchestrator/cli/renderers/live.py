"""A run on a terminal: what is finished scrolls into history, only what is open is redrawn, at most 8 times a second.

The frame is drawn by hand: every row is cut to the window and drawn with line wrap off, so that the frame's height is
always known and the cursor finds its way back. One write a frame, so that nothing flickers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from orchestrator.cli import formats
from orchestrator.cli.renderers.ending import Ending, ending_lines
from orchestrator.cli.renderers.header import figures, header_line, spread
from orchestrator.cli.renderers.lines import History, icon
from orchestrator.cli.renderers.story import Story, TaskLine, outer
from orchestrator.cli.terminal import Screen, cell_width, clean_line, cut

INTERVAL: Final = 0.125
UNFINISHED: Final = 40
"""Characters of an unfinished line from which on the frame says that an agent writes."""
SORTED_MAX: Final = 500
"""So many open tasks are put below their outer ones; of more, the first are shown as they came."""

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_ERASED = "\x1b[2K\n"
_NOWRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"


class LiveRenderer:
    interval: float = INTERVAL

    def __init__(
        self,
        screen: Screen,
        *,
        verbose: bool = False,
        cost_max: str = "",
        outlook: Callable[[Story, int], tuple[list[tuple[str, str, str]], int]] = lambda story, room: ([], 0),
        now: Callable[[], float] = time.time,
    ) -> None:
        """`outlook`: see `choose.Outlook`."""
        self.screen = screen
        self.story = Story()
        self.history = History(self.story, screen, verbose=verbose)
        self.cost_max = cost_max
        self.outlook = outlook
        self._now = now
        self._title = ("", "")
        self._drawn = 0
        self._pending: list[str] = []
        self._drawn_at = 0.0
        self._held = False
        self._hidden = False

    def begin(self, title: str, workflow: str) -> None:
        self._title = (title, workflow)
        self.draw(self._now())

    def recall(self, event: dict[str, Any]) -> None:
        self.story.apply(event)

    def show(self, event: dict[str, Any]) -> None:
        self.story.apply(event)
        self._pending += self.history.lines(event)

    def tick(self, now: float) -> None:
        if not self._held:
            self.draw(now)

    def notice(self, text: str) -> None:
        self._pending.append(text)
        self.tick(self._now())

    def hold(self) -> None:
        """Clear the frame: a person is being asked below the history."""
        if not self._held:
            self._draw_rows([])
            self._cursor(shown=True)
            self._held = True

    def release(self) -> None:
        self._held = False

    def end(self, ending: Ending) -> None:
        self._held = False
        self._pending += ending_lines(self.story, ending, self.screen)
        self._draw_rows([])
        self.close()

    def close(self) -> None:
        """Put the terminal back as it was."""
        if self._drawn:
            self._draw_rows([])
        self._cursor(shown=True)

    def draw(self, now: float) -> None:
        self._cursor(shown=False)
        self._draw_rows(self.frame(now, self.screen.width, self.screen.height))
        self._drawn_at = now

    def _cursor(self, *, shown: bool) -> None:
        if self._hidden == shown:
            self._hidden = not shown
            self.screen.write(_SHOW if shown else _HIDE)

    def _draw_rows(self, rows: list[str]) -> None:
        """Erase the last frame, let what is pending scroll away, draw the new frame: in one write."""
        if not (rows or self._drawn or self._pending):
            return
        # Row by row, not "to the end of the screen": terminals that keep a cleared screen in their history would fill it.
        up = f"\x1b[{self._drawn}F"
        back = f"{up}{_ERASED * self._drawn}{up}" if self._drawn else "\r"
        past = "".join(f"{line}\n" for line in self._pending)
        frame = "".join(f"{row}\n" for row in rows)
        self._pending.clear()
        self._drawn = len(rows)
        self.screen.write(f"{_BEGIN}{back}{past}{_NOWRAP}{frame}{_WRAP}{_END}")

    # What stands in the frame.

    def frame(self, now: float, width: int, height: int) -> list[str]:
        """The rows to show, at most `height - 1` so that the history above stays where it is."""
        room = max(height - 2, 3)
        lines = self._opened()
        if len(lines) + sum(len(line.lines) for line in lines[:room]) <= room:
            rows = [row for line in lines for row in self._with_text(line, now, width)]
        elif len(lines) <= room:
            rows = [self._row(line, now, width) for line in lines]
        else:
            rows = [self._row(line, now, width) for line in lines[: room - 1]]
            rows.append(self.screen.style(cut(f"  … {len(lines) - room + 1} more running", width), "dim"))
        return [self._header(now, width), *rows, *self._ahead(width, room - len(rows))]

    def _header(self, now: float, width: int) -> str:
        story = self.story
        title, workflow = (story.title, story.workflow) if story.run_id else self._title
        left = header_line(title, story.run_id, workflow, synthetic=story.synthetic and not story.live)
        row = spread(left, figures(story, now, self.cost_max), width - 2)
        status = "paused" if story.holds or story.status in ("waiting", "paused") else "running"
        return f"{icon(self.screen, status)} {self.screen.style(row, 'bold')}"

    def _opened(self) -> list[TaskLine]:
        lines = list(self.story.open.values())
        return sorted(lines, key=self._place) if len(lines) <= SORTED_MAX else lines

    def _place(self, line: TaskLine) -> tuple[int, ...]:
        """Inner tasks come right below the outer one, in the order they came to be."""
        path = [line.order]
        name = line.name
        while name := outer(name):
            if name in self.story.tasks:
                path.append(self.story.tasks[name].order)
        return tuple(reversed(path))

    def _with_text(self, line: TaskLine, now: float, width: int) -> list[str]:
        """An open task with the last whole lines it wrote."""
        indent = "  " * (line.depth + 1) + "    "
        return [
            self._row(line, now, width),
            *(self.screen.style(cut(indent + row, width), "dim") for row in line.lines),
        ]

    def _row(self, line: TaskLine, now: float, width: int) -> str:
        indent = "  " * (line.depth + 1)
        name = clean_line(line.name)
        clock = formats.duration(max(now - line.started_at, 0.0)) if line.started_at is not None else ""
        row = f"{_padded(name, 14 - 2 * line.depth)} {_progress(line):<5} {clock:>7}  {self._doing(line, now)}"
        status = "waiting" if line.waits_for else line.status
        return indent + icon(self.screen, status) + " " + cut(row.rstrip(), width - len(indent) - 2)

    def _doing(self, line: TaskLine, now: float) -> str:
        if line.status == "asked" and line.question is not None:
            return f"asks: {clean_line(str(line.question.get('question', '')))}"
        if line.waits_for:
            return f"waits for {line.waits_for}"
        if line.status in ("parked", "unknown"):
            return f"waits: {line.reason}"
        if line.status == "sleeping" and line.until is not None:
            again = f"attempt {line.attempt + 1} of {line.of} " if line.failure is not None else ""
            return f"{again}in {formats.duration(max(line.until - now, 0.0))}"
        parts = [line.tries if line.attempt > 1 else "", line.detail]
        if line.tool:
            parts.append(f"tool {line.tool} {formats.duration(max(now - (line.tool_at or now), 0.0))}")
        elif len(line.partial) > UNFINISHED and line.verb == "agent":
            # Its text appears by whole lines: a long one would look as if nothing came.
            parts.append(f"writes, {formats.plural(line.written, 'character')}")
        return " · ".join(part for part in parts if part)

    def _ahead(self, width: int, room: int) -> list[str]:
        """What has not started, as far as there is room."""
        if room <= 0:
            return []
        coming, more = self.outlook(self.story, room)
        if more:
            more, coming = more + 1, coming[:-1]
        rows = []
        for status, name, what in coming:
            row = cut(f"{_padded(clean_line(name), 14)} {what}", width - 4)
            rows.append(f"  {icon(self.screen, status)} {self.screen.style(row, 'dim')}")
        if more:
            rows.append(self.screen.style(cut(f"  … {more} more waiting", width), "dim"))
        return rows


def _padded(name: str, width: int) -> str:
    return name + " " * max(width - cell_width(name), 0)


def _progress(line: TaskLine) -> str:
    if line.items is not None:
        return f"{line.items_settled}/{line.items}"
    if line.round is not None:
        return f"#{line.round}"
    return ""
