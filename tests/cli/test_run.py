"""`run` end to end: where its output goes, what it exits with, what it leaves behind."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cli.conftest import COMMAND, Project

HELLO = """
name: hello
inputs:
  name: {type: string, default: you}
  times: {type: integer, default: 1}
tasks:
  greet: {run: 'echo "Hello, ${{ inputs.name }}"'}
  all: {set: '${{ [greet] * inputs.times }}'}
outputs: {text: '${{ greet }}', all: '${{ all }}'}
"""

FAILS = """
name: fails
tasks:
  good: {run: echo fine}
  bad: {after: good, run: 'echo first; echo the cause >&2; exit 3'}
  never: {run: 'echo ${{ bad }}'}
"""


def test_the_result_alone_is_on_standard_output(project: Project) -> None:
    ran = project.call("run", project.write("hello", HELLO), "-p", "name=Ada", "-p", "times=2")
    assert ran.json == {"text": "Hello, Ada", "all": ["Hello, Ada"] * 2}
    assert "✓ greet" in ran.err
    assert "✓ hello succeeded" in ran.err
    assert "next      whisper-flow show " in ran.err


def test_progress_none_says_nothing_but_the_result(project: Project) -> None:
    ran = project.call("run", project.write("hello", HELLO), "--progress", "none")
    assert ran.err == ""
    assert ran.json["text"] == "Hello, you"


def test_a_failed_run_tells_the_cause_and_the_way_on(project: Project) -> None:
    ran = project.call("run", project.write("fails", FAILS), expect=1)
    assert ran.out == ""
    end = ran.err[ran.err.index("\n\n") :]
    order = [
        "✗ bad failed",
        "│ the cause",
        "exit code 3",
        "✗ fails failed",
        "rerun",
        "--from bad",
        "reuses 1 task",
        "why",
    ]
    places = [end.index(part) for part in order]
    assert places == sorted(places)


def test_json_is_a_line_for_each_event_and_nothing_else(project: Project) -> None:
    ran = project.call("run", project.write("hello", HELLO), "--json")
    assert ran.err == ""
    first, *events = ran.lines
    assert first == {"type": "schema", "schema": "whisper-flow/events/1"}
    kinds = [event["type"] for event in events]
    assert kinds[0] == "run_started"
    assert kinds[-2:] == ["run_ended", "left"]
    assert events[-2]["outputs"]["text"] == "Hello, you"
    assert all(event["time"].endswith("Z") for event in events if event["type"] != "left")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["-p", "nmae=x"], 2, "did you mean `name`?"),
        (["-p", "times=many"], 2, "input `times` (-p times): expected a whole number, not 'many'"),
        (["--params-file", "none.json"], 2, "there is no file 'none.json'"),
        (["--budget", "2"], 2, "an amount of money needs its unit"),
        (["--grace", "5"], 2, "a duration needs its unit"),
        (["--delegate", "no_such_module:f"], 2, "no module 'no_such_module'"),
        (["--from", "greet"], 2, "there is no earlier run"),
    ],
)
def test_what_is_wrong_before_the_start_starts_nothing(
    project: Project, args: list[str], code: int, message: str
) -> None:
    ran = project.call("run", project.write("hello", HELLO), *args, expect=code)
    assert message in ran.err
    assert ran.out == ""
    assert project.call("runs", "--json").json["runs"] == []


def test_an_invalid_file_shows_its_findings_and_starts_nothing(project: Project) -> None:
    ran = project.call("run", project.write("bad", "name: bad\ntasks:\n  a: {rnu: echo}\n"), expect=3)
    assert "workflows/bad.yaml:3:" in ran.err
    assert "^" in ran.err
    assert "whisper-flow explain WF" in ran.err
    assert not (project.folder / ".whisper-flow").exists()


def test_what_this_version_cannot_run_is_said_before_anything_starts(project: Project) -> None:
    file = project.write("later", "name: later\nmailboxes: [inbox]\ntasks:\n  w: {wait: {mail: inbox}, expires: 1h}\n")
    ran = project.call("run", file, expect=3)
    assert "cannot run yet" in ran.err


def test_a_missing_secret_is_named_with_its_variable(project: Project) -> None:
    file = project.write(
        "secret", "name: s\nsecrets: [API_TOKEN]\ntasks:\n  a: {run: 'true', env: {T: '${{ secrets.API_TOKEN }}'}}\n"
    )
    ran = project.call("run", file, expect=4)
    assert "API_TOKEN" in ran.err
    (project.folder / ".env").write_text("API_TOKEN=not-shown-anywhere\n")
    ran = project.call("run", file)
    assert "not-shown-anywhere" not in ran.out + ran.err


def test_inputs_come_from_a_file_standard_input_and_the_environment(project: Project) -> None:
    file = project.write("hello", HELLO)
    ran = project.call(
        "run", file, "--params-file", "-", stdin=json.dumps({"name": "pipe"}), env={"WHISPER_FLOW_INPUT_TIMES": "3"}
    )
    assert ran.json == {"text": "Hello, pipe", "all": ["Hello, pipe"] * 3}
    assert project.call("run", file, "-p", "name=@-", stdin="typed").json["text"] == "Hello, typed"


def test_a_reader_that_leaves_early_is_no_error(project: Project) -> None:
    tasks = "tasks:\n  a: {foreach: 'range(0, 300)', set: '${{ item }}'}\n"
    file = project.write("many", f"name: many\n{tasks}outputs: {{a: '${{{{ a }}}}'}}\n")
    for args in (["run", file, "--json"], ["events", "--json"], ["schema"], ["show", "@last", "--json"], ["explain"]):
        done = subprocess.run(
            ["bash", "-c", '"$@" | head -1 >/dev/null; exit "${PIPESTATUS[0]}"', "-", *COMMAND, *args],
            cwd=project.folder,
            env=project.environ(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == "", args
        assert done.returncode == 0, args


def test_an_unanswered_question_parks_the_run(project: Project) -> None:
    file = project.write(
        "ask",
        "name: ask\ntasks:\n  go: {ask: Really?}\n  act: {when: go.approve, run: echo acted}\noutputs: {x: '${{ act }}'}\n",
    )
    ran = project.call("run", file, expect=5)
    assert "⏸ ask waits" in ran.err
    assert "whisper-flow answer " in ran.err
    assert ran.out == ""
    assert project.call("answer", "--approve").json == {"x": "acted"}


def test_artefacts_are_named_at_the_end(project: Project) -> None:
    file = project.write(
        "files",
        'name: files\ntasks:\n  a: {run: mkdir -p "$WHISPER_RUN_DIR/artifacts" && echo hi > "$WHISPER_RUN_DIR/artifacts/out.txt"}\n',
    )
    err = project.call("run", file).err
    assert "/artifacts/out.txt (3 B)" in err
    assert "artefact  .whisper-flow/runs/" in err


def test_state_and_project_may_be_elsewhere_and_suggestions_say_so(project: Project) -> None:
    file = project.write("hello", HELLO)
    other = project.folder / "else where"
    ran = project.call("run", file, "--state", str(other))
    assert (other / "journal.db").is_file()
    assert not (project.folder / ".whisper-flow").exists()
    assert f"--state '{other}'" in ran.err
    assert len(project.call("runs", "--json", "--state", str(other)).json["runs"]) == 1


def test_synthetic_models_are_labelled_and_the_way_to_real_ones_is_shown(project: Project) -> None:
    project.call("new", "note", "--template", "agent")
    ran = project.call("run", "workflows/note.yaml")
    assert "not an AI model" in ran.err
    assert "embedded/writer  →  openai/gpt-5-mini" in ran.err
    assert "OPENAI_API_KEY" in ran.err
    assert "$" not in ran.err.split("next")[0].split("run  ")[1], "no fake dollars"


def test_a_delegate_hears_the_run(project: Project) -> None:
    (project.folder / "ears.py").write_text(
        "def heard(sender, event_type, **payload):\n    open('heard.txt', 'a').write(event_type + '\\n')\n"
    )
    file = project.write("hello", HELLO)
    project.call("run", file, "--delegate", "engine_started,task_execution_completed=ears:heard")
    assert (project.folder / "heard.txt").read_text().split() == ["engine_started", *["task_execution_completed"] * 2]


def test_warnings_of_the_file_are_counted_not_shown(project: Project) -> None:
    file = project.write(
        "warns", "name: warns\ninputs: {unused: {type: string, default: x}}\ntasks:\n  a: {run: echo}\n"
    )
    ran = project.call("run", file)
    assert f"1 warning: see `whisper-flow validate {file}`" in ran.err
    assert "WF330" not in ran.err


def test_a_file_of_another_project_is_run_there_and_suggestions_say_so(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Project(tmp_path_factory.mktemp("other"))
    other.write("hello", HELLO)
    ran = project.call("run", str(other.folder / "workflows" / "hello.yaml"))
    assert f"-C {other.folder}" in ran.err
    assert not (project.folder / ".whisper-flow").exists()
    assert len(other.call("runs", "--json").json["runs"]) == 1


def test_agents_that_nobody_asks_do_not_make_a_live_run_synthetic(project: Project) -> None:
    (project.folder / "config" / "agents").mkdir(parents=True)
    (project.folder / "config" / "agents" / "spare.yaml").write_text("spare: {model: embedded/writer}\n")
    file = project.write(
        "live",
        "name: live\nagents:\n  w: {model: openai/gpt-5-mini}\n  e: {model: embedded/writer}\n"
        "tasks:\n  never: {when: 1 == 2, agent: w, prompt: Hi}\n",
    )
    key = {"OPENAI_API_KEY": "not-a-key-of-anyone"}
    assert "not an AI model" not in project.call("run", file, env=key).err
    both = "name: both\nagents: {e: {model: embedded/writer}}\ntasks:\n  a: {agent: e, prompt: A note}\n"
    more = "  b: {when: 1 == 2, agent: e, model: openai/gpt-5-mini, prompt: Hi}\n"
    assert "some of its models are small programs" not in project.call("run", project.write("one", both)).err
    assert (
        "some of its models are small programs" in project.call("run", project.write("both", both + more), env=key).err
    )
