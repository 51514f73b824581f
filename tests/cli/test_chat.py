"""`whisper-flow chat`: lines in, answers out, orders in between."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Project

AGENTS = """
name: talk
agents:
  helper: {model: embedded/writer, instructions: Help., description: Helps with lists.}
  short: {model: embedded/summarizer, instructions: Sum up.}
  live: {model: openai/gpt-5-mini}
"""
SAID = "The sea is wide. The harbour is small. The ships wait."


@pytest.fixture
def talk(project: Project) -> str:
    return project.write("talk", AGENTS)


def test_a_line_of_input_is_answered_on_standard_output(project: Project, talk: str) -> None:
    ran = project.call("chat", "short", "-f", talk, stdin=f"{SAID}\n")
    assert ran.out.strip() in SAID
    assert "not an AI model" in ran.err


def test_messages_can_be_given_on_the_command_line_and_share_one_conversation(project: Project, talk: str) -> None:
    ran = project.call("chat", "short", "-f", talk, "-m", SAID, "-m", "The tide rises.")
    assert len(ran.out.strip().splitlines()) == 2


def test_agents_are_switched_in_mid_conversation_and_the_new_one_reads_what_was_said(
    project: Project, talk: str
) -> None:
    ran = project.call("chat", "helper", "-f", talk, stdin=f"{SAID}\n/agent short\nGo on.\n/agents\n/history\n/cost\n")
    assert "now talking to short" in ran.err
    assert "● short" in ran.err
    assert f"user: {SAID}" in ran.err
    rows = [row.split() for row in ran.err.splitlines() if "1 request" in row]
    assert [row[:2] for row in rows] == [["helper", "embedded/writer"], ["short", "embedded/summarizer"]]


def test_an_agent_whose_key_is_missing_is_not_switched_to(project: Project, talk: str) -> None:
    ran = project.call("chat", "short", "-f", talk, stdin=f"/agent live\n{SAID}\n", env={"OPENAI_API_KEY": ""})
    assert "OPENAI_API_KEY" in ran.err
    assert ran.out.strip()


def test_a_missing_key_is_told_before_the_first_question(project: Project) -> None:
    ran = project.call("chat", "--model", "openai/gpt-5-mini", "-m", "hi", expect=4, env={"OPENAI_API_KEY": ""})
    assert "OPENAI_API_KEY" in ran.err


def test_a_model_alone_is_enough_to_talk_to(project: Project) -> None:
    assert project.call("chat", "--model", "embedded/summarizer", "-m", SAID).out.strip()


def test_which_agent_is_asked_where_there_are_several(project: Project, talk: str) -> None:
    assert "`helper`, `short`" in project.call("chat", "-f", talk, expect=2).err
    assert "did you mean `helper`?" in project.call("chat", "helpr", "-f", talk, expect=2).err
    assert "no agent is declared" in project.call("chat", expect=2).err


def test_a_conversation_is_left_and_gone_on_with_by_its_id(project: Project, talk: str) -> None:
    ran = project.call("chat", "short", "-f", talk, stdin=f"{SAID}\n/save kept.md\n")
    chat_id = (project.folder / "kept.md").read_text().split("\n")[0].removeprefix("# Conversation ")
    assert "saved to kept.md" in ran.err
    again = project.call("chat", "short", "-f", talk, "--resume", chat_id, stdin="/history\n")
    assert f"user: {SAID}" in again.err
    last = project.call("chat", "short", "-f", talk, "--resume", "@last", stdin="/history\n")
    assert f"user: {SAID}" in last.err
    assert "no conversation `chat-no`" in project.call("chat", "short", "-f", talk, "--resume", "chat-no", expect=1).err


def test_a_file_that_exists_is_not_overwritten_by_save(project: Project, talk: str) -> None:
    (project.folder / "mine.md").write_text("mine")
    ran = project.call("chat", "short", "-f", talk, stdin=f"{SAID}\n/save mine.md\n")
    assert "mine.md already" in ran.err
    assert (project.folder / "mine.md").read_text() == "mine"


def test_what_a_workflow_gave_goes_along_with_the_next_message(project: Project, talk: str) -> None:
    counted = project.write("count", "name: count\ntasks: {n: {set: 42}}\noutputs: {n: '${{ n }}'}\n")
    ran = project.call("chat", "short", "-f", talk, stdin=f"/run {counted}\nWhat came out?\n/history\n")
    assert '"n": 42' in ran.out
    assert "Result of the workflow workflows/count.yaml" in ran.err


def test_a_mistyped_order_gets_a_suggestion_and_the_conversation_goes_on(project: Project, talk: str) -> None:
    ran = project.call("chat", "short", "-f", talk, stdin=f"/hsitory\n{SAID}\n")
    assert "did you mean `/history`?" in ran.err
    assert ran.out.strip()


def test_a_failing_model_is_told_with_its_cause_and_the_right_exit_code(project: Project) -> None:
    text = "name: bad\nagents: {bad: {model: embedded/writer, ai_config: {extra: {fail: refused}}}}\n"
    ran = project.call("chat", "-f", project.write("bad", text), "-m", "hi", expect=1)
    assert "refused" in ran.err


def test_control_characters_of_an_answer_never_reach_the_terminal(project: Project, talk: str) -> None:
    ran = project.call("chat", "short", "-f", talk, "-m", "Wide \x1b[31mred\x1b[0m sea \u202e here.")
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_turns_are_taken_back_one_after_the_other_and_the_paid_calls_stay(project: Project, talk: str) -> None:
    lines = [SAID, "The tide rises.", "/undo", "/undo", "/undo", "/history", "/cost", "The pier is long.", "/history"]
    ran = project.call("chat", "short", "-f", talk, stdin="\n".join(lines) + "\n")
    assert "taken back: The tide rises." in ran.err
    assert f"taken back: {SAID}" in ran.err
    assert "there is nothing to take back" in ran.err
    assert "nothing has been said yet" in ran.err
    assert "2 requests" in ran.err
    assert ran.err.count("user: ") == 1


def test_agents_of_the_configuration_call_workflows(project: Project) -> None:
    project.write("double", "name: double\ninputs: {n: integer}\ntasks: {twice: {set: '${{ inputs.n * 2 }}'}}\n")
    (project.folder / "config" / "agents").mkdir(parents=True)
    (project.folder / "config" / "agents" / "sums.yaml").write_text(
        "sums: {name: Sums, ai_config: {model: embedded/summarizer}, tools: [workflows/double.yaml]}\n"
    )
    assert project.call("chat", "sums", "-m", SAID).out.strip() in SAID


def test_a_project_without_agents_says_where_to_declare_one(project: Project) -> None:
    assert "config/agents/" in project.call("chat", "-m", "hi", expect=2).err
