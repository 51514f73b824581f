"""One process while it runs, seen from the engine: its channel to the supervisor, its streams, the loop's readers of them."""

from __future__ import annotations

import asyncio
import marshal
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from orchestrator.host.output_stream import OutputStream
from orchestrator.host.redact import Redactor

REPLY_LIMIT: Final = 64 * 1024 * 1024


class Outputs:
    """How the outputs of one process are treated."""

    def __init__(
        self,
        redactor: Redactor,
        keep: int,
        log_dir: Path | None,
        log_limit: int,
        on_output: Callable[[str, bytes], None] | None,
    ) -> None:
        self.redactor = redactor
        self.keep = keep
        self.log_dir = log_dir
        self.log_limit = log_limit
        self.on_output = on_output

    def stream(self, name: str, descriptor: int) -> OutputStream:
        return OutputStream(
            name,
            descriptor,
            redactor=self.redactor.stream(),
            keep=self.keep,
            log_dir=self.log_dir,
            log_limit=self.log_limit,
            on_output=self.on_output,
        )


class RunningProcess:
    """One process while it runs: its channel, its streams, and the loop's readers of them."""

    def __init__(self, outputs: Outputs, stdin: bytes, python: bool) -> None:
        self.python = python
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[tuple[Any, ...]] = self.loop.create_future()
        self.reply = bytearray()
        self.theirs: list[int] = []
        self.streams: list[OutputStream] = []
        self._inbox = bytearray()
        self._stdin = memoryview(stdin)
        self._stdin_end: int | None = None
        self._reply_pipe: int | None = None
        self.channel, far = socket.socketpair()
        self.theirs.append(far.detach())
        try:
            self._open_streams(outputs)
        except BaseException:
            self.close()
            raise

    def _open_streams(self, outputs: Outputs) -> None:
        self.channel.setblocking(False)
        if self._stdin:
            theirs, self._stdin_end = os.pipe()
            os.set_blocking(self._stdin_end, False)
        else:
            theirs = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.theirs.append(theirs)
        for name in ("stdout", "stderr"):
            self.streams.append(outputs.stream(name, self._pipe_from()))
        if self.python:
            self._reply_pipe = self._pipe_from()

    def _pipe_from(self) -> int:
        ours, theirs = os.pipe()
        self.theirs.append(theirs)
        os.set_blocking(ours, False)
        return ours

    def started(self) -> None:
        self._close_theirs()
        self.loop.add_reader(self.channel.fileno(), self._hear)
        for stream in self.streams:
            self.loop.add_reader(stream.descriptor, self._read, stream)
        if self._reply_pipe is not None:
            self.loop.add_reader(self._reply_pipe, self._read_reply)
        if self._stdin_end is not None:
            self._feed()

    async def until_ended(self, request: bytes) -> tuple[Any, ...]:
        """The supervisor's answer. Cancelled once: SIGTERM and a grace; twice: SIGKILL; it returns when all is gone."""
        try:
            await self.loop.sock_sendall(self.channel, request)
        except asyncio.CancelledError:
            # Half a request is no request; a whole one is ended like any other.
            with suppress(OSError):
                self.channel.shutdown(socket.SHUT_WR)
            await self._until_gone()
            raise
        except (BrokenPipeError, ConnectionResetError):
            return ("lost",)
        try:
            await asyncio.wait((self.ended,))
        except asyncio.CancelledError:
            self._order(b"T")
            await self._until_gone()
            raise
        return self.ended.result()

    async def _until_gone(self) -> None:
        while not self.ended.done():
            try:
                await asyncio.wait((self.ended,))
            except asyncio.CancelledError:
                self._order(b"K")

    def _order(self, letter: bytes) -> None:
        with suppress(OSError):
            self.channel.send(letter)

    def _hear(self) -> None:
        try:
            data = self.channel.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self._inbox += data
        size = 4 + struct.unpack("!I", self._inbox[:4])[0] if len(self._inbox) >= 4 else None
        if size is not None and len(self._inbox) >= size:
            self._end(marshal.loads(self._inbox[4:size]))  # noqa: S302 - both ends are ours
        elif not data:
            self._end(("lost",))

    def _end(self, answer: tuple[Any, ...]) -> None:
        self.loop.remove_reader(self.channel.fileno())
        if not self.ended.done():
            self.ended.set_result(answer)

    def _read(self, stream: OutputStream) -> None:
        stream.read_some()
        if not stream.open:
            self.loop.remove_reader(stream.descriptor)

    def _read_reply(self) -> None:
        assert self._reply_pipe is not None
        with suppress(BlockingIOError):
            data = os.read(self._reply_pipe, 1 << 20)
            if len(self.reply) <= REPLY_LIMIT:
                self.reply += data
            if not data:
                self.loop.remove_reader(self._reply_pipe)

    def _feed(self) -> None:
        """Write what the pipe takes; a process that stops reading its input early is its own affair."""
        assert self._stdin_end is not None
        try:
            written = os.write(self._stdin_end, self._stdin[:65536])
        except BlockingIOError:
            written = 0
        except BrokenPipeError:
            written = len(self._stdin)
        self._stdin = self._stdin[written:]
        if self._stdin:
            self.loop.add_writer(self._stdin_end, self._feed)
        else:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin_end is not None:
            self.loop.remove_writer(self._stdin_end)
            os.close(self._stdin_end)
            self._stdin_end = None

    def _close_theirs(self) -> None:
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def close(self) -> None:
        self._close_theirs()
        self._close_stdin()
        self.loop.remove_reader(self.channel.fileno())
        self.channel.close()
        for stream in self.streams:
            self.loop.remove_reader(stream.descriptor)
            stream.finish()
        if self._reply_pipe is not None:
            self.loop.remove_reader(self._reply_pipe)
            for _ in range(16):
                before = len(self.reply)
                self._read_reply()
                if len(self.reply) == before:
                    break
            os.close(self._reply_pipe)
