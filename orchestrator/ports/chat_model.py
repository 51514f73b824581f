"""The one port to every model: a request in, a stream of small events out.

A provider's file in `providers/` has an attribute `PROVIDER` that opens a ChatModel. A ChatModel makes exactly one paid
request per call of `stream`, never repeats one on its own, and holds no conversation. Every provider passes
`tests/providers/conformance.py`.

A stream is complete when it ends with `Finished` after at least one `UsageReported`. Whatever else happens is a
ChatModelError: a stream that ends early, an end without a reason, missing usage, tool arguments that are no JSON object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from orchestrator.core.messages import Message, Usage
from orchestrator.errors import ErrorType, TaskError
from orchestrator.ports.secret_source import Secret

JSON = Any

FinishReason = Literal["stop", "tool_calls", "length", "refused"]
"""`length`: cut at max_tokens or the model's own limit. `refused`: the provider's filter or the model itself said no."""


@dataclass(slots=True, kw_only=True, frozen=True)
class ToolSpec:
    """A tool as the model sees it."""

    name: str
    description: str
    parameters: dict[str, JSON]
    """JSON Schema of an object."""


@dataclass(slots=True, kw_only=True, frozen=True)
class ChatRequest:
    model: str
    """The model's name without the provider's."""
    messages: tuple[Message, ...]
    instructions: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    """Most output tokens, reasoning included; None leaves it to the provider."""
    settings: Mapping[str, JSON] = field(default_factory=dict)
    """Everything else of `ai_config` that this provider knows."""
    tools: tuple[ToolSpec, ...] = ()
    output_schema: dict[str, JSON] | None = None
    """JSON Schema of an object that the answer's text must hold; a provider that can, enforces it."""
    timeout: float | None = None
    """Seconds this one request may take from now on, its whole stream included."""
    number: int = 1
    """Which model request of its conversation this is, from 1, failed ones counted."""
    agent: str = ""
    """Who asks; never sent."""
    task: str = ""
    """For which task, by its full name; never sent."""
    conversation: str = ""
    """In which conversation, by its stream in the journal (`RUN/agent/KEY`); never sent."""
    capped: bool = False
    """`max_tokens` is not the agent's own setting but what a budget leaves: it may differ each time."""


@dataclass(slots=True, frozen=True)
class TextDelta:
    text: str


@dataclass(slots=True, frozen=True)
class ReasoningDelta:
    """A piece of what the model says it thinks; shown, never sent back."""

    text: str


@dataclass(slots=True, frozen=True)
class ToolCallDelta:
    """A piece of a tool call. `index` tells parallel calls apart; `id` and `name` come with the first piece."""

    index: int
    arguments: str
    id: str = ""
    name: str = ""


@dataclass(slots=True, frozen=True)
class UsageReported:
    """Replaces what was reported before it in the same stream."""

    usage: Usage


@dataclass(slots=True, frozen=True)
class Notice:
    """Something of the request that this provider cannot honour, in a sentence for the user; the call goes on."""

    message: str


@dataclass(slots=True, frozen=True)
class Finished:
    """Always the last event."""

    reason: FinishReason
    model: str = ""
    """What the provider says has answered; empty if it does not say."""
    refusal: str = ""


ChatEvent = TextDelta | ReasoningDelta | ToolCallDelta | UsageReported | Notice | Finished


class ChatModelError(TaskError):
    """A model call failed. `type` is one of rate_limited, overloaded, outage, auth, context_too_long, refused, timeout,
    invalid_input, invalid_output, internal.
    """

    def __init__(
        self,
        type: ErrorType,
        message: str,
        *,
        retry_after: float | None = None,
        retryable: bool | None = None,
        charged: bool = True,
        help: str | None = None,
    ) -> None:
        super().__init__(type, message, help=help)
        self.retry_after = retry_after
        """Seconds the provider asked to wait; None if it did not say, or said nonsense."""
        self.retryable = type in RETRYABLE if retryable is None else retryable
        self.charged = charged
        """False if the provider cannot have charged for it: it refused the request before any work."""


RETRYABLE: frozenset[str] = frozenset({"rate_limited", "overloaded", "outage", "timeout"})
"""Another try of the same request may well succeed."""


class ChatModel(Protocol):
    synthetic: bool
    """True if no AI model is asked: nothing is paid, and every answer says so."""

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Send the request when iteration begins. Raises ChatModelError; closing the iterator cancels the request."""
        ...

    async def close(self) -> None:
        """Release connections. Idempotent."""
        ...


@dataclass(slots=True, kw_only=True, frozen=True)
class ProviderOptions:
    """What a provider may know besides the request. Two equal values share one ChatModel and its connections."""

    environ: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The process's own environment: keys and base URLs are read here, never from a project's files."""
    key_env: str | None = None
    """Name of the variable that holds the key, if a worker names one."""
    key: Secret | None = None
    """The key itself, where a worker says that it is in a file, a vault or the like; it wins over every variable."""
    keyless: bool = False
    """The worker says that no key is needed (`auth: none`): none is asked for, and none is sent."""
    base_url: str | None = None
    """From a worker's `base_config`; wins over the provider's environment variable."""

    def key_from(self, *variables: str) -> Secret | None:
        """The key to ask with: the worker's own, else what its variable, or the first of the usual `variables`, holds."""
        if self.key is not None or self.keyless:
            return self.key
        for name in (self.key_env,) if self.key_env else variables:
            if value := self.environ.get(name):
                return Secret(name, value)
        return None


class Provider(Protocol):
    name: str
    settings: frozenset[str]
    """Names in `ai_config`, beyond those every provider has, that mean something here."""
    takes_extra: bool
    """Whether what stands under `extra` is passed on as it is; else its names must be in `settings` too."""

    def check(self, model: str, options: ProviderOptions) -> None:
        """Whether a call could be made at all; asks no network. Raises CredentialsError naming the missing variable, or
        NotFoundError for a model that does not exist.
        """
        ...

    def open(self, options: ProviderOptions) -> ChatModel: ...


def parse_model(text: str) -> tuple[str, str]:
    """`provider/model` or `provider:model` as (provider, model). Raises ValueError that says what was expected.

    The first separator counts: `openrouter/meta/llama-3` and `ollama:qwen3:8b` keep the rest of the name as it is.
    """
    places = [at for at in (text.find("/"), text.find(":")) if at > 0]
    if not places or min(places) == len(text) - 1:
        raise ValueError(f"model {text!r} is not of the form provider/model, for example openai/gpt-5-mini")
    return text[: min(places)], text[min(places) + 1 :]
