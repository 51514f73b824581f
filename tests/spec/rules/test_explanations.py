"""Every code has a page, and the examples on it are true: the wrong one gives the finding, the right one gives nothing bad."""

from __future__ import annotations

import re

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError, in_order
from orchestrator.spec.load import workflow_from_text
from orchestrator.spec.rules import Rule, all_rules, explain
from orchestrator.spec.validate import validate

RULES = all_rules()
EXAMPLE = re.compile(r"(Wrong|Right):\n\n```yaml\n(.*?)\n```", re.DOTALL)


def examples(word: str) -> list[pytest.param]:  # type: ignore[valid-type]
    return [
        pytest.param(rule, text, id=code)
        for code, rule in RULES.items()
        for kind, text in EXAMPLE.findall(rule.explanation)
        if kind == word
    ]


def found_in(text: str) -> list[Diagnostic]:
    try:
        return validate(workflow_from_text(text))
    except DiagnosticsError as error:
        return in_order(error.diagnostics)


def complete(code: str, text: str) -> str:
    """The pages of the loader show a few lines only."""
    return text if not code.startswith("WF1") or "tasks:" in text else "x-example:\n  " + text.replace("\n", "\n  ")


@pytest.mark.parametrize(("rule", "text"), examples("Wrong"))
def test_the_wrong_example_gives_the_finding(rule: Rule, text: str) -> None:
    codes = [one.code for one in found_in(complete(rule.code, text))]
    assert rule.code in codes


@pytest.mark.parametrize(("rule", "text"), examples("Right"))
def test_the_right_example_gives_no_such_finding_and_no_error(rule: Rule, text: str) -> None:
    found = found_in(complete(rule.code, text))
    if rule.code.startswith("WF1") and "tasks:" not in text:
        found = [one for one in found if one.code.startswith("WF1")]
    assert [one for one in found if one.code == rule.code or one.severity == "error"] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_page_says_what_and_why(rule: Rule) -> None:
    assert re.fullmatch(r"WF[1-9]\d\d", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.summary.endswith(".")
    assert len(rule.explanation) > 30
    shown = explain(rule.code)
    assert shown.startswith(f"# {rule.code} {rule.name} ({rule.severity})\n")
    assert explain(rule.name) == shown


def test_an_unknown_code_is_answered_with_near_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        explain("WF30")
    assert caught.value.help is not None
    assert "`WF30" in caught.value.help
