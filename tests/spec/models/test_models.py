"""The models and what reads files without them agree: defaults, names, verbs, reserved words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.core.expressions import RESERVED_NAMES
from orchestrator.core.plan import Each, Loop, Node, Plan, Retry
from orchestrator.spec import models
from orchestrator.spec.models_defaults import DEFAULT_KINDS, defaults_model
from orchestrator.spec.models_tasks import FOREACH_ONLY, CachedTask, TaskBase, TaskDefaults
from orchestrator.spec.models_tasks import Loop as LoopModel
from orchestrator.spec.models_tasks import Retry as RetryModel
from orchestrator.spec.reserved import RESERVED_IDS
from orchestrator.spec.shape_fields import names_of
from orchestrator.spec.verbs import VERBS, verb

GRAMMAR_VERBS = {"agent", "run", "python", "http", "workflow", "tool", "ask", "wait", "send", "set", "tasks", "end"}


def default(model: Any, name: str) -> Any:
    return model.model_fields[name].default


def test_the_verbs_are_those_of_the_grammar() -> None:
    assert GRAMMAR_VERBS == VERBS
    assert {verb(name).name for name in VERBS} == VERBS


@pytest.mark.parametrize("name", sorted(GRAMMAR_VERBS))
def test_a_verb_s_field_has_the_verb_s_name_and_no_other_verb_is_a_field(name: str) -> None:
    fields = set(names_of(verb(name).model))
    assert fields & VERBS == {name}


def test_defaults_of_the_models_are_those_of_the_plan() -> None:
    each, loop, retry, node = Each(source=""), Loop(), Retry(), Node(id="x", verb="set")
    assert default(TaskBase, "max_parallel") == each.max_parallel
    assert default(TaskBase, "as_") == each.alias
    assert default(TaskBase, "on_item_error") == each.on_item_error
    assert default(TaskBase, "on_error") == node.on_error
    assert default(TaskBase, "cwd") == node.cwd
    assert default(LoopModel, "on_exhausted") == loop.on_exhausted
    assert [default(RetryModel, name) for name in ("max", "backoff", "jitter")] == [
        retry.max,
        retry.backoff,
        retry.jitter,
    ]
    assert default(RetryModel, "delay") == f"{retry.delay:g}s"
    plan = Plan(workflow="", name="", scopes=())
    for name in ("timezone", "max_parallel", "fail_fast"):
        assert default(models.Workflow, name) == getattr(plan, name)


def test_ids_that_expressions_know_are_reserved() -> None:
    small = {name for name in RESERVED_NAMES if name == name.lower()}
    assert small <= set(RESERVED_IDS)


def test_fields_of_items_exist() -> None:
    assert set(FOREACH_ONLY) <= set(names_of(TaskBase))


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_defaults_need_nothing_and_know_only_what_tasks_know(kind: str) -> None:
    model = defaults_model(kind)
    model.model_validate({})
    with pytest.raises(ValidationError):
        model.model_validate({"nonsense": 1})
    if kind not in ("tasks", "agents"):
        assert set(names_of(model)) <= set(names_of(verb(kind).model)) - {kind}
        assert set(names_of(model)) - set(names_of(TaskDefaults)) == set(names_of(verb(kind).model)) - set(
            names_of(CachedTask)
        ) - {kind}


def test_every_field_of_every_model_is_described() -> None:
    seen: set[type] = set()

    def check(model: Any) -> None:
        if model in seen:
            return
        seen.add(model)
        for name, field in model.model_fields.items():
            assert field.description or model in (models.AgentFile, models.WorkerFile), f"{model.__name__}.{name}"
            assert not field.description or field.description.endswith((".", "`")), f"{model.__name__}.{name}"

    for model in (models.Workflow, models.Project, *(verb(name).model for name in VERBS)):
        check(model)


@pytest.mark.parametrize(
    ("model", "good"),
    [
        (models.Workflow, {"tasks": {"a": {"run": "x"}}, "max_parallel": 1, "secrets": {"A": None}}),
        (models.Workflow, {"agents": {"a-b.c": {"model": "openai/x", "fallback": ["m"], "memory": True}}}),
        (models.Workflow, {"schedules": [{"cron": "0 8 * * *", "missed": {"all": 3}}]}),
        (models.Workflow, {"wake_on": [{"mail": "inbox", "debounce": {"for": "5s"}, "inputs": {"a": 1}}]}),
        (models.Workflow, {"mcp": {"files": {"command": ["x"], "env": {"A": 1}}, "web": {"url": "http://localhost"}}}),
        (models.Project, {"limits": {"processes": 2}, "pass_env": ["CC"], "packages": ["mine"]}),
    ],
)
def test_what_the_grammar_allows_is_allowed(model: Any, good: dict[str, Any]) -> None:
    model.model_validate(good)
