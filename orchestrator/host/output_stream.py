"""One output of a process on its way to us: made safe, logged up to a limit, shown live, its head and tail kept."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from orchestrator.host.redact import StreamRedactor

CHUNK = 64 * 1024
_log = logging.getLogger(__name__)


class KeptBytes:
    """The first and last bytes of a stream in bounded memory: half the limit each."""

    def __init__(self, limit: int) -> None:
        self._limit = max(2, limit)
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.omitted = 0

    def add(self, data: bytes) -> None:
        half = self._limit // 2
        room = half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= half:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self.omitted += gone
        if self._tail_size > half:
            surplus = self._tail_size - half
            self._tail[0] = self._tail[0][surplus:]
            self._tail_size -= surplus
            self.omitted += surplus

    def joined(self) -> bytes:
        """Everything, or head, a line that says how much is left out, and tail."""
        if not self.omitted:
            return bytes(self._head) + b"".join(self._tail)
        return b"%b\n[%d bytes left out]\n%b" % (bytes(self._head), self.omitted, b"".join(self._tail))


class OutputStream:
    """`name` is `stdout` or `stderr`; `read_ready` is for the event loop's reader of `descriptor`."""

    def __init__(
        self,
        name: str,
        descriptor: int,
        *,
        redactor: StreamRedactor,
        keep: int,
        log_dir: Path | None,
        log_limit: int,
        on_output: Callable[[str, bytes], None] | None,
    ) -> None:
        self.name = name
        self.descriptor = descriptor
        self.open = True
        self.kept = KeptBytes(keep)
        self._redactor = redactor
        self._on_output = on_output
        self._log_left = log_limit
        self._log_limit = log_limit
        self._log: BinaryIO | None = None
        if log_dir is not None:
            log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            self._log = os.fdopen(os.open(log_dir / f"{name}.log", flags, 0o600), "wb", buffering=0)
        os.set_blocking(descriptor, False)

    def read_some(self) -> bool:
        """Take one chunk; False at the end of the stream, or if nothing is there now."""
        try:
            data = os.read(self.descriptor, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.open = False
            return False
        self._take(self._redactor.feed(data))
        return True

    def finish(self) -> None:
        """Take what is still in the pipe, then close. Called when every writer of ours is gone.

        A stranger who was given the pipe (a daemon of another tree) may go on writing: bounded by a pipe's greatest size.
        """
        for _ in range(16):
            if not self.read_some():
                break
        self._take(self._redactor.flush())
        self.open = False
        os.close(self.descriptor)
        if self._log is not None:
            self._log.close()
            self._log = None

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self.kept.add(data)
        self._write_log(data)
        if self._on_output is not None:
            self._on_output(self.name, data)

    def _write_log(self, data: bytes) -> None:
        if self._log is None or self._log_left <= 0:
            return
        part = data[: self._log_left]
        self._log_left -= len(part)
        try:
            self._log.write(part)
            if self._log_left == 0:
                self._log.write(b"\n[output beyond %d bytes is not kept]\n" % self._log_limit)
        except OSError as error:
            # The task's work is worth more than its log; the journal meets the full disk by itself.
            _log.warning("the %s log of a task ends early: %s", self.name, error)
            self._log_left = 0
