"""`whisper-flow workers` and `costs`, as a person and a program use them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from orchestrator.cli.commands.costs import instant_of
from orchestrator.cli.worker_pages import spent_text
from orchestrator.errors import UsageError
from tests.cli.conftest import Project

WORKERS = """\
# ours
quick:
  provider: embedded
  model_name: writer
  interaction_models: both
  capabilities: [prose]
  rate_limits: {max_requests_per_minute: 60, max_tokens_per_minute: 200k}
live: {provider: openai, model_name: gpt-5-mini, auth: {env_var: LIVE_KEY}, cost_metrics: {input_per_token: 0.000001}}
"""
FLOW = """\
name: flow
agents:
  a: {worker: quick, instructions: Write notes.}
tasks:
  note: {agent: a, prompt: A note on bridges}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    (tmp_path / "config" / "workers").mkdir(parents=True)
    (tmp_path / "config" / "workers" / "ours.yaml").write_text(WORKERS)
    return made


def test_the_list_says_key_price_limits_and_performance(project: Project) -> None:
    ran = project.call("workers")
    live = next(line for line in ran.out.splitlines() if line.startswith("live"))
    assert "openai/gpt-5-mini" in live
    assert "Not Found" in live
    assert "$1.00 / unknown" in live
    assert "60 req/min, 200.0k tok/min" in ran.out
    page = project.call("workers", "--json", "--can", "prose", env={"LIVE_KEY": "canary-key-1"}).json
    (row,) = page["workers"]
    assert page["schema"] == "whisper-flow/workers/1"
    assert (row["definition_id"], row["declared_in"]) == ("quick", "config/workers/ours.yaml:2")
    assert row["performance"]["total_tasks_attempted"] == 0
    assert not (project.folder / ".whisper-flow").exists()  # looking makes no folders


def test_a_key_is_found_and_never_shown(project: Project) -> None:
    for words in (["workers"], ["workers", "show", "live"], ["workers", "show", "live", "--json"]):
        ran = project.call(*words, env={"LIVE_KEY": "canary-key-0123456789"})
        assert "Found" in ran.out
        assert "canary" not in ran.out + ran.err


def test_a_worker_nobody_knows_is_a_usage_error_with_a_near_name(project: Project) -> None:
    ran = project.call("workers", "show", "quik", expect=2)
    assert "no worker is called 'quik'" in ran.err
    assert "quick" in ran.err


def test_a_single_call_is_answered_and_on_record(project: Project) -> None:
    ran = project.call("workers", "run", "quick", "-", stdin="A note on bridges")
    assert ran.out.strip()
    assert "embedded/writer" in ran.err
    page = project.call("workers", "performance", "quick", "--json").json
    (record,) = page["records"]
    assert record["instance_id"].startswith("stateless-")
    assert record["cost_incurred"] == 0
    assert "quick" in project.call("workers", "performance", "--success").out
    assert "nothing on record fits" in project.call("workers", "performance", "--failure").err
    assert project.call("runs", "--json").json["runs"] == []  # it is no run


def test_a_worker_that_is_off_is_not_asked_by_anybody(project: Project) -> None:
    project.call("workers", "disable", "quick")
    ran = project.call("workers", "run", "quick", "Hi", expect=1)
    assert "'quick' is disabled" in ran.err
    assert "workers enable quick" in ran.err
    flow = project.write("flow", FLOW)
    ran = project.call("run", flow, expect=3)
    assert "WF502" in ran.err
    project.call("workers", "enable", "quick")
    project.call("run", flow, "--progress", "none")


def test_a_worker_without_its_key_is_not_asked(project: Project) -> None:
    project.call("workers", "update", "live", "interaction_models=both")
    ran = project.call("workers", "run", "live", "Hi", expect=4)
    assert "LIVE_KEY" in ran.err


def test_a_limit_holds_from_one_process_to_the_next_and_says_how_long(project: Project) -> None:
    project.call("workers", "update", "quick", "rate_limits={max_requests_per_minute: 1}")
    project.call("workers", "run", "quick", "A note on bridges")
    ran = project.call("workers", "run", "quick", "A note on bridges", expect=6)
    assert "limits of worker 'quick' are used up for another" in ran.err
    assert len(project.call("workers", "performance", "quick", "--json").json["records"]) == 1


def test_a_worker_is_added_changed_and_removed_in_files(project: Project) -> None:
    project.call(
        "workers", "add", "new", "ollama/qwen3:8b", "capabilities=[code, prose]", "rate_limits={max_tokens_per_day: 1M}"
    )
    (row,) = project.call("workers", "--json", "--can", "code").json["workers"]
    assert (row["model_name"], row["rate_limits"]) == ("qwen3:8b", {"max_tokens_per_day": 1_000_000})
    project.call("workers", "update", "new", "description=It codes: well, mostly", "rate_limits=")
    (row,) = project.call("workers", "--json", "--can", "code").json["workers"]
    assert (row["description"], row["rate_limits"]) == ("It codes: well, mostly", {})
    bad = project.call("workers", "update", "new", "stats=1", expect=2)
    assert "did you mean `status`" in bad.err
    inline = project.call("workers", "update", "new", "auth={inline: sk-not-for-ps}", expect=2)
    assert "not given on a command line" in inline.err
    assert "sk-not-for-ps" not in inline.err
    project.call("workers", "remove", "new")
    assert not (project.folder / "config" / "workers" / "new.yaml").exists()


def test_what_is_saved_is_loaded_elsewhere(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    project.call("workers", "run", "quick", "A note on bridges")
    project.call("workers", "save", "out")
    names = ["ai_worker_definitions.json", "ai_worker_performance_data.json"]
    assert sorted(path.name for path in (project.folder / "out").iterdir()) == names
    rows = json.loads((project.folder / "out" / names[0]).read_text())
    assert [row["definition_id"] for row in rows] == ["live", "quick"]
    other = Project(tmp_path_factory.mktemp("other"))
    other.call("workers", "load", str(project.folder / "out"))
    listed = {row["definition_id"]: row for row in other.call("workers", "--json").json["workers"]}
    assert listed["quick"]["performance"]["successful_tasks"] == 1
    assert listed["quick"]["declared_in"] is None
    other.call("workers", "update", "quick", "rate_limits={max_tokens_per_day: 1k}", "base_config={timeout: 90s}")
    (row,) = other.call("workers", "--json", "--can", "prose").json["workers"]
    assert (row["rate_limits"], row["base_config"]) == ({"max_tokens_per_day": 1000}, {"timeout": 90.0})
    other.call("workers", "remove", "quick")
    assert [one["definition_id"] for one in other.call("workers", "--json").json["workers"]] == ["live"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (other.folder / ".whisper-flow" / "workers").iterdir())


def test_costs_tell_what_is_no_money_from_what_is_unknown(project: Project) -> None:
    assert "no runs here yet" in project.call("costs").err
    project.call("run", project.write("flow", FLOW), "--progress", "none")
    ran = project.call("costs", "--by", "worker")
    assert "quick" in ran.out
    assert "not an AI model" in ran.out
    page = project.call("costs", "--by", "task", "--since", "1h", "--json").json
    assert page["groups"][0]["name"] == "workflows/flow.yaml note"
    assert (page["total"]["requests"], page["total"]["costs"], page["total"]["synthetic_requests"]) == (1, {}, 1)
    assert "no model was asked since" in project.call("costs", "--since", "2999-01-01").err
    assert project.call("costs", "--since", "soon", expect=2).err
    assert (
        project.call("workers", "performance", "--task", "note", "--json").json["records"][0]["definition_id"]
        == "quick"
    )


def test_the_shape_of_costs_does_not_hide_the_unknown() -> None:
    from decimal import Decimal

    assert spent_text({"USD": Decimal("0.031")}, 0) == "$0.031"
    assert (
        spent_text({"USD": Decimal("0.031")}, 2, {"USD": Decimal("0.2")}) == "$0.031 + 2 unknown (some at most $0.20)"
    )
    assert spent_text({}, 1) == "1 unknown"
    assert spent_text({"EUR": Decimal(1), "USD": Decimal(2)}, 0) == "€1.00 + $2.00"


def test_since_takes_durations_dates_and_instants() -> None:
    assert instant_of("24h", now=100_000.0) == 100_000.0 - 86_400
    assert instant_of("1970-01-02") == 86_400
    assert instant_of("1970-01-01T01:00:00+01:00") == 0
    assert instant_of("1m") == pytest.approx(time.time() - 60, abs=5)
    with pytest.raises(UsageError):
        instant_of("24")


def test_a_worker_that_only_agents_tools_ask_counts_as_used(project: Project) -> None:
    flow = """
    name: supervised
    workers: {notes: {provider: embedded, model_name: writer, interaction_models: both}}
    agents: {lead: {model: embedded/tool-caller, tools: [TOOLS]}}
    tasks: {a: {agent: lead, prompt: Say what there is}}
    """
    used = project.write("used", flow.replace("TOOLS", "'workers.*'"))
    unused = project.write("unused", flow.replace("TOOLS", "'files.*'"))
    assert "WF505" not in project.call("validate", used).out
    assert "WF505" in project.call("validate", unused).out
