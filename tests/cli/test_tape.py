"""`run --record`, `run --replay`, `tape …`: from the command line, against a model server on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from providers.wire_server import Reply, WireServer, error_reply, text_reply, wire_server

from tests.cli.conftest import Project
from tests.cli.test_startup import modules_after

KEY = "sk-canary-0123456789abcdef"
SDKS = {"openai", "pydantic_ai", "anthropic", "google.genai", "httpx", "httpx2", "genai_prices"}

THREE = """\
name: three
budget: {cost: $1.00}
agents:
  one: {model: openai/gpt-4.1, ai_config: {temperature: 0.1, max_tokens: 50, retry_delay: 0s}, instructions: I am one.}
  two: {model: openai/gpt-4.1-mini, ai_config: {max_tokens: 50, retry_delay: 0s}, instructions: I am two.}
  three: {model: openai/gpt-4.1-nano, ai_config: {max_tokens: 50, retry_delay: 0s}, instructions: I am three.}
tasks:
  first: {agent: one, prompt: Say one.}
  second: {agent: two, prompt: "Say two after ${{ first }}", output: {ok: boolean}}
  third: {agent: three, prompt: "Say three after ${{ second.ok }}"}
outputs: {first: '${{ first }}', ok: '${{ second.ok }}', third: '${{ third }}'}
"""


class Loopback:
    """The wire server in a thread of its own, for commands that are waited for."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = replies
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started: Any = None
        self.wire: WireServer
        self._thread = Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    async def _serve(self) -> None:
        async with wire_server(*self._replies) as self.wire:
            self._started.set()
            await self._stop.wait()

    def __enter__(self) -> WireServer:
        from threading import Event

        self._started = Event()
        self._thread.start()
        assert self._started.wait(10)
        return self.wire

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


def live(wire: WireServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": wire.url, "NO_PROXY": "127.0.0.1"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Three agents recorded from a server that limits the rate once and fails once: the folder of the project and of the
    home it was made from, and what was printed."""
    folder = tmp_path_factory.mktemp("recording")
    (folder / "project").mkdir()
    project, home = Project(folder / "project"), folder / "home"
    user = {"HOME": str(home)} | {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    file = project.write("three", THREE)
    replies = [
        error_reply(429, "rate_limit", "slow down", Retry_After="1"),
        text_reply("One."),
        error_reply(500, "server_error", f"it broke with {KEY}"),
        text_reply('{"ok": true}'),
        text_reply("Three."),
    ]
    with Loopback(*replies) as wire:
        ran = project.call("run", file, "--record", "tapes/three.jsonl", env=live(wire) | user)
        assert len(wire.received) == 5
    return folder, ran


@pytest.fixture
def recorded(recording: tuple[Path, Any], tmp_path: Path, own_world: Path) -> tuple[Project, Any]:
    """That recording, in a project that this test may change, of a user who made it."""
    folder, ran = recording
    shutil.copytree(folder / "home", own_world, dirs_exist_ok=True)
    shutil.copytree(folder / "project", tmp_path / "project")
    return Project(tmp_path / "project"), ran


def test_a_replay_gives_the_same_bytes_without_key_server_or_waiting(recorded: tuple[Project, Any]) -> None:
    project, live_run = recorded
    replayed = project.call("run", "workflows/three.yaml", "--replay", "tapes/three.jsonl", "--strict-replay")
    assert replayed.out == live_run.out
    assert "nothing was spent" in replayed.err
    runs = {run["replayed"]: run for run in project.call("runs", "--json").json["runs"]}
    assert runs[True]["cost"] == runs[False]["cost"] > 0, "it costs what it cost, and is marked"
    tasks = [project.call("show", runs[way]["run_id"], "--json").json["tasks"] for way in (False, True)]
    assert [task["usage"] for task in tasks[0]] == [task["usage"] for task in tasks[1]]
    assert "replayed from tapes/three.jsonl" in project.call("show").out


def test_what_was_waited_for_is_not_waited_for_again(recorded: tuple[Project, Any]) -> None:
    project, live_run = recorded
    path = project.folder / "tapes" / "three.jsonl"
    tape = path.read_text()
    assert '"retry_after": 1.0' in tape
    # Nobody has a quarter of an hour to spare here: the command is given up after a minute.
    path.write_text(tape.replace('"retry_after": 1.0', '"retry_after": 500.0'))
    assert project.call("run", "workflows/three.yaml", "--replay", "tapes/three.jsonl").out == live_run.out


def test_a_replay_tells_the_same_story(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    told = [
        project.call("run", "workflows/three.yaml", "--replay", "tapes/three.jsonl", "--json").lines for _ in range(2)
    ]
    # How long a run waits before it tries again is spread by its id: two runs differ in that alone.
    stories = [
        [
            (e.get("type"), e.get("task"), e.get("text"), re.sub(r"in [\d.]+ s", "", e.get("message") or ""))
            for e in lines
        ]
        for lines in told
    ]
    assert stories[0] == stories[1]
    assert any(text == "One." for _, _, text, _ in stories[0])


def test_a_replay_imports_no_sdk_and_opens_no_socket(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    args = ("run", "workflows/three.yaml", "--replay", "tapes/three.jsonl", "--progress", "plain")
    modules_after(project, *args)
    assert not modules_after(project, *args) & SDKS
    probe = (
        "import socket, sys\n"
        "def refuse(self, address):\n"
        "    assert self.family == socket.AF_UNIX, address\n"
        "    return connect(self, address)\n"
        "connect = socket.socket.connect\n"
        "socket.socket.connect = socket.socket.connect_ex = refuse\n"
        "from orchestrator.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe, *args], cwd=project.folder, env=project.environ(), timeout=60)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("I am two.", "I am Two.", "`instructions` was"),
        ("openai/gpt-4.1-mini", "openai/gpt-4.1-nano", "`model` was"),
        ("temperature: 0.1", "temperature: 0.2", "`temperature` was"),
        ("Say one.", "Say 1.", "`messages`: number 1 (user text) differs"),
        ("{ok: boolean}", "{ok: boolean, why: optional string}", "`output_schema`"),
    ],
)
def test_a_changed_workflow_misses_with_code_9_and_says_what_changed(
    recorded: tuple[Project, Any], old: str, new: str, said: str
) -> None:
    project, _ = recorded
    assert old in THREE
    file = project.write("three", THREE.replace(old, new, 1))
    missed = project.call("run", file, "--replay", "tapes/three.jsonl", expect=9)
    assert said in missed.err
    assert missed.err.count("replay miss") == 2, "where it happened, and at the end; not for each task again"
    assert "+++ asked now" in missed.err
    assert project.call("runs", "--json").json["runs"][0]["status"] == "failed"


def test_a_folder_is_no_tape_and_the_tapes_in_it_are_named(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    assert "name a tape in it: tapes/three.jsonl" in project.call("tape", "ls", "tapes", expect=2).err


def test_a_miss_ends_the_run_whatever_the_task_forgives(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    changed = THREE.replace("prompt: Say one.", "prompt: Say uno., on_error: continue, retry: {max: 2, on: [denied]}")
    file = project.write("three", changed.replace("after ${{ first }}", "after ${{ first | default('') }}"))
    project.call("run", file, "--replay", "tapes/three.jsonl", expect=9)
    tasks = {task["task"]: task for task in project.call("show", "--json").json["tasks"]}
    assert tasks["second"]["status"] != "succeeded"


def test_answers_left_unused_are_said_and_strictly_a_failure(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    shorter = THREE.replace('  third: {agent: three, prompt: "Say three after ${{ second.ok }}"}\n', "")
    file = project.write("three", shorter.replace(", third: '${{ third }}'", ""))
    said = project.call("run", file, "--replay", "tapes/three.jsonl").err
    assert "1 answer of tapes/three.jsonl not used: 5 (three in third)" in said
    project.call("run", file, "--replay", "tapes/three.jsonl", "--strict-replay", expect=1)
    gone = project.call("tape", "prune", "tapes/three.jsonl", "--json").json
    assert gone["entries"] == [5]
    project.call("run", file, "--replay", "tapes/three.jsonl", "--strict-replay")


def test_the_key_is_nowhere_on_the_tape(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    data = (project.folder / "tapes" / "three.jsonl").read_text()
    assert "it broke with ***" in data
    assert KEY not in data
    project.call("tape", "verify", "tapes/three.jsonl", env={"OPENAI_API_KEY": KEY})


def test_the_tape_is_listed_and_shown(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    page = project.call("tape", "ls", "tapes/three.jsonl", "--json").json
    assert [(e["task"], e["agent"], e["end"]) for e in page["entries"]] == [
        ("first", "one", "failed"),
        ("first", "one", "answered"),
        ("second", "two", "failed"),
        ("second", "two", "answered"),
        ("third", "three", "answered"),
    ]
    assert page["entries"][1]["cost"] > 0
    assert page["workflow"] == "workflows/three.yaml"
    assert "rate_limited: " in project.call("tape", "ls", "tapes/three.jsonl").out
    shown = project.call("tape", "show", "tapes/three.jsonl", "4").out
    assert "Say two after One." in shown
    assert '{"ok": true}' in shown
    assert "has 5 answers, no number 6" in project.call("tape", "show", "tapes/three.jsonl", "6", expect=2).err


def test_a_secret_that_got_onto_a_tape_is_found_and_taken_off(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    path = project.folder / "tapes" / "three.jsonl"
    path.write_text(path.read_text().replace("I am two.", "I am two with ghp_abcdefghij0123456789XYZ."))
    found = project.call("tape", "verify", "tapes/three.jsonl", expect=1).out
    assert "entry 3: its key is not that of its request" in found
    assert "entry 3: it holds what looks like a secret (ghp_ab…)" in found
    value = {"TEAM_VALUE": "ghp_abcdefghij0123456789XYZ"}
    done = project.call("tape", "redact", "tapes/three.jsonl", "--env", "TEAM_VALUE", env=value)
    assert "2 answers redacted: 3, 4" in done.err
    project.call("tape", "verify", "tapes/three.jsonl")
    changed = project.call("tape", "redact", "tapes/three.jsonl", "--stdin", "--json", stdin="Say three after\n")
    assert changed.json["entries"] == [5]


def test_two_tapes_are_compared_by_task_and_agent(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    path = project.folder / "tapes" / "three.jsonl"
    header, *entries = path.read_text().splitlines(keepends=True)
    other = path.with_name("other.jsonl")
    other.write_text("".join([header, *reversed(entries[2:]), *entries[:2]]).replace('"One."', '"Uno."'))
    page = project.call("tape", "diff", "tapes/three.jsonl", "tapes/other.jsonl", "--json").json
    said = {row["where"]: row["changes"] for row in page["differences"]}
    assert said["one in first"] == ["the answer differs"]
    assert "two in second" in said, "its failure and its answer changed places"
    assert "three in third" not in said
    assert "the same" in project.call("tape", "diff", "tapes/three.jsonl", "tapes/three.jsonl").err


@pytest.mark.parametrize(
    "args",
    [
        ["--record", "a.jsonl", "--replay", "b.jsonl"],
        ["--force"],
        ["--strict-replay"],
        ["--record", "workflows/three.yaml"],
        ["--replay", "missing.jsonl"],
        ["--record", "tapes/three.jsonl"],
    ],
)
def test_what_makes_no_sense_with_a_tape_is_a_usage_error(recorded: tuple[Project, Any], args: list[str]) -> None:
    project, _ = recorded
    assert "help:" in project.call("run", "workflows/three.yaml", *args, expect=2).err or args in (
        ["--force"],
        ["--strict-replay"],
    )


def test_a_called_workflow_is_replayed_too(project: Project) -> None:
    project.write(
        "inner",
        "name: inner\ninputs: {n: integer}\nagents: {a: {model: embedded/writer}}\n"
        "tasks: {say: {agent: a, prompt: 'Number ${{ inputs.n }}.'}}\noutputs: {said: '${{ say }}'}\n",
    )
    file = project.write(
        "outer",
        "name: outer\ntasks:\n  each: {foreach: '[3, 1, 2]', as: n, workflow: workflows/inner.yaml, "
        "inputs: {n: '${{ n }}'}}\noutputs: {all: '${{ each }}'}\n",
    )
    first = project.call("run", file, "--record", "t.jsonl")
    assert {entry["run"] for entry in project.call("tape", "ls", "t.jsonl", "--json").json["entries"]} == {
        "each[0]",
        "each[1]",
        "each[2]",
    }
    assert project.call("run", file, "--replay", "t.jsonl", "--strict-replay").out == first.out


# Killed


def _killed_when(wire: WireServer, process: subprocess.Popen[str], requests: int) -> None:
    while len(wire.received) < requests:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_recording_that_was_killed_goes_on_and_makes_a_whole_tape(project: Project, at: int) -> None:
    file = project.write("three", THREE)
    answers = {1: "One.", 2: '{"ok": true}', 3: "Three."}
    replies = [text_reply(answers[number]) for number in range(1, at)]
    with Loopback(*replies, Reply(events=[], gate=asyncio.Event())) as wire:
        process = project.start("run", file, "--record", "t.jsonl", env=live(wire))
        _killed_when(wire, process, at)
    with Loopback(*[text_reply(answers[number]) for number in range(at, 4)]) as wire:
        whole = project.call("resume", env=live(wire))
        assert len(wire.received) == 4 - at
    replayed = project.call("run", file, "--replay", "t.jsonl", "--strict-replay")
    assert replayed.out == whole.out


def test_a_replay_that_was_killed_goes_on_where_it_was(recorded: tuple[Project, Any]) -> None:
    project, live_run = recorded
    block = "test -e again || { touch again; echo started > signal; exec cat gate; }"
    slow = THREE.replace("tasks:\n", f"tasks:\n  hold: {{after: first, run: '{block}'}}\n")
    file = project.write("three", slow.replace('two, prompt: "Say two', 'two, after: hold, prompt: "Say two'))
    os.mkfifo(project.folder / "signal")
    os.mkfifo(project.folder / "gate")
    process = project.start("run", file, "--replay", "tapes/three.jsonl")
    assert (project.folder / "signal").read_text() == "started\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    went_on = project.call("resume")
    assert went_on.out == live_run.out
    assert "replayed 3 answers" in went_on.err, "what the first process had on record is not played again"
    assert "not used" not in went_on.err


def test_a_replay_goes_on_only_as_a_replay(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    file = project.write("three", THREE.replace("tasks:\n", "tasks:\n  sure: {ask: Sure?, after: first}\n"))
    project.call("run", file, "--replay", "tapes/three.jsonl", expect=5)
    (project.folder / "tapes" / "three.jsonl").rename(project.folder / "tapes" / "moved.jsonl")
    refused = project.call("answer", "@last", "sure", "--approve", expect=2)
    assert "which is not there any more" in refused.err
