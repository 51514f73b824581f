"""Talking to agents that have tools: what they call is told, and what they are not let do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.ai.guarded import FORM
from orchestrator.cli.prompts import ask_form
from tests.cli.conftest import Project, Told

CLERK = """
name: clerk
agents:
  clerk:
    model: embedded/tool-caller
    tools: ['files.*']
    permissions: {deny: ['files.read:path=secret/*']}
"""


@pytest.fixture
def clerk(project: Project) -> str:
    (project.folder / "note.txt").write_text("Ship on Monday.\n")
    return project.write("clerk", CLERK)


def test_calls_are_told_once_and_so_is_what_came_of_them_if_it_was_no_good(project: Project, clerk: str) -> None:
    said = ["Use files_read.\npath: note.txt", "Use files_read.\npath: secret/a", "Use files_read.\npath: nowhere.txt"]
    ran = project.call("chat", "-f", clerk, *[word for one in said for word in ("-m", one)])
    assert ran.err.count('· files.read "note.txt"') == 1
    assert '· files.read "secret/a"  denied: agent `clerk` may not do this' in ran.err
    assert '· files.read "nowhere.txt"  failed: ' in ran.err


def test_the_history_shows_calls_and_results(project: Project, clerk: str) -> None:
    ran = project.call("chat", "-f", clerk, stdin="Use files_read.\\\npath: note.txt\n/history\n")
    assert "  assistant calls files_read" in ran.err
    assert "  files_read: Ship on Monday." in ran.err


def test_an_empty_conversation_is_not_saved(project: Project, clerk: str) -> None:
    ran = project.call("chat", "-f", clerk, stdin="/save empty.md\n")
    assert "nothing has been said yet" in ran.err
    assert not (project.folder / "empty.md").exists()


def test_a_mistyped_order_is_suggested_as_it_is_typed(project: Project, clerk: str) -> None:
    assert "did you mean `/history`?" in project.call("chat", "-f", clerk, stdin="/histry\n").err


@pytest.mark.parametrize(
    ("rows", "answer"),
    [(["y"], {"approve": True}), (["n", "not today"], {"approve": False, "comment": "not today"})],
)
async def test_only_who_refuses_a_call_is_asked_why(rows: list[str], answer: dict[str, object], screen: Told) -> None:
    lines: Iterator[str] = iter(rows)

    async def read() -> str:
        return next(lines)

    assert await ask_form({"question": "May it?", "schema": FORM}, screen, read) == answer
    assert next(lines, None) is None


def test_where_nobody_can_be_asked_the_agent_is_told_so_and_goes_on(project: Project, clerk: str) -> None:
    ran = project.call("chat", "-f", clerk, "-m", "Use files_write.\npath: a.txt\ncontent: Hi")
    assert "· files.write path: a.txt, content: Hi  denied: " in ran.err
    assert "nobody is here to be asked" in ran.out
    assert not (project.folder / "a.txt").exists()


def test_a_wrong_model_is_told_without_a_file_that_nobody_wrote(project: Project) -> None:
    ran = project.call("chat", "--model", "gpt-5", "-m", "hi", expect=2)
    assert ran.err.splitlines() == [
        "error: the model `gpt-5` does not say its provider",
        "help: for example `openai/gpt-5`",
    ]


async def test_who_leaves_a_question_finds_the_next_words_on_a_line_of_their_own(screen: Told) -> None:
    async def read() -> str:
        raise EOFError

    with pytest.raises(EOFError):
        await ask_form({"question": "May it?", "schema": FORM}, screen, read)
    assert screen.text.endswith("approve [y/n] \n")
