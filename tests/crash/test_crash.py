"""kill -9 at random moments of a real run: what was recorded stays, nothing is done twice that must not be, nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from crash.harness import Crash

KILLS_CI = 100
KILLS_RELEASE = 2_000
SHARDS = 4


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(7200)
def test_a_killed_run_keeps_every_promise(shard: int, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`WHISPER_FLOW_FIRST_SEED` goes on where an earlier series ended."""
    wanted = (KILLS_RELEASE if pytestconfig.getoption("release") else KILLS_CI) // SHARDS
    first = int(os.environ.get("WHISPER_FLOW_FIRST_SEED", "0"))
    kills, seed = 0, first + shard
    while kills < wanted:
        crash = Crash(seed, tmp_path / str(seed))
        crash.go()
        kills += crash.kills
        seed += SHARDS
