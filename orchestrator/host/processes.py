"""Processes for tasks: `ports.services.Processes` on asyncio, every process below the reaper.

The engine talks to the supervisor of each process over a channel of its own and reads the outputs itself; the reaper only
forks. Output is read as fast as this loop can take it: a process that is faster waits in its write.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.open_process import OpenProcess
from orchestrator.host.python_spawner import PythonSpawner
from orchestrator.host.reaper_link import ReaperLink, start_reaper
from orchestrator.host.redact import Redactor
from orchestrator.host.running_process import Outputs, RunningProcess
from orchestrator.host.supervisor import frame
from orchestrator.ports.services import ProcessResult

COMPLAINT: Final = 16 * 1024
"""Bytes of a staying process's standard error that are kept."""
KEEP: Final = 8 * 1024 * 1024
LOG_LIMIT: Final = 64 * 1024 * 1024
GRACE_S: Final = 2.0
"""From SIGTERM to SIGKILL on timeout and cancel."""


class ProcessTimeoutError(TimeoutError):
    """The process ran longer than it was given and was ended; `result` is what it had put out."""

    def __init__(self, timeout: float, result: ProcessResult) -> None:
        super().__init__(f"ended after {timeout:g} s")
        self.result = result


class ReapedProcesses:
    """All processes of one engine; how many at once is the caller's affair. Its reaper's locks lie in `state_dir`."""

    def __init__(self, state_dir: Path, *, grace: float = GRACE_S, log_limit: int = LOG_LIMIT) -> None:
        self._state_dir = state_dir
        self._grace = grace
        self._log_limit = log_limit
        self._link: ReaperLink | None = None
        self._spawner: PythonSpawner | None = None
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
        request = {"argv": list(argv), "env": dict(env), "cwd": _whole(cwd)}
        outputs = Outputs(Redactor(secrets), keep, log_dir, self._log_limit, on_output)
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
        request["cwd"] = _whole(cwd)
        outputs = Outputs(Redactor(secrets), keep, log_dir, self._log_limit, on_output)
        return await self._perform(request, outputs, stdin=b"", timeout=timeout, python=True)

    async def open(
        self, argv: list[str], *, env: Mapping[str, str], cwd: Path, secrets: Iterable[str] = ()
    ) -> OpenProcess:
        request: dict[str, Any] = {"argv": list(argv), "env": dict(env), "cwd": _whole(cwd)}
        request |= {"due": None, "grace": self._grace}
        process = OpenProcess(Outputs(Redactor(secrets), COMPLAINT, None, 0, None))
        try:
            self._hand_over(process)
        except BaseException:
            process.close()
            raise
        process.watch(frame(request), request)
        return process

    async def close(self) -> None:
        """End every process that still runs and the reaper itself; returns when they are gone. Idempotent."""
        self._closed = True
        self._drop_spawner()
        if self._link is not None:
            link, self._link = self._link, None
            link.hang_up()
            await _end_of(link.control)
            link.bury()

    async def _perform(
        self, request: dict[str, Any], outputs: Outputs, *, stdin: bytes, timeout: float | None, python: bool = False
    ) -> ProcessResult:
        due = None if timeout is None else time.monotonic() + timeout
        request |= {"due": due, "grace": self._grace}
        process = RunningProcess(outputs, stdin, python)
        try:
            self._hand_over(process)
            answer = await process.until_ended(frame(request))
        finally:
            process.close()
        result = _result(answer, process, request, timeout)
        if self._closed and result.exit_code in (143, 137):
            raise TaskError("cancelled", "the engine closed")
        return result

    def _hand_over(self, process: RunningProcess) -> None:
        """Give the process's ends to whoever forks it; a reaper or spawner that died is started anew, once."""
        if self._closed:
            raise TaskError("cancelled", "the engine is closing")
        trouble = self._bury_dead_reaper()
        for again in (False, True):
            try:
                self._forker(process.python)(process.theirs)
                break
            except (BrokenPipeError, ConnectionResetError):
                self._drop_spawner()
                trouble = self._bury_dead_reaper() or trouble
                if again:
                    raise TaskError("lost", f"no process can be started: {trouble or 'the reaper ends'}") from None
        process.started()

    def _forker(self, python: bool) -> Callable[[list[int]], None]:
        self.warm()
        link = self._link
        assert link is not None
        if not python:
            return link.request
        if self._spawner is None:
            self._spawner = PythonSpawner.start(link)
        return self._spawner.request

    def _bury_dead_reaper(self) -> str:
        """Let go of a reaper that died, and of the spawner that was below it; what it left written of the cause."""
        if self._link is None or self._link.alive():
            return ""
        self._drop_spawner()
        link, self._link = self._link, None
        trouble = link.trouble()
        link.bury()
        return trouble

    def _drop_spawner(self) -> None:
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None


def _whole(folder: Path) -> str:
    """From the root: the reaper stands elsewhere."""
    return str(folder.absolute())


def _result(
    answer: tuple[Any, ...], process: RunningProcess, request: dict[str, Any], timeout: float | None
) -> ProcessResult:
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
                raise ProcessTimeoutError(timeout or 0.0, result)
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
