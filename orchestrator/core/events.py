"""What happened, in the past tense: the only things a journal holds and the only things that change a run's state.

Events are small arrays on disk. A field is only ever added at the end, with a default; a changed meaning is a new event (and an
upcaster in `upcast`). `task` is a task number: an index into the state's arrays, given out by `ScopeOpened` in order.
"""

from __future__ import annotations

from typing import Any

import msgspec

BATCH_FORMAT = 1


class Blob(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A value too large for the journal: the blob's SHA-256, and the size of its JSON text in bytes."""

    sha256: str
    size: int


Value = bytes | Blob
"""A JSON value as stored: its UTF-8 JSON text, or the blob that holds it."""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    type: str
    """One of `errors.ERROR_TYPES`."""
    message: str
    help: str | None = None
    retry_after: float | None = None
    """Seconds the other side asked us to wait."""


class Event(msgspec.Struct, frozen=True, array_like=True):
    pass


class RunStarted(Event, frozen=True, array_like=True, tag=1):
    run_id: str
    plan: str
    """Blob hash of the encoded plan."""
    plan_digest: str
    workflow: str
    inputs: Value
    trigger: dict[str, Any]
    """{kind: manual|rerun|workflow|…, by, …}."""
    project: str
    git: dict[str, Any] | None = None
    """{commit, dirty, branch} if it was known at the start."""
    reuse: Value | None = None
    """{from_run, tasks: {instance name: {value, meta, cost}}}: results a rerun takes over."""
    scheduled_at: float | None = None
    parent: str = ""
    secret_names: tuple[str, ...] = ()
    budget: dict[str, Any] | None = None
    """Overrides of the plan's budget (`--budget`)."""


class RunClaimed(Event, frozen=True, array_like=True, tag=2):
    driver: str
    """"pid 12 on host": who drives from here on. Attempts that were in progress are cut, see AttemptCut."""


class GitPinned(Event, frozen=True, array_like=True, tag=3):
    git: dict[str, Any]


class ScopeOpened(Event, frozen=True, array_like=True, tag=4):
    owner: int
    """Task number of the group, each or loop; -1 for the run itself."""
    scope: int
    """The plan's scope that is opened; its nodes get the next free task numbers, in order."""
    index: int = 0
    """Item's index from 0; round or attempt from 1."""


class TaskPrepared(Event, frozen=True, array_like=True, tag=5):
    task: int
    """Its `when` was true."""


class ItemsOpened(Event, frozen=True, array_like=True, tag=6):
    task: int
    count: int
    keys: tuple[str, ...] | None
    """None: the keys are the indices."""
    items: Value
    """The list of items (over a map: of {key, value})."""
    mapping: bool = False
    after: tuple[tuple[int, ...], ...] | None = None
    """For each item the indices of those that settle first (`item_after`)."""


class AttemptStarted(Event, frozen=True, array_like=True, tag=7):
    task: int


class TaskSucceeded(Event, frozen=True, array_like=True, tag=8):
    task: int
    value: Value | None = None
    """None: derived from inner tasks (composites without `outputs`)."""
    meta: Value | None = None
    cost: float | None = None
    usage: dict[str, int] | None = None
    reused: str | None = None
    """`cache`, or the run whose result this is."""
    by: str | None = None
    """Who answered or decided, where a person did."""


class AttemptFailed(Event, frozen=True, array_like=True, tag=9):
    """Another try will follow at `retry_at`."""

    task: int
    failure: Failure
    retry_at: float
    meta: Value | None = None
    cost: float | None = None


class TaskFailed(Event, frozen=True, array_like=True, tag=10):
    """For good. Its node's `on_error` says whether that is forgiven."""

    task: int
    failure: Failure
    meta: Value | None = None
    cost: float | None = None
    by: str | None = None


class TaskSettled(Event, frozen=True, array_like=True, tag=11):
    """Settled without an attempt of its own: blocked, skipped or cancelled."""

    task: int
    status: int
    reason: str
    because: int = -1
    """The task that caused it, where one did."""


class TaskSlept(Event, frozen=True, array_like=True, tag=12):
    task: int
    until: float
    value: Value


class TaskAsked(Event, frozen=True, array_like=True, tag=13):
    task: int
    question: Value
    """{question, schema, show, to}."""
    expires_at: float | None = None
    on_expired: str = "fail"
    """fail, skip or value."""
    expired_value: Value | None = None
    """The answer to take then, for `value`."""
    resumes: str = ""
    """The name of the answer, if the attempt goes on with it; empty if the answer is the task's value."""
    worked: float = 0.0
    """Seconds that the attempt had worked when it asked; the time until the answer is nobody's."""
    cost: float | None = None
    """What it had cost until then; its result tells the whole again."""


class TaskParked(Event, frozen=True, array_like=True, tag=14):
    task: int
    reason: str
    cost: float | None = None
    """As of TaskAsked."""


class AttemptCut(Event, frozen=True, array_like=True, tag=15):
    """The attempt was cut off (crash, stop): it is repeated, or `unknown` if it must not be."""

    task: int
    reason: str


class TaskResolved(Event, frozen=True, array_like=True, tag=16):
    """A person said that an unknown or parked task shall be tried again."""

    task: int
    by: str


class LoopJudged(Event, frozen=True, array_like=True, tag=17):
    task: int
    round: int
    done: bool
    next_at: float | None = None
    """If not done and another round follows: the earliest instant it may start."""


class OutputsSet(Event, frozen=True, array_like=True, tag=18):
    value: Value
    failure: Failure | None = None


class PhaseEnded(Event, frozen=True, array_like=True, tag=19):
    """All tasks of `tasks:`, `on_failure:` or `finally:` have settled."""

    phase: str


class HoldSet(Event, frozen=True, array_like=True, tag=20):
    name: str
    by: str
    reason: str = ""


class HoldCleared(Event, frozen=True, array_like=True, tag=21):
    name: str
    by: str


class CancelRequested(Event, frozen=True, array_like=True, tag=22):
    by: str
    reason: str = ""
    as_failure: Failure | None = None
    """The run ends failed with this (its timeout, `fail_fast`) rather than cancelled."""


class EndRequested(Event, frozen=True, array_like=True, tag=23):
    """A task said `end:`."""

    task: int
    status: str
    message: str | None = None


class StopRequested(Event, frozen=True, array_like=True, tag=24):
    """Drain: nothing new starts; at `until` what still runs is cut. The run stays resumable."""

    by: str
    until: float


class StatusChanged(Event, frozen=True, array_like=True, tag=25):
    status: str
    reason: str = ""


class RunEnded(Event, frozen=True, array_like=True, tag=26):
    status: str
    failure: Failure | None = None
    message: str | None = None


class TaskWoke(Event, frozen=True, array_like=True, tag=27):
    """Its delay is over, or a recovered driver looks at it again: it is ready."""

    task: int


class TaskAnswered(Event, frozen=True, array_like=True, tag=28):
    """What the attempt asked in its midst is answered: it is ready to go on, with this and all earlier answers."""

    task: int
    key: str
    """The question's `resumes`."""
    value: Value
    by: str
    """Who answered; `expiry` if nobody did in time."""


AnyEvent = (
    RunStarted | RunClaimed | GitPinned | ScopeOpened | TaskPrepared | ItemsOpened | AttemptStarted | TaskSucceeded
    | AttemptFailed | TaskFailed | TaskSettled | TaskSlept | TaskAsked | TaskParked | AttemptCut | TaskResolved | LoopJudged
    | OutputsSet | PhaseEnded | HoldSet | HoldCleared | CancelRequested | EndRequested | StopRequested | StatusChanged
    | RunEnded | TaskWoke | TaskAnswered
)  # fmt: skip


class EventBatch(msgspec.Struct, frozen=True, array_like=True):
    """One turn of one run: all its events share the instant `at` (epoch seconds)."""

    at: float
    events: list[AnyEvent]
    format: int = BATCH_FORMAT


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EventBatch)


def encode_batch(at: float, events: list[AnyEvent]) -> bytes:
    return _encoder.encode(EventBatch(at, events))


def decode_batch(payload: bytes) -> EventBatch:
    """Raises msgspec.DecodeError for bytes that are no batch of this or an older format."""
    return _decoder.decode(payload)
