"""Ctrl-C and SIGTERM: the first drains, the second stops at once, and `resume` goes on either way."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Project

SLOW = """
name: slow
tasks:
  first: {run: 'echo x >> first.txt; until [ -e gate ]; do sleep 0.05; done; echo done'}
  second: {run: 'echo ${{ first }} >> second.txt; echo two'}
outputs: {x: '${{ second }}'}
"""


def started(project: Project, *args: str) -> subprocess.Popen[str]:
    """A run of SLOW whose first task has begun: told by the stream, not by the clock."""
    child = project.start("run", project.write("slow", SLOW), "--json", *args)
    until(child, "task_started")
    marker = project.folder / "first.txt"
    while not marker.exists():
        assert child.poll() is None
    return child


def until(child: subprocess.Popen[str], kind: str) -> None:
    assert child.stdout is not None
    for row in child.stdout:
        if json.loads(row)["type"] == kind:
            return
    raise AssertionError(f"no {kind} came; {child.stderr.read() if child.stderr else ''}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_running_tasks_finish_and_starts_nothing_new(
    project: Project, number: int, code: int
) -> None:
    child = started(project)
    child.send_signal(number)
    until(child, "stop_requested")
    (project.folder / "gate").touch()
    out, err = child.communicate(timeout=30)
    assert child.returncode == code, err
    assert '"type":"left"' in out
    assert not (project.folder / "second.txt").exists()
    ran = project.call("resume")
    assert ran.json == {"x": "two"}
    assert (project.folder / "first.txt").read_text() == "x\n", "a finished task is not done again"


def test_the_second_signal_stops_at_once_and_the_task_is_done_again(project: Project) -> None:
    child = started(project)
    child.send_signal(signal.SIGINT)
    until(child, "stop_requested")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130, err
    (project.folder / "gate").touch()
    ran = project.call("resume")
    assert ran.json == {"x": "two"}
    assert (project.folder / "first.txt").read_text() == "x\nx\n"
    assert "resumed" in ran.err


def test_grace_bounds_the_drain(project: Project) -> None:
    child = started(project, "--grace", "100ms")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130, err


def test_plain_progress_says_how_to_go_on(project: Project) -> None:
    child = project.start("run", project.write("slow", SLOW), "--grace", "100ms")
    wait_for(project.folder / "first.txt", child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert "interrupted; once more stops at once" in err
    assert "slow was interrupted; it is resumable" in err
    assert "next      whisper-flow resume " in err


def wait_for(path: Path, child: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert child.poll() is None


def test_two_processes_never_drive_one_run(project: Project) -> None:
    child = started(project)
    ran = project.call("resume")
    assert f"pid {child.pid}" in ran.err
    assert "whisper-flow watch" in ran.err
    (project.folder / "gate").touch()
    assert child.wait(timeout=30) == 0


def test_a_run_elsewhere_can_be_watched_held_and_cancelled(project: Project) -> None:
    child = started(project)
    project.call("pause", "--reason", "lunch")
    until(child, "hold_set")
    watcher = project.start("watch", "--json")
    until(watcher, "hold_set")
    (project.folder / "gate").touch()
    until(child, "task_succeeded")
    assert project.call("runs", "--json").json["runs"][0]["driver"] == f"pid {child.pid} on {_node()}"
    project.call("cancel", "--reason", "enough")
    assert child.wait(timeout=30) == 1
    assert watcher.wait(timeout=30) == 1
    view = project.call("show", "@last", "--json").json
    assert (view["status"], view["counts"]) == ("cancelled", {"succeeded": 1, "cancelled": 1})


def _node() -> str:
    import platform

    return platform.node()
