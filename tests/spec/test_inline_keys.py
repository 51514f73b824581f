"""A key that stands in a file stays there: a plan knows only where."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from orchestrator.core.plan import encode_plan
from orchestrator.spec.compile import compile_plan
from orchestrator.spec.inline_keys import masked
from orchestrator.spec.load import load_workflow, workflow_from_text
from orchestrator.spec.positions import LineIndex

KEY = "sk-inline-0123456789"
REST = "agents: {a: {worker: w}}\ntasks: {t: {agent: a, prompt: Hi}}\n"
FORMS = {
    "flow": f"workers: {{w: {{provider: openai, model_name: m, auth: {{inline: {KEY}}}}}}}\n",
    "quoted": f'workers:\n  w:\n    provider: openai\n    model_name: m\n    auth: {{inline: "{KEY}"}}\n',
    "block": f"workers:\n  w:\n    provider: openai\n    model_name: m\n    auth:\n      inline: >-\n        {KEY}\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_plan_says_where_the_key_stands_and_does_not_hold_it(form: str) -> None:
    text = FORMS[form] + REST
    plan = compile_plan(workflow_from_text(text, path="workflows/x.yaml"))
    where = {"file": "workflows/x.yaml", "path": ["workers", "w", "auth", "inline"]}
    assert plan.workers["w"]["auth"] == {"inline": where}
    assert KEY.encode() not in encode_plan(plan)
    assert [len(row) for row in plan.source.splitlines()] == [len(row) for row in text.splitlines()]


def test_another_key_in_the_same_place_changes_no_digest() -> None:
    plans = [
        compile_plan(workflow_from_text(FORMS["flow"].replace(KEY, key) + REST, path="workflows/x.yaml"))
        for key in (KEY, KEY[::-1])
    ]
    digests = [[node.digest for scope in plan.scopes for node in scope.nodes] for plan in plans]
    assert digests[0] == digests[1]


def test_a_key_in_config_is_left_in_config(tmp_path: Path) -> None:
    for path, text in {
        "config/workers/fast.yaml": f"w: {{provider: openai, model_name: m, auth: {{inline: {KEY}}}}}\n",
        "workflows/x.yaml": REST,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    plan = compile_plan(load_workflow(tmp_path / "workflows" / "x.yaml", tmp_path))
    assert plan.workers["w"]["auth"] == {
        "inline": {"file": "config/workers/fast.yaml", "path": ["w", "auth", "inline"]}
    }
    assert KEY.encode() not in msgspec.msgpack.encode(encode_plan(plan))


def test_stars_keep_lines_and_columns() -> None:
    text = "a: one\nb: |\n  two\n  three\nc: 4"
    index = LineIndex(text)
    spans = [index.span(3, 6), index.span(text.index("two"), text.index("three") + 5)]
    assert masked(text, spans) == "a: ***\nb: |\n  ***\n*******\nc: 4"
