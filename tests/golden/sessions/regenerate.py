"""Records conversations' golden journals: `PYTHONPATH=tests python tests/golden/sessions/regenerate.py [--fold] [NAME…]`.

Only on purpose. What an older engine wrote of a conversation is read for ever, and means what it meant. So an existing journal
is never recorded over because a test fails; a new kind of event gets a new conversation here. `NAME.journal` holds the batches
as they stand in a journal, `NAME.json` what they fold to; `--fold` writes only the second. Those of `FIRST` were recorded by the
first engine that had conversations.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from ai.test_loop import POINTS, AddTool, _as_after_a_kill
from ai.world import World

from orchestrator.core.session import decide, evolve
from orchestrator.core.session_events import UndoAsked, decode_events
from orchestrator.core.session_state import Session
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ChatModelError
from orchestrator.testing.scripted import ScriptedModel, Turn

HERE = Path(__file__).parent
STREAM = "r1/agent/k"
ADD = Turn(text="Adding.", tool_calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": "x"})])
TOO_LONG = ChatModelError("context_too_long", "too long", charged=False)


async def answers() -> World:
    world = World(ADD, "Three.", "Yes.")
    loop = world.loop(tools=[AddTool()], instructions="Be kind.", config={"temperature": 0.5})
    await loop.ask("1 and 2?", key="a")
    await loop.ask("Sure?", key="b")
    return world


async def repairs() -> World:
    world = World('{"points": 11}', "no", "no", '{"points": 3}')
    loop = world.loop()
    try:
        await loop.ask("?", key="k", output_schema=POINTS, repair=2)
    except TaskError:
        await loop.ask("?", key="k", output_schema=POINTS, repair=2)
    return world


async def retries() -> World:
    down = ChatModelError("outage", "gone")
    world = World(Turn(text="Hel", error=down), down, "Hello.")
    loop = world.loop(config={"retries": 1})
    try:
        await loop.ask("?", key="k")
    except TaskError:
        await loop.ask("?", key="k")
    return world


async def lost() -> World:
    world = World(Turn(text="Hello.", gate=asyncio.Event()), "Hello again.")
    asking = asyncio.create_task(world.loop().ask("?", key="k"))
    await world.model.asked.wait()
    journal = _as_after_a_kill(world.journal)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.journal = journal
    world.start()
    await world.loop().ask("?", key="k")
    return world


async def stopped() -> World:
    world = World(Turn(text="Hello, world.", chunk=5, gate=asyncio.Event()), "Next.")
    arrived = asyncio.Event()
    asking = asyncio.create_task(world.loop().ask("?", key="k", publish=lambda type, data: arrived.set()))
    await arrived.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await world.loop().ask("Next?", key="l")
    return world


async def fallback() -> World:
    world = World(ChatModelError("overloaded", "full"), b=ScriptedModel("B."))
    await world.loop(config={"retries": 0}, fallback=["scripted/b"]).ask("?", key="k")
    return world


async def handed_over() -> World:
    from ai.test_loop_handoff import OVER, Team

    team = Team(OVER, "Back.", sales=ScriptedModel("20 %."))
    loop = team.loop()
    await loop.ask("A discount?", key="a")
    await loop.switch("sales", "Be kind.")
    await loop.switch("router")
    await loop.ask("And?", key="b")
    return team.world


async def left_out() -> World:
    world = World("0", "1", TOO_LONG, "Answer.")
    loop = world.loop(config={"on_overflow": "drop_oldest"})
    for number in range(3):
        await loop.ask(f"question {number}")
    return world


async def summed_up() -> World:
    world = World("0", "1", TOO_LONG, "In short.", "Answer.")
    loop = world.loop(config={"on_overflow": "summarise"})
    for number in range(3):
        await loop.ask(f"question {number}")
    return world


async def parked() -> World:
    from ai.test_loop_tools import TWO, AskingTool

    from orchestrator.ports.tool import PersonNeeded

    world, send = World(TWO, "Sent."), AskingTool()
    loop = world.loop(tools=[AddTool(), send])
    try:
        await loop.ask("?", key="k")
    except PersonNeeded:
        send.allowed.add("call_1_1")
    await loop.ask("?", key="k")
    return world


async def undone() -> World:
    world = World("0", "1", "2")
    loop = world.loop()
    await loop.ask("question 0")
    await loop.ask("question 1")
    record = loop._read()
    record.note(decide(record.session, UndoAsked(), world.clock.now()))
    await record.commit()
    await loop.ask("question 2", key="c")
    return world


FIRST = (answers, repairs, retries, lost, stopped)
SCENARIOS: dict[str, Callable[[], Awaitable[World]]] = {
    scenario.__name__: scenario for scenario in (*FIRST, fallback, handed_over, left_out, summed_up, parked, undone)
}


def batches(name: str) -> list[bytes]:
    return msgspec.msgpack.decode((HERE / f"{name}.journal").read_bytes(), type=list[bytes])


def folded(payloads: list[bytes]) -> Session:
    session = Session(STREAM)
    for payload in payloads:
        for event in decode_events(payload):
            evolve(session, event)
    return session


def told(session: Session) -> Any:
    """What a reader can rely on; a new field of the state is not in it before it is put here."""
    return {
        "last": session.last,
        "said": _told(session.messages),
        "sent": _told(session.context),
        "exchanges": {
            key: {
                "agent": exchange.terms.agent,
                "model": exchange.terms.model,
                "phase": exchange.phase,
                "turn": exchange.turn,
                "text": exchange.text,
                "partial": exchange.partial,
                "failure": exchange.failure.type if exchange.failure is not None else None,
            }
            for key, exchange in session.exchanges.items()
        },
        "calls": [
            [call.number, call.key, call.model, call.status, call.error, call.tokens_counted] for call in session.calls
        ],
    }


def _told(messages: list[Any]) -> Any:
    return [[message.role, *(json.loads(msgspec.json.encode(part)) for part in message.parts)] for message in messages]


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--fold"] or sorted(SCENARIOS)
    for name in names:
        if "--fold" not in sys.argv:
            world = asyncio.run(SCENARIOS[name]())  # type: ignore[arg-type]
            payloads = [batch.payload for batch in world.journal.read(STREAM)]
            (HERE / f"{name}.journal").write_bytes(msgspec.msgpack.encode(payloads))
        if hasattr(Session, "context"):
            text = json.dumps(told(folded(batches(name))), indent=1, ensure_ascii=False, sort_keys=True)
            (HERE / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
