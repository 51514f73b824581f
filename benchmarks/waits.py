"""1,000 tasks that wait one second each, all at once: how late is the last? The limit is asyncio.gather over sleeps.

python benchmarks/waits.py [--tasks 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from measuring import ratio, rounds, tell

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import Node, Plan, Scope, sealed


async def _limit(count: int) -> None:
    await asyncio.gather(*(asyncio.sleep(1.0) for _ in range(count)))


async def _durable(folder: Path, plan: Plan) -> float:
    """Seconds from the start of the run to its recorded end."""
    async with ExecutionEngine(folder) as engine:
        began = time.perf_counter()
        assert await (await engine.start(plan)).finish() == "succeeded"
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    count = parser.parse_args().tasks
    nodes = tuple(Node(id=f"w{index}", verb="wait", fields={"for": 1.0}, slot=False) for index in range(count))
    plan = sealed(Plan(workflow="workflows/bench.yaml", name="bench", scopes=(Scope(nodes=nodes),)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "workflows").mkdir()
        floor = rounds(lambda: asyncio.run(_limit(count)), 3, clock=time.perf_counter)
        ours = [asyncio.run(_durable(Path(folder), plan)) for _ in range(6)][1:]
    tell("waits", tasks=count, seconds={"median": round(sorted(ours)[2], 4), "min": round(min(ours), 4)},
         limit_seconds=round(sorted(floor)[1], 4), ratio=ratio(ours, floor))  # fmt: skip


if __name__ == "__main__":
    main()
