"""Every other command end to end: what people read, what programs read, and the exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.commands.examples import example_names
from orchestrator.cli.templates import TEMPLATES
from tests.cli.conftest import COMMAND, Project

FLOW = """
name: flow
description: Something of everything.
inputs: {word: {type: string, default: one}, fail: {type: boolean, default: false}}
tasks:
  first: {run: 'echo "${{ inputs.word }}"; echo aside >&2'}
  each: {foreach: [a, b], as: letter, key: letter, run: 'echo "${{ letter }}-${{ first }}"'}
  skipped: {when: "first == 'never'", run: echo never}
  last: {run: 'test "${{ inputs.fail }}" = false && echo "${{ each | length }}"'}
outputs: {last: '${{ last }}', each: '${{ each }}'}
"""

ASK = """
name: ask
tasks:
  prepare: {run: echo draft}
  check:
    ask: 'Send ${{ prepare }}?'
    show: '${{ prepare }}'
    form: {send: boolean, copies: {type: integer, minimum: 1, maximum: 5, default: 1}}
  act: {when: check.send, run: 'echo sent ${{ check.copies }}'}
outputs: {x: '${{ act }}'}
"""


@pytest.fixture
def flow(project: Project) -> Project:
    """A project with one finished run of FLOW."""
    project.call("run", project.write("flow", FLOW), "--progress", "none")
    return project


# Looking


def test_runs_are_listed_newest_first_and_filtered(flow: Project) -> None:
    flow.call("run", "workflows/flow.yaml", "-p", "fail=yes", "--progress", "none", expect=1)
    rows = flow.call("runs", "--json").json["runs"]
    assert [row["status"] for row in rows] == ["failed", "succeeded"]
    assert (
        rows[1].items()
        >= {"workflow": "workflows/flow.yaml", "name": "flow", "driver": None, "asks": [], "error": None}.items()
    )
    text = flow.call("runs").out
    assert text.splitlines()[0].split() == ["run", "status", "workflow", "started", "took", "cost"]
    assert "UTC" in text
    assert len(flow.call("runs", "--status", "failed", "--json").json["runs"]) == 1
    assert len(flow.call("runs", "-n", "1", "--json").json["runs"]) == 1
    assert flow.call("runs", "--workflow", "workflows/other.yaml").out == ""


def test_looking_at_nothing_makes_no_folders(project: Project) -> None:
    assert project.call("runs", "--json").json == {"schema": "whisper-flow/runs/1", "runs": []}
    assert "there are no runs here yet" in project.call("runs").err
    for command in (["show", "@last"], ["logs"], ["watch"], ["resume"], ["why", "@last", "a"]):
        assert "there are no runs here yet" in project.call(*command, expect=2).err
    assert not (project.folder / ".whisper-flow").exists()


def test_a_run_is_named_by_prefix_last_or_count(flow: Project) -> None:
    first = flow.call("runs", "--json").json["runs"][0]["run_id"]
    flow.call("run", "workflows/flow.yaml", "--progress", "none")
    assert flow.call("show", "-2", "--json").json["run_id"] == first
    assert flow.call("show", first[:5], "--json").json["run_id"] == first
    assert flow.call("show", "@last", "--json").json == flow.call("show", "-1", "--json").json
    assert "there are only 2 runs" in flow.call("show", "-3", expect=2).err
    assert "no run is called 'zzz'" in flow.call("show", "zzz", expect=2).err


def test_show_tells_the_tasks_and_values(flow: Project) -> None:
    page = flow.call("show", "@last", "--json").json
    assert page["schema"] == "whisper-flow/run/1"
    assert page["inputs"] == {"word": "one", "fail": False}
    assert page["outputs"] == {"last": "2", "each": ["a-one", "b-one"]}
    assert [task["task"] for task in page["tasks"]] == ["first", "each", "each[a]", "each[b]", "skipped", "last"]
    text = flow.call("show", "@last").out
    for part in ("✓ flow  run ", "workflow  workflows/flow.yaml", "✓   each[a]", "⊘ skipped", "word: one", "last: 2"):
        assert part in text


def test_show_of_a_task_tells_its_value(flow: Project) -> None:
    assert flow.call("show", "@last", "each[b]", "--value").out == "b-one\n"
    page = flow.call("show", "@last", "first", "--json").json
    assert page["value"] == "one"
    assert page["meta"].items() >= {"stdout": "one\n", "stderr": "aside\n", "exit_code": 0}.items()
    assert "value one" in flow.call("show", "@last", "first").out
    ran = flow.call("show", "@last", "frist", expect=2)
    assert "did you mean `first`?" in ran.err


def test_why_names_the_condition_with_its_values(flow: Project) -> None:
    text = flow.call("why", "@last", "skipped").out
    assert text.startswith("⊘ skipped skipped  workflows/flow.yaml:8\n")
    assert "first == 'never'" in text
    page = flow.call("why", "@last", "last", "--json").json
    assert page["schema"] == "whisper-flow/why/1"
    assert page["needs"][0].items() >= {"task": "each", "status": "succeeded", "kind": "value"}.items()


def test_logs_keep_both_streams(flow: Project) -> None:
    assert flow.call("logs", "@last", "first").out == "one\naside\n"
    assert flow.call("logs", "@last", "first", "--stream", "stderr").out == "aside\n"
    text = flow.call("logs").out
    assert "first │ one" in text
    assert "each[b] │ b-one" in text
    first, *lines = flow.call("logs", "--json").lines
    assert first == {"type": "schema", "schema": "whisper-flow/logs/1"}
    assert {"task": "first", "attempt": 1, "stream": "stderr", "text": "aside"} in lines
    assert flow.call("logs", "-f", "@last", "first").out == "one\naside\n"


def test_logs_are_made_safe_unless_asked_raw(project: Project) -> None:
    project.call(
        "run",
        project.write("evil", "name: evil\ntasks:\n  a: {run: \"printf '\\\\033[2Jx\\\\n'\"}\n"),
        "--progress",
        "none",
    )
    assert project.call("logs", "@last", "a").out == "x\n"
    assert project.call("logs", "@last", "a", "--raw").out == "\x1b[2Jx\n"


def test_watch_tells_a_finished_run_and_exits_as_it_did(flow: Project) -> None:
    ran = flow.call("watch")
    assert "✓ flow succeeded" in ran.err
    assert ran.out == ""
    flow.call("run", "workflows/flow.yaml", "-p", "fail=yes", "--progress", "none", expect=1)
    assert flow.call("watch", "--json", expect=1).lines[-1]["status"] == "failed"


def test_diff_names_what_differs(flow: Project) -> None:
    flow.call("run", "workflows/flow.yaml", "-p", "word=two", "--progress", "none")
    page = flow.call("diff", "-2", "-1", "--json").json
    assert page["inputs"] == {"word": ["one", "two"]}
    assert page["tasks"]["changed"]["first"]["value"] == ["one", "two"]
    assert page["plan"] == {"removed": [], "added": [], "changed": []}
    assert "inputs    word: one → two" in flow.call("diff", "-2", "-1").out
    assert "nothing differs" in flow.call("diff", "-1", "-1").out
    flow.write("flow", FLOW.replace("last: {run: 'test", "last: {run: 'true; test"))
    flow.call("run", "workflows/flow.yaml", "--progress", "none")
    assert flow.call("diff", "-2", "-1", "--json").json["plan"]["changed"] == ["last"]


def test_graph_draws_a_file_or_a_run(flow: Project) -> None:
    assert "first" in flow.call("graph", "workflows/flow.yaml").out
    assert flow.call("graph", "workflows/flow.yaml", "--as", "mermaid").out.startswith("flowchart")
    assert flow.call("graph", "workflows/flow.yaml", "--as", "dot").out.startswith("digraph")
    assert flow.call("graph", "workflows/flow.yaml", "--as", "svg").out.startswith("<svg")
    assert "succeeded" in flow.call("graph", "--run", "@last").out
    assert json.loads(flow.call("graph", "workflows/flow.yaml", "--json").out)
    assert "name a workflow file" in flow.call("graph", expect=2).err
    flow.call("graph", "workflows/flow.yaml", "--as", "svg", "-o", "out/flow.svg")
    assert (flow.folder / "out" / "flow.svg").read_text().startswith("<svg")


# Steering


def test_an_answer_is_typed_by_its_form_and_the_run_goes_on(project: Project) -> None:
    project.call("run", project.write("ask", ASK), expect=5)
    for args, message in (
        (["-p", "sned=yes"], "did you mean `send`?"),
        (["-p", "copies=many"], "field `copies` (-p copies): expected a whole number"),
        (["-p", "send=yes", "-p", "copies=9"], "the answer does not fit the form: `copies`: 9 is more than 5"),
        (["--value", "{"], "--value is not JSON"),
        (["--approve"], "has no field `approve`"),
        ([], "there is no terminal to ask on"),
    ):
        assert message in project.call("answer", "@last", "check", *args, expect=2).err
    assert project.call("answer", "-p", "send=yes", "-p", "copies=2").json == {"x": "sent 2"}
    assert project.call("show", "@last", "check", "--json").json["by"]
    assert "asks nothing now" in project.call("answer", "--value", "{}", expect=2).err


def test_an_answer_may_be_recorded_only(project: Project) -> None:
    project.call("run", project.write("ask", ASK), "--progress", "none", expect=5)
    ran = project.call("answer", "--value", '{"send": false}', "--no-resume")
    assert "whisper-flow resume " in ran.err
    assert project.call("runs", "--json").json["runs"][0]["status"] == "waiting"
    project.call("resume", "--progress", "none")
    assert project.call("show", "@last", "--json").json["counts"] == {"succeeded": 2, "skipped": 1}


def test_a_held_run_waits_for_its_release(project: Project) -> None:
    project.call("run", project.write("ask", ASK), "--progress", "none", expect=5)
    project.call("pause", "--reason", "lunch")
    project.call("answer", "--value", '{"send": true}', "--no-resume")
    ran = project.call("resume")
    assert ran.json == {"x": "sent 1"}
    assert "is over" in project.call("resume", expect=2).err
    assert "is over" in project.call("pause", expect=2).err


def test_a_run_nobody_drives_is_cancelled_here(project: Project) -> None:
    project.call("run", project.write("ask", ASK), "--progress", "none", expect=5)
    ran = project.call("cancel", "--reason", "changed my mind")
    assert "changed my mind" in ran.err
    assert project.call("show", "@last", "--json").json["status"] == "cancelled"


def test_failed_items_are_offered_for_another_try(project: Project) -> None:
    kept = project.write(
        "flow",
        "name: flow\ntasks:\n  each: {foreach: [1, 0, 2], on_item_error: collect, run: 'test ${{ item }} -gt 0'}\n",
    )
    told = project.call("run", kept).err
    assert "3 items, 1 failed" in told
    assert re.search(r"rerun \w+ --failed  tries the 1 failed item again, keeps the rest", told)
    lost = project.write("lost", "name: lost\ntasks:\n  each: {foreach: [1, 0], run: 'test ${{ item }} -gt 0'}\n")
    assert re.search(r"next +whisper-flow rerun \w+ --failed", project.call("run", lost, expect=1).err)


def test_a_rerun_keeps_what_stays_valid(project: Project) -> None:
    file = project.write("count", COUNT)
    project.call("run", file, "--progress", "none", expect=1)
    (project.folder / "fixed").touch()
    assert project.call("rerun", "--failed").json == {"b": "b"}
    assert project.call("rerun", "--from", "b").json == {"b": "b"}
    assert (project.folder / "a.txt").read_text() == "a\n", "`a` was not done again"
    project.call("rerun", "--progress", "none")
    assert (project.folder / "a.txt").read_text() == "a\na\n"
    project.write("count", COUNT.replace("echo b", "echo new"))
    assert project.call("rerun", "--from", "b").json == {"b": "b"}
    assert project.call("rerun", "--from", "b", "--with", "latest").json == {"b": "new"}
    assert "has no task `c`" in project.call("rerun", "--from", "c", expect=2).err
    runs = len(project.call("runs", "--json").json["runs"])
    assert "nothing failed in run" in project.call("rerun", "--failed").err
    assert len(project.call("runs", "--json").json["runs"]) == runs
    assert "different things" in project.call("rerun", "--from", "b", "--failed", expect=2).err


COUNT = """
name: count
tasks:
  a: {run: echo a | tee -a a.txt}
  b: {after: a, run: test -e fixed && echo b}
outputs: {b: '${{ b }}'}
"""


def test_detach_returns_when_the_run_is_recorded(project: Project) -> None:
    slow = "name: slow\ntasks:\n  a: {run: 'until [ -e gate ]; do sleep 0.05; done; echo ${{ inputs.x }}'}\ninputs: {x: string}\n"
    file = project.write("slow", slow + "outputs: {a: '${{ a }}'}\n")
    run_id = project.call("run", file, "--detach", "-p", "x=@-", stdin="piped").out.strip()
    row = project.call("runs", "--json").json["runs"][0]
    assert (row["run_id"], row["status"]) == (run_id, "running")
    watcher = project.start("watch", "--progress", "none")
    (project.folder / "gate").touch()
    assert watcher.wait(timeout=30) == 0
    assert project.call("show", run_id, "--json").json["outputs"] == {"a": "piped"}
    log = project.folder / ".whisper-flow" / "runs" / run_id / "driver.log"
    assert "slow" in log.read_text()
    assert project.call("run", file, "--detach", expect=2).out == ""


# Setting up


def test_init_makes_a_project_that_runs_and_leaves_what_is_there(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.call("init", "new")
    assert sorted(
        str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()
    ) == [
        ".gitignore",
        "config/whisper-flow.yaml",
        "workflows/hello.yaml",
    ]
    inside = Project(tmp_path / "new")
    assert inside.call("run", "workflows/hello.yaml", "-p", "name=Ada").json == {"greeting": "HELLO, ADA!"}
    (tmp_path / "new" / "workflows" / "hello.yaml").write_text("mine")
    assert "nothing to do" in inside.call("init").err
    assert (tmp_path / "new" / "workflows" / "hello.yaml").read_text() == "mine"
    assert (tmp_path / "new" / ".gitignore").read_text() == ".whisper-flow/\n"


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_template_is_valid_and_runs(project: Project, template: str) -> None:
    project.call("new", "mine", "--template", template)
    project.call("validate", "--strict")
    project.call("run", "workflows/mine.yaml", expect=5 if template == "approval" else 0)
    assert "is there already" in project.call("new", "mine", expect=2).err


def test_examples_are_listed_shown_and_copied_with_what_they_need(project: Project) -> None:
    listed = project.call("examples", "--json").json["examples"]
    assert [one["name"] for one in listed] == example_names()
    assert all(one["description"] for one in listed)
    assert "name: quickstart" in project.call("examples", "show", "quickstart").out
    for one in listed:
        project.call("examples", "copy", one["name"])
    project.call("validate")
    assert (project.folder / "workflows" / "parts" / "measure-text.yaml").is_file()
    assert (project.folder / "workflows" / "hold_deploy.py").is_file()
    assert "is there already" in project.call("examples", "copy", "quickstart", expect=2).err
    assert "did you mean `quickstart`?" in project.call("examples", "copy", "quikstart", expect=2).err


def test_doctor_finds_what_is_wrong_and_adopts_a_state_folder_from_elsewhere(flow: Project) -> None:
    page = flow.call("doctor", "--json").json
    assert page["ok"] is True
    assert {check["about"] for check in page["checks"]} >= {"python", "platform", "project", "state", "disk", "tools"}
    (flow.folder / ".whisper-flow" / "stamp").write_text("made elsewhere\n")
    assert "doctor --adopt" in flow.call("run", "workflows/flow.yaml", expect=flow_refused(flow)).err
    flow.call("doctor", "--adopt")
    flow.call("run", "workflows/flow.yaml", "--progress", "none")
    blob = next(path for path in (flow.folder / ".whisper-flow" / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"something else")
    page = flow.call("doctor", "--json", expect=1).json
    assert page["ok"] is False
    assert [check["about"] for check in page["checks"] if check["level"] == "error"] == ["state"]
    assert "✗ state" in flow.call("doctor", expect=1).out


def test_doctor_understands_what_agents_said_and_misses_their_files(project: Project) -> None:
    (project.folder / "chart.pdf").write_bytes(b"%PDF-1.4 a small chart")
    path = project.write(
        "flow",
        "name: flow\nagents: {writer: {model: embedded/writer}}\n"
        "tasks: {note: {agent: writer, prompt: A note on bridges, files: [chart.pdf]}}\n",
    )
    project.call("run", path, "--progress", "none")
    assert project.call("doctor", "--json").json["ok"] is True
    blobs = project.folder / ".whisper-flow" / "blobs"
    chart = next(path for path in blobs.rglob("*") if path.is_file() and path.read_bytes().startswith(b"%PDF"))
    chart.unlink()
    wrong = [
        check["message"]
        for check in project.call("doctor", "--json", expect=1).json["checks"]
        if check["level"] == "error"
    ]
    assert len(wrong) == 1
    assert chart.name in wrong[0]
    assert "missing" in wrong[0]


def flow_refused(project: Project) -> int:
    from orchestrator.errors import StateRefusedError

    return StateRefusedError.exit_code


def test_config_show_tells_the_origin(project: Project) -> None:
    page = project.call("config", "show", "--json", "--color", "never", env={"WHISPER_FLOW_GRACE": "1m"}).json
    assert page["settings"]["grace"].items() >= {"value": "1m", "origin": "environment WHISPER_FLOW_GRACE"}.items()
    assert page["settings"]["color"]["origin"] == "--color"
    text = project.call("config", "--origin", env={"WHISPER_FLOW_GRACEE": "1m"})
    assert "default" in text.out
    assert "note: the variable WHISPER_FLOW_GRACEE sets nothing; did you mean `WHISPER_FLOW_GRACE`" in text.err


def test_schemas_are_printed_by_name_or_by_file(project: Project) -> None:
    workflow = project.call("schema").json
    assert project.call("schema", "workflow").json == workflow == project.call("schema", "workflows/x.yaml").json
    assert project.call("schema", "config/whisper-flow.yaml").json == project.call("schema", "project").json
    assert "workflow" in project.call("schema", "--list").out.split()
    assert "there is no schema `workflwo`" in project.call("schema", "workflwo", expect=2).err


def test_events_are_listed_with_the_schema_of_their_payloads(project: Project) -> None:
    page = project.call("events", "--json").json
    names = {event["name"] for event in page["events"]}
    assert {"engine_started", "engine_request_pause", "ai_loop.tool.call_generated"} <= names
    assert all(event["payload"] for event in page["events"])
    assert "engine_started" not in project.call("events", "list", "--kind", "control").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(project: Project, shell: str) -> None:
    assert "_WHISPER_FLOW_COMPLETE" in project.call("completion", shell).out


def test_the_shell_completes_commands_runs_and_tasks(flow: Project) -> None:
    run_id = flow.call("runs", "--json").json["runs"][0]["run_id"]
    assert complete(flow, "whisper-flow", "ru") == ["run", "runs"]
    assert complete(flow, "whisper-flow", "show", run_id[:3]) == [run_id]
    assert complete(flow, "whisper-flow", "show", run_id, "each[") == ["each[a]", "each[b]"]
    assert complete(flow, "whisper-flow", "run", "--prog") == ["--progress"]


def complete(project: Project, *words: str) -> list[str]:
    env = project.environ(
        _WHISPER_FLOW_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
    )
    done = subprocess.run(COMMAND, cwd=project.folder, env=env, capture_output=True, text=True, timeout=30)
    return [row.partition(",")[2] for row in done.stdout.splitlines()]


def test_explain_has_a_page_for_every_code(project: Project) -> None:
    rules = project.call("explain", "--json").json["rules"]
    assert len(rules) == len({rule["code"] for rule in rules}) > 30
    page = project.call("explain", "wf203").out
    assert page.startswith("# WF203 ")
    assert project.call("explain", "WF203", "--json").json["rules"][0]["code"] == "WF203"


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "orchestrator.cli", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("whisper-flow ")


def test_a_mistyped_task_is_answered_with_near_ones(flow: Project) -> None:
    names = [task["task"] for task in flow.call("show", "@last", "--json").json["tasks"]]
    typo = names[0] + "x"
    for command in (("why", "@last", typo), ("rerun", "@last", "--from", typo), ("show", "@last", typo)):
        assert f"did you mean `{names[0]}`" in flow.call(*command, expect=2).err, command
    assert f"there is `{names[0]}`" in flow.call("why", "@last", "zzzzzz", expect=2).err


def test_a_missing_input_says_how_to_give_it(project: Project) -> None:
    path = project.write("flow", "name: flow\ninputs: {topic: string}\ntasks: {a: {set: '${{ inputs.topic }}'}}\n")
    err = project.call("run", path, expect=2).err
    assert "error: input `topic` is required: string\nhelp: give inputs with `-p NAME=VALUE`" in err


def test_a_run_that_asks_says_how_to_answer(project: Project) -> None:
    path = project.write("flow", "name: flow\ntasks: {go: {ask: 'Go on?'}}\n")
    project.call("run", path, expect=5)
    assert re.search(r"driver +nobody: `whisper-flow answer \w+ go` goes on", project.call("show").out)


def test_what_is_over_cannot_be_held_and_says_what_can_be_done(flow: Project) -> None:
    for command in ("pause", "cancel"):
        assert "makes a new run of it" in flow.call(command, "@last", expect=2).err


def test_a_delegate_that_raises_is_one_line_and_a_traceback_only_on_request(project: Project) -> None:
    (project.folder / "mine.py").write_text(
        "from orchestrator.delegates import listens_to\n\n\n"
        "@listens_to('task_execution_completed')\n"
        "def on_done(sender, event_type, **payload):\n"
        "    raise ValueError('not today')\n"
    )
    path = project.write("flow", "name: flow\ntasks: {a: {set: 1}}\n")
    err = project.call("run", path, "--delegate", "mine:on_done").err
    assert re.search(r"warning: delegate mine.on_done failed on .*ValueError: not today \(.*mine.py:6\)\n", err)
    assert "Traceback" not in err
    assert "Traceback" in project.call("run", path, "--delegate", "mine:on_done", "--debug").err
    told = project.call("run", path, "--delegate", "mine:on_done", "--json")
    assert "warning: delegate mine.on_done failed" in told.err
    assert told.lines[-1]["status"] == "succeeded"


@pytest.mark.parametrize("progress", ["plain", "json", "none"])
def test_the_log_of_events_is_on_standard_error_however_progress_is_shown(project: Project, progress: str) -> None:
    path = project.write("flow", "name: flow\ntasks: {a: {set: 1}}\n")
    told = project.call("run", path, "--progress", progress, "--delegate", "log")
    assert "task_execution_completed" in told.err
    assert "task_execution_completed" not in told.out


def test_a_librarys_warning_to_its_programmers_is_no_business_of_whoever_runs_a_workflow(project: Project) -> None:
    (project.folder / "noisy.py").write_text(
        "import warnings\n\nfrom orchestrator.delegates import listens_to\n\n\n"
        "@listens_to('task_execution_completed')\ndef on_done(sender, event_type, **details):\n"
        "    warnings.warn('this setting is ignored', UserWarning, stacklevel=1)\n"
    )
    path = project.write("noisy", "name: noisy\ntasks:\n  a: {set: 1}\n")
    assert "ignored" not in project.call("run", path, "--delegate", "noisy:on_done").err
    told = project.call("run", path, "--delegate", "noisy:on_done", "--debug").err
    assert "warning: UserWarning: this setting is ignored (" in told
