"""The journal: one stream of events a run, an inbox beside each stream, blobs by hash, and small caches.

Callback style (`append(batch, done)`) keeps the port free of any event loop: the memory store and NORMAL commits call
`done` before `append` returns; FULL commits call it from the writer thread after the fsync. Every backend passes
`tests/stores/conformance.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lists and wake queries know of a run without folding its events. Written with each append."""

    stream: str
    """The run's id."""
    status: str
    workflow: str = ""
    """Path of the workflow below the project, its identity."""
    parent: str = ""
    """Run id of the caller, for a sub-workflow."""
    started_at: float = 0.0
    ended_at: float | None = None
    wake_at: float | None = None
    """When the run next needs a driver though nothing happens; None if never."""
    concurrency_key: str = ""
    summary: dict[str, Any] = {}
    """Small JSON for lists: name, task counts, cost, error."""
    last: int = 0
    """Number of the last event; set by the journal."""
    inbox: int = 0
    """How many messages were ever sent to this stream's inbox; set by the journal."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One append: all events of one turn of one stream, encoded once."""

    stream: str
    expected: int
    """Number of the last event the writer knows (0 for a new stream)."""
    count: int
    """Events in `payload`; the stream's last number becomes `expected + count`."""
    payload: bytes
    row: StreamRow
    consumed: tuple[str, ...] = ()
    """Keys of inbox messages that leave the inbox in this very commit."""
    inbox_seen: int | None = None
    """If given, refuse (JournalConflictError) unless this many messages were ever sent: parking loses no wake."""


class StoredBatch(msgspec.Struct, frozen=True):
    first: int
    """Number of the batch's first event; the first event of a stream is number 1."""
    count: int
    payload: bytes


class InboxMessage(msgspec.Struct, frozen=True):
    key: str
    payload: bytes


Done = Callable[[BaseException | None], None]
"""Called once per append, from any thread: None after the commit, or JournalConflictError / JournalFullError / JournalError."""


class Journal(Protocol):
    """Raises JournalError (or a subclass) from every method but `append`, whose errors go to `done`."""

    def append(self, batch: Batch, done: Done) -> None: ...

    def read(self, stream: str, after: int = 0) -> Iterator[StoredBatch]:
        """Batches with events numbered above `after`, in order. An unknown stream is empty."""
        ...

    def row(self, stream: str) -> StreamRow | None: ...

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
        """Newest first (started_at, then stream); every filter given must match; `parent=""` means top-level only."""
        ...

    def send(self, stream: str, key: str, payload: bytes) -> bool:
        """Put a message into a stream's inbox, durably. False if that key was ever sent before (nothing changes)."""
        ...

    def inbox(self, stream: str) -> list[InboxMessage]:
        """Messages not yet consumed, in order of arrival."""
        ...

    def due(self, now: float) -> list[str]:
        """Streams whose `wake_at` is at or before `now` (epoch seconds), earliest first."""
        ...

    def claim(self, stream: str) -> AbstractContextManager[None]:
        """Hold the exclusive right to drive a stream while the context lasts; freed at once when the process dies.

        Raises RunBusyError naming the holder.
        """
        ...

    def holder(self, stream: str) -> str | None:
        """Who holds the claim ("pid 123 on host"), None if nobody living does."""
        ...

    def put_blob(self, data: bytes) -> str:
        """Store bytes durably before returning; returns their SHA-256 in hex."""
        ...

    def get_blob(self, digest: str) -> bytes:
        """Raises JournalError if it is missing or does not match its hash."""
        ...

    def remember(self, key: str, value: bytes, expires_at: float) -> None:
        """Keep a task result for `cache:` under a content key until an epoch second."""
        ...

    def recall(self, key: str, now: float) -> bytes | None: ...

    def close(self) -> None:
        """Wait for what was appended, then release everything. Idempotent."""
        ...
