"""A disk that is really full: a small file system of its own, filled by a run, and given room later."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
set -u
mount -t tmpfs -o size=$ROOM,mode=0700 tmpfs "$STATE"
flow() {
  name=$1; shift
  "$PYTHON" -m orchestrator.cli "$@" --state "$STATE" >"$OUT/$name.out" 2>"$OUT/$name.err" </dev/null
  echo $? >"$OUT/$name.code"
}
flow run run workflows/fills.yaml -p "text=$TEXT"
flow runs runs --json
flow paused runs --status paused
flow show show @last
flow doctor doctor
flow again run workflows/fills.yaml -p "text=$TEXT"
flow full resume @last
mount -o remount,size=128m "$STATE"
flow resume resume @last
flow after runs --json
flow healthy doctor
"""

TASKS = """
name: fills the disk
inputs: {text: string}
tasks:
  large:
    foreach: range(600)
    max_parallel: 8
    set: ${{ inputs.text }} ${{ item }}
  rest: {after: large, wait: 1ms}
"""

TALK = """
name: fills the disk with talk
inputs: {text: string}
budget: {tokens_per_day: 1000000000}
agents:
  one: {model: embedded/writer, instructions: Write one short line.}
tasks:
  large:
    foreach: range(200)
    max_parallel: 8
    agent: one
    prompt: ${{ item }} ${{ inputs.text }}
  rest: {after: large, wait: 1ms}
"""


def _mounts_of_its_own() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    asked = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _mounts_of_its_own(), reason="this machine gives users no mounts of their own")


class Told:
    """What each command of the script left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def code(self, name: str) -> int:
        return int((self._folder / f"{name}.code").read_text())

    def out(self, name: str) -> str:
        return (self._folder / f"{name}.out").read_text()

    def err(self, name: str) -> str:
        return (self._folder / f"{name}.err").read_text()


@pytest.fixture(params=[TASKS, TALK], ids=["tasks", "agents"])
def told(request: pytest.FixtureRequest, project: Any) -> Told:
    """A run on 2 MiB, looked at, tried again, and resumed with more room."""
    project.write("fills", request.param)
    state, out = project.folder / "state", project.folder / "told"
    state.mkdir()
    out.mkdir()
    names = {"STATE": str(state), "OUT": str(out), "PYTHON": sys.executable, "ROOM": "2m", "TEXT": "x" * 5000}
    script = ["unshare", "-rm", "sh", "-c", SCRIPT]
    subprocess.run(script, cwd=project.folder, env=project.environ(**names), check=True, timeout=200)
    return Told(out)


def test_a_full_disk_holds_the_run_until_there_is_room(told: Told) -> None:
    assert told.code("run") == 1, told.err("run")
    assert "held (`disk_full`)" in told.err("run")
    assert "Traceback" not in "".join(told.err(name) for name in ("run", "again", "full", "resume"))

    (row,) = json.loads(told.out("runs"))["runs"]
    assert (row["status"], row["driver"]) == ("paused", None)
    assert row["reason"].startswith("disk_full")
    assert "disk_full" in told.out("paused")
    assert "disk_full" in told.out("show")
    assert told.code("doctor") == 1
    assert "1 run held by `disk_full`" in told.out("doctor")

    assert told.code("again") == told.code("full") == 1

    assert told.code("resume") == 0, told.err("resume")
    assert {row["status"] for row in json.loads(told.out("after"))["runs"]} == {"succeeded"}
    assert told.code("healthy") == 0, told.out("healthy")
