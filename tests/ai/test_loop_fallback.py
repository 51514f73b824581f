"""Which model is asked when the agent's own cannot answer, and how long that one is left alone."""

from __future__ import annotations

from typing import Any

import pytest
from ai.world import World

from orchestrator.ai.record import read_session
from orchestrator.errors import NotFoundError, TaskError, UsageError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider, Turn

DOWN = ChatModelError("outage", "gone")


def with_fallback(*turns: Any, b: ScriptedModel, **how: Any) -> tuple[World, Any]:
    world = World(*turns, b=b)
    config = {"retries": 1, **how.pop("config", {})}
    return world, world.loop(config=config, fallback=how.pop("fallback", ["scripted/b"]), **how)


@pytest.mark.parametrize("type_", ["rate_limited", "overloaded", "outage", "timeout"])
async def test_after_its_retries_the_next_model_is_asked(type_: Any) -> None:
    error = ChatModelError(type_, "not now")
    b = ScriptedModel("B.")
    world, loop = with_fallback(error, error, b=b)
    told: list[str] = []
    got = await loop.ask("?", publish=lambda type, data: told.append(data.get("message", "")))
    assert (got.value, got.model, got.requests) == ("B.", "scripted/b", 3)
    assert len(world.model.requests) == 2
    assert f"scripted/m gives way to scripted/b ({type_}: not now)" in told


async def test_a_wrong_key_is_never_worked_around() -> None:
    b = ScriptedModel("B.")
    _, loop = with_fallback(ChatModelError("auth", "no such key"), b=b)
    with pytest.raises(TaskError) as caught:
        await loop.ask("?")
    assert caught.value.type == "auth"
    assert b.requests == []
    with pytest.raises(UsageError, match="may not hold `auth`"):
        with_fallback(b=b, fallback={"models": ["scripted/b"], "on": ["auth"]})


async def test_only_the_declared_errors_lead_there() -> None:
    refused = ChatModelError("refused", "no")
    b = ScriptedModel("B.")
    _, loop = with_fallback(refused, b=b, fallback={"models": ["scripted/b"], "on": ["refused"]})
    assert (await loop.ask("?")).value == "B."
    other = ScriptedModel("B.")
    _, strict = with_fallback(DOWN, DOWN, b=other, fallback={"models": ["scripted/b"], "on": ["refused"]})
    with pytest.raises(TaskError, match="gone"):
        await strict.ask("?")
    assert other.requests == []


async def test_a_stream_that_breaks_off_is_begun_again_with_the_next_model_and_its_text_stays_on_record() -> None:
    broken = Turn(text="Half an ans", error=DOWN)
    b = ScriptedModel("Whole.")
    world, loop = with_fallback(broken, b=b, config={"retries": 0})
    got = await loop.ask("?", key="k")
    assert got.value == "Whole."
    assert [m.text for m in b.requests[0].messages] == ["?"]
    calls = read_session(world.journal, "r1/agent/k").calls
    assert [(call.status, call.model) for call in calls] == [("failed", "scripted/m"), ("answered", "scripted/b")]


class PlainProvider(ScriptedProvider):
    """Knows no settings of its own."""

    name = "plain"
    settings = frozenset()
    takes_extra = False


async def test_the_next_model_gets_the_agents_settings_and_what_its_provider_does_not_know_is_said() -> None:
    world, plain = World(DOWN), ScriptedModel("P.")
    world.factory.pool._given["plain"] = PlainProvider({"p": plain})
    told: list[str] = []
    loop = world.loop(
        config={"retries": 0, "temperature": 0.3, "max_tokens": 9, "top_p": 0.5, "seed": 1},
        fallback=["plain/p"],
        instructions="Be kind.",
    )
    got = await loop.ask("?", publish=lambda type, data: told.append(data.get("message", "")))
    (asked,) = plain.requests
    assert got.model == "plain/p"
    assert (asked.temperature, asked.max_tokens, dict(asked.settings)) == (0.3, 9, {})
    assert asked.instructions == "Be kind."
    assert any("gives way to plain/p, which does not know `seed`, `top_p`" in text for text in told)


async def test_it_does_not_wait_long_for_a_model_if_there_is_another() -> None:
    b = ScriptedModel("B.")
    world, loop = with_fallback(ChatModelError("rate_limited", "later", retry_after=300.0), b=b)
    assert (await loop.ask("?")).model == "scripted/b"
    assert world.clock.slept == []


async def test_a_model_that_was_given_up_is_left_alone_for_its_cooldown_by_all_loops_of_the_agent() -> None:
    b = ScriptedModel("B.", "B again.", repeat_last=True)
    world, loop = with_fallback(
        DOWN, "M.", "M is back.", b=b, config={"retries": 0}, fallback={"models": ["scripted/b"], "cooldown": 30.0}
    )
    await loop.ask("1")
    how: dict[str, Any] = {"fallback": ["scripted/b"], "stream": "r1/agent/l"}
    second = world.loop(**how)
    assert (await second.ask("2")).model == "scripted/b"
    assert len(world.model.requests) == 1
    other_agent = world.loop("other", **{**how, "stream": "r1/agent/o"})
    assert (await other_agent.ask("3")).model == "scripted/m"
    world.clock.time += 31
    assert (await second.ask("4")).model == "scripted/m"


async def test_where_every_model_fails_the_last_failure_is_told() -> None:
    b = ScriptedModel(ChatModelError("overloaded", "B is full"))
    _, loop = with_fallback(DOWN, b=b, config={"retries": 0})
    with pytest.raises(TaskError, match="B is full") as caught:
        await loop.ask("?")
    assert caught.value.type == "overloaded"


async def test_asked_again_after_a_failure_it_begins_with_its_own_model() -> None:
    b = ScriptedModel(ChatModelError("overloaded", "B is full"))
    _, loop = with_fallback(DOWN, "M.", b=b, config={"retries": 0}, fallback={"models": ["scripted/b"], "cooldown": 0})
    with pytest.raises(TaskError):
        await loop.ask("?", key="k")
    assert (await loop.ask("?", key="k")).model == "scripted/m"
    assert len(b.requests) == 1


async def test_killed_after_a_fallback_the_next_process_goes_on_with_the_same_model() -> None:
    import asyncio

    gate = asyncio.Event()
    b = ScriptedModel(Turn(text="B.", gate=gate), "B at last.")
    world, loop = with_fallback(DOWN, b=b, config={"retries": 0})
    lost = asyncio.create_task(loop.ask("?", key="k"))
    await b.asked.wait()
    from ai.test_loop import _as_after_a_kill

    world.journal = _as_after_a_kill(world.journal)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    world.start()
    again = world.loop(config={"retries": 0}, fallback=["scripted/b"])
    got = await again.ask("?", key="k")
    assert (got.value, got.model) == ("B at last.", "scripted/b")
    assert len(world.model.requests) == 1


async def test_a_fallback_that_does_not_exist_is_an_error_before_anything_is_asked() -> None:
    world = World("M.")
    with pytest.raises(NotFoundError, match="nowhere"):
        world.loop(fallback=["nowhere/x"])
    with pytest.raises(UsageError, match="`fallback`"):
        world.loop(fallback=["gpt-5"])


async def test_a_fallback_without_its_key_is_an_error_before_the_run() -> None:
    from orchestrator.ai.readiness import check_agents
    from orchestrator.core.plan import Node, Plan, Scope, sealed
    from orchestrator.errors import CredentialsError

    agents = {"a": {"model": "embedded/writer", "fallback": {"models": ["openai/gpt-5-mini"]}}}
    node = Node(id="t", verb="agent", fields={"agent": "a", "prompt": "?"})
    plan = sealed(Plan(workflow="w.yaml", name="w", scopes=(Scope(nodes=(node,)),), agents=agents))
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY"):
        check_agents(plan, {})


async def test_delegates_hear_of_it() -> None:
    b = ScriptedModel("B.")
    _, loop = with_fallback(DOWN, b=b, config={"retries": 0})
    steps: list[dict[str, Any]] = []
    loop.delegate_manager.register("ai_processing_step", lambda sender, event_type, **payload: steps.append(payload))
    await loop.ask("?")
    (step,) = [step for step in steps if step["step_name"] == "fallback"]
    assert step["details"] == {
        "model": "scripted/b",
        "instead_of": "scripted/m",
        "error_type": "outage",
        "dropped": [],
    }
