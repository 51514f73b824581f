"""The harness of killed agents finds what it looks for: each planted bug breaks a promise that it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.agent_scenes import SCENES
from crash.agents_harness import AgentCrash, Stage
from crash.harness import BrokenPromiseError
from crash.model_service import model_service
from crash.nursery import Nursery
from crash.planted import BUGS

from orchestrator.core.budget import UNIT

TOOLS = SCENES[0]
FOUND = {
    "a request is sent before its record is durable": (["request 1 arrived 0"], "1 requests went out, 0 are on record"),
    "recorded answers are asked for again on resume": (["request 2 arrived 0"], "recorded turn .* is requested again"),
    "a lost call is refunded": (["request 3 midway 300", "request 2 midway 300"], "by the ledger, of a budget of"),
    "that a tool began is not recorded": (["tool middle"], "had 2 times what may be had but once"),
    "tools run before the answer that asked for them is durable": (["tool middle"], "had 2 times|requested again"),
    "lost calls are repeated for ever": (["request 2 arrived 0", *["request 1 sent 0"] * 2], "went out 3 times"),
}
"""Bug → the deaths that bring it to light, and what is said of it."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    nursery = Nursery()
    with model_service() as service:
        yield Stage(service, nursery, tmp_path_factory.mktemp("stage"))
    nursery.close()


@pytest.mark.parametrize("bug", [*BUGS])
@pytest.mark.timeout(120)
def test_a_planted_bug_is_found_and_the_same_deaths_without_it_are_survived(
    bug: str, stage: Stage, tmp_path: Path
) -> None:
    deaths, said = FOUND[bug]
    # Just enough for a run that loses nothing.
    budget = f"cost: ${stage.quiet(TOOLS).peak / UNIT:.12f}" if "refunded" in bug else ""
    for name in ("", bug):
        crash = AgentCrash(stage, TOOLS, 0, tmp_path / (name or "sound"), deaths=len(deaths), bug=name, budget=budget)
        if name:
            with pytest.raises(BrokenPromiseError, match=said):
                crash.go(deaths)
        else:
            crash.go(deaths)
            assert crash.kills
