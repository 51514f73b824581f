"""`validate`: formats, exit codes, fixing, watching."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Project

GOOD = "name: good\ntasks:\n  a: {run: echo}\n"
BAD = "name: bad\ntasks:\n  a: {run: echo, retires: 3}\n"
WARNS = "name: warns\ninputs: {unused: {type: string, default: x}}\ntasks:\n  a: {run: echo}\n"


def test_findings_are_shown_with_place_carets_remedy_and_summary(project: Project) -> None:
    project.write("good", GOOD)
    project.write("bad", BAD)
    ran = project.call("validate", expect=1)
    assert ran.err == ""
    for part in ("error[WF", "unknown field `retires`", "--> workflows/bad.yaml:3:18", "^^^^^^^", "= help: did you mean `retry`?",
                 "= docs: whisper-flow explain WF", "Found 1 error in 1 of 2 workflows"):  # fmt: skip
        assert part in ran.out


def test_the_code_says_whether_there_are_errors_and_strict_counts_warnings(project: Project) -> None:
    project.write("good", GOOD)
    project.write("warns", WARNS)
    project.call("validate", "workflows/good.yaml", "--strict")
    project.call("validate")
    project.call("validate", "--strict", expect=1)


@pytest.mark.parametrize("form", ["text", "concise", "json", "github", "sarif", "junit"])
def test_every_format_goes_to_standard_output_or_to_a_file(project: Project, form: str) -> None:
    project.write("bad", BAD)
    ran = project.call("validate", "--format", form, expect=1)
    assert "retires" in ran.out
    to_file = project.call("validate", "--format", form, "-o", "reports/out.txt", expect=1)
    assert to_file.out == ""
    assert "Found 1 error" in to_file.err
    assert "retires" in (project.folder / "reports" / "out.txt").read_text()


def test_github_gets_a_page_below_the_job(project: Project) -> None:
    project.write("bad", BAD)
    page = project.folder / "summary.md"
    page.write_text("before\n")
    project.call("validate", "--format", "github", expect=1, env={"GITHUB_STEP_SUMMARY": str(page)})
    assert page.read_text().startswith("before\n")
    assert "retires" in page.read_text()


def test_paths_are_files_or_folders_and_hidden_ones_are_passed_over(project: Project) -> None:
    project.write("good", GOOD)
    project.write("deep/other", GOOD)
    project.write(".hidden/bad", BAD)
    summary = project.call("validate", "workflows", "workflows/good.yaml", "--json").json["summary"]
    assert summary["files"] == ["workflows/deep/other.yaml", "workflows/good.yaml"]
    assert "did you mean `workflows/good.yaml`?" in project.call("validate", "workflows/goood.yaml", expect=2).err
    (project.folder / "empty").mkdir()
    assert "there are no workflow files in `empty`" in project.call("validate", "empty", expect=2).err


def test_without_a_project_it_says_how_to_begin(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "validate"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "whisper-flow init" in done.stderr


def test_safe_fixes_are_applied_and_the_rest_is_reported(project: Project) -> None:
    file = project.write(
        "fix", "\ufeffname: fix\r\ntasks:\r\n  a: {rnu: echo é}\r\n  b: {run: echo, retires: 3, afetr: a}\r\n"
    )
    before = project.call("validate", file, "--json", expect=1).json["summary"]
    if not before["fixable"]:
        pytest.skip("no rule offers a fix for this file")
    ran = project.call("validate", file, "--fix", "--json", expect=None)
    after = json.loads(ran.out)["summary"]
    assert after["errors"] == before["errors"] - before["fixable"] or after["errors"] < before["errors"]
    assert f"Fixed {before['fixable']} finding" in ran.err
    text = (project.folder / file).read_bytes().decode()
    assert text.startswith("\ufeffname: fix\r\n")
    assert "echo é" in text


def test_watching_checks_again_when_a_file_changes(project: Project) -> None:
    file = project.write("good", GOOD)
    child = project.start("validate", "--watch", "--format", "concise")
    assert child.stdout is not None
    assert "nothing found" in child.stdout.readline()
    assert child.stderr is not None
    assert "watching" in child.stderr.readline()
    # The watcher may need a moment to begin: saving again until it sees one keeps the clock out of it.
    import threading

    seen = threading.Event()

    def save() -> None:
        while not seen.wait(0.2):
            (project.folder / file).write_text(BAD)

    saver = threading.Thread(target=save)
    saver.start()
    try:
        row = child.stdout.readline()
    finally:
        seen.set()
        saver.join()
    assert "retires" in row
    child.send_signal(2)
    assert child.wait(timeout=30) in (0, 1, 130)
