"""Several `whisper-flow run` in one project at once, and somebody who looks on and steers: nobody is turned away, nothing is locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNS = 8
TASKS = 20
PATIENCE_S = 60.0


def workflow() -> str:
    lines = ["name: many", "max_parallel: 4", "tasks:"]
    lines.append("  gate: {run: 'touch \"begun-$WHISPER_RUN_ID\"; until test -e gate; do sleep 0.05; done'}")
    lines += [f"  t{at}: {{after: gate, set: {at}}}" for at in range(TASKS - 1)]
    lines.append("  last: {run: 'echo ${{ " + " + ".join(f"t{at}" for at in range(TASKS - 1)) + " }}'}")
    return "\n".join([*lines, 'outputs: {sum: "${{ last }}"}', ""])


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "workflows").mkdir()
        (folder / "workflows" / "many.yaml").write_text(workflow())

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", *words],
            cwd=self.folder, env={**os.environ, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def tell(self, *words: str) -> str:
        process = self.start(*words)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, (words, err)
        assert "locked" not in err
        return out

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.tell("runs", "--json"))["runs"]
        return found


@pytest.mark.timeout(180)
def test_eight_runs_share_a_project_with_one_who_looks_and_steers(tmp_path: Path) -> None:
    project = Project(tmp_path)
    running = [project.start("run", "workflows/many.yaml", "--progress", "none") for _ in range(RUNS)]
    try:
        while len(list(tmp_path.glob("begun-*"))) < RUNS:
            assert all(process.poll() is None for process in running), running[0].communicate()
            assert len(project.runs()) <= RUNS
        rows = project.runs()
        assert [row["status"] for row in rows] == ["running"] * RUNS
        held = rows[3]["run_id"]
        project.tell("pause", held)
        (tmp_path / "gate").touch()
        while sum(row["status"] == "succeeded" for row in project.runs()) < RUNS - 1:
            pass
        while _status(project, held) != "paused":
            pass
        project.tell("resume", held)
        for process in running:
            out, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, err
            assert "locked" not in err
            assert str(sum(range(TASKS - 1))) in out
    finally:
        for process in running:
            process.kill()
            process.wait()
    rows = project.runs()
    assert [row["status"] for row in rows] == ["succeeded"] * RUNS
    assert len({row["run_id"] for row in rows}) == RUNS
    project.tell("doctor")


def _status(project: Project, run_id: str) -> str:
    return next(row["status"] for row in project.runs() if row["run_id"] == run_id)
