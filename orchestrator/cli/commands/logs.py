"""`whisper-flow logs RUN [TASK]`: what tasks wrote on standard output and standard error, kept whole as files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orchestrator.cli import formats
from orchestrator.cli.command import RUN, TASK, Command
from orchestrator.cli.commands.show import find_task
from orchestrator.cli.session import current
from orchestrator.cli.terminal import Screen, clean, clean_line

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine, RunView

SCHEMA: Final = "whisper-flow/logs/1"
LOOK_EVERY: Final = 0.25
STREAMS: Final = ("stdout", "stderr")
CHUNK: Final = 1 << 20


@click.command(cls=Command)
@click.argument("run", type=RUN, default="@last")
@click.argument("task", type=TASK, required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over or nobody drives it.")
@click.option("--attempt", type=click.IntRange(1), help="This attempt instead of the last one.")
@click.option("--stream", "stream", type=click.Choice(STREAMS), help="Only this one.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Only the last lines of each file.")
@click.option(
    "--raw", is_flag=True, help="Bytes as they were written, without names and without making them safe for a terminal."
)
@click.option("--json", "as_json", is_flag=True, help="Print each line as a line of JSON.")
def command(
    run: str,
    task: str | None,
    follow: bool,
    attempt: int | None,
    stream: str | None,
    tail: int | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Show what the tasks of RUN (default: the last one) wrote, or what TASK wrote."""
    session = current()
    project = session.project()
    with session.reading() as engine:
        run_id = engine.find_run(run)
        view = engine.inspect(run_id)
        if task is not None:
            find_task(view, task)
        folder = session.run_dir(project, run_id) / "logs"
        streams = (stream,) if stream else STREAMS
        writer = Writer(session.out, names=task is None, raw=raw, as_json=as_json)
        reader = LogReader(folder, task, streams, attempt, tail)
        writer.begin()
        for line in reader.lines(view, done=not follow):
            writer.write(line)
        if follow:
            asyncio.run(_follow(engine, run_id, reader, writer))
        elif not reader.found:
            session.err.line("nothing was written")
            talked = [one.name for one in view.tasks if one.verb == "agent" and (task is None or one.name == task)]
            if talked:
                said = session.command("show", formats.short(run_id), talked[0], "--talk")
                session.err.line(f"what agents said: {said}")


@dataclass(slots=True)
class Line:
    task: str
    attempt: int
    stream: str
    data: bytes


@dataclass(slots=True)
class Writer:
    out: Screen
    names: bool
    raw: bool
    as_json: bool

    def begin(self) -> None:
        if self.as_json:
            self.out.line(json.dumps({"type": "schema", "schema": SCHEMA}))

    def write(self, line: Line) -> None:
        if self.raw and not self.as_json:
            self.out.stream.flush()
            self.out.stream.buffer.write(line.data + b"\n")
            self.out.stream.buffer.flush()
            return
        text = line.data.decode("utf-8", "replace")
        if self.as_json:
            page = {"task": line.task, "attempt": line.attempt, "stream": line.stream, "text": text}
            self.out.line(json.dumps(page, ensure_ascii=self.out.terminal))
            return
        style = ("red",) if line.stream == "stderr" else ("dim",)
        head = self.out.style(f"{clean_line(line.task)} │ ", *style) if self.names else ""
        self.out.line(f"{head}{clean(text)}")


@dataclass(slots=True)
class LogReader:
    """Reads the log files of a run on from where it was, by whole lines."""

    folder: Path
    task: str | None
    streams: tuple[str, ...]
    attempt: int | None
    tail: int | None
    found: bool = False
    _read: dict[Path, int] = field(default_factory=dict)

    def lines(self, view: RunView, *, done: bool) -> Iterator[Line]:
        """What was written since the last call; with `done` also a last line that has no end yet."""
        for name in dict.fromkeys(task.name for task in view.tasks):
            if self.task in (None, name):
                yield from self._of_task(name, done)

    def _of_task(self, name: str, done: bool) -> Iterator[Line]:
        from orchestrator.engine.performer import log_name

        folder = self.folder / log_name(name)
        if not folder.is_dir():
            return
        numbers = sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())
        # While following, earlier attempts are shown as well: they were the last ones when they were written.
        wanted = [self.attempt] if self.attempt else numbers if self._read else numbers[-1:]
        for number in wanted:
            for stream in self.streams:
                for data in self._new_lines(folder / str(number) / f"{stream}.log", done):
                    yield Line(name, number, stream, data)

    def _new_lines(self, path: Path, done: bool) -> Iterator[bytes]:
        if not path.is_file():
            return
        first = path not in self._read
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            data = file.read()
        if not done:
            data = data[: data.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(data)
        rows = data.split(b"\n")
        if rows[-1] == b"":
            rows.pop()
        self.found = self.found or bool(rows)
        yield from rows[len(rows) - self.tail :] if first and self.tail is not None and len(rows) > self.tail else rows


async def _follow(engine: ExecutionEngine, run_id: str, reader: LogReader, writer: Writer) -> None:
    view, seen = engine.inspect(run_id), -1
    while True:
        row = engine.journal.row(run_id)
        over = row is None or row.ended_at is not None or engine.journal.holder(run_id) is None
        if row is not None and row.last != seen:
            view, seen = engine.inspect(run_id), row.last
        for line in reader.lines(view, done=over):
            writer.write(line)
        if over:
            return
        await asyncio.sleep(LOOK_EVERY)
