"""Wrong calls: what they are told, and the code they exit with."""

from __future__ import annotations

import pytest

from orchestrator.cli.catalogue import COMMANDS, LATER
from orchestrator.cli.exit_codes import MEANINGS, ExitCode, of_run
from tests.cli.conftest import Project


@pytest.mark.parametrize(
    ("args", "message", "help"),
    [
        (["rnu"], "unknown command `rnu`", "did you mean `run`?"),
        (["RUN"], "unknown command `RUN`", "did you mean `run`?"),
        (["examples", "lits"], "unknown command `whisper-flow examples lits`", "did you mean `list`?"),
        (["qqqqqq"], "unknown command `qqqqqq`", "see `whisper-flow --help`"),
        (["run", "x.yaml", "--parm", "a=1"], "unknown option `--parm`", "did you mean `--param`?"),
        (["runs", "--jsn"], "unknown option `--jsn`", "did you mean `--json`?"),
        (["run"], "missing argument FILE", "see `whisper-flow run --help`"),
        (["runs", "--limit", "x"], "invalid value for '-n' / '--limit'", "see `whisper-flow runs --help`"),
        (["run", "nowhere.yaml"], "there is no file `nowhere.yaml`", None),
        (["explain", "WF9999"], "there is no rule `WF9999`", None),
        (["--sate", "x"], "unknown option `--sate`", "did you mean `--state`?"),
    ],
)
def test_a_mistake_is_named_with_the_nearest_right_thing(
    project: Project, args: list[str], message: str, help: str | None
) -> None:
    ran = project.call(*args, expect=2)
    assert ran.out == ""
    assert ran.err.splitlines()[0].startswith(f"error: {message}")
    assert help is None or f"help: {help}" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("name", sorted(LATER))
def test_names_of_later_versions_say_so(project: Project, name: str) -> None:
    assert name not in COMMANDS
    ran = project.call(name, "--anything", expect=2)
    assert f"error: `{name}`" in ran.err
    assert "is not in this version yet" in ran.err


def test_a_workflow_file_in_the_place_of_a_command_is_understood(project: Project) -> None:
    file = project.write("a", "name: a\ntasks: {one: {set: 1}}\n")
    assert f"to run it: `whisper-flow run {file}`" in project.call(file, expect=2).err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(project: Project, name: str) -> None:
    page = project.call(name, "--help").out
    assert page.startswith(f"Usage: whisper-flow {name}")
    assert project.call(name, "-h").out == page


def test_the_overview_lists_every_command_and_needs_no_option(project: Project) -> None:
    page = project.call("--help").out
    assert project.call().out == page == project.call("help").out == project.call("--color", "never", "--help").out
    assert all(f"  {name} " in page for name in COMMANDS)
    assert project.call("-V").out == project.call("--version").out == project.call("--color", "never", "--version").out


def test_an_error_of_ours_says_how_to_report_it_and_shows_no_traceback(project: Project) -> None:
    broken = {"PYTHONPATH": str(project.folder), "WHISPER_FLOW_STATE": ""}
    (project.folder / "sitecustomize.py").write_text(
        "import sys\nsys.modules['orchestrator.cli.settings'] = 'not a module'\nsys.path.append('" + _root() + "')\n"
    )
    ran = project.call("config", expect=70, env=broken)
    assert "error: whisper-flow met an error of its own: " in ran.err
    assert "help: please report it" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in project.call("config", "--debug", expect=70, env=broken).err


def _root() -> str:
    from tests.cli.conftest import ROOT

    return str(ROOT)


@pytest.mark.parametrize(
    ("status", "failure", "code"),
    [
        ("succeeded", None, 0),
        ("warned", None, 0),
        ("failed", {"type": "exit"}, 1),
        ("failed", None, 1),
        ("cancelled", None, 1),
        ("failed", {"type": "auth"}, 4),
        ("waiting", None, 5),
        ("paused", None, 5),
        ("failed", {"type": "budget"}, 6),
        ("failed", {"type": "rate_limited"}, 6),
        ("failed", {"type": "timeout"}, 124),
    ],
)
def test_the_code_of_a_run(status: str, failure: dict[str, str] | None, code: int) -> None:
    assert of_run(status, failure) == code


def test_every_code_has_its_meaning_and_errors_use_no_other() -> None:
    from orchestrator import errors

    assert set(MEANINGS) == set(ExitCode)
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.WhisperFlowError)
    ]
    assert {kind.exit_code for kind in kinds} <= {int(code) for code in ExitCode}


def test_the_reference_page_is_the_table() -> None:
    from tests.cli.conftest import ROOT

    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    assert [row for row in page.splitlines() if row.startswith("| ")][1:] == [
        f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()
    ]
