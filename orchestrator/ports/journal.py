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
    """Events in `payload`; the stream's last number becomes `expected + count`. May be 0, with an empty payload: the row
    is written and messages leave the inbox though nothing happened (a message that was refused, say)."""
    payload: bytes
    row: StreamRow
    """Its `last` and `inbox` are ignored: the journal knows them."""
    consumed: tuple[str, ...] = ()
    """Keys of inbox messages that leave the inbox in this very commit. Each must still be waiting there, or the whole
    batch is refused (JournalConflictError): a message is handled once."""
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

    def append(self, batch: Batch, done: Done) -> None:
        """Write one batch, all of it or nothing, and call `done` exactly once when that is decided.

        JournalConflictError: `expected`, `inbox_seen` or `consumed` is not what the journal has. JournalFullError: no
        space. JournalError: anything else, a malformed batch and a closed journal included. After an error of the disk
        itself a later fold may still show the batch: fold again, never patch.
        """
        ...

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
        """Newest first (by started_at, then by stream, both descending); every filter given must match; `parent=""` means
        top-level only."""
        ...

    def send(self, stream: str, key: str, payload: bytes) -> bool:
        """Put a message into a stream's inbox, durably. False if that key was ever sent before (nothing changes).

        The stream need not have begun. Blocks until the commit.
        """
        ...

    def inbox(self, stream: str) -> list[InboxMessage]:
        """Messages not yet consumed, in order of arrival."""
        ...

    def listen(self, stream: str, callback: Callable[[str], None], *, events: bool = False) -> Callable[[], None]:
        """Call `callback(stream)` soon after a message came into that stream's inbox, sent by whichever process; "" is
        every stream. With `events` also soon after events were appended. Returns what ends the listening.

        A hint, from any thread, that must return quickly: it may come half a second late, or for nothing. Listen first,
        then read the inbox, and read it again at each call: so no message is missed.
        """
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

    def note_full(self, stream: str) -> None:
        """Note beside the journal that there was no space for this stream's next events. Never raises; where not even a note
        can be left, `full_since` stays as it was."""
        ...

    def forget_full(self, stream: str) -> None:
        """There was space again. Never raises."""
        ...

    def full_since(self, stream: str) -> float | None:
        """When such a note was left (epoch seconds), None if there is none."""
        ...

    def put_blob(self, data: bytes) -> str:
        """Store bytes durably before returning; returns their SHA-256 in hex."""
        ...

    def get_blob(self, digest: str) -> bytes:
        """Raises JournalError if it is missing or does not match its hash."""
        ...

    def remember(self, key: str, value: bytes, expires_at: float) -> None:
        """Keep a task result for `cache:` under a content key until an epoch second; a later call replaces it."""
        ...

    def recall(self, key: str, now: float) -> bytes | None:
        """What is remembered under that key, None if nothing is or it expired at or before `now`."""
        ...

    def close(self) -> None:
        """Wait for what was appended, then release everything. Idempotent."""
        ...
