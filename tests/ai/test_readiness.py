from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from orchestrator.ai.readiness import check_agents, models_asked, preload
from orchestrator.core.plan import Node, Plan, Scope
from orchestrator.errors import CredentialsError, UsageError
from orchestrator.providers._live import LiveProvider


def a_plan(*tasks: dict[str, Any], **known: Any) -> Plan:
    nodes = tuple(Node(id=f"t{n}", verb="agent", fields={"prompt": "?", **fields}) for n, fields in enumerate(tasks))
    return Plan(workflow="w.yaml", name="w", scopes=(Scope(nodes=nodes),), **known)


LIVE = {"live": {"model": "openai/gpt-5-mini"}, "small": {"model": "embedded/writer"}}


def test_a_missing_key_stops_the_run_before_it_starts_and_is_named() -> None:
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY") as caught:
        check_agents(a_plan({"agent": "live"}, agents=LIVE), {})
    assert caught.value.exit_code == 4
    check_agents(a_plan({"agent": "live"}, agents=LIVE), {"OPENAI_API_KEY": "k"})


def test_every_missing_key_is_named_once() -> None:
    workers = {"w": {"provider": "openai", "model_name": "m", "auth": {"env_var": "TEAM_KEY"}}}
    plan = a_plan(
        {"agent": "live"},
        {"agent": "live"},
        {"agent": "ours"},
        agents={**LIVE, "ours": {"worker": "w"}},
        workers=workers,
    )
    with pytest.raises(CredentialsError) as caught:
        check_agents(plan, {})
    assert caught.value.message.count("OPENAI_API_KEY") == caught.value.message.count("TEAM_KEY") == 1


def test_an_agent_nobody_asks_may_lack_its_key() -> None:
    check_agents(a_plan({"agent": "small"}, agents=LIVE), {})


def test_a_task_that_asks_any_agent_needs_all_keys() -> None:
    with pytest.raises(CredentialsError):
        check_agents(a_plan({"agent": "${{ who }}"}, agents=LIVE), {})


def test_a_tasks_own_model_counts_instead_of_its_agents() -> None:
    check_agents(a_plan({"agent": "live", "model": "embedded/critic"}, agents=LIVE), {})


def test_the_workflows_it_calls_count_as_well() -> None:
    child = a_plan({"agent": "live"}, agents=LIVE)
    parent = a_plan({"agent": "small"}, agents=LIVE, children={"child.yaml": child})
    assert {asked.model for asked in models_asked(parent)} == {"embedded/writer", "openai/gpt-5-mini"}


@pytest.mark.parametrize("model", ["opnai/x", "embedded/novelist", "gpt-5"])
def test_a_model_nobody_has_is_an_error_that_names_the_agent(model: str) -> None:
    with pytest.raises(UsageError, match="agent `a`"):
        check_agents(a_plan({"agent": "a"}, agents={"a": {"model": model}}), {})


def test_what_a_live_model_needs_is_imported_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()
    monkeypatch.setattr(LiveProvider, "preload", lambda self: loaded.set())
    preload(a_plan({"agent": "live"}, agents=LIVE))
    assert loaded.wait(5)


def test_checking_imports_no_sdk() -> None:
    code = """
import sys
from orchestrator.ai.readiness import check_agents, preload
from orchestrator.core.plan import Node, Plan, Scope
agents = {"a": {"model": "openai/gpt-5-mini"}, "b": {"model": "embedded/writer"}}
node = Node(id="t", verb="agent", fields={"agent": "${{ x }}"})
check_agents(Plan(workflow="w", name="w", scopes=(Scope(nodes=(node,)),), agents=agents), {"OPENAI_API_KEY": "k"})
assert not {"pydantic_ai", "pydantic", "openai", "httpx", "httpx2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
