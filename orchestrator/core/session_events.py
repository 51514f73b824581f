"""What a conversation's journal holds (events), what its machine is told (inputs) and what it orders (effects).

Events are small arrays on disk. A field is only ever added at the end, with a default; a changed meaning is a new event.
Every model request leaves `CallSent` before it goes out and exactly one of `CallAnswered`, `CallFailed`, `CallLost`
after: together they are the ledger of paid calls. `at` is seconds since the epoch; money is in trillionths of the
currency's unit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from orchestrator.core.events import Failure
from orchestrator.core.messages import Message, Usage
from orchestrator.core.session_terms import Backup, Terms

__all__ = ["Backup", "Terms"]


class SessionEvent(msgspec.Struct, frozen=True, array_like=True):
    at: float


class ExchangeStarted(SessionEvent, frozen=True, tag=1):
    key: str
    terms: Terms
    prompt: Message
    deadline: float | None = None
    failures: int | None = None
    """How often its task had failed by then, where a task asks."""


class ExchangeResumed(SessionEvent, frozen=True, tag=2):
    """Asked again under the same key: after a crash, or by a retry of the task."""

    key: str
    deadline: float | None = None
    from_prompt: bool = False
    """The answers so far are left aside: the last one was no good, and a fresh start is likelier to be."""
    failures: int | None = None


class CallSent(SessionEvent, frozen=True, tag=3):
    number: int
    """From 1 in this conversation."""
    turn: int
    tokens_bound: int = 0
    """What this request can use at most."""
    cost_bound: int | None = None
    model: str = ""
    worker: str = ""
    """Id of the worker whose key, prices and limits hold; empty if none is named."""
    currency: str = ""
    """Of its bound and its cost; empty in records from before it was kept."""
    synthetic: bool = False
    """No AI model is asked: nothing is paid, whatever is used."""
    last: bool = False
    """A budget has room for this one only: the agent is told to finish with what there is."""


class CallAnswered(SessionEvent, frozen=True, tag=4):
    number: int
    message: Message
    finish: str
    usage: Usage
    cost: int | None = None
    """None: nothing was paid, or the price is unknown."""
    model: str = ""
    """What answered, in the provider's own words."""


class CallFailed(SessionEvent, frozen=True, tag=5):
    number: int
    failure: Failure
    charged: bool = True
    """It may have been paid for; without `usage` it counts as its bound."""
    partial: str = ""
    """The text that had arrived."""
    usage: Usage | None = None
    cost: int | None = None


class CallLost(SessionEvent, frozen=True, tag=6):
    """A crash cut it off: nobody can know whether it was answered. It counts as its bound."""

    number: int


class AnswerRejected(SessionEvent, frozen=True, tag=7):
    problems: tuple[str, ...]
    request: Message
    """What the model is told about them."""


class RetryPlanned(SessionEvent, frozen=True, tag=8):
    until: float


class RetryDue(SessionEvent, frozen=True, tag=9):
    pass


class ToolFinished(SessionEvent, frozen=True, tag=10):
    call_id: str
    content: str
    is_error: bool = False


class ExchangeEnded(SessionEvent, frozen=True, tag=11):
    finish: str


class ExchangeFailed(SessionEvent, frozen=True, tag=12):
    failure: Failure


class ExchangeStopped(SessionEvent, frozen=True, tag=13):
    partial: str = ""
    reason: str = "stop"


class ToolStarted(SessionEvent, frozen=True, tag=14):
    """A call that must not be made twice begins. If no result follows, nobody knows whether it took effect."""

    call_id: str


class ToolDeferred(SessionEvent, frozen=True, tag=15):
    """The call did not begin after all: a person must say something first. It will be made again."""

    call_id: str


class ModelSwitched(SessionEvent, frozen=True, tag=16):
    """The exchange goes on with a fallback model."""

    model: str
    place: int
    """Its place in the agent's `fallback`, from 1."""
    failure: Failure
    """Why the model before it was given up, or is left alone."""
    settings: dict[str, Any] = {}
    worker: str = ""


class HandedOff(SessionEvent, frozen=True, tag=17):
    """The conversation goes on with another agent: by a tool's result, once its turn is over, or between two exchanges."""

    call_id: str
    """The tool call that asked for it; empty between exchanges."""
    terms: Terms
    message: str = ""
    """What the new agent is told."""


class ContextTrimmed(SessionEvent, frozen=True, tag=18):
    """The model is no longer sent these messages; they stay on record."""

    left_out: tuple[int, ...]
    """Their places in what the model was sent so far, from 0."""
    reason: str = ""


class SummaryPlanned(SessionEvent, frozen=True, tag=19):
    """The next request asks for a summary of these messages, to be sent in their place."""

    left_out: tuple[int, ...]
    reason: str = ""


class ExchangeUndone(SessionEvent, frozen=True, tag=20):
    """Somebody took an exchange back: what was asked and answered in it is no longer part of the conversation."""

    key: str


AnyEvent = (
    ExchangeStarted
    | ExchangeResumed
    | CallSent
    | CallAnswered
    | CallFailed
    | CallLost
    | AnswerRejected
    | RetryPlanned
    | RetryDue
    | ToolFinished
    | ExchangeEnded
    | ExchangeFailed
    | ExchangeStopped
    | ToolStarted
    | ToolDeferred
    | ModelSwitched
    | HandedOff
    | ContextTrimmed
    | SummaryPlanned
    | ExchangeUndone
)


# Inputs: they happen, or ask.


class Asked(NamedTuple):
    key: str
    terms: Terms
    prompt: Message
    deadline: float | None = None
    failures: int | None = None
    """How often the task that asks has failed so far. As often as when the question failed: nobody knows of that failure
    yet, and it stands; more often: somebody asks again on purpose."""


class Recovered(NamedTuple):
    """The record was read back: whatever seemed to be in progress is not."""


class RequestPrepared(NamedTuple):
    """Nobody holds the loop back, and the budget has room for the bound."""

    tokens_bound: int = 0
    cost_bound: int | None = None
    model: str = ""
    worker: str = ""
    currency: str = ""
    synthetic: bool = False
    last: bool = False


class RequestDenied(NamedTuple):
    """The request must not be sent at all (budget, credentials, files that cannot be read)."""

    failure: Failure


class RequestWithheld(NamedTuple):
    """The model is not asked now: its provider is known to be down, or it is left alone after a fallback."""

    failure: Failure
    wait: float
    """Seconds until it may be asked."""
    unavailable: frozenset[str] = frozenset()
    """Fallback models that are no better off."""


class ContextTooLong(NamedTuple):
    """What would be sent does not fit the model's declared window."""

    failure: Failure
    keep: int
    """Bytes of messages that would fit."""


class AnswerArrived(NamedTuple):
    number: int
    message: Message
    finish: str
    usage: Usage
    cost: int | None
    model: str
    problems: tuple[str, ...] = ()
    """Why the answer does not fit the exchange's `output_schema`; empty if it does or there is none."""
    help: str | None = None


class RequestFailed(NamedTuple):
    number: int
    failure: Failure
    retryable: bool
    charged: bool = True
    partial: str = ""
    usage: Usage | None = None
    cost: int | None = None
    unavailable: frozenset[str] = frozenset()
    """Fallback models that cannot be asked now either."""


class ToolBegins(NamedTuple):
    """A call that must not be made twice is about to be made."""

    call_id: str


class ToolWaits(NamedTuple):
    """A person must say something before the call can be made."""

    call_id: str


class HandOffAsked(NamedTuple):
    """A tool's result is that another agent goes on; with no `call_id`, somebody outside wants it."""

    call_id: str
    terms: Terms
    message: str = ""


class TimeOver(NamedTuple):
    """The exchange's deadline has passed while its tools ran."""


class ToolReturned(NamedTuple):
    call_id: str
    content: str
    is_error: bool = False


class StopRequested(NamedTuple):
    partial: str = ""
    reason: str = "stop"


class TimePassed(NamedTuple):
    pass


class UndoAsked(NamedTuple):
    """Take back the latest exchange that is not taken back yet."""


Input = (
    Asked
    | Recovered
    | RequestPrepared
    | RequestDenied
    | RequestWithheld
    | ContextTooLong
    | AnswerArrived
    | RequestFailed
    | ToolBegins
    | ToolWaits
    | ToolReturned
    | HandOffAsked
    | TimeOver
    | StopRequested
    | TimePassed
    | UndoAsked
)


# Effects: orders.


class PrepareRequest(NamedTuple):
    """Ask whoever may hold the loop back, reserve the budget; answer with RequestPrepared or RequestDenied."""

    turn: int


class CallModel(NamedTuple):
    """Send the request; answer with AnswerArrived or RequestFailed."""

    number: int


class CallTool(NamedTuple):
    call_id: str


Effect = PrepareRequest | CallModel | CallTool

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyEvent])


def encode_events(events: list[AnyEvent]) -> bytes:
    return _encoder.encode(events)


def decode_events(payload: bytes) -> list[AnyEvent]:
    """Raises msgspec.DecodeError for what is no batch of a conversation."""
    return _decoder.decode(payload)
