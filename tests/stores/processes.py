"""Other processes for the tests: a piece of Python with its own journal, told by a line when to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRELUDE = r"""
import os, signal, sys, threading, time
from pathlib import Path
from orchestrator.errors import *
from orchestrator.ports.journal import *
from orchestrator.stores.sqlite import SqliteJournal

def say(text):
    os.write(1, f"{text}\n".encode())  # a line is one write, whoever else writes

def hear():
    return sys.stdin.readline().strip()

def append(journal, stream, expected, count=1, **more):
    told = threading.Event()
    answers = []
    more.setdefault("payload", b"x" * 200)
    item = Batch(stream=stream, expected=expected, count=count, row=StreamRow(stream=stream, status="running"), **more)
    journal.append(item, lambda error: (answers.append(error), told.set()))
    told.wait()
    return answers[0]

state = Path(sys.argv[1])
number = int(sys.argv[2])
"""


class Other:
    def __init__(self, state: Path, script: str, number: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, str(state), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def others(state: Path, script: str, count: int = 1) -> Iterator[list[Other]]:
    started = [Other(state, script, number) for number in range(count)]
    try:
        yield started
    finally:
        for other in started:
            with suppress(ProcessLookupError):
                os.killpg(other.process.pid, signal.SIGKILL)  # its own children too
            other.process.communicate()
