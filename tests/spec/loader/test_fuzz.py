"""Whatever a file holds: data or a finding with a place, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size

from orchestrator.spec.diagnostics import DiagnosticsError
from orchestrator.spec.loader import Document, load_document
from orchestrator.spec.reports import formats, render

PIECES = [
    "a", "b: ", ": ", "- ", "? ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "|-\n", ">+\n", "&x ", "*x", "!t ", "!!str ", "%", "@",
    "`", "#", " # c", "\n", "\n  ", "\n    ", "\t", "\r\n", "\r", "${{ x }}", "{{", "}}", "---\n", "...\n", "<<: ", "~", "null", "true",
    "1", "1.10", ".inf", "0x", "\\", "\\n", "\\x4", "é", "日", "\u202e", "\ufeff", "\x85", "\u2028", "\x00", "\x07", "tasks:\n", "run: ",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join)
EXAMPLE = (Path(__file__).parent / "example.yaml").read_text()


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The example with a few pieces put in or taken out."""
    text = EXAMPLE
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 6))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at + gone :]
    return text


def holds(content: bytes) -> None:
    """Loads, and every finding stands inside the text; the place of every scalar is its own."""
    try:
        document = load_document(content, file="x.yaml", tolerant=True)
        findings = document.diagnostics
        text = document.text
        _scalars_stand_where_they_should(document)
    except DiagnosticsError as error:
        findings = error.diagnostics
        text = content.decode("utf-8", "replace")
        assert findings
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for one in findings:
        assert one.code.startswith("WF1")
        assert 1 <= one.span.line <= max(len(lines), 1)
        assert one.span[:2] <= one.span[2:]
        assert 1 <= one.span.column <= len(lines[one.span.line - 1]) + 2
        assert "\n" not in one.message
    for name in formats():
        render(name, findings, {"x.yaml": text})


def _scalars_stand_where_they_should(document: Document) -> None:
    for node in document.scalars():
        assert 0 <= node.start <= node.end <= len(document.text)


def _examples(request: pytest.FixtureRequest) -> int:
    return size(request.config, here=300, ci=7_000, release=100_000)


@pytest.mark.timeout(0)
def test_soup_never_gives_a_traceback(request: pytest.FixtureRequest) -> None:
    @settings(max_examples=_examples(request), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(SOUP)
    def law(text: str) -> None:
        holds(text.encode("utf-8", "surrogatepass"))

    law()


@pytest.mark.timeout(0)
def test_bytes_never_give_a_traceback(request: pytest.FixtureRequest) -> None:
    @settings(max_examples=_examples(request), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(max_size=60))
    def law(content: bytes) -> None:
        holds(content)

    law()


@pytest.mark.timeout(0)
def test_a_damaged_workflow_never_gives_a_traceback(request: pytest.FixtureRequest) -> None:
    @settings(max_examples=_examples(request), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(mutated())
    def law(text: str) -> None:
        holds(text.encode("utf-8", "surrogatepass"))

    law()
