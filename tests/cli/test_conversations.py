"""What agents did, as `show` and `run --verbose` tell it."""

from __future__ import annotations

import subprocess

import pytest

from tests.cli.conftest import COMMAND, Project

PAIR = """
name: pair
agents:
  chief: {model: embedded/tool-caller, sub_agents: [scout], instructions: Ask.}
  scout: {model: embedded/writer, description: Finds things.}
tasks:
  work: {agent: chief, prompt: "Use ask_scout. prompt: Tell me of bridges"}
"""


def test_show_tells_each_conversation_below_the_one_that_asked_it(project: Project) -> None:
    ran = project.call("run", project.write("pair", PAIR), "--verbose")
    assert "work  tool ask_scout" in ran.err
    page = project.call("show", "@last", "work", "--json").json
    talks = page["conversations"]
    assert [(one["agent"], one["depth"], one["requests"]) for one in talks] == [("chief", 0, 2), ("scout", 1, 1)]
    assert talks[1]["stream"].startswith(f"{talks[0]['stream']}/")
    assert page["usage"]["requests"] == 3
    text = project.call("show", "@last", "work").out
    assert "    chief  embedded/tool-caller  idle  2 requests" in text
    assert "      scout  embedded/writer  idle  1 request  " in text


CLERK = """
name: clerk
agents:
  clerk: {model: embedded/tool-caller, tools: ['files.*'], permissions: {ask: [files.write]}}
tasks:
  first: {agent: clerk, prompt: "Use files_write.\\npath: one.txt\\ncontent: Hello"}
"""


def test_a_call_that_waits_is_listed_asked_about_and_answered_from_anywhere(project: Project) -> None:
    ran = project.call("run", project.write("clerk", CLERK), "--progress", "plain", expect=5)
    assert "asks: May agent `clerk` call files.write(path: one.txt, content: Hello)?" in ran.err
    assert project.call("runs", "--json").json["runs"][0]["asks"] == ["first"]
    assert "May agent `clerk`" in project.call("why", "@last", "first").out
    question = project.call("show", "@last", "first", "--json").json["question"]
    assert question["show"]["arguments"] == {"path": "one.txt", "content": "Hello"}
    ran = project.call("answer", "@last", "first", "--reject", "-p", "comment=not today", "--progress", "plain")
    assert "answered by" in ran.err
    assert "goes on" in ran.err
    assert not (project.folder / "one.txt").exists()
    page = project.call("show", "@last", "first", "--json").json
    (answer,) = page["answers"]
    assert answer["value"] == {"approve": False, "comment": "not today"}
    assert page["attempts"] == 1
    assert "not today" in project.call("show", "@last", "first").out


@pytest.mark.parametrize("seconds", [0.25, 0.45, 0.6, 0.8])
def test_an_answer_survives_the_death_of_whoever_goes_on_with_it(project: Project, seconds: float) -> None:
    project.call("run", project.write("clerk", CLERK), "--progress", "none", expect=5)
    project.call("answer", "@last", "--approve", "--no-resume")
    driver = subprocess.Popen(
        [*COMMAND, "resume", "@last", "--progress", "none"],
        cwd=project.folder,
        env=project.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
    status = project.call("show", "@last", "--json").json["status"]
    if status != "succeeded":
        project.call("resume", "@last", "--progress", "none", "--no-ask")
    page = project.call("show", "@last", "first", "--json").json
    assert page["status"] == "succeeded"
    assert [one["value"]["approve"] for one in page["answers"]] == [True]
    assert (project.folder / "one.txt").read_text() == "Hello"
    assert sum(talk["requests"] for talk in page["conversations"]) <= 3


LOOKS = """
name: looks
agents:
  clerk: {model: embedded/tool-caller, tools: ['files.*']}
tasks:
  read: {agent: clerk, prompt: "Use files_read.\\npath: note.txt"}
  write: {after: read, agent: clerk, prompt: "Use files_write.\\npath: one.txt\\ncontent: Hello"}
"""


def test_what_an_agent_called_and_said_can_be_read_afterwards(project: Project) -> None:
    (project.folder / "note.txt").write_text("Ship on Monday.\n")
    ran = project.call("run", project.write("looks", LOOKS), "--progress", "plain")
    assert "⚠ write  denied: files.write path: one.txt, content: Hello" in ran.err
    assert "denied    1 tool call of write" in ran.err
    assert "files.read" not in ran.err
    assert '✓ files_read "note.txt"  → Ship on Monday.' in project.call("show", "@last", "read").out
    text = project.call("show", "@last", "write").out
    assert "⚠ files_write path: one.txt, content: Hello  → denied: " in text
    said = project.call("show", "@last", "read", "--talk").out
    assert (
        said.index("Use files_read.") < said.index("call files_read") < said.index("files_read:\n    Ship on Monday.")
    )
    (talk,) = project.call("show", "@last", "read", "--talk", "--json").json["conversations"]
    assert [one["role"] for one in talk["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert talk["messages"][2]["tool_results"][0]["content"] == "Ship on Monday.\n"
    assert "needs a task" in project.call("show", "@last", "--talk", expect=2).err
    assert "read --talk" in project.call("logs", "@last").err


FAILS = """
name: fails
agents: {shaky: {model: embedded/writer, ai_config: {extra: {fail: invalid_output}}}}
tasks: {note: {agent: shaky, prompt: A note, output: {points: integer}}}
"""


def test_after_a_failed_answer_the_way_to_what_was_said_is_shown(project: Project) -> None:
    ran = project.call("run", project.write("fails", FAILS), expect=1)
    (way,) = [row for row in ran.err.splitlines() if "--talk" in row]
    assert "what its agent was told and said" in way
    text = project.call("show", "@last", "note", "--talk").out
    assert text.count("assistant:") == 3
    assert "does not fit the required JSON schema" in text


def test_what_may_not_be_read_is_not_come_upon_either(project: Project) -> None:
    for path in ("secret/code.txt", "open/note.txt"):
        (project.folder / path).parent.mkdir()
        (project.folder / path).write_text("launch at noon\n")
    agent = "{model: embedded/tool-caller, tools: ['files.*'], permissions: {deny: ['files.*:path=secret/*']}}"
    tasks = '{agent: a, prompt: "Use files_search.\\ntext: launch at noon"}'
    file = project.write(
        "looks", f"name: looks\nagents: {{a: {agent}}}\ntasks:\n  s: {tasks}\n  t: {{cwd: open, {tasks[1:]}\n"
    )
    project.call("run", file)
    found = project.call("show", "@last", "s", "--value").out
    assert "open/note.txt" in found
    assert "secret/code.txt" not in found
    assert '"denied": 1' in found
    assert '"denied"' not in project.call("show", "@last", "t", "--value").out
