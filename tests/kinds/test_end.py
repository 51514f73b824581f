"""`end` says how the run ends, and why."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from orchestrator.ports.task_kind import Ending
from tests.kinds.conformance import KindConformance, World


class TestEnd(KindConformance):
    verb = "end"
    fields: ClassVar[dict[str, Any]] = {"status": "succeeded", "message": None}


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
async def test_the_run_ends_as_said(world: World, status: Any) -> None:
    assert await world.perform("end", {"status": status, "message": "so"}) == Ending(status=status, message="so")


async def test_a_message_that_is_no_text_is_told_as_json(world: World) -> None:
    assert await world.perform("end", {"status": "failed", "message": {"n": 1}}) == Ending(
        status="failed", message='{"n":1}'
    )
