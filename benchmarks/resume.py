"""Resume a run of 10,000 tasks, 60 % done, to its end: folding the journal and doing the rest.

python benchmarks/resume.py [--tasks 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from dag import layered, plan_of
from measuring import tell

from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.plan import Plan


async def _some(folder: Path, plan: Plan, count: int) -> str:
    """Run until `count` tasks are done, then let go at once, as a kill would."""
    async with ExecutionEngine(folder, synchronous="NORMAL") as engine:
        handle = await engine.start(plan)
        # Nothing signals "60 %": looking at every turn of the loop is the signal here.
        while sum(1 for status in handle.state.statuses if status == 4) < count:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return handle.run_id


async def _rest(folder: Path, run_id: str) -> float:
    async with ExecutionEngine(folder) as engine:
        began = time.perf_counter()
        handle = await engine.resume(run_id)
        assert await handle.finish() == "succeeded"
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    count = parser.parse_args().tasks
    plan = plan_of(layered(count))
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "workflows").mkdir()
        for _ in range(5):
            run_id = asyncio.run(_some(folder, plan, count * 6 // 10))
            found.append(asyncio.run(_rest(folder, run_id)))
    tell("resume", tasks=count, done=0.6, median_s=round(sorted(found)[2], 3), min_s=round(min(found), 3))


if __name__ == "__main__":
    main()
