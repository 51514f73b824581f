"""The journal that lives as long as its process: for tests, simulations and runs nobody wants to keep.

It promises what every journal promises except surviving the process, and is the model the others are held against.
One lock guards everything; `done` and listeners are called with the lock released.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from orchestrator.errors import JournalConflictError, JournalError, RunBusyError
from orchestrator.ports.journal import Batch, Done, InboxMessage, StoredBatch, StreamRow
from orchestrator.stores import _batches as batches


@dataclass(slots=True)
class _Stream:
    row: StreamRow | None = None
    summary: bytes = b"{}"
    last: int = 0
    batches: list[StoredBatch] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    waiting: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Listener:
    stream: str
    callback: Callable[[str], None]
    events: bool


class MemoryJournal:
    """`Journal` in plain dictionaries. `now` (epoch seconds) decides only when forgotten cache entries are dropped."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._claims: set[str] = set()
        self._full: dict[str, float] = {}
        self._blobs: dict[str, bytes] = {}
        self._cache: dict[str, tuple[bytes, float]] = {}
        self._listeners: list[_Listener] = []
        self._closed = False

    # Events

    def append(self, batch: Batch, done: Done) -> None:
        with self._lock:
            error = self._append(batch)
        done(error)
        if error is None and batch.count:
            self._tell(batch.stream, events=True)

    def _append(self, batch: Batch) -> JournalError | None:
        if self._closed:
            return JournalError("the journal is closed")
        error = batches.malformed(batch)
        if error is not None:
            return error
        try:
            summary = batches.encode_summary(batch.row)
        except JournalError as problem:
            return problem
        stream = self._streams.get(batch.stream) or _Stream()
        refusal = _refusal(stream, batch)
        if refusal is not None:
            return refusal
        self._streams[batch.stream] = stream
        for key in batch.consumed:
            del stream.waiting[key]
        if batch.count:
            stream.batches.append(StoredBatch(batch.expected + 1, batch.count, batch.payload))
        stream.last += batch.count
        stream.row, stream.summary = batch.row, summary
        return None

    def read(self, stream: str, after: int = 0) -> Iterator[StoredBatch]:
        self._open()
        with self._lock:
            found = self._streams.get(stream)
            stored = [] if found is None else [b for b in found.batches if b.first + b.count - 1 > after]
        return iter(stored)

    # Rows

    def row(self, stream: str) -> StreamRow | None:
        self._open()
        with self._lock:
            found = self._streams.get(stream)
            return None if found is None else _row(found)

    def rows(
        self,
        *,
        prefix: str = "",
        status: tuple[str, ...] = (),
        workflow: str = "",
        parent: str | None = None,
        concurrency_key: str = "",
        limit: int = 1000,
    ) -> list[StreamRow]:
        self._open()
        with self._lock:
            known = [row for stream in self._streams.values() if (row := _row(stream)) is not None]
        found = [
            row
            for row in known
            if row.stream.startswith(prefix)
            and (not status or row.status in status)
            and (not workflow or row.workflow == workflow)
            and (parent is None or row.parent == parent)
            and (not concurrency_key or row.concurrency_key == concurrency_key)
        ]
        found.sort(key=lambda row: (row.started_at, row.stream), reverse=True)
        return found[: max(limit, 0)]

    def due(self, now: float) -> list[str]:
        self._open()
        with self._lock:
            rows = [row for stream in self._streams.values() if (row := _row(stream)) is not None]
        return [
            name
            for _, name in sorted((r.wake_at, r.stream) for r in rows if r.wake_at is not None and r.wake_at <= now)
        ]

    # Inbox

    def send(self, stream: str, key: str, payload: bytes) -> bool:
        self._open()
        if not stream or "\0" in stream:
            raise JournalError(f"a stream needs a name without NUL, not {stream!r}")
        with self._lock:
            found = self._streams.setdefault(stream, _Stream())
            if key in found.sent:
                return False
            found.sent.add(key)
            found.waiting[key] = bytes(payload)
        self._tell(stream, events=False)
        return True

    def inbox(self, stream: str) -> list[InboxMessage]:
        self._open()
        with self._lock:
            found = self._streams.get(stream)
            return [] if found is None else [InboxMessage(key, payload) for key, payload in found.waiting.items()]

    def listen(self, stream: str, callback: Callable[[str], None], *, events: bool = False) -> Callable[[], None]:
        self._open()
        listener = _Listener(stream, callback, events)
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners = [other for other in self._listeners if other is not listener]

        return end

    def _tell(self, stream: str, *, events: bool) -> None:
        if not self._listeners:
            return
        with self._lock:
            wanted = [x for x in self._listeners if x.stream in ("", stream) and (x.events or not events)]
        for listener in wanted:
            listener.callback(stream)

    # Claims

    @contextmanager
    def claim(self, stream: str) -> Iterator[None]:
        self._open()
        with self._lock:
            if stream in self._claims:
                raise RunBusyError(stream, _ourselves())
            self._claims.add(stream)
        try:
            yield
        finally:
            with self._lock:
                self._claims.discard(stream)

    def holder(self, stream: str) -> str | None:
        self._open()
        with self._lock:
            return _ourselves() if stream in self._claims else None

    def note_full(self, stream: str) -> None:
        self._full[stream] = self._now()

    def forget_full(self, stream: str) -> None:
        self._full.pop(stream, None)

    def full_since(self, stream: str) -> float | None:
        return self._full.get(stream)

    # Blobs and cache

    def put_blob(self, data: bytes) -> str:
        self._open()
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._blobs.setdefault(digest, bytes(data))
        return digest

    def get_blob(self, digest: str) -> bytes:
        self._open()
        with self._lock:
            data = self._blobs.get(digest)
        if data is None:
            raise JournalError(f"blob {digest} is missing")
        return data

    def remember(self, key: str, value: bytes, expires_at: float) -> None:
        self._open()
        with self._lock:
            if len(self._cache) % 256 == 255:  # now and then, so that remembering stays cheap and the cache bounded
                now = self._now()
                self._cache = {k: entry for k, entry in self._cache.items() if entry[1] > now}
            self._cache[key] = (bytes(value), expires_at)

    def recall(self, key: str, now: float) -> bytes | None:
        self._open()
        with self._lock:
            entry = self._cache.get(key)
        return entry[0] if entry is not None and entry[1] > now else None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._listeners = []

    def _open(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")


def _refusal(stream: _Stream, batch: Batch) -> JournalConflictError | None:
    if stream.last != batch.expected:
        return batches.moved_on(batch, stream.last)
    if batch.inbox_seen is not None and batch.inbox_seen != len(stream.sent):
        return batches.more_mail(batch, len(stream.sent))
    for key in batch.consumed:
        if key not in stream.waiting:
            return batches.not_waiting(batch, key)
    return None


def _row(stream: _Stream) -> StreamRow | None:
    if stream.row is None:
        return None
    summary = batches.decode_summary(stream.summary)
    return msgspec.structs.replace(stream.row, last=stream.last, inbox=len(stream.sent), summary=summary)


def _ourselves() -> str:
    return f"pid {os.getpid()} on {os.uname().nodename}"
