"""No-op tasks through the durable engine, against plain asyncio with graphlib on the same graph in the same run.

    python benchmarks/dag.py [--sizes 1000,10000,100000] [--shapes chain,fan,layered] [--journal FULL] [--delegates]

CPU seconds a task (this process, all threads). The limit awaits one no-op coroutine a task and records nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import graphlib
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import figures, growth, ratio, rounds, tell

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import VALUE, Need, Node, Plan, Scope, sealed
from orchestrator.stores.memory import MemoryJournal

WIDTH = 100


def chain(size: int) -> list[list[int]]:
    return [[index - 1] if index else [] for index in range(size)]


def fan(size: int) -> list[list[int]]:
    return [[], *[[0] for _ in range(size - 2)], list(range(1, size - 1))]


def layered(size: int) -> list[list[int]]:
    """Layers of 100; each task needs three of the layer before."""

    def needs(index: int) -> list[int]:
        layer = index // WIDTH
        return sorted({(layer - 1) * WIDTH + (index * 7 + k * 13) % WIDTH for k in range(3)}) if layer else []

    return [needs(index) for index in range(size)]


SHAPES: dict[str, Callable[[int], list[list[int]]]] = {"chain": chain, "fan": fan, "layered": layered}


def plan_of(graph: list[list[int]]) -> Plan:
    nodes = [
        Node(id=f"t{index}", verb="set", fields={"value": None}, slot=False, needs=tuple(Need(n, VALUE) for n in needs))
        for index, needs in enumerate(graph)
    ]
    return sealed(Plan(workflow="workflows/bench.yaml", name="bench", scopes=(Scope(nodes=tuple(nodes)),)))


async def limit(graph: list[list[int]]) -> None:
    """graphlib hands out what is ready, each runs as an asyncio task that reports its end: nothing is kept."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Queue[int] = asyncio.Queue()

    async def one(index: int) -> None:
        ended.put_nowait(index)

    sorter = graphlib.TopologicalSorter(dict(enumerate(graph)))
    sorter.prepare()
    running: set[asyncio.Task[None]] = set()
    while sorter.is_active():
        for index in sorter.get_ready():
            task = loop.create_task(one(index))
            running.add(task)
            task.add_done_callback(running.discard)
        sorter.done(await ended.get())


async def durable(engine: ExecutionEngine, plan: Plan) -> None:
    result = await (await engine.start(plan)).finish()
    assert result == "succeeded", result


def measure(shape: str, size: int, journal: str, delegates: bool, count: int) -> dict[str, Any]:
    graph = SHAPES[shape](size)
    plan = plan_of(graph)
    floor = rounds(lambda: asyncio.run(limit(graph)), count)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "workflows").mkdir()
        wall: list[float] = []
        used: list[float] = []
        for number in range(count + 1):
            used_one, wall_one = asyncio.run(_once(Path(folder), plan, journal, delegates))
            if number:
                used.append(used_one)
                wall.append(wall_one)
        memory = _memory(Path(folder), plan, journal, delegates)
        state = Path(folder) / ".whisper-flow"
        written = sum(path.stat().st_size for path in state.glob("journal.db*")) if state.exists() else 0
    return {
        "shape": shape,
        "tasks": size,
        "journal": journal,
        "delegates": delegates,
        "limit": figures(floor, each=size),
        "cpu": figures(used, each=size),
        "wall": figures(wall, each=size),
        "ratio": ratio(used, floor),
        "memory_bytes_per_task": round(memory / size),
        "journal_bytes_per_task": round(written / size / (count + 2)),
    }


def _memory(folder: Path, plan: Plan, journal: str, delegates: bool) -> int:
    """Peak bytes that one run allocates beside its plan, in a round that is not timed."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        asyncio.run(_once(folder, plan, journal, delegates))
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


async def _once(folder: Path, plan: Plan, journal: str, delegates: bool) -> tuple[float, float]:
    options: dict[str, Any] = {"journal": MemoryJournal()} if journal == "memory" else {"synchronous": journal}
    async with ExecutionEngine(folder, **options) as engine:
        if delegates:
            engine.delegate_manager.register("task_execution_started", lambda sender, event_type, **kwargs: None)
            engine.delegate_manager.register("task_execution_completed", lambda sender, event_type, **kwargs: None)
        began, cpu = time.perf_counter(), time.process_time()
        await durable(engine, plan)
        return time.process_time() - cpu, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--shapes", default="chain,fan,layered")
    parser.add_argument("--journal", default="FULL", choices=("FULL", "NORMAL", "memory"))
    parser.add_argument("--delegates", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    for shape in given.shapes.split(","):
        found = []
        for size in sizes:
            if shape == "chain" and size > 10_000 and given.journal == "FULL":
                continue  # every link is a sync of the disk: the ratio shows at 1,000
            found.append(measure(shape, size, given.journal, given.delegates, given.rounds))
            tell("dag", **found[-1])
        if len(found) > 1:
            exponent = growth([one["tasks"] for one in found], [one["cpu"]["median_us"] for one in found])
            tell("dag-growth", shape=shape, journal=given.journal, exponent=exponent, cpus=os.cpu_count())


if __name__ == "__main__":
    main()
