"""Findings can be accepted with a reason, and repaired by their edits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.diagnostics import Diagnostic, Edit, Span
from orchestrator.spec.fixes import apply_fixes, fixable
from orchestrator.spec.load import workflow_from_text
from orchestrator.spec.positions import LineIndex
from orchestrator.spec.validate import validate

TOKEN = "{set: 1, env: {API_TOKEN: f3a9c81d27}}"


def codes(text: str) -> list[str]:
    return [one.code for one in validate(workflow_from_text(text))]


def test_a_comment_with_a_reason_hides_its_line() -> None:
    assert codes(f"tasks:\n  a: {TOKEN}\n") == ["WF701"]
    assert codes(f"tasks:\n  a: {TOKEN}  # wf: ignore[WF701] public\n") == []


def test_a_comment_on_its_own_line_hides_the_next_one_past_other_comments() -> None:
    assert codes(f"tasks:\n  # wf: ignore[WF701] public\n  # more\n\n  a: {TOKEN}\n") == []


def test_one_comment_may_name_several_codes() -> None:
    assert codes(f"tasks:\n  a: {TOKEN}  # wf: ignore[WF999, wf701] public\n") == []


def test_a_comment_hides_nothing_on_other_lines_and_no_other_codes() -> None:
    assert codes(f"tasks:\n  a: {TOKEN}\n  b: {{set: 1}}  # wf: ignore[WF701] public\n") == ["WF701", "WF142"]


def test_a_comment_inside_a_text_is_text() -> None:
    text = "tasks:\n  a:\n    env: {API_TOKEN: f3a9c81d27}\n    run: |\n      # wf: ignore[WF701] public\n      echo\n"
    assert codes(text) == ["WF701"]


def test_an_error_of_the_language_cannot_be_hidden() -> None:
    assert codes("tasks:\n  a: {after: b, set: 1}  # wf: ignore[WF301] no\n") == ["WF301", "WF142"]


def test_findings_of_the_loader_can_be_hidden_too() -> None:
    text = "agents: {w: {model: openai/gpt-5}}\ntasks:\n  a:\n    agent: w\n    # wf: ignore[WF132] a note\n    prompt: Look #closely\n"
    assert codes(text) == []


def test_an_unused_comment_is_not_mentioned_while_the_file_is_broken() -> None:
    assert codes("tasks:\n  a: {sett: 1}  # wf: ignore[WF701] public\n") == ["WF204"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fixes_are_applied_where_they_belong(end: str) -> None:
    text = end.join(["a: é{x}", "b: 2", ""])
    first = Diagnostic(
        code="WF1",
        severity="error",
        message="m",
        file="f",
        span=Span(1, 1, 1, 2),
        fix=(Edit(Span(1, 4, 1, 8), "'é{x}'"),),
    )
    second = Diagnostic(
        code="WF2", severity="error", message="m", file="f", span=Span(2, 1, 2, 2), fix=(Edit(Span(2, 1, 2, 1), "# "),)
    )
    assert apply_fixes(text, [first, second]) == end.join(["a: 'é{x}'", "# b: 2", ""])
    assert fixable([first, second]) == 2


def test_of_two_fixes_that_overlap_the_first_wins_as_a_whole() -> None:
    def finding(*edits: Edit) -> Diagnostic:
        return Diagnostic(code="WF1", severity="error", message="m", file="f", fix=edits)

    first = finding(Edit(Span(1, 1, 1, 3), "X"))
    second = finding(Edit(Span(1, 2, 1, 4), "Y"), Edit(Span(1, 5, 1, 6), "Z"))
    assert apply_fixes("abcdef\n", [first, second]) == "Xcdef\n"


@given(st.text("ab\n\ré", max_size=30), st.data())
def test_lines_and_offsets_are_each_others_inverse(text: str, data: st.DataObject) -> None:
    lines = LineIndex(text)
    offset = data.draw(st.integers(0, len(text)))
    assert lines.offset(*lines.place(offset)) == offset


def test_a_comment_in_a_file_of_config_hides_what_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "config" / "agents").mkdir(parents=True)
    agent = "w: {model: openai/gpt-5, instructions: sk-abcdefghijklmnopqrstuvwx}"
    (tmp_path / "config" / "agents" / "all.yaml").write_text(f"{agent}  # wf: ignore[WF701] a demo key\n")
    (tmp_path / "workflows" / "x.yaml").write_text("tasks: {a: {set: 1}}\n")
    assert validate(tmp_path / "workflows" / "x.yaml") == []
    (tmp_path / "config" / "agents" / "all.yaml").write_text(agent)
    assert [one.code for one in validate(tmp_path / "workflows" / "x.yaml")] == ["WF701"]
