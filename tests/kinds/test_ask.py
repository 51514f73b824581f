"""`ask` hands the engine a question with everything it needs to take an answer."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from orchestrator.ports.task_kind import Asking
from tests.kinds.conformance import NOW, KindConformance, World

SCHEMA = {"type": "object", "properties": {"approve": {"type": "boolean"}}, "required": ["approve"]}
ASK: dict[str, Any] = {"question": "Go on?", "schema": SCHEMA, "to": [], "show": None, "expires": None}


class TestAsk(KindConformance):
    verb = "ask"
    fields: ClassVar[dict[str, Any]] = {**ASK, "on_expired": "fail"}


async def test_a_plain_question_waits_for_ever(world: World) -> None:
    outcome = await world.perform("ask", {**ASK, "on_expired": "fail"})
    assert outcome == Asking(question="Go on?", schema=SCHEMA)


async def test_what_is_said_of_it_is_passed_on(world: World) -> None:
    more = {"to": ["ann"], "show": {"a": 1}, "expires": "4h", "on_expired": {"approve": False}}
    outcome = await world.perform("ask", {**ASK, **more})
    assert outcome == Asking(
        question="Go on?",
        schema=SCHEMA,
        to=["ann"],
        show={"a": 1},
        expires_at=NOW + 14_400,
        on_expired={"approve": False},
    )


@pytest.mark.parametrize(("given", "asked"), [(3, "3"), ({"a": 1}, '{"a":1}')])
async def test_a_question_that_is_no_text_is_asked_as_json(world: World, given: Any, asked: str) -> None:
    outcome = await world.perform("ask", {**ASK, "question": given})
    assert isinstance(outcome, Asking)
    assert outcome.question == asked


async def test_an_expiry_that_is_no_duration_is_invalid_input(world: World) -> None:
    error = await world.fail("ask", {**ASK, "expires": "tomorrow"})
    assert error.type == "invalid_input"
    assert str(error).startswith("`expires`: ")
