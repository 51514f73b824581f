"""What an agent's loop costs beside its model: per turn, per chunk, in memory, and with many at once.

python benchmarks/loop.py [--turns 300] [--agents 1000]

The model is scripted and answers at once, so everything measured is ours. The limit is a bare client: the same stream, read to
its end by a plain `async for`. `memory` keeps the conversation in memory, `journal` writes it to SQLite (NORMAL and FULL), with
two commits a turn: before a request is sent, and before its answer is used. Each turn but the last of twenty calls a tool.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from measuring import ratio, tell

from orchestrator.ai.factory import AILoopFactory
from orchestrator.ai.loop import AILoop
from orchestrator.core.messages import Usage
from orchestrator.ports.chat_model import ChatEvent, ChatRequest, Finished, TextDelta, ToolCallDelta, ToolSpec
from orchestrator.ports.chat_model import UsageReported as Used
from orchestrator.providers.scripted import ScriptedProvider

ROUNDS = 5
METRICS = {"definition_id": "w", "cost_metrics": {"input_per_million": 1.0, "output_per_million": 2.0}}


class EchoTool:
    name = "echo"
    effect: Any = "pure"
    spec = ToolSpec(
        name="echo", description="Echo", parameters={"type": "object", "properties": {"n": {"type": "integer"}}}
    )

    async def call(self, arguments: dict[str, Any], call_id: str) -> Any:
        return arguments["n"]


class QuickModel:
    """Calls a tool in every turn but the last of `turns`; answers with `chunks` pieces of text."""

    synthetic = False

    def __init__(self, turns: int = 1, chunks: int = 1, gate: asyncio.Event | None = None, expected: int = 0) -> None:
        self.turns = turns
        self.chunks = chunks
        self.gate = gate
        self.asked = 0
        self.expected = expected
        self.all_asked = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        self.asked += 1
        if self.asked == self.expected:
            self.all_asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.asked % self.turns:
            yield ToolCallDelta(0, f'{{"n": {self.asked}}}', f"c{self.asked}", "echo")
            yield Used(Usage(10, 5))
            yield Finished("tool_calls")
            return
        for _ in range(self.chunks):
            yield TextDelta("token ")
        yield Used(Usage(10, 5))
        yield Finished("stop")

    async def close(self) -> None: ...


class QuickProvider(ScriptedProvider):
    def __init__(self, model: QuickModel) -> None:
        super().__init__({})
        self._quick = model

    def check(self, model: str, options: Any) -> None: ...

    def open(self, options: Any) -> Any:
        return self._quick


def factory(model: QuickModel, journal: Any = None) -> AILoopFactory:
    return AILoopFactory(journal=journal, environ={}, providers={"quick": QuickProvider(model)})


def loop_of(made: AILoopFactory, name: str = "a", **how: Any) -> AILoop:
    config = {"model": "quick/m", "max_turns": 10_000}
    return made.create(name, config, worker=METRICS, tools=[EchoTool()], stream=f"r/agent/{name}", **how)


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    await work()
    took = time.perf_counter() - began
    gc.enable()
    return took


async def five(make: Callable[[], Callable[[], Awaitable[Any]]]) -> list[float]:
    """One round more first, to warm up; each with a world of its own."""
    return [await timed(make()) for _ in range(ROUNDS + 1)][1:]


def shown(seconds: list[float], each: int) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"median_us": round(ordered[ROUNDS // 2] / each * 1e6, 1), "min_us": round(ordered[0] / each * 1e6, 1)}


async def bare(model: QuickModel, turns: int) -> None:
    for _ in range(turns):
        async for _event in model.stream(ChatRequest(model="m", messages=())):
            pass


async def turn_costs(turns: int) -> dict[str, Any]:
    """Conversations of twenty turns, nineteen of which call a tool."""
    each = 20
    asks = turns // each

    async def ask(made: AILoopFactory) -> None:
        for number in range(asks):
            await loop_of(made, f"a{number}").ask("?")

    limit = await five(lambda: lambda: bare(QuickModel(each), turns))
    found: dict[str, Any] = {"bare_client": shown(limit, turns)}
    memory = await five(lambda: lambda: ask(factory(QuickModel(each))))
    found["memory"] = shown(memory, turns)
    found["memory"]["ratio"] = ratio(memory, limit)
    for synchronous in ("NORMAL", "FULL"):
        found[f"journal_{synchronous.lower()}"] = shown(await journaled(ask, each, synchronous), turns)
    return found


async def journaled(ask: Callable[[AILoopFactory], Awaitable[None]], each: int, synchronous: Any) -> list[float]:
    from orchestrator.stores.sqlite import SqliteJournal

    found = []
    for _ in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            journal = SqliteJournal(Path(folder), synchronous=synchronous)
            found.append(await timed(lambda journal=journal: ask(factory(QuickModel(each), journal))))
            journal.close()
    return found[1:]


async def long_conversation(turns: int) -> dict[str, Any]:
    """One conversation; does a turn cost more the longer it grows?"""
    short = await five(lambda: lambda: loop_of(factory(QuickModel(turns // 10))).ask("?"))
    long = await five(lambda: lambda: loop_of(factory(QuickModel(turns))).ask("?"))
    return {"short": shown(short, turns // 10), "ten_times": shown(long, turns)}


async def streaming(chunks: int) -> dict[str, Any]:
    heard = 0

    def hear(kind: str, data: dict[str, Any]) -> None:
        nonlocal heard
        heard += 1

    plain = await five(lambda: lambda: bare(QuickModel(1, chunks), 1))
    ours = await five(lambda: lambda: loop_of(factory(QuickModel(1, chunks))).ask("?", publish=hear))
    assert heard >= chunks
    return {
        "tokens_per_second": round(chunks / sorted(ours)[ROUNDS // 2]),
        "bare_client_tokens_per_second": round(chunks / sorted(plain)[ROUNDS // 2]),
        "us_per_token": shown(ours, chunks)["median_us"],
    }


async def many(agents: int) -> dict[str, Any]:
    """All ask, all wait, then all are answered at once; what each takes while idle and while it waits."""
    gate = asyncio.Event()
    model = QuickModel(1, 1, gate, agents)
    made = factory(model)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    loops = [loop_of(made, f"a{number}") for number in range(agents)]
    idle = tracemalloc.get_traced_memory()[0]
    began = time.perf_counter()
    asking = [asyncio.create_task(loop.ask("?")) for loop in loops]
    await model.all_asked.wait()
    out = time.perf_counter() - began
    active = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(1.0)
    busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    began = time.perf_counter()
    gate.set()
    await asyncio.gather(*asking)
    return {
        "agents": agents,
        "all_asking_s": round(out, 3),
        "cpu_percent_while_waiting": round(busy * 100, 1),
        "all_answered_s": round(time.perf_counter() - began, 3),
        "idle_kb": round((idle - before) / agents / 1024, 1),
        "active_kb": round((active - before) / agents / 1024, 1),
    }


async def measure(turns: int, agents: int) -> None:
    facts = {
        "turn": await turn_costs(turns),
        "growth": await long_conversation(turns),
        "streaming": await streaming(20_000),
        "many": await many(agents),
    }
    tell("loop", turns=turns, bar_us=1000, target_us=150, **facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--agents", type=int, default=1000)
    given = parser.parse_args()
    asyncio.run(measure(given.turns, given.agents))


if __name__ == "__main__":
    main()
