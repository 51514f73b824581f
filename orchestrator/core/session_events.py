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
from orchestrator.core.plan import Retry


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What an exchange was asked under. A resumed exchange keeps these, whatever the agent's file says by then."""

    agent: str
    model: str
    """`provider/model`."""
    instructions: str = ""
    settings: dict[str, Any] = {}
    """The agent's `ai_config`, validated, without the model."""
    tools: tuple[str, ...] = ()
    output_schema: dict[str, Any] | None = None
    repair: int = 2
    """How often an answer that does not fit `output_schema` may be asked for again."""
    retry: Retry = Retry(max=3, delay=1.0, backoff=2.0, jitter=0.2, within=600.0)
    """Tries of one turn after the first, where the model's provider fails."""
    turns_max: int = 32
    worker: str = ""
    """Id of the worker it was asked on; empty if the agent names its model itself."""
    currency: str = ""
    """Of every cost in the exchange; empty in records from before it was kept."""
    synthetic: bool = False
    """No AI model was asked: nothing is paid, whatever was used."""


class SessionEvent(msgspec.Struct, frozen=True, array_like=True):
    at: float


class ExchangeStarted(SessionEvent, frozen=True, tag=1):
    key: str
    terms: Terms
    prompt: Message
    deadline: float | None = None


class ExchangeResumed(SessionEvent, frozen=True, tag=2):
    """Asked again under the same key: after a crash, or by a retry of the task."""

    key: str
    deadline: float | None = None
    from_prompt: bool = False
    """The answers so far are left aside: the last one was no good, and a fresh start is likelier to be."""


class CallSent(SessionEvent, frozen=True, tag=3):
    number: int
    """From 1 in this conversation."""
    turn: int
    tokens_bound: int = 0
    """What this request can use at most."""
    cost_bound: int | None = None
    model: str = ""


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
)


# Inputs: they happen, or ask.


class Asked(NamedTuple):
    key: str
    terms: Terms
    prompt: Message
    deadline: float | None = None


class Recovered(NamedTuple):
    """The record was read back: whatever seemed to be in progress is not."""

    unrepeatable: frozenset[str] = frozenset()
    """Names of tools that must not be called a second time."""


class RequestPrepared(NamedTuple):
    """Nobody holds the loop back, and the budget has room for the bound."""

    tokens_bound: int = 0
    cost_bound: int | None = None
    model: str = ""


class RequestDenied(NamedTuple):
    """The request must not be sent at all (budget, credentials, files that cannot be read)."""

    failure: Failure


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


class ToolReturned(NamedTuple):
    call_id: str
    content: str
    is_error: bool = False


class StopRequested(NamedTuple):
    partial: str = ""
    reason: str = "stop"


class TimePassed(NamedTuple):
    pass


Input = (
    Asked
    | Recovered
    | RequestPrepared
    | RequestDenied
    | AnswerArrived
    | RequestFailed
    | ToolReturned
    | StopRequested
    | TimePassed
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
