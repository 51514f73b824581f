"""`--record` and `--replay`: which tape a run is driven with, and what is said of it at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from orchestrator.cli.exit_codes import ExitCode
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.ai.tapes import TapePlayer, TapeRecorder
    from orchestrator.cli.session import Session

DIFF_LINES_MAX: Final = 200
UNUSED_MAX: Final = 5

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True, kw_only=True, frozen=True)
class Taping:
    """Which tape, and how."""

    mode: Literal["record", "replay"]
    path: Path
    force: bool = False
    go_on: bool = False
    """Append to the tape of the run that goes on."""
    real_time: bool = False
    live_tools: bool = False
    strict: bool = False

    def open(self, workflow: str, digest: str) -> TapePlayer | TapeRecorder:
        """Raises UsageError, NotFoundError, TapeError."""
        from orchestrator.ai.tapes import TapePlayer, TapeRecorder

        if self.mode == "replay":
            return TapePlayer(self.path, speed="real" if self.real_time else "virtual", live_tools=self.live_tools)
        return TapeRecorder(self.path, workflow=workflow, digest=digest, force=self.force, go_on=self.go_on)

    def words(self) -> list[str]:
        """As options of `run`, for a run in the background."""
        flags = {"--force": self.force, "--live-tools": self.live_tools, "--strict-replay": self.strict}
        speed = ["--replay-speed", "real"] if self.real_time else []
        return [f"--{self.mode}", str(self.path.resolve()), *speed, *(flag for flag, given in flags.items() if given)]


def tape_options(command: F) -> F:
    options = [
        click.option(
            "--record",
            type=click.Path(path_type=Path),
            metavar="TAPE",
            help="Ask the models, and record what they and the tools answer.",
        ),
        click.option(
            "--replay",
            type=click.Path(path_type=Path),
            metavar="TAPE",
            help="Ask nobody: answer from this tape, without a key or a network.",
        ),
        click.option("--force", is_flag=True, help="With `--record`: over a tape that is there."),
        click.option(
            "--replay-speed",
            type=click.Choice(["virtual", "real"]),
            help="With `--replay`: wait for nothing, or as long as it took.  [default: virtual]",
        ),
        click.option("--live-tools", is_flag=True, help="With `--replay`: call the tools; only models are replayed."),
        click.option("--strict-replay", is_flag=True, help="With `--replay`: an answer left unused is a failure."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def taping_of(options: dict[str, Any], workflow: Path) -> Taping | None:
    """Takes the tape's options out of those of a command. Raises UsageError for a combination that means nothing."""
    record, replay = options.pop("record"), options.pop("replay")
    force, speed = options.pop("force"), options.pop("replay_speed")
    live_tools, strict = options.pop("live_tools"), options.pop("strict_replay")
    if record and replay:
        raise UsageError("`--record` and `--replay` say different things", help="give one of them")
    if force and not record:
        raise UsageError("`--force` is said of `--record`")
    if not replay and (speed or live_tools or strict):
        raise UsageError("`--replay-speed`, `--live-tools` and `--strict-replay` are said of `--replay`")
    if record:
        return Taping(mode="record", path=_place(record, workflow), force=force)
    if replay:
        path = _place(replay, workflow)
        real = speed == "real"
        return Taping(mode="replay", path=path, real_time=real, live_tools=live_tools, strict=strict)
    return None


def _place(given: Path, workflow: Path) -> Path:
    """A folder stands for the tape named after the workflow in it."""
    if given.suffix in (".yaml", ".yml"):
        raise UsageError(f"{given} is a workflow, not a tape", help=f"for example `{given.stem}.jsonl`")
    return given / f"{workflow.stem}.jsonl" if given.is_dir() else given


def taping_of_run(trigger: Mapping[str, Any], project: Path) -> Taping | None:
    """How a run on record met its models: it goes on with the same tape."""
    said = trigger.get("tape")
    if not isinstance(said, dict):
        return None
    path = project / str(said.get("file", ""))
    if said.get("mode") == "replay":
        if not path.is_file():
            raise NotFoundError(f"the run replays {said['file']}, which is not there any more")
        return Taping(mode="replay", path=path)
    return Taping(mode="record", path=path, go_on=True)


def told(trigger: Mapping[str, Any]) -> str:
    """`replayed from tests/tapes/x.jsonl`; empty for a run without a tape."""
    said = trigger.get("tape")
    if not isinstance(said, dict):
        return ""
    return f"{'replayed from' if said.get('mode') == 'replay' else 'recorded on'} {said.get('file', '')}"


def replay_note(state: Path, tape: Path) -> Path:
    """Where it stands what the last successful replay of a tape left unused: {sha256, unused}."""
    return state / "tapes" / f"{hashlib.sha256(str(tape.resolve()).encode()).hexdigest()[:16]}.json"


def _note_replay(state: Path, tape: TapePlayer) -> None:
    note = replay_note(state, tape.path)
    note.parent.mkdir(mode=0o700, exist_ok=True)
    unused = [entry.number for entry in tape.unused()]
    note.write_text(json.dumps({"sha256": hashlib.sha256(tape.path.read_bytes()).hexdigest(), "unused": unused}))


def finish(
    session: Session, project: Path, tape: TapePlayer | TapeRecorder, taping: Taping, code: int, *, quiet: bool
) -> int:
    """What became of the tape, on standard error; the exit code of the command."""
    from orchestrator.ai.tapes import TapePlayer
    from orchestrator.cli.formats import plural

    if not isinstance(tape, TapePlayer):
        if not quiet:
            session.err.line(f"recorded {plural(tape.recorded, 'answer')} on {taping.path}")
        return code
    if tape.file.torn:
        session.err.line(f"{taping.path}: its last line is not whole, and was left aside")
    if tape.misses:
        _show_diff(session, tape.misses[0].diff)
        return ExitCode.REPLAY_MISS
    if code == ExitCode.OK:
        _note_replay(session.state(project), tape)
    if code == ExitCode.OK and (left := tape.unused()):
        shown = ", ".join(f"{entry.number} ({entry.said})" for entry in left[:UNUSED_MAX])
        more = f" and {len(left) - UNUSED_MAX} more" if len(left) > UNUSED_MAX else ""
        session.err.line(f"{plural(len(left), 'answer')} of {taping.path} not used: {shown}{more}")
        if taping.strict:
            return ExitCode.BAD
    if not quiet:
        session.err.line(f"replayed {plural(tape.played, 'answer')} from {taping.path}: nothing was spent")
    return code


def _show_diff(session: Session, diff: list[str]) -> None:
    from orchestrator.cli.terminal import clean

    styles = {"+": "green", "-": "red", "@": "cyan"}
    for row in diff[:DIFF_LINES_MAX]:
        style = styles.get(row[:1])
        text = clean(row)
        session.err.line(session.err.style(text, style) if style else text)
    if len(diff) > DIFF_LINES_MAX:
        session.err.line(f"… {len(diff) - DIFF_LINES_MAX} more lines")
