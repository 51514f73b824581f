"""What would go on for ever, or would be too much together, is stopped before the request that goes too far: counted by the service."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash.agent_scenes import CONFIG, WORKER
from crash.model_service import Asked, Moment, Say, Service, model_service
from crash.nursery import Nursery

from orchestrator.core.budget import UNIT

PROCESSES = 3
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def nurseries() -> Iterator[list[Nursery]]:
    several = [Nursery() for _ in range(PROCESSES)]
    yield several
    for nursery in several:
        nursery.close()


@pytest.fixture
def service() -> Iterator[Service]:
    with model_service() as opened:
        yield opened


class Project:
    def __init__(self, folder: Path, service: Service, flow: str, more: str = "") -> None:
        self.folder = folder
        (folder / "workflows").mkdir()
        (folder / "config").mkdir()
        (folder / "config" / "whisper-flow.yaml").write_text(CONFIG)
        worker = WORKER.format(model="clerk", url=service.url).rstrip() + f"\n{more}"
        (folder / "workflows" / "x.yaml").write_text(f"name: x\nworkers:\n{worker}{flow}")

    def begin(self, nursery: Nursery, *argv: str) -> Path:
        out = self.folder / f"told {id(nursery)}.log"
        env = {**os.environ, "WHISPER_FLOW_STATE": str(self.folder / "state"), "NO_PROXY": "127.0.0.1"}
        nursery.begin([*(argv or ("run", "workflows/x.yaml", "--no-ask"))], cwd=self.folder, env=env, out=out)
        return out

    def run(self, nursery: Nursery) -> tuple[int | None, str]:
        out = self.begin(nursery)
        return nursery.ended(PATIENCE_S), out.read_text()


def calls(asked: Asked, word: str, end: str) -> Say:
    """For ever: the first tool whose name begins so."""
    name = next((name for name in asked.tools if name.startswith(end)), None)
    return Say("Enough.") if name is None else Say("", [(name, {word: f"again {asked.mark}"})])


def cost_of(service: Service) -> int:
    return sum(request.cost for request in service.requests)


PING_PONG = """\
budget: {{{limit}}}
agents:
  ping: {{worker: clerk, {verb}: [pong], description: Pings, ai_config: {{max_turns: 1000}}}}
  pong: {{worker: clerk, {verb}: [ping], description: Pongs, ai_config: {{max_turns: 1000}}}}
tasks: {{t: {{agent: ping, prompt: Go}}}}
"""


LIMITS = {
    "turns: 9": lambda service: len(service.requests) / 9,
    "cost: $20": lambda service: cost_of(service) / (20 * UNIT),
    "tokens: 20k": lambda service: sum(request.tokens for request in service.requests) / 20_000,
}
"""Limit → which share of it the service has seen."""


@pytest.mark.parametrize("verb", ["sub_agents", "handoffs"])
@pytest.mark.parametrize("limit", [*LIMITS])
def test_agents_that_call_or_hand_over_to_each_other_for_ever_are_stopped(
    verb: str, limit: str, service: Service, nurseries: list[Nursery], tmp_path: Path
) -> None:
    word, end = ("prompt", "ask_") if verb == "sub_agents" else ("message", "transfer_")
    service.forget(lambda asked: calls(asked, word, end))
    project = Project(tmp_path, service, PING_PONG.format(verb=verb, limit=limit))
    status, told = project.run(nurseries[0])
    assert status == 6, told
    assert "budget" in told
    assert len(service.requests) > 3
    assert LIMITS[limit](service) <= 1


RESETS = """\
budget: {turns: 11}
agents: {one: {worker: clerk, budget: {turns: 2}}}
tasks:
  each:
    foreach: range(20)
    max_parallel: 4
    on_item_error: collect
    budget: {turns: 3}
    loop: {times: 5}
    tasks:
      ask: {agent: one, prompt: 'Item ${{ item }} round ${{ round }}'}
"""


def test_sub_tasks_that_begin_to_count_anew_draw_on_the_run_all_the_same(
    service: Service, nurseries: list[Nursery], tmp_path: Path
) -> None:
    service.forget(lambda asked: Say("Yes."))
    _, told = Project(tmp_path, service, RESETS).run(nurseries[0])
    assert len(service.requests) == 11, told
    assert "budget" in told


DAY = """\
budget: {cost_per_day: $LIMIT}
agents: {one: {worker: clerk}}
tasks: {t: {foreach: range(6), max_parallel: 2, on_item_error: collect, agent: one, prompt: 'Item ${{ item }} of ${{ run.id }}'}}
"""


def all_ended(nurseries: list[Nursery]) -> list[int | None]:
    ended: list[Any] = [None] * len(nurseries)

    def wait(at: int) -> None:
        ended[at] = nurseries[at].ended(PATIENCE_S)

    waiting = [threading.Thread(target=wait, args=(at,)) for at in range(len(nurseries))]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    return ended


@pytest.mark.parametrize("killed", [False, True], ids=["in peace", "one of them killed"])
def test_processes_side_by_side_stay_within_a_day(
    killed: bool, service: Service, nurseries: list[Nursery], tmp_path: Path
) -> None:
    service.forget(lambda asked: Say("Yes."))
    project = Project(tmp_path, service, DAY.replace("LIMIT", "3.00"))
    if killed:
        service.new_life(Moment(3, "midway", 100), nurseries[0].kill)
    told = [project.begin(nursery) for nursery in nurseries]
    ended = all_ended(nurseries)
    if killed:
        assert -9 in ended
        project.begin(nurseries[0], "resume", "@last", "--no-ask")
        assert nurseries[0].ended(PATIENCE_S) is not None
    limit, spent = 3 * UNIT, cost_of(service)
    texts = [out.read_text() for out in told]
    assert spent <= limit, texts
    assert len(service.requests) > 3, texts
    before = len(service.requests)
    # What is left is less than one more may come to.
    status, last = project.run(nurseries[0])
    assert len(service.requests) == before or status == 0, last
    assert cost_of(service) <= limit


RATES = """\
agents: {one: {worker: clerk}}
tasks: {t: {foreach: range(3), on_item_error: collect, agent: one, prompt: 'Item ${{ item }} of ${{ run.id }}', timeout: 20s}}
"""


def test_a_minutes_requests_hold_across_processes_and_their_deaths(
    service: Service, nurseries: list[Nursery], tmp_path: Path
) -> None:
    service.forget(lambda asked: Say("Yes."))
    project = Project(tmp_path, service, RATES, more="    rate_limits: {max_requests_per_minute: 4}\n")
    service.new_life(Moment(2, "midway", 100), nurseries[0].kill)
    told = [project.begin(nursery) for nursery in nurseries]
    all_ended(nurseries)
    project.begin(nurseries[0], "resume", "@last", "--no-ask")
    nurseries[0].ended(PATIENCE_S)
    # One that died while it was being sent counts as sent.
    assert 3 <= len(service.requests) <= 4, [out.read_text() for out in told]
