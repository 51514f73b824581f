"""The pytest plugin in projects of its own: it replays, records, and lets nothing out."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ("-p", "orchestrator.testing.plugin", "-p", "no:cacheprovider")

WORKFLOW = """\
name: notes
inputs: {topic: string}
agents: {writer: {model: embedded/writer, instructions: Short.}}
tasks: {note: {agent: writer, prompt: 'About ${{ inputs.topic }}.'}}
outputs: {note: '${{ note }}'}
"""

TEST = """\
def test_notes(run_workflow):
    result = run_workflow("workflows/notes.yaml", {"topic": "bridges"}, strict=True)
    assert result.status == "succeeded"
    assert result.outputs == {"note": "About bridges."}
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (pytester.path / "workflows").mkdir()
    (pytester.path / "workflows" / "notes.yaml").write_text(WORKFLOW)
    pytester.makeini("[pytest]\n")
    return pytester


def ran(project: pytest.Pytester, *args: str, **outcomes: int) -> str:
    result = project.runpytest_subprocess(*PLUGIN, *args)
    result.assert_outcomes(**outcomes)
    return "\n".join(result.outlines)


def test_a_tape_is_made_on_request_and_played_from_then_on(project: pytest.Pytester) -> None:
    project.makepyfile(test_notes=TEST)
    assert "pytest --record-tapes" in ran(project, failed=1)
    ran(project, "--record-tapes", passed=1)
    tape = project.path / "tapes" / "test_notes" / "test_notes.jsonl"
    before = tape.read_bytes()
    assert before.count(b"\n") == 2
    ran(project, passed=1)
    assert tape.read_bytes() == before


def test_a_missing_key_is_told_in_words_and_without_the_environment(project: pytest.Pytester) -> None:
    project.makepyfile(test_notes=TEST.replace("strict=True", "environ={'OTHER_SECRET': 'hunter2-secret'}"))
    (project.path / "workflows" / "notes.yaml").write_text(WORKFLOW.replace("embedded/writer", "openai/gpt-5-mini"))
    said = ran(project, "--record-tapes", "-l", failed=1)
    assert "the variable OPENAI_API_KEY is not set" in said
    assert "help: export OPENAI_API_KEY=" in said
    assert "check_agents" not in said
    assert said.count("hunter2") == said.count("environ={'OTHER_SECRET'"), "only where the test itself says it"


def test_a_changed_prompt_fails_the_test_with_the_difference(project: pytest.Pytester) -> None:
    project.makepyfile(test_notes=TEST)
    ran(project, "--record-tapes", passed=1)
    (project.path / "workflows" / "notes.yaml").write_text(WORKFLOW.replace("Short.", "Long."))
    said = ran(project, failed=1)
    assert "`instructions` was" in said
    assert "-  Short." in said
    assert "+  Long." in said


def test_the_answer_comes_from_the_tape_and_from_nowhere_else(project: pytest.Pytester) -> None:
    project.makepyfile(test_notes=TEST)
    ran(project, "--record-tapes", passed=1)
    tape = project.path / "tapes" / "test_notes" / "test_notes.jsonl"
    tape.write_text(
        tape.read_text()
        .replace('"text": "About bridges.", "finished"', "")
        .replace('bridges."}, {"ms"', 'ferries."}, {"ms"')
    )
    assert "ferries" in ran(project, failed=1)


def test_it_works_in_async_tests_and_several_times_in_one(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_notes="""\
        import asyncio

        def test_notes(run_workflow):
            async def both():
                return [run_workflow("workflows/notes.yaml", {"topic": topic}) for topic in ("one", "two")]

            one, two = asyncio.run(both())
            assert (one.outputs["note"], two.outputs["note"]) == ("About one.", "About two.")
        """
    )
    ran(project, "--record-tapes", passed=1)
    ran(project, passed=1)
    assert len(list((project.path / "tapes" / "test_notes").iterdir())) == 2


def test_a_replay_that_reaches_for_the_network_fails_even_if_the_workflow_forgives(project: pytest.Pytester) -> None:
    (project.path / "workflows" / "notes.yaml").write_text(
        "name: notes\ntasks: {get: {http: 'http://127.0.0.1:9/x', on_error: warn}}\n"
    )
    (project.path / "config").mkdir()
    (project.path / "config" / "whisper-flow.yaml").write_text("http: {allow_private: ['127.0.0.0/8']}\n")
    project.makepyfile(
        test_notes="""\
        import socket

        def test_notes(run_workflow):
            before = socket.socket.connect
            try:
                run_workflow("workflows/notes.yaml")
            finally:
                assert socket.socket.connect is before

        def test_open(run_workflow):
            assert run_workflow("workflows/notes.yaml", offline=False, tape="t.jsonl").status == "warned"
        """
    )
    (project.path / "t.jsonl").write_text('{"format": "whisper-flow-tape/1"}\n')
    (project.path / "tapes" / "test_notes").mkdir(parents=True)
    (project.path / "tapes" / "test_notes" / "test_notes.jsonl").write_text('{"format": "whisper-flow-tape/1"}\n')
    said = ran(project, failed=1, passed=1)
    assert "reached for the network: 127.0.0.1:9" in said


def test_the_plugin_imports_nothing_of_the_house_until_it_is_used(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_quiet="""\
        import sys

        def test_quiet():
            ours = sorted(name for name in sys.modules if name.startswith("orchestrator"))
            assert ours == ["orchestrator", "orchestrator.testing", "orchestrator.testing.plugin"]
            assert not {"yaml", "pydantic", "apsw", "networkx", "openai", "pydantic_ai"} & set(sys.modules)
        """
    )
    ran(project, passed=1)


def test_the_entry_point_leads_to_the_plugin() -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    ((name, target),) = said.items()
    plugin = importlib.metadata.EntryPoint(name, target, "pytest11").load()
    assert callable(plugin.pytest_addoption)
