"""What one commit costs on this machine: the limit that durable chains are measured against.

Four ways to make a batch of 50 small events durable, one commit each, in the same run so that the machine is the same:

    fsync    append the bytes to a file and sync it: what the disk alone takes
    sqlite   two statements and COMMIT in WAL mode, nothing else: what SQLite adds
    journal  `SqliteJournal.append`, waited for: what we add
    group    `SqliteJournal.append`, 64 in flight: what waiting together saves

`python benchmarks/raw_commit.py [--rounds N] [--commits N] [--folder DIR]` prints one JSON line; times are microseconds a
commit, median and minimum of the rounds; `syncs` are counted by an apsw VFS. The folder must be on the disk that counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import apsw

from orchestrator.ports.journal import Batch, StreamRow
from orchestrator.stores.sqlite import SqliteJournal
from orchestrator.testing.power import Operation, PowerDisk

EVENTS = 50
PAYLOAD = b"x" * (EVENTS * 40)
IN_FLIGHT = 64
Synchronous = Literal["FULL", "NORMAL"]


def batches(stream: str, count: int) -> list[Batch]:
    row = StreamRow(stream=stream, status="running", started_at=1.0, summary={"running": 1, "succeeded": 2})
    return [
        Batch(stream=stream, expected=number * EVENTS, count=EVENTS, payload=PAYLOAD, row=row)
        for number in range(count)
    ]


def with_fsync(folder: Path, commits: int) -> float:
    fd = os.open(folder / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    began = time.perf_counter()
    for _ in range(commits):
        os.write(fd, PAYLOAD)
        sync(fd)
    taken = time.perf_counter() - began
    os.close(fd)
    return taken


def with_sqlite(folder: Path, commits: int, synchronous: Synchronous) -> float:
    db = apsw.Connection(str(folder / "raw.db"))
    for name, value in (("journal_mode", "WAL"), ("synchronous", synchronous), ("wal_autocheckpoint", 0)):
        db.pragma(name, value)
    db.execute("CREATE TABLE stream (number INTEGER PRIMARY KEY, last INTEGER)")
    db.execute("CREATE TABLE batch (id INTEGER PRIMARY KEY, payload BLOB); INSERT INTO stream VALUES (1, 0)")
    began = time.perf_counter()
    for number in range(commits):
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE stream SET last = ? WHERE number = 1", (number,))
        db.execute("INSERT INTO batch VALUES (?, ?)", (number, PAYLOAD))
        db.execute("COMMIT")
    taken = time.perf_counter() - began
    db.close()
    return taken


def with_journal(folder: Path, commits: int, synchronous: Synchronous, vfs: str | None = None) -> float:
    journal = SqliteJournal(folder, synchronous=synchronous, vfs=vfs)
    told = threading.Event()

    errors: list[BaseException] = []

    def done(error: BaseException | None) -> None:
        errors.extend([error] if error else [])
        told.set()

    work = batches("r", commits)
    began = time.perf_counter()
    for batch in work:
        told.clear()
        journal.append(batch, done)
        told.wait()
    taken = time.perf_counter() - began
    journal.close()
    assert not errors, errors[0]
    return taken


def with_groups(folder: Path, commits: int, vfs: str | None = None) -> float:
    journal = SqliteJournal(folder, vfs=vfs)
    room = threading.Semaphore(IN_FLIGHT)

    errors: list[BaseException] = []

    def done(error: BaseException | None) -> None:
        errors.extend([error] if error else [])
        room.release()

    work = batches("r", commits)
    began = time.perf_counter()
    for batch in work:
        room.acquire()
        journal.append(batch, done)
    for _ in range(IN_FLIGHT):
        room.acquire()
    taken = time.perf_counter() - began
    journal.close()
    assert not errors, errors[0]
    return taken


def syncs_a_commit(folder: Path, commits: int, run: Callable[[Path, int, str], float]) -> float:
    disk = PowerDisk()
    counted: list[Operation] = []
    disk.before_each = lambda operation: counted.append(operation) if operation.verb == "sync" else None
    run(folder / f"{disk.name}-empty", 0, disk.name)
    made = len(counted)  # making a journal syncs too, once in its life
    counted.clear()
    run(folder / f"{disk.name}-full", commits, disk.name)
    disk.close()
    return round((len(counted) - made) / commits, 3)


def measure(folder: Path, rounds: int, commits: int) -> dict[str, Any]:
    ways: dict[str, Callable[[Path], float]] = {
        "fsync": lambda place: with_fsync(place, commits),
        "sqlite_full": lambda place: with_sqlite(place, commits, "FULL"),
        "sqlite_normal": lambda place: with_sqlite(place, commits, "NORMAL"),
        "journal_full": lambda place: with_journal(place, commits, "FULL"),
        "journal_normal": lambda place: with_journal(place, commits, "NORMAL"),
        "group_full": lambda place: with_groups(place, commits),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds):
        for name, way in ways.items():
            place = folder / f"{round_}-{name}"
            place.mkdir()
            gc.collect()
            times[name].append(way(place) / commits * 1e6)
            shutil.rmtree(place)
    result: dict[str, Any] = {
        name: {"median_us": round(statistics.median(found), 1), "min_us": round(min(found), 1)}
        for name, found in times.items()
    }
    result["journal_full_over_sqlite"] = ratio(times["journal_full"], times["sqlite_full"])
    result["journal_normal_over_sqlite"] = ratio(times["journal_normal"], times["sqlite_normal"])
    result["syncs_per_commit"] = syncs_a_commit(folder, 200, lambda place, n, vfs: with_journal(place, n, "FULL", vfs))
    result["syncs_per_grouped_commit"] = syncs_a_commit(folder, 2000, with_groups)
    return result


def ratio(ours: list[float], theirs: list[float]) -> float:
    return round(statistics.median(ours) / statistics.median(theirs), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="What one commit costs on this machine.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="a folder on the disk to measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        result = measure(Path(folder), given.rounds, given.commits)
    print(json.dumps({"bench": "raw_commit", "rounds": given.rounds, "commits": given.commits, **result}))


if __name__ == "__main__":
    main()
