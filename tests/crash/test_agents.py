"""kill -9 of runs whose agents use tools, ask each other, hand over, fall back, forget, ask people: every promise is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.agents_harness import Stage, crash_of
from crash.model_service import model_service
from crash.nursery import Nursery
from sizes import size

SHARDS = 2


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    nursery = Nursery()
    with model_service() as service:
        yield Stage(service, nursery, tmp_path_factory.mktemp("stage"))
    nursery.close()


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(7200)
def test_killed_runs_of_agents_keep_every_promise(
    shard: int, stage: Stage, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """`WHISPER_FLOW_FIRST_SEED` goes on where an earlier series ended."""
    wanted = size(pytestconfig, here=20, ci=80, release=2_000) // SHARDS
    kills, seed = 0, int(os.environ.get("WHISPER_FLOW_FIRST_SEED", "0")) + shard
    while kills < wanted:
        crash, first = crash_of(stage, seed, tmp_path / str(seed))
        crash.go(first)
        shutil.rmtree(crash.folder)
        kills += crash.kills
        seed += SHARDS
