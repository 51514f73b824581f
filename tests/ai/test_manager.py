from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ai.world import World

from orchestrator.ai import AILoop, AILoopConfig, AILoopFactory, AILoopManager
from orchestrator.ai.config import loop_config
from orchestrator.errors import CredentialsError, NotFoundError, TaskError, UsageError
from orchestrator.ports.chat_model import ProviderOptions, parse_model
from orchestrator.testing.scripted import ScriptedModel, ScriptedProvider, Turn


def manager(world: World) -> AILoopManager:
    return AILoopManager(world.factory)


async def test_a_loop_is_made_once_and_found_again() -> None:
    loops = manager(World("x"))
    one = loops.get_or_create_ai_loop("writer", {"model": "scripted/m"})
    assert loops.get_or_create_ai_loop("writer", {"model": "embedded/writer"}) is one
    assert loops.get_ai_loop("writer") is one
    assert isinstance(one, AILoop)


async def test_agents_have_loops_of_their_own_over_shared_connections() -> None:
    world = World("x")
    loops = manager(world)
    one = loops.get_or_create_ai_loop("one", {"model": "scripted/m"})
    two = loops.get_or_create_ai_loop("two", {"model": "scripted/m"})
    assert one is not two
    assert one.delegate_manager is not two.delegate_manager
    assert one._around.model is two._around.model


async def test_the_models_in_use_are_listed() -> None:
    loops = manager(World("x"))
    loops.get_or_create_ai_loop("b", {"model": "scripted/m"})
    loops.get_or_create_ai_loop("a", {"model": "embedded:writer"})
    assert loops.get_active_models() == {"a": "embedded:writer", "b": "scripted/m"}


async def test_a_removed_loop_is_stopped_and_a_changed_config_takes_effect_with_the_next() -> None:
    world = World(Turn(text="x", gate=asyncio.Event()))
    loops = manager(world)
    old = loops.get_or_create_ai_loop("a", {"model": "scripted/m"})
    asking = asyncio.create_task(old.ask("?"))
    await world.model.asked.wait()
    assert await loops.remove_ai_loop("a")
    with pytest.raises(TaskError, match="stopped"):
        await asking
    assert not await loops.remove_ai_loop("a")
    new = loops.get_or_create_ai_loop("a", {"model": "scripted/m", "temperature": 0.5})
    assert new.config.temperature == 0.5
    assert old.config.temperature is None


async def test_an_agent_without_a_loop_is_said_to_have_none() -> None:
    with pytest.raises(NotFoundError, match="agent 'ghost' has no loop"):
        manager(World()).get_ai_loop("ghost")


async def test_cleanup_closes_loops_and_connections_and_may_be_called_twice() -> None:
    world = World("x")
    loops = manager(world)
    loop = loops.get_or_create_ai_loop("a", {"model": "scripted/m"})
    await loop.ask("?")
    await loops.cleanup()
    await loops.cleanup()
    assert world.model.closed
    assert loops.get_active_models() == {}
    with pytest.raises(UsageError, match="closed"):
        await loop.ask("?")


async def test_a_thousand_loops_answer_at_once() -> None:
    gate = asyncio.Event()
    model = ScriptedModel(Turn(text="x", gate=gate), repeat_last=True)
    factory = AILoopFactory(environ={}, providers={"scripted": ScriptedProvider({"m": model})})
    loops = AILoopManager(factory)
    asking = [
        asyncio.create_task(loops.get_or_create_ai_loop(f"a{n}", {"model": "scripted/m"}).ask(f"q{n}"))
        for n in range(1000)
    ]
    await model.asked.wait()
    gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.value for answer in answers} == {"x"}
    assert sorted(r.messages[-1].text for r in model.requests) == sorted(f"q{n}" for n in range(1000))
    await loops.cleanup()


# Config


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("openai/gpt-5-mini", ("openai", "gpt-5-mini")),
        ("openai:gpt-5-mini", ("openai", "gpt-5-mini")),
        ("custom/meta/llama-3", ("custom", "meta/llama-3")),
        ("ollama:qwen3:8b", ("ollama", "qwen3:8b")),
        ("ollama/qwen3:8b", ("ollama", "qwen3:8b")),
    ],
)
def test_both_spellings_of_a_model_are_taken(text: str, parts: tuple[str, str]) -> None:
    assert parse_model(text) == parts


@pytest.mark.parametrize("text", ["", "gpt-5", "/gpt-5", "openai/", "openai:", ":x"])
def test_a_model_without_a_provider_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="provider/model"):
        parse_model(text)
    with pytest.raises(UsageError, match="provider/model"):
        AILoopConfig(model=text)


def test_a_config_keeps_what_it_was_given_and_sends_nothing_else() -> None:
    config = loop_config(
        {"model": "m/x", "temperature": 0, "max_tokens": 5, "timeout": "90s", "top_p": None, "seed": 3},
        frozenset({"seed", "top_p"}),
    )
    assert (config.temperature, config.max_tokens, config.timeout, config.settings) == (0, 5, 90.0, {"seed": 3})


@pytest.mark.parametrize(
    ("mapping", "message", "help"),
    [
        ({"model": "m/x", "temperatur": 1}, "unknown setting `temperatur`", "did you mean `temperature`?"),
        ({"model": "m/x", "tok_p": 1}, "unknown setting `tok_p`", "did you mean `top_p`?"),
        ({"model": "m/x", "extra": {"top": 1}}, "unknown setting `top`", None),
        ({"model": "m/x", "extra": 3}, "`extra` must be a mapping", None),
        ({"model": "m/x", "temperature": 3}, "between 0 and 2", None),
        ({"model": "m/x", "temperature": True}, "`temperature` must be a number", None),
        ({"model": "m/x", "max_tokens": 1.5}, "`max_tokens` must be a whole number", None),
        ({"model": "m/x", "timeout": "soon"}, "`timeout` must be a duration", "for example `90s`"),
        ({"model": "m/x", "timeout": 0}, "`timeout` must be at least", None),
        ({"temperature": 1}, "no model is named", None),
        ({"model": 7}, "`model` must be a text", None),
    ],
)
def test_a_config_that_cannot_be_says_what_is_wrong(mapping: dict[str, Any], message: str, help: str | None) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        loop_config(mapping, frozenset({"top_p"}))
    if help is not None:
        assert caught.value.help == help


async def test_the_factory_refuses_what_no_provider_can_answer() -> None:
    factory = AILoopFactory(environ={})
    with pytest.raises(NotFoundError, match="unknown model provider 'opnai'") as caught:
        factory.create("a", {"model": "opnai/x"})
    assert caught.value.help == "did you mean `openai`?"
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY"):
        factory.create("a", {"model": "openai/gpt-5-mini"})
    with pytest.raises(NotFoundError):
        factory.create("a", {"model": "scripted/nobody"})


def test_loops_with_the_same_key_and_address_share_one_connection_and_others_do_not() -> None:
    pool = AILoopFactory(environ={"A": "1", "B": "2", "OPENAI_API_KEY": "k"}).pool
    one = pool.open("openai", "x", pool.options({"auth": {"env_var": "A"}}))
    assert one is pool.open("openai", "y", pool.options({"auth": {"env_var": "A"}}))
    assert one is not pool.open("openai", "x", pool.options({"auth": {"env_var": "B"}}))
    assert one is not pool.open("openai", "x", pool.options())
    assert hash(ProviderOptions(environ={"A": "1"})) == hash(ProviderOptions(environ={"B": "2"}))
