"""Conversations in virtual time, killed at any commit: thousands of histories in seconds, and bugs that they must find."""

from __future__ import annotations

import os

import pytest
from crash.harness import BrokenPromiseError
from crash.planted import BUGS
from crash.session_world import SessionWorld
from sizes import size

from orchestrator.ai import drive
from orchestrator.core.session_evolve import PHASE_TABLE

DEATHS = 6
RARE = {"ExchangeUndone"}
"""What no task does by itself."""
SEEDS_TO_FIND_A_BUG = 1_000


@pytest.fixture(autouse=True)
def _time_is_virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not decide what is committed when: a seed is one history."""
    monkeypatch.setattr(drive, "AT_ONCE_S", 3600.0)


async def run_all(seeds: range) -> tuple[int, set[str]]:
    """How many deaths there were, and which kinds of events."""
    kills, seen = 0, set[str]()
    for seed in seeds:
        world = SessionWorld(seed, deaths=DEATHS)
        await world.run()
        kills += world.kills
        seen |= world.seen
    return kills, seen


async def test_conversations_keep_every_promise_whenever_their_driver_dies(pytestconfig: pytest.Config) -> None:
    """`WHISPER_FLOW_FIRST_SEED` goes on where an earlier series ended."""
    first = int(os.environ.get("WHISPER_FLOW_FIRST_SEED", "0"))
    kills, seen = await run_all(range(first, first + size(pytestconfig, here=300, ci=3_000, release=100_000)))
    assert kills
    assert seen >= {event.__name__ for event in PHASE_TABLE} - RARE


@pytest.mark.parametrize("bug", [*BUGS])
async def test_the_simulation_finds_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[bug](monkeypatch.setattr)
    with pytest.raises(BrokenPromiseError):
        await run_all(range(SEEDS_TO_FIND_A_BUG))
