"""Processes for tasks: `ports.services.Processes` on asyncio, every process below the reaper.

The engine talks to the supervisor of each process over a channel of its own and reads the outputs itself; the reaper only
forks. Output is read as fast as this loop can take it: a process that is faster waits in its write.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.output_stream import OutputStream
from orchestrator.host.reaper_link import ReaperLink, start_reaper
from orchestrator.host.redact import Redactor
from orchestrator.host.supervisor import frame
from orchestrator.ports.services import ProcessResult

KEEP: Final = 8 * 1024 * 1024
LOG_LIMIT: Final = 64 * 1024 * 1024
REPLY_LIMIT: Final = 64 * 1024 * 1024
GRACE_S: Final = 2.0
"""From SIGTERM to SIGKILL on timeout and cancel."""


class ProcessTimeoutError(TimeoutError):
    """The process ran longer than it was given and was ended; `result` is what it had put out."""

    def __init__(self, timeout: float, result: ProcessResult) -> None:
        super().__init__(f"ended after {timeout:g} s")
        self.result = result


class ReapedProcesses:
    """All processes of one engine. `limit` bounds how many run at once (None: as many as are asked for)."""

    def __init__(
        self, state_dir: Path, *, limit: int | None = None, grace: float = GRACE_S, log_limit: int = LOG_LIMIT
    ) -> None:
        self._state_dir = state_dir
        self._slots = asyncio.Semaphore(limit) if limit else None
        self._grace = grace
        self._log_limit = log_limit
        self._link: ReaperLink | None = None
        self._spawner: Spawner | None = None
        self._closed = False

    def warm(self) -> None:
        """Start the reaper now, so that it stands when the first process is wanted. Takes about a millisecond."""
        if self._link is None:
            self._link = start_reaper(self._state_dir)

    async def run(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: bytes = b"",
        timeout: float | None = None,
        log_dir: Path | None = None,
        keep: int = KEEP,
        on_output: Callable[[str, bytes], None] | None = None,
        secrets: Iterable[str] = (),
    ) -> ProcessResult:
        request = {"argv": list(argv), "env": dict(env), "cwd": os.fspath(cwd)}
        outputs = _Outputs(Redactor(secrets), keep, log_dir, self._log_limit, on_output)
        async with self._slot():
            return await self._perform(request, outputs, stdin=stdin, timeout=timeout)

    async def call_python(
        self,
        target: str,
        arguments: bytes,
        *,
        path: Path,
        env: Mapping[str, str],
        cwd: Path,
        timeout: float | None = None,
        log_dir: Path | None = None,
        keep: int = KEEP,
        on_output: Callable[[str, bytes], None] | None = None,
        secrets: Iterable[str] = (),
    ) -> ProcessResult:
        request = {"target": target, "arguments": arguments, "path": os.fspath(path), "env": dict(env)}
        request["cwd"] = os.fspath(cwd)
        outputs = _Outputs(Redactor(secrets), keep, log_dir, self._log_limit, on_output)
        async with self._slot():
            return await self._perform(request, outputs, stdin=b"", timeout=timeout, python=True)

    async def close(self) -> None:
        """End every process that still runs and the reaper itself; returns when they are gone. Idempotent."""
        self._closed = True
        self._drop_spawner()
        if self._link is not None:
            link, self._link = self._link, None
            link.hang_up()
            await _end_of(link.control)
            link.bury()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._slots is None:
            yield
        else:
            async with self._slots:
                yield

    async def _perform(
        self, request: dict[str, Any], outputs: _Outputs, *, stdin: bytes, timeout: float | None, python: bool = False
    ) -> ProcessResult:
        request |= {"timeout": timeout, "grace": self._grace}
        process = _Process(outputs, stdin, python)
        try:
            self._hand_over(process)
            answer = await process.until_ended(frame(request))
        finally:
            process.close()
        result = _result(answer, process, request)
        if self._closed and result.exit_code in (143, 137):
            raise TaskError("cancelled", "the engine closed")
        return result

    def _hand_over(self, process: _Process) -> None:
        """Give the process's ends to whoever forks it; a reaper or spawner that died is started anew, once."""
        if self._closed:
            raise TaskError("cancelled", "the engine is closing")
        for again in (False, True):
            try:
                self._forker(process.python)(process.theirs)
                break
            except (BrokenPipeError, ConnectionResetError):
                if again:
                    raise TaskError("lost", f"no process can be started: {self._trouble()}") from None
                self._forget(process.python)
        process.started()

    def _forker(self, python: bool) -> Callable[[list[int]], None]:
        self.warm()
        link = self._link
        assert link is not None
        if not python:
            return link.request
        if self._spawner is None:
            self._spawner = Spawner.start(link)
        return self._spawner.request

    def _forget(self, python: bool) -> None:
        self._drop_spawner()
        if not python and self._link is not None:
            self._link.hang_up()
            self._link.bury()
            self._link = None

    def _drop_spawner(self) -> None:
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None

    def _trouble(self) -> str:
        return (self._link.trouble() if self._link is not None else "") or "the reaper ended"


class Spawner:
    """The engine's end of the warm Python that forks a worker for every `python` attempt. It runs below the reaper."""

    def __init__(self, control: socket.socket, channel: socket.socket) -> None:
        self.control = control
        self._channel = channel

    @classmethod
    def start(cls, link: ReaperLink) -> Spawner:
        from orchestrator.host.environment import base_environment

        control, theirs = socket.socketpair()
        channel, far = socket.socketpair()
        root = str(Path(__file__).resolve().parent.parent.parent)
        argv = [sys.executable, "-P", "-c", _WORKER_BOOT, root]
        request = {"argv": argv, "env": base_environment(os.environ), "cwd": "/", "timeout": None, "grace": 1.0}
        null = os.open(os.devnull, os.O_RDWR)
        try:
            link.request([far.fileno(), theirs.fileno(), null, null])
            channel.sendall(frame(request))
        finally:
            far.close()
            theirs.close()
            os.close(null)
        return cls(control, channel)

    def request(self, descriptors: list[int]) -> None:
        socket.send_fds(self.control, [b"."], descriptors)

    def close(self) -> None:
        """It ends its workers and itself; its supervisor sees to it that it does."""
        self.control.close()
        self._channel.close()


_WORKER_BOOT = (
    "import sys;sys.path.append(sys.argv[1]);from orchestrator.host.python_worker import main;sys.path.pop();main()"
)


class _Outputs:
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


class _Process:
    """One process while it runs: its channel, its streams, and the loop's readers of them."""

    def __init__(self, outputs: _Outputs, stdin: bytes, python: bool) -> None:
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

    def _open_streams(self, outputs: _Outputs) -> None:
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


def _result(answer: tuple[Any, ...], process: _Process, request: dict[str, Any]) -> ProcessResult:
    stdout, stderr = process.streams
    match answer:
        case ("ended", status, timed_out, left):
            result = ProcessResult(
                exit_code=137 if status is None else status,
                stdout=stdout.kept.joined(),
                stderr=stderr.kept.joined(),
                stdout_truncated=stdout.kept.omitted > 0,
                stderr_truncated=stderr.kept.omitted > 0,
                reply=bytes(process.reply) if process.reply else None,
            )
            if left:
                raise TaskError(
                    "internal", f"processes {left} could not be ended: they hang in the kernel or are not ours"
                )
            if timed_out:
                raise ProcessTimeoutError(request["timeout"], result)
            return result
        case ("failed", stage, number):
            raise _start_error(stage, number, request)
    raise TaskError("lost", "the process was ended from outside, together with its supervisor")


def _start_error(stage: str, number: int, request: dict[str, Any]) -> OSError:
    name = request["cwd"] if stage == "cwd" else request.get("argv", [request.get("target")])[0]
    return OSError(number, os.strerror(number), name)


async def _end_of(control: socket.socket) -> None:
    """Until the other side has closed."""
    loop = asyncio.get_running_loop()
    control.setblocking(False)
    with suppress(OSError):
        while await loop.sock_recv(control, 64):
            pass
