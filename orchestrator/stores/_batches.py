"""What every backend refuses before it touches anything, and the sentences it refuses with."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from orchestrator.errors import JournalConflictError, JournalError
from orchestrator.ports.journal import Batch, StreamRow

PAYLOAD_LIMIT: Final = 512 * 1024 * 1024
"""Bytes. SQLite takes a billion in one value; a batch near that is a mistake (large values belong in blobs)."""
LAST_LIMIT: Final = 1 << 40
"""Events in one stream: the backends keep event numbers in 40 bits."""


def malformed(batch: Batch) -> JournalError | None:
    """Why this batch can never be appended, whatever the journal holds."""
    if not batch.stream or "\0" in batch.stream:
        return JournalError(f"a stream needs a name without NUL, not {batch.stream!r}")
    if batch.row.stream != batch.stream:
        return JournalError(f"the row of {batch.row.stream!r} came with a batch for {batch.stream!r}")
    if batch.count < 0 or batch.expected < 0 or batch.expected + batch.count >= LAST_LIMIT:
        return JournalError(f"{batch.count} events after number {batch.expected} of {batch.stream} cannot be counted")
    if bool(batch.count) != bool(batch.payload):
        return JournalError(f"{batch.count} events in {len(batch.payload)} bytes for {batch.stream}")
    if len(batch.payload) > PAYLOAD_LIMIT:
        return JournalError(f"a batch of {len(batch.payload)} bytes for {batch.stream} is over the limit")
    if len(set(batch.consumed)) != len(batch.consumed):
        return JournalError(f"a batch for {batch.stream} consumes one message twice")
    return None


_encode: Final = msgspec.json.Encoder().encode
decode_summary: Final = msgspec.json.Decoder(dict[str, Any]).decode


def encode_summary(row: StreamRow) -> bytes:
    """As bytes, so that nobody keeps a reference into what the journal holds. Raises JournalError if it is not JSON."""
    try:
        return _encode(row.summary)
    except (TypeError, ValueError, RecursionError) as problem:
        raise JournalError(f"the summary of {row.stream} is not JSON: {problem}") from problem


def moved_on(batch: Batch, last: int) -> JournalConflictError:
    return JournalConflictError(
        f"{batch.stream} is at event {last}, not at {batch.expected}: somebody else drives it now"
    )


def more_mail(batch: Batch, inbox: int) -> JournalConflictError:
    return JournalConflictError(
        f"{inbox} messages were sent to {batch.stream}, not {batch.inbox_seen}: look again before parking"
    )


def not_waiting(batch: Batch, key: str) -> JournalConflictError:
    return JournalConflictError(f"message {key!r} no longer waits in the inbox of {batch.stream}")
