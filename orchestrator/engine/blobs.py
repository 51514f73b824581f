"""Which blobs a journal's events name: what `doctor` checks, and what a collector must keep."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.events import AnyEvent, Blob, RunStarted, decode_batch
from orchestrator.core.messages import File, Image, Message
from orchestrator.core.session_events import SessionEvent, decode_events


def blobs_named(stream: str, payload: bytes) -> Iterator[str]:
    """The SHA-256 of every blob that one stored batch names. Raises msgspec.DecodeError for a batch that cannot be read.

    A conversation's stream is `RUN/agent/KEY`; every other one is a run's.
    """
    if "/agent/" in stream:
        for spoken in decode_events(payload):
            yield from _of_conversation(spoken)
        return
    for event in decode_batch(payload).events:
        yield from _of_event(event)


def _of_conversation(event: SessionEvent) -> Iterator[str]:
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Message):
            yield from (part.digest for part in value.parts if isinstance(part, Image | File) and part.digest)


def _of_event(event: AnyEvent) -> Iterator[str]:
    if isinstance(event, RunStarted):
        yield event.plan
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Blob):
            yield value.sha256
