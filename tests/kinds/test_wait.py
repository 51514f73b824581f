"""`wait` for a duration says until when."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from orchestrator.ports.task_kind import Sleeping
from tests.kinds.conformance import NOW, KindConformance, World


class TestWait(KindConformance):
    verb = "wait"
    fields: ClassVar[dict[str, Any]] = {"for": 90.0}


@pytest.mark.parametrize(("given", "seconds"), [(90.0, 90.0), (0, 0.0), ("1m30s", 90.0), ("PT2S", 2.0)])
async def test_it_sleeps_for_the_duration(world: World, given: Any, seconds: float) -> None:
    outcome = await world.perform("wait", {"for": given})
    assert outcome == Sleeping(until=NOW + seconds, value={"kind": "for", "seconds": seconds})


@pytest.mark.parametrize("given", ["90", "soon", True, None, -1, float("inf"), float("nan"), [], {}])
async def test_what_is_no_duration_is_invalid_input(world: World, given: Any) -> None:
    error = await world.fail("wait", {"for": given})
    assert error.type == "invalid_input"
    assert str(error).startswith("`wait`: ")


async def test_other_matchers_are_refused(world: World) -> None:
    assert (await world.fail("wait", {"matchers": [{"event": "x"}], "expires": None})).type == "internal"
