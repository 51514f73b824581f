"""`Sessions` as an agent task uses it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from ai.world import World
from providers.wire_server import text_reply, wire_server

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.ledger import paid_calls
from orchestrator.ai.sessions import AgentSessions
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.ports.secret_source import Looked, Secret
from orchestrator.testing.scripted import ScriptedModel, Turn
from orchestrator.workers import keys

VERDICT = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


async def test_an_agent_task_gets_its_answer_with_what_it_used() -> None:
    world = World(Turn(text="Hello.", chunk=3))
    got = await world.sessions().run_turns(world.call())
    assert (got.value, got.text, got.model) == ("Hello.", "Hello.", "scripted/m")
    assert got.usage == {"input_tokens": 10, "output_tokens": 5, "requests": 1, "unpriced": 1}
    assert got.cost is None, "nobody knows the price of this model, and that is not 0"
    assert (got.cost, got.synthetic, got.turns, got.finish) == (None, False, 1, "stop")
    assert "".join(data["text"] for data in world.said("chunk")) == "Hello."
    assert {data["agent"] for data in world.said("chunk")} == {"writer"}


async def test_embedded_models_are_labelled_and_cost_nothing() -> None:
    world = World()
    got = await world.sessions().run_turns(world.call(agent={"model": "embedded/writer"}, prompt="A note on bridges"))
    assert got.synthetic
    assert got.cost is None
    assert got.usage["output_tokens"] > 0


async def test_asked_again_with_the_same_key_it_is_not_paid_again() -> None:
    world = World("Hello.")
    first = await world.sessions().run_turns(world.call())
    world.start()
    assert await world.sessions().run_turns(world.call()) == first
    assert len(world.model.requests) == 1


async def test_tasks_without_a_session_share_nothing() -> None:
    world = World("One.", "Two.")
    sessions = world.sessions()
    await sessions.run_turns(world.call(key="a"))
    await sessions.run_turns(world.call(key="b"))
    assert [len(request.messages) for request in world.model.requests] == [1, 1]


async def test_tasks_of_one_session_talk_on_also_with_another_agent() -> None:
    world = World("One.", other=ScriptedModel("Two."))
    sessions = world.sessions()
    await sessions.run_turns(world.call(key="a", session="s", prompt="first"))
    second = {"model": "scripted/other", "instructions": "You are the other."}
    await sessions.run_turns(world.call(key="b", session="s", prompt="second", agent=second, agent_id="other"))
    request = world.models["other"].requests[0]
    assert [m.text for m in request.messages] == ["first", "One.", "second"]
    assert request.instructions == "You are the other."


async def test_the_nearest_model_and_setting_wins() -> None:
    world = World("x", near=ScriptedModel("y"))
    agent = {"worker": "w", "ai_config": {"temperature": 0.3}}
    worker = {
        "provider": "scripted",
        "model_name": "m",
        "base_config": {"temperature": 0.9, "max_tokens": 50, "extra": {"a": 1}},
    }
    sessions = world.sessions()
    await sessions.run_turns(world.call(agent=agent, worker=worker, key="a"))
    sent = world.model.requests[0]
    assert (sent.temperature, sent.max_tokens, dict(sent.settings)) == (0.3, 50, {"extra": {"a": 1}})
    await sessions.run_turns(world.call(agent=agent, worker=worker, model="scripted:near", key="b"))
    assert len(world.models["near"].requests) == 1


async def test_instructions_of_the_task_are_added_to_the_agents() -> None:
    world = World("x")
    agent = {"model": "scripted/m", "instructions": "Be kind."}
    await world.sessions().run_turns(world.call(agent=agent, instructions="Be brief."))
    assert world.model.requests[0].instructions == "Be kind.\n\nBe brief."


@pytest.mark.parametrize(
    ("agent", "type_", "message"),
    [
        ({}, "invalid_input", "model"),
        ({"model": "gpt-5"}, "invalid_input", "provider/model"),
        ({"model": "opnai/gpt-5"}, "invalid_input", "unknown model provider 'opnai'"),
        ({"model": "embedded/novelist"}, "invalid_input", "no model embedded/novelist"),
        ({"model": "scripted/m", "ai_config": {"temprature": 1}}, "invalid_input", "unknown setting `temprature`"),
        (
            {"model": "scripted/m", "ai_config": {"temperature": "hot"}},
            "invalid_input",
            "`temperature` must be a number",
        ),
        ({"model": "scripted/m", "ai_config": {"max_tokens": 0}}, "invalid_input", "`max_tokens` must be at least 1"),
        ({"model": "openai/gpt-5-mini"}, "auth", "OPENAI_API_KEY"),
    ],
)
async def test_an_agent_that_cannot_be_asked_says_why(agent: dict[str, Any], type_: str, message: str) -> None:
    world = World()
    with pytest.raises(TaskError, match=message) as caught:
        await world.sessions().run_turns(world.call(agent=agent))
    assert caught.value.type == type_


async def test_a_retried_task_goes_on_where_its_conversation_stands() -> None:
    world = World(ChatModelError("auth", "no key"), "Hello.")
    sessions = world.sessions()
    with pytest.raises(TaskError) as caught:
        await sessions.run_turns(world.call())
    assert caught.value.meta["model"] == "scripted/m"
    assert (await sessions.run_turns(world.call())).value == "Hello."
    assert [len(request.messages) for request in world.model.requests] == [1, 1]


async def test_files_of_the_project_go_along_and_none_from_outside(tmp_path: Any) -> None:
    (tmp_path / "notes.md").write_text("# Notes")
    (tmp_path / "pic.png").write_bytes(b"\x89PNG")
    (tmp_path / "link").symlink_to("/etc/passwd")
    world = World("Thanks.")
    sessions = world.sessions()
    await sessions.run_turns(world.call(files=["notes.md", {"path": "pic.png"}], project=tmp_path))
    text, notes, picture = world.model.requests[0].messages[0].parts
    assert (notes.name, notes.data) == ("notes.md", b"# Notes")  # type: ignore[union-attr]
    assert picture.media_type == "image/png"  # type: ignore[union-attr]
    assert text.text == "Hello?"  # type: ignore[union-attr]
    for bad in ("link", "../x", "missing.txt", 7):
        with pytest.raises(TaskError) as caught:
            await sessions.run_turns(world.call(files=[bad], project=tmp_path, key=str(bad)))
        assert caught.value.type == "invalid_input"


async def test_a_stored_file_is_sent_by_its_hash() -> None:
    world = World("Thanks.")
    digest = world.journal.put_blob(b"stored words")
    stored = {"path": "out/a.txt", "name": "a.txt", "size": 12, "media_type": "text/plain", "sha256": digest}
    await world.sessions().run_turns(world.call(files=[stored]))
    part: Any = world.model.requests[0].messages[0].parts[1]
    assert (part.name, part.data) == ("a.txt", b"stored words")


async def test_a_conversation_is_forgotten_when_its_last_user_is_done() -> None:
    world = World("x")
    sessions = world.sessions()
    await sessions.run_turns(world.call())
    assert sessions.manager.get_active_models() == {}


async def test_while_it_runs_the_manager_knows_which_model_is_asked() -> None:
    gate = asyncio.Event()
    world = World(Turn(text="x", gate=gate))
    sessions = world.sessions()
    asking = asyncio.create_task(sessions.run_turns(world.call()))
    await world.model.asked.wait()
    assert sessions.manager.get_active_models() == {"r1/agent/t:1": "scripted/m"}
    gate.set()
    await asking


async def test_closing_ends_what_runs_and_releases_connections() -> None:
    world = World(Turn(text="x", gate=asyncio.Event()))
    sessions = world.sessions()
    asking = asyncio.create_task(sessions.run_turns(world.call()))
    await world.model.asked.wait()
    await sessions.close()
    with pytest.raises(TaskError, match="stopped"):
        await asking
    assert world.model.closed


async def test_the_ledger_tells_every_request_and_what_became_of_it() -> None:
    world = World(ChatModelError("overloaded", "later", charged=False), Turn(text="cut", ends_early=True), "Hello.")
    await world.sessions().run_turns(world.call())
    rows = paid_calls(world.journal, "r1")
    assert [(row.number, row.status, row.error, row.charged) for row in rows] == [
        (1, "failed", "overloaded", False),
        (2, "failed", "outage", True),
        (3, "answered", "", True),
    ]
    assert {row.conversation for row in rows} == {"r1/agent/t:1"}
    assert rows[2].input_tokens == 10


async def test_live_agents_with_their_own_keys_and_prices_at_once() -> None:
    async with wire_server(text_reply("from one")) as one, wire_server(text_reply("from two")) as two:
        factory = AILoopFactory(environ={"KEY_ONE": "k-1", "KEY_TWO": "k-2"})
        sessions = AgentSessions(factory)

        def worker(key: str, url: str) -> dict[str, Any]:
            metrics = {"currency": "EUR", "input_per_million": 1_000_000, "output_per_million": 2_000_000}
            base = {"base_url": url}
            return {
                "provider": "custom",
                "model_name": key,
                "auth": {"env_var": key},
                "base_config": base,
                "cost_metrics": metrics,
            }

        world = World()
        calls = [
            world.call(agent={"ai_config": {"temperature": t}}, worker=worker(key, url), key=f"{key}{n}")
            for t, key, url in ((0.1, "KEY_ONE", one.url), (0.9, "KEY_TWO", two.url))
            for n in range(3)
        ]
        got = await asyncio.gather(*(sessions.run_turns(call) for call in calls))
        await sessions.close()
    assert [answer.value for answer in got] == ["from one"] * 3 + ["from two"] * 3
    assert {(r.headers["authorization"], r.body["temperature"], r.body["model"]) for r in one.received} == {
        ("Bearer k-1", 0.1, "KEY_ONE")
    }
    assert {(r.headers["authorization"], r.body["temperature"], r.body["model"]) for r in two.received} == {
        ("Bearer k-2", 0.9, "KEY_TWO")
    }
    assert got[0].cost == 21 * 1 + 7 * 2


async def test_a_known_model_has_its_public_price_and_an_unknown_one_none() -> None:
    async with wire_server(text_reply("x")) as wire:
        environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": wire.url}
        sessions = AgentSessions(AILoopFactory(environ=environ))
        world = World()
        known = await sessions.run_turns(world.call(agent={"model": "openai/gpt-4o-mini"}, key="a"))
        unknown = await sessions.run_turns(world.call(agent={"model": "openai/nobody-knows-me"}, key="b"))
        await sessions.close()
    assert known.cost is not None
    assert 0 < known.cost < 0.001
    assert unknown.cost is None


async def test_a_key_first_met_in_the_midst_of_a_run_is_looked_for_off_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking: list[threading.Thread] = []

    def look(definition: Any, place: Any) -> Looked:
        asking.append(threading.current_thread())
        return Looked("Found", "in a vault", Secret("scripted key", "sk-of-the-vault-1"))

    monkeypatch.setattr(keys, "look_for_key", look)
    world = World("Hello.", "Hello again.")
    known = {"definition_id": "w", "provider": "scripted", "model_name": "m", "auth": {"vault": "secret/x"}}
    for key in ("a", "b"):
        await world.sessions().run_turns(world.call(agent={"worker": "w"}, worker=known, key=key))
    assert len(asking) == 1
    assert asking[0] is not threading.main_thread()
