"""Whole processes, against `python -c pass` in the same run: --version, --help, validate of ten files, runs cold and warm.

    python benchmarks/startup.py [--rounds 7]

Warm: the plan is in the plan cache. Cold: the plan cache is empty. Bytecode is there in both.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import ROOT, in_pairs, tell

ONE_TASK = "name: one\ntasks:\n  hello: {run: echo hello}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    count = parser.parse_args().rounds
    command = str(Path(sys.executable).with_name("whisper-flow"))
    ours = [command] if Path(command).exists() else [sys.executable, "-m", "orchestrator.cli"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "workflows").mkdir()
        (folder / "workflows" / "one.yaml").write_text(ONE_TASK)
        ten = sorted((ROOT / "workflows").glob("*.yaml"))[:10]
        for file in ten:
            shutil.copy(file, folder / "workflows" / file.name)
        for extra in (ROOT / "workflows").iterdir():
            if extra.is_dir():
                shutil.copytree(extra, folder / "workflows" / extra.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif extra.suffix == ".py":
                shutil.copy(extra, folder / "workflows" / extra.name)
        # Bytecode is part of an installation, so it may be written and read here.
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        options: dict[str, Any] = {"cwd": folder, "env": env}
        bare = [sys.executable, "-c", "pass"]

        def forget() -> None:
            shutil.rmtree(folder / "cache", ignore_errors=True)

        cases: dict[str, tuple[list[str], Any]] = {
            "version": (["--version"], None),
            "help": (["--help"], None),
            "validate_ten": (["validate", *(f"workflows/{file.name}" for file in ten)], None),
            "one_task_warm": (["run", "workflows/one.yaml", "--progress", "plain"], None),
            "one_task_cold": (["run", "workflows/one.yaml", "--progress", "plain"], forget),
            "quickstart_warm": (["run", "workflows/quickstart.yaml", "--progress", "plain"], None),
            "quickstart_cold": (["run", "workflows/quickstart.yaml", "--progress", "plain"], forget),
        }
        if not (folder / "workflows" / "quickstart.yaml").exists():
            shutil.copy(ROOT / "workflows" / "quickstart.yaml", folder / "workflows")
        for case, (words, before) in cases.items():
            found, floor = in_pairs([*ours, *words], bare, count, before=before, **options)
            ratios = [mine / least for mine, least in zip(found, floor, strict=True)]
            tell("startup", case=case, median_ms=round(statistics.median(found) * 1e3, 1),
                 min_ms=round(min(found) * 1e3, 1), bare_ms=round(statistics.median(floor) * 1e3, 1),
                 ratio=round(statistics.median(ratios), 2))  # fmt: skip


if __name__ == "__main__":
    main()
