"""Load, validate and plan large files, from YAML and from the plan cache.

    python benchmarks/load.py [--sizes 1000,10000,100000]

The limit is PyYAML's C loader on the same text (`yaml.load(text, CSafeLoader)`, the collector off), which keeps no positions and checks
nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import yaml
from measuring import growth, ratio, rounds, tell


def text_of(size: int) -> str:
    lines = ["name: large", "tasks:"]
    for index in range(size):
        lines.append(f"  t{index}:")
        if index >= 100:
            lines.append(f"    set: {{value: '${{{{ t{index - 100} }}}}', index: {index}}}")
        else:
            lines.append(f"    set: {{index: {index}}}")
        lines.append(f"    description: The task number {index} of a large file.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    colds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "workflows").mkdir()
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        from orchestrator import compile_plan, load_plan, load_workflow

        for size in sizes:
            path = folder / "workflows" / f"large{size}.yaml"
            text = text_of(size)
            path.write_text(text)
            floor = rounds(lambda text=text: yaml.load(text, yaml.CSafeLoader), given.rounds)  # type: ignore[misc]
            cold = rounds(lambda path=path: compile_plan(load_workflow(path)), given.rounds)  # type: ignore[misc]
            load_plan(path)
            warm = rounds(lambda path=path: load_plan(path), given.rounds, clock=time.perf_counter)  # type: ignore[misc]
            colds.append(min(cold) / size)
            tell("load", tasks=size, bytes=len(text), cold_s=round(sorted(cold)[len(cold) // 2], 3),
                 cached_s=round(sorted(warm)[len(warm) // 2], 4), pyyaml_s=round(sorted(floor)[len(floor) // 2], 3),
                 ratio=ratio(cold, floor))  # fmt: skip
    if len(sizes) > 1:
        tell("load-growth", exponent=growth(sizes, colds))


if __name__ == "__main__":
    main()
