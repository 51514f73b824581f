"""The noun: read strictly, in either spelling, never with its key in sight."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workers.house import worker

from orchestrator.providers._settings import EFFORTS
from orchestrator.spec import models_agents
from orchestrator.workers.definitions import (
    BaseConfig,
    CostMetrics,
    RateLimits,
    WorkerDefinition,
    changed,
    configured,
    read_definition,
)
from orchestrator.workers.errors import InvalidArgumentError

LEAST = {"definition_id": "fast", "provider": "openai", "model_name": "gpt-5-mini"}


def camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def in_camel(value: Any, *, free: bool = False) -> Any:
    if isinstance(value, dict):
        keep = {"metadata", "extra"}
        return {(k if free else camel(k)): in_camel(v, free=free or k in keep) for k, v in value.items()}
    if isinstance(value, list):
        return [in_camel(one, free=free) for one in value]
    return value


amounts = st.floats(0, 1000, allow_nan=False)
counts = st.integers(0, 10_000_000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)
)
configs = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "max_tokens": st.integers(1, 10_000),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "extra": st.dictionaries(st.sampled_from(["aB", "a_b", "x"]), json_values, max_size=2),
        "base_url": st.just("http://127.0.0.1:1/v1"),
    },
)
definitions = st.fixed_dictionaries(
    {
        "definition_id": st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True),
        "provider": st.sampled_from(["openai", "ollama", "embedded"]),
        "model_name": st.sampled_from(["m", "org/model:8b"]),
    },
    optional={
        "auth": st.sampled_from(
            [{"env_var": "A_KEY"}, {"none": True}, {"config_path": "secrets/key"}, {"vault": {"path": "p", "key": "k"}}]
        ),
        "interaction_models": st.lists(
            st.sampled_from(["conversational", "stateless_task", "both"]), min_size=1, max_size=2
        ),
        "base_config": configs,
        "cost_metrics": st.fixed_dictionaries({"currency": st.sampled_from(["USD", "EUR"])}, optional={"input_per_token": amounts}),
        "rate_limits": st.fixed_dictionaries({}, optional={"max_tokens_per_minute": counts, "max_requests_per_day": counts}),
        "status": st.sampled_from(["active", "disabled", "archived"]),
        "metadata": st.dictionaries(st.sampled_from(["teamName", "team_name"]), json_values, max_size=2),
    },
)  # fmt: skip


@given(definitions)
def test_camel_case_reads_as_snake_case_does(said: dict[str, Any]) -> None:
    assert read_definition(in_camel(said)) == read_definition(said)


@given(definitions)
def test_what_a_definition_shows_reads_back_as_itself(said: dict[str, Any]) -> None:
    made = read_definition(said)
    page = {name: value for name, value in made.shown().items() if value is not None}
    assert read_definition(page) == made


def test_the_settings_are_those_of_the_language() -> None:
    for ours, theirs in (
        (BaseConfig, models_agents.WorkerConfig),
        (CostMetrics, models_agents.CostMetrics),
        (RateLimits, models_agents.RateLimits),
    ):
        assert set(ours.__struct_fields__) == set(theirs.model_fields), ours
    assert set(WorkerDefinition.__struct_fields__) == {*models_agents.Worker.model_fields, "definition_id"}


def test_an_unknown_key_names_the_near_one() -> None:
    with pytest.raises(InvalidArgumentError, match="unknown key `rateLimit` in worker definition") as caught:
        read_definition({**LEAST, "rateLimit": {}})
    assert "rate_limits" in (caught.value.help or "")
    assert caught.value.kind == "invalid_argument"


def test_an_unknown_key_further_in_names_its_place() -> None:
    with pytest.raises(InvalidArgumentError, match="`max_request_per_day` in `rate_limits` of worker definition"):
        read_definition({**LEAST, "rate_limits": {"max_request_per_day": 1}})


def test_one_key_in_both_spellings_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="stands twice"):
        read_definition({**LEAST, "modelName": "other"})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"status": "sleeping"}, "status"),
        ({"rate_limits": {"max_requests_per_day": -1}}, "max_requests_per_day"),
        ({"cost_metrics": {"currency": "dollars"}}, "currency"),
        ({"auth": {"env_var": "A", "none": True}}, "exactly one"),
        ({"auth": {}}, "exactly one"),
        ({"base_config": {"temperature": 3}}, "temperature"),
        ({"interaction_models": []}, "interaction_models"),
        ({"default_file_contexts": ["../x"]}, "outside the project"),
        ({"provider": "opnai"}, "unknown provider"),
        ({"definition_id": "no spaces"}, "definition_id"),
    ],
)
def test_a_value_that_cannot_be_is_named(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        read_definition({**LEAST, **more})


def test_an_inline_key_is_never_shown() -> None:
    made = read_definition({**LEAST, "auth": {"inline": "canary-key-0123456789"}})
    assert "canary" not in f"{made!r} {made} {made.shown()}"
    assert made.as_worker()["auth"] == {"inline": "canary-key-0123456789"}  # the call itself needs it


def test_a_change_keeps_what_it_does_not_name_and_none_brings_the_default_back() -> None:
    before = read_definition(
        {**LEAST, "auth": {"inline": "secret-key-1"}, "capabilities": ["code"], "status": "disabled"}
    )
    after = changed(before, {"status": None, "capabilities": ["prose"]})
    assert (after.status, after.capabilities, after.auth) == ("active", ("prose",), before.auth)
    with pytest.raises(InvalidArgumentError, match="does not change"):
        changed(before, {"definition_id": "other"})


def test_overrides_win_over_the_base_config() -> None:
    made = worker(base_config={"temperature": 0.1, "max_tokens": 5})
    assert configured(made, {"max_tokens": 7}) == BaseConfig(temperature=0.1, max_tokens=7)
    with pytest.raises(InvalidArgumentError, match="unknown key `max_token` in settings"):
        configured(made, {"max_token": 7})


def test_a_definition_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        worker().status = "disabled"  # type: ignore[misc]
    assert msgspec.structs.replace(worker(), status="disabled").status == "disabled"


def test_the_short_forms_of_yaml_are_read_too() -> None:
    short = read_definition({**LEAST, "auth": "none", "interactionModels": "both"})
    assert short == read_definition({**LEAST, "auth": {"none": True}, "interaction_models": ["both"]})


def test_files_workers_and_providers_know_the_same_words_for_an_effort() -> None:
    for said in EFFORTS:
        assert models_agents.ModelSettings.model_validate({"reasoning_effort": said}).reasoning_effort == said
        assert msgspec.convert({"reasoning_effort": said}, BaseConfig).reasoning_effort == said
