"""To validate is to read: no process, no network, no import of the user's code, no file but the project's own YAML."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

WORKFLOW = """\
secrets: {TOKEN: {file: secret.txt}, OTHER: {dotenv: .env}, THIRD: {vault: x}}
env: {A: '${{ secrets.TOKEN }}'}
workers: {w: {provider: openai, model_name: gpt-5, auth: {config_path: secret.txt}}}
mcp: {m: {command: ./server}}
agents: {a: {worker: w, tools: ['m.*']}}
tasks:
  p: {python: 'danger:run', args: {x: 1}}
  r: {after: p, run: 'touch executed', env: {T: '${{ secrets.OTHER }}'}}
  h: {after: r, http: 'http://127.0.0.1:9/'}
  t: {after: h, tool: m.call}
  g: {after: t, agent: a, prompt: '${{ h }}', session: s}
  w: {after: g, workflow: ./child.yaml}
  n: {set: '${{ now("Europe/Rome") }} ${{ range(3) }}'}
"""
CHILD = "tasks: {c: {python: 'danger:run'}}\noutputs: {x: '${{ c }}'}\n"

PROGRAM = """
import sys, json
seen = []
watching = False
def hook(event, args):
    if watching and event.split(".")[0] in ("subprocess", "socket", "os", "ctypes", "urllib", "shutil", "pty") and event not in (
        "os.listdir", "os.scandir", "os.walk", "os.fwalk"
    ):
        seen.append([event, repr(args)[:200]])
    if watching and event == "open" and isinstance(args[0], (str, bytes)):
        seen.append(["open", str(args[0])])
    if watching and event == "import":
        seen.append(["import", args[0]])
sys.addaudithook(hook)
from orchestrator.spec.validate import validate
watching = True
found = validate(sys.argv[1])
watching = False
print(json.dumps({"seen": seen, "codes": [one.code for one in found if one.severity == "error"]}))
"""


def test_validating_reads_the_projects_yaml_and_nothing_else(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "whisper-flow.yaml").write_text("{}\n")
    (tmp_path / "workflows" / "main.yaml").write_text(WORKFLOW)
    (tmp_path / "workflows" / "child.yaml").write_text(CHILD)
    (tmp_path / "danger.py").write_text("import pathlib; pathlib.Path('executed').touch()\n")
    (tmp_path / "secret.txt").write_text("hunter2hunter2")
    (tmp_path / ".env").write_text("OTHER=hunter2hunter2\n")
    env = {"PYTHONPATH": f"{repository}:{tmp_path}", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROGRAM, "workflows/main.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["codes"] == []
    assert not (tmp_path / "executed").exists()
    assert [event for event in report["seen"] if event[0] not in ("open", "import")] == []
    opened = {path for event, path in report["seen"] if event == "open"}
    library = (str(repository), sys.prefix, sys.base_prefix, "/usr/share/zoneinfo")
    own = {path for path in opened if not path.startswith(library)}
    assert {Path(path).suffix for path in own} <= {".yaml"}
    assert "danger" not in {name for event, name in report["seen"] if event == "import"}
