"""What a user gets who has no checkout: the wheel in a clean environment, used from a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("packaging")]


def bare_env(home: Path) -> dict[str, str]:
    """No virtual environment, no checkout, no keys: only what any shell has."""
    return {"PATH": os.defpath, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}


def test_the_wheel_carries_schemas_examples_and_default_configuration(wheel: Path, repository: Path):
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("schemas", "workflows", "config"):
        for file in (repository / kind).rglob("*"):
            relative = file.relative_to(repository)
            if file.is_file() and not {"__pycache__", ".whisper-flow"} & set(relative.parts):
                assert f"orchestrator/data/{relative.as_posix()}" in names
    unwanted = ("tests/", "benchmarks/", "__pycache__", "/.whisper-flow")
    assert not [name for name in names if any(part in name for part in unwanted)]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_quickstart_runs_from_a_folder_of_ones_own(installed: Path, tmp_path: Path):
    env = bare_env(tmp_path)
    project = tmp_path / "mine"
    project.mkdir()
    whisper_flow = installed / "whisper-flow"
    subprocess.run([whisper_flow, "examples", "copy", "quickstart"], cwd=project, env=env, check=True, timeout=60)
    done = subprocess.run(
        [whisper_flow, "run", "workflows/quickstart.yaml"],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = json.loads(done.stdout)
    assert outputs["words"] > 3
    assert "LIVE" in done.stderr or "live" in done.stderr


def test_the_files_that_travel_are_found_in_the_installation(installed: Path, tmp_path: Path):
    code = (
        "from orchestrator.host.resources import resource_names, resource_folder\n"
        "import json\n"
        "print(json.dumps([resource_names('schemas', '.json'), resource_names('workflows', '.yaml'),"
        " str(resource_folder('config'))]))"
    )
    done = subprocess.run(
        [installed / "python", "-c", code],
        cwd=tmp_path,
        env=bare_env(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    schemas, workflows, config = json.loads(done.stdout)
    assert "delegates.schema.json" in schemas
    assert {"quickstart.yaml", "parts/measure-text.yaml"} <= set(workflows)
    assert "site-packages" in config


def test_a_type_checker_sees_the_types(wheel: Path):
    assert "orchestrator/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_version_is_the_same_everywhere(installed: Path, wheel: Path, tmp_path: Path):
    done = subprocess.run(
        [installed / "whisper-flow", "--version"], cwd=tmp_path, env=bare_env(tmp_path), capture_output=True, text=True
    )
    assert done.stdout.split() == ["whisper-flow", wheel.name.split("-")[1]]


def test_nothing_but_the_declared_dependencies_is_needed(installed: Path, tmp_path: Path):
    """Every module of the package imports in the clean environment, but for those that serve an extra: no test library has
    slipped in."""
    code = (
        "import importlib, pkgutil, orchestrator\n"
        "extras = {'anthropic', 'google', 'mcp', 'hvac', 'keyring'}\n"
        "skipped = ('orchestrator.testing', 'orchestrator.data')\n"
        "for m in pkgutil.walk_packages(orchestrator.__path__, 'orchestrator.'):\n"
        "    if not m.name.startswith(skipped) and not m.name.endswith('__main__'):\n"
        "        try:\n"
        "            importlib.import_module(m.name)\n"
        "        except ModuleNotFoundError as error:\n"
        "            if error.name.split('.')[0] not in extras:\n"
        "                raise\n"
    )
    done = subprocess.run(
        [installed / "python", "-c", code],
        cwd=tmp_path,
        env=bare_env(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_readmes_first_command_works_in_a_fresh_clone(
    our_copy: Path, tmp_path: Path, session_tool_env: dict[str, str]
):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(our_copy), str(clone)], check=True)
    lines = (clone / "README.md").read_text().splitlines()
    command = next(line for line in lines if line.startswith("python3 -m venv") and "quickstart" in line)
    env = {**session_tool_env, "WHISPER_FLOW_STATE": str(tmp_path / "state")}
    done = subprocess.run(["bash", "-c", command], cwd=clone, env=env, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"note"' in done.stdout
