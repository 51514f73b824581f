"""What other repositories use from ours: the pre-commit hook and the composite action, run as they would run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("packaging")]

GOOD = "name: good\ntasks:\n  hello: {run: echo hello}\n"
BROKEN = "name: broken\ntasks:\n  hello:\n    run: echo hello\n    retires: 3\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A repository of workflows with a good file and a broken one."""
    project = tmp_path / "theirs"
    (project / "workflows").mkdir(parents=True)
    (project / "workflows" / "good.yaml").write_text(GOOD)
    (project / "workflows" / "broken.yaml").write_text(BROKEN)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "-A"], cwd=project, check=True)
    subprocess.run(["git", "commit", "-q", "-m", "Workflows"], cwd=project, check=True)
    return project


@pytest.mark.needs_tool("git")
def test_the_pre_commit_hook_finds_the_broken_file_and_passes_the_good_one(
    theirs: Path, our_copy: Path, session_tool_env: dict[str, str], tmp_path: Path
):
    env = {**session_tool_env, "PRE_COMMIT_HOME": str(tmp_path / "pre-commit")}
    command = [sys.executable, "-m", "pre_commit", "try-repo", str(our_copy), "whisper-flow-validate"]
    broken = subprocess.run([*command, "--all-files"], cwd=theirs, env=env, capture_output=True, text=True, timeout=600)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "retires" in broken.stdout
    good = subprocess.run(
        [*command, "--files", "workflows/good.yaml"], cwd=theirs, env=env, capture_output=True, text=True, timeout=600
    )
    assert good.returncode == 0, good.stdout + good.stderr


def test_the_hook_chooses_workflow_files_only(repository: Path):
    import re

    (hook,) = yaml.safe_load((repository / ".pre-commit-hooks.yaml").read_text())
    chosen = re.compile(hook["files"])
    assert [
        bool(chosen.search(p)) for p in ("workflows/a.yaml", "sub/workflows/parts/b.yml", "config/c.yaml", "a.yaml")
    ] == [
        True,
        True,
        False,
        False,
    ]


class Action:
    """The composite action's shell steps, run by hand as a runner would."""

    def __init__(self, source: Path, runner: Path, env: dict[str, str]) -> None:
        self.steps = yaml.safe_load((source / "action.yml").read_text())["runs"]["steps"]
        self.source = source
        self.runner = runner
        self.env = {
            **env,
            "RUNNER_TEMP": str(runner),
            "GITHUB_STEP_SUMMARY": str(runner / "summary.md"),
            "GITHUB_OUTPUT": str(runner / "output"),
        }

    def step(self, name: str, cwd: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
        step = next(s for s in self.steps if s.get("name") == name)
        env = dict(self.env)
        for variable, value in step.get("env", {}).items():
            value = value.replace("${{ github.action_path }}", str(self.source))
            for given, text in inputs.items():
                value = value.replace(f"${{{{ inputs.{given} }}}}", text)
            assert "${{" not in value, value
            env[variable] = value
        script = self.runner / f"{name}.sh"
        script.write_text(step["run"])
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )


@pytest.fixture
def action(our_copy: Path, installed: Path, tmp_path: Path, session_tool_env: dict[str, str]) -> Action:
    """The action after its install step; the environment it would make is the one the wheel is installed in."""
    runner = tmp_path / "runner"
    runner.mkdir()
    (runner / "whisper-flow").symlink_to(installed.parent)
    return Action(our_copy, runner, session_tool_env)


def test_the_action_annotates_summarises_writes_sarif_and_fails_on_errors(action: Action, theirs: Path):
    done = action.step("validate", theirs, paths="", strict="false", sarif="found.sarif")
    assert done.returncode == 1, done.stdout + done.stderr
    annotations = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert any("file=workflows/broken.yaml" in line and "line=5" in line and "retires" in line for line in annotations)
    summary = (action.runner / "summary.md").read_text()
    assert "retires" in summary
    assert summary.count("```") == 2
    sarif = json.loads((theirs / "found.sarif").read_text())
    assert sarif["version"] == "2.1.0"
    (location,) = [r["locations"][0]["physicalLocation"] for r in sarif["runs"][0]["results"] if r["level"] == "error"]
    assert location["artifactLocation"]["uri"] == "workflows/broken.yaml"
    assert (action.runner / "output").read_text() == "sarif=found.sarif\n"


def test_the_action_passes_a_good_file_given_by_path_and_needs_no_sarif(action: Action, theirs: Path):
    done = action.step("validate", theirs, paths="workflows/good.yaml", strict="true", sarif="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (theirs / "whisper-flow.sarif").exists()
    assert not (action.runner / "output").exists()


def test_the_action_takes_paths_on_lines_of_their_own(action: Action, theirs: Path):
    done = action.step(
        "validate", theirs, paths="workflows/good.yaml\nworkflows/broken.yaml\n", strict="false", sarif=""
    )
    assert done.returncode == 1
    assert "workflows/broken.yaml" in done.stdout


def test_a_path_input_is_never_read_as_shell_text(action: Action, theirs: Path):
    done = action.step("validate", theirs, paths="$(touch owned) ;touch owned", strict="false", sarif="")
    assert done.returncode != 0
    assert not (theirs / "owned").exists()


def test_the_actions_install_step_makes_an_environment_of_its_own(
    our_copy: Path, tmp_path: Path, session_tool_env: dict[str, str]
):
    runner = tmp_path / "runner"
    runner.mkdir()
    path = f"{Path(shutil.which('python3') or sys.executable).parent}{os.pathsep}{session_tool_env['PATH']}"
    action = Action(our_copy, runner, {**session_tool_env, "PATH": path})
    done = action.step("install", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (runner / "whisper-flow" / "bin" / "whisper-flow").exists()


def test_the_readmes_test_command_is_the_one_ci_runs(repository: Path):
    lines = (repository / "README.md").read_text().splitlines()
    command = next(line for line in lines if line.startswith("python3 -m venv") and "pytest" in line)
    script = (repository / ".ci" / "run").read_text()
    install, tests = command.split(" && ")[1:]
    assert install.removeprefix(".venv/bin/").replace("-q ", "--quiet ") in script.replace(
        '"$work/venv/bin/pip"', "pip"
    )
    assert tests.removeprefix(".venv/bin/") in script
    assert os.access(repository / ".ci" / "run", os.X_OK)


def test_the_lock_names_public_places_only(repository: Path):
    import tomllib

    lock = tomllib.loads((repository / "uv.lock").read_text())
    for package in lock["package"]:
        source = package["source"]
        assert source in ({"registry": "https://pypi.org/simple"}, {"editable": "."}), package["name"]
        for file in [*package.get("wheels", []), *filter(None, [package.get("sdist")])]:
            assert file["url"].startswith("https://files.pythonhosted.org/"), file["url"]
