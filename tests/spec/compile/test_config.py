"""What `config/` says for every workflow: merged, hidden by the file's own, checked where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.spec.compile import lower
from orchestrator.spec.load import load_workflow
from orchestrator.spec.project_config import load_config
from orchestrator.spec.validate import validate


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for folder in ("workflows", "config/agents", "config/workers"):
        (root / folder).mkdir(parents=True)
    (root / "config" / "whisper-flow.yaml").write_text(
        "limits: {processes: 3}\nmailboxes: [inbox]\nbudget: {cost: $5.00}\n"
        "defaults: {tasks: {timeout: 30m, env: {A: far, B: far}}, agents: {model: embedded/far, repair: 1}}\n"
    )
    (root / "config" / "agents" / "writers.yaml").write_text(
        "writer: {instructions: From config.}\ncritic: {worker: fast, instructions: Be strict.}\n"
    )
    (root / "config" / "workers" / "fast.yaml").write_text("fast: {provider: embedded, model_name: writer}\n")
    return root


def write(root: Path, text: str) -> Path:
    file = root / "workflows" / "main.yaml"
    file.write_text(text)
    return file


def test_what_config_says_is_merged_and_the_file_is_nearer(root: Path) -> None:
    file = write(
        root,
        "defaults: {tasks: {env: {B: near}}}\nagents: {writer: {instructions: From the file.}}\nmailboxes: [mine]\n"
        "tasks:\n  a: {run: x}\n  b: {agent: critic, prompt: Hi}\n",
    )
    plan = lower(load_workflow(file))
    a, _ = plan.scopes[0].nodes
    assert (a.timeout, a.env) == (1800, {"A": "far", "B": "near"})
    assert plan.agents["writer"] == {"model": "embedded/far", "repair": 1, "instructions": "From the file."}
    assert plan.agents["critic"] == {"worker": "fast", "repair": 1, "instructions": "Be strict."}
    assert plan.workers["fast"]["model_name"] == "writer"
    assert plan.mailboxes == ("inbox", "mine")
    assert plan.budget == {"cost": 5.0, "currency": "USD"}


def test_limits_have_defaults(root: Path, tmp_path: Path) -> None:
    assert load_config(root).limits == {"processes": 3, "waiting_calls": 64}
    assert load_config(tmp_path).limits == {"processes": 8, "waiting_calls": 64}


def test_a_file_of_comments_is_a_default(root: Path) -> None:
    (root / "config" / "whisper-flow.yaml").write_text("# limits: {processes: 3}\n")
    assert validate(write(root, "tasks: {a: {set: 1}}\n")) == []


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("config/whisper-flow.yaml", "limts: {processes: 3}\n", "WF203"),
        ("config/whisper-flow.yaml", "defaults: {run: {shel: sh}}\n", "WF203"),
        ("config/whisper-flow.yaml", "defaults: {tasks: {env: 5}}\n", "WF201"),
        ("config/agents/writers.yaml", "writer: {modle: x}\n", "WF203"),
        ("config/agents/writers.yaml", "- writer\n", "WF201"),
        ("config/agents/writers.yaml", "model: embedded/x\ninstructions: Hi\n", "WF201"),
        ("config/agents/writers.yaml", "agents: {writer: {model: embedded/x}}\n", "WF201"),
        ("config/workers/writers.yaml", "provider: embedded\nmodel_name: x\nauth: none\n", "WF201"),
        ("config/agents/writers.yaml", "writer: [\n", "WF101"),
        ("config/agents/again.yaml", "writer: {model: embedded/x}\n", "WF211"),
        ("config/workers/fast.yaml", "fast: {provider: opnai, model_name: x}\n", "WF207"),
    ],
)
def test_what_is_wrong_in_config_is_said_where_it_stands(root: Path, file: str, text: str, code: str) -> None:
    (root / file).write_text(text)
    errors = [one for one in validate(write(root, "tasks: {a: {run: x, env: {C: d}}}\n")) if one.severity == "error"]
    assert code in [one.code for one in errors]
    place = {one.file for one in errors}
    assert len(place) == 1
    assert place.pop().endswith(("writers.yaml", file) if code == "WF211" else file)


def test_a_declaration_without_an_id_is_one_finding_with_the_line_that_is_missing(root: Path) -> None:
    (root / "config/agents/quick-writer.yaml").write_text("model: embedded/x\ninstructions: Hi\nai_config: {seed: 1}\n")
    file = write(root, "tasks: {a: {run: x, env: {C: d}}}\n")
    (one,) = [one for one in validate(file) if one.file.endswith("quick-writer.yaml")]
    assert one.message == "the agent of this file has no id"
    assert one.help == "begin with `quick_writer:` and indent the rest below it"
