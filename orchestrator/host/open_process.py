"""A process that stays: one talks with it over its standard input and output for as long as it lives (a tool server).

It hangs below the reaper like every other: it ends with all its descendants when it is closed, when its engine closes, and
when its engine dies.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any, Final

from orchestrator.host.running_process import Outputs, RunningProcess

CHUNK: Final = 64 * 1024
READ_AHEAD: Final = 256 * 1024
"""Bytes of its output that wait here until somebody reads them; then the process waits in its write."""
LEAVE_S: Final = 1.0
"""After its input closed, a well-behaved server ends by itself within this time."""


class OpenProcess(RunningProcess):
    """Implements ports.services.OpenProcess."""

    def __init__(self, outputs: Outputs) -> None:
        self._ours_out = -1
        self._writing = asyncio.Lock()
        self._unread = bytearray()
        self._reading = False
        self._stdout_open = True
        self._more = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self.failure: OSError | None = None
        super().__init__(outputs, b"", python=False)

    def _open_streams(self, outputs: Outputs) -> None:
        self.channel.setblocking(False)
        theirs, self._stdin_end = os.pipe()
        os.set_blocking(self._stdin_end, False)
        self.theirs.append(theirs)
        self._ours_out = self._pipe_from()
        self.streams.append(outputs.stream("stderr", self._pipe_from()))

    def _feed(self) -> None:
        """Nothing goes in by itself; see `write`."""

    def started(self) -> None:
        super().started()
        self._listen()

    def watch(self, request: bytes, described: dict[str, Any]) -> None:
        """Order the start and follow the process to its end, in a task of its own."""
        self._watch = self.loop.create_task(self._until_gone_for_good(request, described), name="tool server")

    async def _until_gone_for_good(self, request: bytes, described: dict[str, Any]) -> None:
        try:
            answer = await self.until_ended(request)
            if answer[0] == "failed":
                name = described["cwd"] if answer[1] == "cwd" else described["argv"][0]
                self.failure = OSError(answer[2], os.strerror(answer[2]), name)
        finally:
            self.close()

    # --- its output

    def _listen(self) -> None:
        if not self._reading and self._ours_out >= 0:
            self._reading = True
            self.loop.add_reader(self._ours_out, self._hear_stdout)

    def _stop_listening(self) -> None:
        if self._reading:
            self._reading = False
            self.loop.remove_reader(self._ours_out)

    def _hear_stdout(self) -> None:
        try:
            data = os.read(self._ours_out, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._end_stdout()
            return
        self._unread += data
        self._more.set()
        if len(self._unread) >= READ_AHEAD:
            self._stop_listening()

    def _end_stdout(self) -> None:
        self._stop_listening()
        self._stdout_open = False
        self._more.set()
        if self._ours_out >= 0:
            os.close(self._ours_out)
            self._ours_out = -1

    async def read(self) -> bytes:
        """What it wrote since; empty once it has closed its output."""
        while not self._unread:
            if not self._stdout_open:
                return b""
            self._more.clear()
            await self._more.wait()
        data = bytes(self._unread)
        self._unread.clear()
        self._listen()
        return data

    # --- its input

    async def write(self, data: bytes) -> None:
        """All of it, in order. Raises BrokenPipeError if nobody reads it any more."""
        left = memoryview(data)
        async with self._writing:
            while left:
                if self._stdin_end is None:
                    raise BrokenPipeError("its input is closed")
                try:
                    left = left[os.write(self._stdin_end, left[:CHUNK]) :]
                except BlockingIOError:
                    await self._room()

    async def _room(self) -> None:
        descriptor = self._stdin_end
        assert descriptor is not None
        free = asyncio.Event()
        self.loop.add_writer(descriptor, free.set)
        waiting = self.loop.create_task(free.wait())
        try:
            await asyncio.wait((waiting, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            if self._stdin_end == descriptor:
                self.loop.remove_writer(descriptor)

    # --- its end

    def complaint(self) -> bytes:
        """The end of what it wrote to its standard error, secrets masked."""
        return self.streams[0].kept.joined()

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    async def leave(self) -> None:
        """Close its input, give it a moment, then end it with all it started. Returns when it is gone. Idempotent."""
        self._close_stdin()
        if self._watch is None:
            return
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._watch), LEAVE_S)
        if not self._watch.done():
            self._watch.cancel()
        await asyncio.wait((self._watch,))

    def close(self) -> None:
        super().close()
        if self._ours_out >= 0:
            # What it wrote last is worth reading; a stranger who holds the pipe is not waited for.
            for _ in range(16):
                if not self._stdout_open:
                    break
                self._hear_stdout()
        self._end_stdout()
