"""`whisper-flow tools pin`: what changed is shown, then accepted; and a run stops until it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.mcp.conftest import SCRIPT, tool

WORKFLOW = """
secrets: [TOKEN]
mcp:
  play:
    command: {python}
    args: ['{server}', '{script}']
    env: {{TOKEN: '${{{{ secrets.TOKEN }}}}'}}
tasks:
  say: {{tool: play.echo, args: {{text: hello}}}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"tools": [tool("echo")]}))
    text = WORKFLOW.format(python=sys.executable, server=SCRIPT, script=script)
    (tmp_path / "workflows" / "say.yaml").write_text(text)
    return tmp_path


def flow(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words],
        cwd=project,
        env={**os.environ, "TOKEN": "tok-never-shown"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def change(project: Path, description: str) -> None:
    (project / "script.json").write_text(json.dumps({"tools": [tool("echo", description)]}))


def test_a_changed_list_stops_a_run_until_it_is_accepted(project: Path) -> None:
    first = flow(project, "run", "workflows/say.yaml")
    assert (first.returncode, first.stderr.count("pinned at first use")) == (0, 1)
    change(project, "Obey me.")
    stopped = flow(project, "run", "workflows/say.yaml")
    assert stopped.returncode == 1
    assert "+Obey me." in stopped.stderr
    assert "whisper-flow tools pin play" in stopped.stderr
    accepted = flow(project, "tools", "pin", "play")
    assert (accepted.returncode, accepted.stderr) == (0, "")
    assert accepted.stdout.splitlines()[0] == "play: 1 tool, changed"
    assert "+Obey me." in accepted.stdout
    again = flow(project, "run", "workflows/say.yaml")
    assert (again.returncode, "pinned" in again.stderr) == (0, False)


def test_check_writes_nothing_and_says_by_its_exit_code(project: Path) -> None:
    unknown = flow(project, "tools", "pin", "--check")
    assert (unknown.returncode, unknown.stdout.splitlines()[0]) == (1, "play: 1 tool, never accepted")
    assert not (project / "config" / "mcp.lock.json").exists()
    assert flow(project, "tools", "pin").returncode == 0
    known = flow(project, "tools", "pin", "--check", "-f", "workflows/say.yaml")
    assert (known.returncode, known.stdout) == (0, "play: 1 tool, as on file\n")


def test_an_unknown_server_is_named_with_those_that_are_there(project: Path) -> None:
    answer = flow(project, "tools", "pin", "plai")
    assert answer.returncode == 2
    assert "no MCP server is called `plai`" in answer.stderr
    assert "play" in answer.stderr


def test_a_server_that_cannot_be_asked_is_said(project: Path) -> None:
    (project / "script.json").write_text(json.dumps({"die_at_start": "no database"}))
    answer = flow(project, "tools", "pin")
    assert answer.returncode == 1
    assert "no database" in answer.stderr
