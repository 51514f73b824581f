"""Workers changed in people's own files: what was asked for and not a character more, or nothing at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.diagnostics import DiagnosticsError
from orchestrator.spec.loader import load_document
from orchestrator.workers.declared import declared_workers
from orchestrator.workers.definitions import read_definition
from orchestrator.workers.editing import change, declare, flow, withdraw
from orchestrator.workers.errors import InvalidArgumentError, PreconditionFailedError, WorkerNotFoundError

MODELS = """\
# Our models.
fast:  # the quick one
  provider: embedded
  model_name: writer   # see the docs
  # keep it cheap
  cost_metrics: {currency: USD, input_per_million: 0.25}
  rate_limits:
    max_requests_per_minute: 60

big: {provider: openai, model_name: gpt-5}  # dear
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config" / "workers").mkdir(parents=True)
    (tmp_path / "config" / "workers" / "models.yaml").write_text(MODELS)
    return tmp_path


def models(project: Path) -> str:
    return (project / "config" / "workers" / "models.yaml").read_text()


def test_a_field_is_added_and_nothing_else_changes(project: Path) -> None:
    change(project, "fast", {"status": "disabled"})
    assert models(project) == MODELS.replace("  provider: embedded", "  status: disabled\n  provider: embedded")
    change(project, "big", {"status": "disabled"})
    assert "big: {provider: openai, model_name: gpt-5, status: disabled}  # dear" in models(project)


def test_a_field_is_replaced_and_its_comment_stays(project: Path) -> None:
    change(project, "fast", {"model_name": "critic", "rate_limits": {"max_requests_per_minute": 5}})
    text = models(project)
    assert "  model_name: critic   # see the docs\n" in text
    assert "  rate_limits: {max_requests_per_minute: 5}\n" in text
    assert declared_workers(project).definitions[0].rate_limits.max_requests_per_minute == 5


def test_a_field_is_taken_out(project: Path) -> None:
    change(project, "fast", {"rate_limits": None})
    assert models(project) == MODELS.replace("  rate_limits:\n    max_requests_per_minute: 60\n", "")


def test_a_change_that_would_lose_a_comment_is_refused_with_what_to_do(project: Path) -> None:
    path = project / "config" / "workers" / "models.yaml"
    path.write_text(MODELS.replace("minute: 60", "minute: 60  # their limit"))
    before = path.read_text()
    with pytest.raises(PreconditionFailedError) as caught:
        change(project, "fast", {"rate_limits": {"max_requests_per_minute": 5}})
    assert "set `rate_limits: {max_requests_per_minute: 5}` by hand, at line 2" in (caught.value.help or "")
    assert path.read_text() == before


def test_a_change_that_would_make_the_file_invalid_is_refused_with_the_finding(project: Path) -> None:
    for changes, said in (
        ({"stauts": "disabled"}, "unknown field `stauts`"),
        ({"status": "asleep"}, "`asleep` is not a value of `fast.status`: expected `active`, `disabled` or `archived`"),
        ({"rate_limits": {"max_requests_per_minute": -1}}, "a count is not negative"),
    ):
        with pytest.raises(InvalidArgumentError, match=re.escape(said)):
            change(project, "fast", changes)
    assert models(project) == MODELS


def test_a_worker_is_taken_out_and_the_others_stay_as_they_are(project: Path) -> None:
    withdraw(project, "fast")
    assert models(project) == "# Our models.\n\nbig: {provider: openai, model_name: gpt-5}  # dear\n"
    with pytest.raises(PreconditionFailedError, match=r"models\.yaml"):
        withdraw(project, "big")  # the last one, under a person's comment


def test_a_new_worker_gets_a_file_of_its_own_that_goes_with_it(project: Path) -> None:
    said = {
        "definition_id": "third", "provider": "ollama", "model_name": "qwen3:8b", "description": "yes: a, b # c",
        "auth": {"env_var": "THIRD_KEY"}, "base_config": {"timeout": 90.0, "temperature": 0.5}, "capabilities": ["no"],
    }  # fmt: skip
    made = read_definition(said)
    path = declare(project, made)
    assert path.name == "third.yaml"
    found = {one.definition_id: one for one in declared_workers(project).definitions}
    assert found["third"] == made
    with pytest.raises(PreconditionFailedError, match="already"):
        declare(project, made)
    withdraw(project, "third")
    assert not path.exists()


def test_a_worker_that_no_file_declares_is_not_found(project: Path) -> None:
    for act in (lambda: change(project, "slow", {"status": "disabled"}), lambda: withdraw(project, "slow")):
        with pytest.raises(WorkerNotFoundError):
            act()


def test_one_of_the_projects_own_file_is_changed_there(project: Path) -> None:
    path = project / "config" / "whisper-flow.yaml"
    path.write_text("# ours\nversion: 1\nworkers:\n  own: {provider: embedded, model_name: writer}\n")
    change(project, "own", {"status": "archived"})
    assert path.read_text().endswith("  own: {provider: embedded, model_name: writer, status: archived}\n")
    assert declared_workers(project).places["own"] == "config/whisper-flow.yaml:4"


def test_line_ends_stay_what_they_were(project: Path) -> None:
    path = project / "config" / "workers" / "models.yaml"
    path.write_bytes(MODELS.replace("\n", "\r\n").encode())
    change(project, "fast", {"status": "disabled"})
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") == MODELS.count("\n") + 1


def test_what_a_file_says_wrong_is_said_with_its_place(project: Path) -> None:
    (project / "config" / "workers" / "bad.yaml").write_text("x: {provider: openai}\n")
    with pytest.raises(DiagnosticsError, match=r"bad\.yaml:1"):
        declared_workers(project)


values = st.recursive(
    st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "no", "x y"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200)
@given(values)
def test_a_value_on_one_line_of_yaml_reads_as_itself(value: Any) -> None:
    text = flow(value)
    assert "\n" not in text
    assert load_document(f"value: {text}\nlist: [{text}]\n".encode(), file="x").data == {
        "value": value,
        "list": [value],
    }
