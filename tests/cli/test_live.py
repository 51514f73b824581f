"""The live renderer on recorded streams: its frame is drawn into a terminal of a few lines that a small emulator keeps."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from inline_snapshot import snapshot

from orchestrator.cli.renderers.ending import Ending
from orchestrator.cli.renderers.live import LiveRenderer
from orchestrator.cli.terminal import cell_width
from tests.cli.conftest import Told
from tests.cli.streams import AT, DIGEST, FAN_OUT, begins, done, started, stream, task

_PARTS = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+")


class Terminal:
    """As much of a terminal as the renderer uses: what was scrolled away stays in `rows`."""

    def __init__(self) -> None:
        self.rows = [""]
        self.row = 0

    def feed(self, text: str) -> None:
        for part in _PARTS.findall(text):
            if part == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
            elif part == "\r":
                pass
            elif up := re.fullmatch(r"\x1b\[(\d+)F", part):
                self.row -= int(up[1])
                assert self.row >= 0, "the cursor went above the screen"
            elif part == "\x1b[2K":
                self.rows[self.row] = ""
            elif not part.startswith("\x1b"):
                self.rows[self.row] += part

    @property
    def text(self) -> str:
        return "\n".join(self.rows).rstrip() + "\n"


class Sized(Told):
    width_now = 80
    height_now = 24

    @property
    def width(self) -> int:
        return self.width_now

    @property
    def height(self) -> int:
        return self.height_now


def live(**options: Any) -> tuple[LiveRenderer, Sized]:
    screen = Sized(io.StringIO(), terminal=True, color=False, unicode=True)
    return LiveRenderer(screen, now=lambda: AT, **options), screen


def shown(screen: Told) -> str:
    terminal = Terminal()
    terminal.feed(screen.text)
    return terminal.text


def after(events: list[dict[str, Any]], seconds: float, **options: Any) -> tuple[LiveRenderer, Sized]:
    """What the screen shows `seconds` after the start, drawn eight times a second until then."""
    renderer, screen = live(**options)
    renderer.begin("digest", "workflows/digest.yaml")
    waiting = [event for event in events if event["at"] <= AT + seconds]
    for tick in range(int(seconds * 8) + 1):
        while waiting and waiting[0]["at"] <= AT + tick / 8:
            renderer.show(waiting.pop(0))
        renderer.tick(AT + tick / 8)
    return renderer, screen


def test_finished_tasks_scroll_away_and_open_ones_are_redrawn() -> None:
    coming = [("waiting", "review", "waits for write"), ("asked", "publish", "will ask for approval")]
    _, screen = after(DIGEST, 16.0, cost_max="$0.50", outlook=lambda story, room: (coming[:room], 0))
    assert shown(screen) == snapshot("""\
✓ fetch  3.1s  42 lines
✓ cluster  8.4s  $0.004  3 topics
● digest  run 7f3a00  workflows/digest.yaml    0:16   $0.004 of $0.50   1.0k tok
  ● write                   4.5s  writer openai/gpt-5
      The quarter closed with
      a small gain.
  ◌ review         waits for write
  ⏸ publish        will ask for approval
""")


def test_the_end_leaves_only_history_and_the_last_block() -> None:
    renderer, screen = after(DIGEST, 33.0)
    renderer.end(Ending(status="succeeded", run_id="7f3a00000000"))
    assert shown(screen) == snapshot("""\
✓ fetch  3.1s  42 lines
✓ cluster  8.4s  $0.004  3 topics
✓ write  21.0s  $0.027  The quarter…

✓ digest succeeded  in 32.6s · $0.031 · 18.2k tokens · 3 succeeded
  run       7f3a00000000
  slowest   write 21.0s
""")
    assert screen.text.endswith("\x1b[?25h"), "the cursor is shown again"


def test_items_are_counted_and_stand_below_their_task() -> None:
    _, screen = after(FAN_OUT, 0.5)
    assert shown(screen) == snapshot("""\
  ✓ build[b.x]  0.4s
● digest  run 7f3a00  workflows/digest.yaml                                 0:00
  ● build          1/3      0.5s
    ● build[a]     #1       0.5s
        ● build[a]#1.code          0.5s
""")


@pytest.mark.parametrize("height", [4, 6, 10, 24])
@pytest.mark.parametrize("width", [12, 40, 80])
def test_the_frame_fits_the_window_whatever_runs(height: int, width: int) -> None:
    events = stream(
        (0.0, "run_started", started()),
        *((0.1, "task_started", begins(f"task_number_{n}", detail="漢字" * 50)) for n in range(40)),
        *((0.2, "task_chunk", task(f"task_number_{n}", text="whole line\nanother\n")) for n in range(40)),
    )
    renderer, _ = live(outlook=lambda story, room: ([("waiting", f"w{n}", "waits") for n in range(room)], 3))
    for event in events:
        renderer.show(event)
    frame = renderer.frame(AT + 1, width, height)
    assert len(frame) <= max(height - 1, 4)
    assert max(cell_width(row) for row in frame[1:]) <= width
    assert "… " in "\n".join(frame)


def test_model_text_appears_by_whole_lines_only() -> None:
    _, screen = after(DIGEST, 12.5)
    assert "The quarter closed with" in shown(screen)
    assert "a small" not in shown(screen)
    _, screen = after(DIGEST, 14.5)
    assert "a small gain." in shown(screen)
    assert "And then" not in shown(screen)


def test_the_frame_is_put_away_while_a_person_is_asked() -> None:
    renderer, screen = after(DIGEST, 12.5)
    renderer.hold()
    assert "write" not in shown(screen)
    before = screen.text
    renderer.tick(AT + 13)
    assert screen.text == before
    renderer.release()
    renderer.tick(AT + 13)
    assert "write" in shown(screen)


def test_a_task_with_two_attempts_says_when_it_is_tried_again() -> None:
    events = stream(
        (0.0, "run_started", started()),
        (0.0, "task_started", begins("fetch", of=4)),
        (
            0.5,
            "task_retrying",
            task("fetch", attempt=1, of=4, failure={"type": "exit", "message": "no"}, retry_at=AT + 5),
        ),
    )
    _, screen = after(events, 1.0)
    assert "attempt 2 of 4 in 4.0s" in shown(screen)


@pytest.mark.parametrize("room", [1, 3, 9])
def test_what_is_to_come_is_shown_as_far_as_there_is_room(room: int) -> None:
    coming = [("waiting", f"w{n}", "waits") for n in range(5)]
    renderer, _ = live(outlook=lambda story, room: (coming[:room], max(5 - room, 0)))
    rows = renderer.frame(AT, 80, room + 2)[1:]
    assert len(rows) == min(max(room, 3), 5)
    if room < 5:
        assert rows[-1] == f"  … {5 - len(rows) + 1} more waiting"


def test_ten_thousand_open_tasks_cost_no_more_than_the_window_shows() -> None:
    renderer, _ = live()
    for event in stream(
        (0.0, "run_started", started()), *((0.1, "task_started", begins(f"t{n}")) for n in range(10_000))
    ):
        renderer.show(event)
    drawn: list[str] = []
    whole = LiveRenderer._row

    def counting(self: LiveRenderer, line: Any, now: float, width: int) -> str:
        drawn.append(line.name)
        return whole(self, line, now, width)

    LiveRenderer._row = counting  # type: ignore[method-assign]
    try:
        frame = renderer.frame(AT + 1, 80, 24)
    finally:
        LiveRenderer._row = whole  # type: ignore[method-assign]
    assert len(frame) == 23
    assert len(drawn) == 21


def test_a_finished_task_stands_on_one_line_however_long_its_summary() -> None:
    events = stream(
        (0.0, "run_started", started()),
        (0.0, "task_started", begins("fetch")),
        (1.0, "task_succeeded", done("fetch", 1.0, "行 word " * 40)),
    )
    _, screen = after(events, 2.0)
    row = next(line for line in shown(screen).splitlines() if "✓ fetch" in line)
    assert row.endswith("…")
    assert 70 < cell_width(row) <= 80


def test_a_long_line_that_is_still_coming_is_seen_to_come() -> None:
    words = task("write", text="The quarter closed with a gain and then ", model="openai/gpt-5")
    events = stream(
        (0.0, "run_started", started()),
        (0.0, "task_started", begins("write", "agent", detail="writer")),
        (1.0, "task_chunk", words),
        (2.0, "task_chunk", words),
    )
    assert "writer · writes, 80 characters" in shown(after(events, 3.0)[1])
    assert "writes" not in shown(after(events[:3], 3.0)[1])
