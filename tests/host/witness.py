"""Looks from outside at which processes live, by a mark in their environment that no double fork takes away."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

WAIT_S = 20.0
LOOK_EVERY_S = 0.01


class Witness:
    """`env` goes to the processes under test; `alive` finds everyone who ever inherited it."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self.env = {"PATH": os.environ.get("PATH", os.defpath), "WITNESS": self.mark}

    def alive(self, states: str = "RSDTtI") -> list[int]:
        needle = f"WITNESS={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                marked = needle in (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marked and state in states:
                found.append(int(entry.name))
        return sorted(found)

    async def until(self, count: int) -> list[int]:
        """Wait until exactly `count` marked processes live."""
        async with asyncio.timeout(WAIT_S):
            # Nobody tells when a stranger dies.
            while len(alive := self.alive()) != count:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_S)
        return alive

    async def until_stopped(self) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.alive("T"):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_S)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
