"""What the benches share: rounds, medians and minima, one JSON line, growth over decades."""

from __future__ import annotations

import gc
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def rounds(work: Callable[[], Any], count: int = 5, *, clock: Callable[[], float] = time.process_time) -> list[float]:
    """Seconds of each round, the collector off during it and run before it; one more round first, to warm up."""
    found: list[float] = []
    for number in range(count + 1):
        gc.collect()
        gc.disable()
        began = clock()
        work()
        took = clock() - began
        gc.enable()
        if number:
            found.append(took)
    return found


def figures(seconds: Sequence[float], *, each: int = 1) -> dict[str, float]:
    """Median and minimum, in microseconds for one of `each`."""
    return {
        "median_us": round(statistics.median(seconds) / each * 1e6, 3),
        "min_us": round(min(seconds) / each * 1e6, 3),
    }


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Median over median."""
    return round(statistics.median(a) / statistics.median(b), 2)


def growth(sizes: Sequence[int], per_unit: Sequence[float]) -> float:
    """The exponent by which the cost of one grows with the size: 0 is flat (least squares on logarithms)."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in per_unit]
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    over = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return round(over / sum((x - mean_x) ** 2 for x in xs), 3)


def process_seconds(argv: Sequence[str], **options: Any) -> float:
    """Wall seconds of a whole process. Ends the bench if the process fails."""
    began = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, **options, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(argv)} exits {done.returncode}: {done.stderr.decode()[-2000:]}")
    return took


def in_pairs(
    argv: Sequence[str], other: Sequence[str], count: int, *, before: Callable[[], None] | None = None, **options: Any
) -> tuple[list[float], list[float]]:
    """Seconds of two commands run in turn, so that both see the same machine; one pair more first, to warm up."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(count + 1):
        if before is not None:
            before()
        pair = process_seconds(argv, **options), process_seconds(other, **options)
        if number:
            ours.append(pair[0])
            theirs.append(pair[1])
    return ours, theirs


def tell(name: str, **facts: Any) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, "python": platform.python_version(), **facts}))
