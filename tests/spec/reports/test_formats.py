"""Reports: exact for people, valid for machines, harmless for terminals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from orchestrator.errors import UsageError
from orchestrator.spec.diagnostics import Diagnostic, Edit, Label, Span
from orchestrator.spec.reports import formats, render, summarise

DIGEST = """\
name: digest
agents:
  writer: {model: openai/gpt-5-mini}
tasks:
  summarise:
    agent: writer
    retires: 3
"""
FINDING = Diagnostic(
    code="WF203",
    severity="error",
    message="unknown field `retires` in task `summarise`",
    file="workflows/digest.yaml",
    span=Span(7, 5, 7, 12),
    label="not a field of `agent` tasks",
    labels=(Label(Span(5, 3, 5, 12), "in this task"),),
    help="did you mean `retry`?",
    fix=(Edit(Span(7, 5, 7, 12), "retry"),),
)
WARNING = Diagnostic(
    code="WF701", severity="warning", message="50% odd, x: y", file="workflows/digest.yaml", span=Span(3, 3, 3, 9)
)
SOURCES = {"workflows/digest.yaml": DIGEST}
NINE = [f"workflows/w{number}.yaml" for number in range(8)] + ["workflows/digest.yaml"]


def one(source: str, span: Span, **more: Any) -> str:
    finding = Diagnostic(code="WF101", severity="error", message="m", file="f", span=span, **more)
    return render("text", [finding], {"f": source})


def test_the_text_format_is_as_the_manual_shows_it() -> None:
    found = render("text", [FINDING], SOURCES, summarise([FINDING], NINE, 31))
    assert found == (
        "error[WF203]: unknown field `retires` in task `summarise`\n"
        "  --> workflows/digest.yaml:7:5\n"
        "   |\n"
        " 5 |   summarise:\n"
        "   |   --------- in this task\n"
        " 6 |     agent: writer\n"
        " 7 |     retires: 3\n"
        "   |     ^^^^^^^ not a field of `agent` tasks\n"
        "   = help: did you mean `retry`?\n"
        "   = docs: whisper-flow explain WF203\n"
        "\n"
        "Found 1 error in 1 of 9 workflows (31 ms). 1 fixable.\n"
    )


def test_the_summary_counts_what_was_found() -> None:
    assert (
        summarise([FINDING, WARNING], NINE, 31).line()
        == "Found 1 error, 1 warning in 1 of 9 workflows (31 ms). 1 fixable."
    )
    assert summarise([], NINE, 4).line() == "Checked 9 workflows: nothing found (4 ms)."
    assert summarise([], ["a"]).line() == "Checked 1 workflow: nothing found."
    elsewhere = [FINDING, replace(FINDING, file="config/agents/a.yaml")]
    assert summarise(elsewhere, [FINDING.file]).line() == "Found 2 errors in 2 files. 2 fixable."


def test_carets_stand_under_the_text_behind_tabs_and_wide_characters() -> None:
    rows = one("a:\t日本 \u0301x: HERE\n", Span(1, 11, 1, 15)).splitlines()
    assert rows[3].index("HERE") + 2 - 1 == rows[4].index("^^^^")  # two wide characters, one of no width
    assert rows[3].startswith(" 1 | a:  日本")


def test_a_gap_of_many_lines_is_cut() -> None:
    text = "".join(f"k{number}: 1\n" for number in range(1, 30))
    shown = one(text, Span(20, 1, 20, 4), labels=(Label(Span(2, 1, 2, 3), "first"),))
    assert "\n...\n" in shown
    assert "k10" not in shown


def test_a_label_in_another_file_gets_its_own_excerpt() -> None:
    finding = Diagnostic(
        code="WF301", severity="error", message="m", file="a.yaml", span=Span(1, 1, 1, 2),
        labels=(Label(Span(1, 4, 1, 5), "there", "b.yaml"),),
    )  # fmt: skip
    shown = render("text", [finding], {"a.yaml": "x: 1\n", "b.yaml": "y: 2\n"})
    assert "  ::: b.yaml:1:4\n   |\n 1 | y: 2\n   |    - there\n" in shown


@pytest.mark.parametrize("name", ["text", "concise", "github", "junit"])
def test_text_that_a_terminal_would_obey_is_shown_and_not_sent(name: str) -> None:
    evil = "\x1b]0;owned\x07 \u202eabc\u2066 \x9b31m\x08"
    finding = Diagnostic(
        code="WF101", severity="error", message=f"bad `{evil}`", file=f"x{evil}.yaml", label=evil, help=evil,
        labels=(Label(Span(1, 1, 1, 2), evil),),
    )  # fmt: skip
    shown = render(name, [finding], {f"x{evil}.yaml": f"{evil}\n"})
    assert not any(char in shown for char in "\x1b\x07\u202e\u2066\x9b\x08")


def test_a_line_of_a_million_characters_is_shown_around_the_mark() -> None:
    shown = one("x" * 500_000 + "HERE" + "y" * 500_000, Span(1, 500_001, 1, 500_005))
    assert len(shown) < 1000
    rows = shown.splitlines()
    assert rows[3].index("HERE") == rows[4].index("^")


def test_at_most_fifty_findings_are_shown_and_the_worst_come_first() -> None:
    infos = [
        Diagnostic(code="WF390", severity="info", message=f"i{number}", file="f", span=Span(number, 1, number, 2))
        for number in range(1, 101)
    ]
    error = Diagnostic(code="WF101", severity="error", message="the error", file="f", span=Span(200, 1, 200, 2))
    shown = render("text", [*infos, error], {"f": "x\n" * 300})
    assert "the error" in shown
    assert shown.count("info[WF390]") == 49
    assert "51 more" in shown


def test_equal_findings_are_shown_once() -> None:
    assert render("text", [FINDING, FINDING], SOURCES).count("error[WF203]") == 1


def test_colour_changes_nothing_but_colour() -> None:
    import re

    plain = render("text", [FINDING, WARNING], SOURCES)
    coloured = render("text", [FINDING, WARNING], SOURCES, color=True)
    assert coloured != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_the_concise_format_is_one_line_a_finding() -> None:
    rows = render("concise", [FINDING, WARNING], SOURCES).splitlines()
    assert rows[0] == "workflows/digest.yaml:3:3: warning[WF701]: 50% odd, x: y"
    assert rows[1].startswith("workflows/digest.yaml:7:5: error[WF203]: unknown field `retires`")
    assert rows[1].endswith("(did you mean `retry`?)")


def test_the_json_format_keeps_its_shape() -> None:
    found = json.loads(render("json", [FINDING], SOURCES, summarise([FINDING], NINE, 31)))
    assert found["schema"] == "whisper-flow/diagnostics/1"
    assert found["diagnostics"] == [
        {
            "code": "WF203",
            "severity": "error",
            "message": "unknown field `retires` in task `summarise`",
            "file": "workflows/digest.yaml",
            "span": {"line": 7, "column": 5, "end_line": 7, "end_column": 12},
            "label": "not a field of `agent` tasks",
            "labels": [
                {
                    "file": "workflows/digest.yaml",
                    "span": {"line": 5, "column": 3, "end_line": 5, "end_column": 12},
                    "text": "in this task",
                }
            ],
            "help": "did you mean `retry`?",
            "fix": [{"span": {"line": 7, "column": 5, "end_line": 7, "end_column": 12}, "new_text": "retry"}],
        }
    ]
    assert found["summary"] == {
        "errors": 1, "warnings": 0, "infos": 0, "fixable": 1, "files": NINE, "files_with_findings": 1, "duration_ms": 31,
    }  # fmt: skip


def test_github_shows_ten_of_each_and_counts_the_rest() -> None:
    many = [
        Diagnostic(code="WF101", severity=severity, message=f"m{n}", file="f", span=Span(n, 1, n, 2))
        for severity in ("error", "warning")
        for n in range(1, 15)
    ]
    rows = render("github", many, {}).splitlines()
    assert sum(row.startswith("::error ") for row in rows) == 10
    assert sum(row.startswith("::warning ") for row in rows) == 10
    assert rows[0] == "::error file=f,line=1,col=1,endColumn=2,title=WF101::m1"
    assert "Not annotated: 4 errors, 4 warnings more." in rows


def test_github_escapes_what_ends_a_command() -> None:
    row = render(
        "github", [Diagnostic(code="WF101", severity="error", message="50%\n::x", file="a,b:c", help="h\n::y")], {}
    )
    assert row.startswith("::error file=a%2Cb%3Ac,line=1,col=1,title=WF101::50%25 ::x%0Ahelp: h")
    assert "\n::y" not in row


def test_sarif_has_the_structure_that_its_readers_need() -> None:
    found = json.loads(render("sarif", [FINDING, WARNING], SOURCES))
    assert (found["version"], len(found["runs"])) == ("2.1.0", 1)
    run = found["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["WF203", "WF701"]
    warning, error = run["results"]
    assert (error["ruleId"], rules[error["ruleIndex"]]["id"], error["level"]) == ("WF203", "WF203", "error")
    assert warning["level"] == "warning"
    place = error["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "workflows/digest.yaml"}
    assert place["region"] == {"startLine": 7, "startColumn": 5, "endLine": 7, "endColumn": 12}
    assert error["relatedLocations"][0]["message"]["text"] == "in this task"
    replacement = error["fixes"][0]["artifactChanges"][0]["replacements"][0]
    assert replacement["insertedContent"] == {"text": "retry"}
    assert run["columnKind"] == "unicodeCodePoints"


def test_sarif_writes_file_names_as_uris() -> None:
    finding = Diagnostic(code="WF101", severity="error", message="m", file="a b/é.yaml")
    assert '"uri": "a%20b/%C3%A9.yaml"' in render("sarif", [finding], {})


def test_junit_has_a_failure_for_each_error_and_a_case_for_each_clean_file() -> None:
    root = ElementTree.fromstring(render("junit", [FINDING, WARNING], SOURCES, summarise([FINDING, WARNING], NINE, 31)))
    assert root.attrib["failures"] == "1"
    assert root.attrib["tests"] == "10"
    suites = {suite.attrib["name"]: suite for suite in root}
    assert len(suites) == 9
    failure = suites["workflows/digest.yaml"].find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == FINDING.message
    assert suites["workflows/w0.yaml"].find("testcase/failure") is None


def test_an_unknown_format_is_a_usage_error_with_a_suggestion() -> None:
    assert formats() == ["concise", "github", "json", "junit", "sarif", "text"]
    with pytest.raises(UsageError) as caught:
        render("sarff", [], {})
    assert caught.value.help == "did you mean `sarif`?"
