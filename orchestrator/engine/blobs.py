"""Which blobs a journal's events name: what `doctor` checks, and what a collector must keep."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.events import AnyEvent, Blob, RunStarted, decode_batch


def blobs_named(payload: bytes) -> Iterator[str]:
    """The SHA-256 of every blob that one stored batch names. Raises msgspec.DecodeError for a batch that cannot be read."""
    for event in decode_batch(payload).events:
        yield from _of_event(event)


def _of_event(event: AnyEvent) -> Iterator[str]:
    if isinstance(event, RunStarted):
        yield event.plan
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Blob):
            yield value.sha256
