"""`validate`: formats, exit codes, fixing, watching."""

from __future__ import annotations

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
    text = "\ufeffname: fix\r\ndescription: é, b\r\ntasks:\r\n  a: {run: 'echo é', Timeout: 5s}\r\n  b: {set: ${{ a }}, retires: 3}\r\n"
    file = project.write("fix", "")
    (project.folder / file).write_bytes(text.encode())
    # One finding hides others until it is fixed: a second pass finds what is left.
    first = project.call("validate", file, "--fix", "--json", expect=1)
    second = project.call("validate", file, "--fix", "--json", expect=1)
    assert "Fixed 1 finding." in first.err + second.err
    fixed = (project.folder / file).read_bytes().decode()
    assert fixed == text.replace("${{ a }}", "'${{ a }}'").replace("Timeout", "timeout")
    left = second.json["diagnostics"]
    assert [one["message"] for one in left if one["severity"] == "error"] == ["unknown field `retires` in task `b`"]


def test_a_clean_file_is_left_alone_by_fixing(project: Project) -> None:
    file = project.write("good", GOOD)
    before = (project.folder / file).stat()
    assert "Fixed 0 findings." in project.call("validate", file, "--fix").err
    after = (project.folder / file).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


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
