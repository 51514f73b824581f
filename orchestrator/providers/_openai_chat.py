"""The chat-completions wire format, spoken by OpenAI and by most servers that run models.

pydantic-ai translates messages and parses the stream; of it, only `Model` and `direct` are used. Importing it takes 0.8 s,
so this module does it on the first live call, off the event loop. Its retries are off: ours are on record.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orchestrator.core.messages import Usage
from orchestrator.errors import CredentialsError
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModelError,
    ChatRequest,
    Finished,
    FinishReason,
    Notice,
    ProviderOptions,
    UsageReported,
)
from orchestrator.providers._connections import acquire_client, release_client

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from pydantic_ai.models import StreamedResponse
    from pydantic_ai.models.openai import OpenAIChatModel

_IMPORTS: Final = ("pydantic_ai.direct", "pydantic_ai.models.openai", "pydantic_ai.providers.openai", "httpx2")

# our name → pydantic-ai's
SETTINGS: Final[dict[str, str]] = {
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop_sequences",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "parallel_tool_calls": "parallel_tool_calls",
    "reasoning_effort": "openai_reasoning_effort",
}
_SAMPLING: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")

_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "refused",
}


@dataclass(slots=True, kw_only=True, frozen=True)
class OpenAICompatible:
    """Implements ports.Provider for one service, or one kind of server."""

    name: str
    key_env: str
    """Variable that holds the key, unless a worker names another."""
    base_url_env: str
    base_url: str | None
    """Where it is if nothing else says; None: it must be said."""
    needs_key: bool = False
    max_completion_tokens: bool = False
    """How the limit of output tokens is called: OpenAI's newer name, or `max_tokens`, which everybody else knows."""
    settings: frozenset[str] = field(default=frozenset(SETTINGS))
    takes_extra: bool = True

    def check(self, model: str, options: ProviderOptions) -> None:
        variable = options.key_env or self.key_env
        if not options.environ.get(variable) and (self.needs_key or options.key_env):
            raise CredentialsError(
                f"{self.name}/{model} needs a key: the variable {variable} is not set",
                help=f"export {variable}=…, or use an embedded model, for example embedded/writer, to try without a key",
            )
        if self._base_url(options) is None:
            raise CredentialsError(
                f"{self.name}/{model} needs an address: the variable {self.base_url_env} is not set",
                help=f"export {self.base_url_env}=…, or set `base_url` in the worker's `base_config`",
            )

    def open(self, options: ProviderOptions) -> OpenAIChat:
        url = self._base_url(options)
        assert url is not None, "opened without being checked"
        return OpenAIChat(self, url, options.environ.get(options.key_env or self.key_env) or None)

    def _base_url(self, options: ProviderOptions) -> str | None:
        return options.base_url or options.environ.get(self.base_url_env) or self.base_url

    def preload(self) -> None:
        """Import what the first call needs; slow, so call it off the event loop."""
        for module in _IMPORTS:
            importlib.import_module(module)


class OpenAIChat:
    """Implements ports.ChatModel. The key is in here and nowhere else."""

    synthetic = False

    def __init__(self, provider: OpenAICompatible, base_url: str, key: str | None) -> None:
        self._provider = provider
        self._base_url = base_url
        self._key = key
        self._client: AsyncOpenAI | None = None
        self._models: dict[str, OpenAIChatModel] = {}

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        await self._connect()
        from pydantic_ai.direct import model_request_stream

        from orchestrator.providers import _openai_request as translate
        from orchestrator.providers._openai_errors import chat_model_error

        model = self._model(request.model)
        settings, dropped = translate.settings(request, model.profile)
        if dropped:
            yield Notice(f"{self._provider.name}/{request.model} reasons and takes no {', '.join(dropped)}: left out")
        try:
            messages, parameters = translate.messages(request), translate.parameters(request)
            async with model_request_stream(
                model, messages, model_settings=settings, model_request_parameters=parameters
            ) as response:
                async for theirs in response:
                    if (event := translate.event(theirs)) is not None:
                        yield event
                for event in _ending(response):
                    yield event
        except ChatModelError:
            raise
        except Exception as error:
            raise chat_model_error(error, self._key) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await release_client()

    async def _connect(self) -> None:
        if self._client is not None:
            return
        await asyncio.to_thread(self._provider.preload)
        from openai import AsyncOpenAI

        if self._client is None:
            self._client = AsyncOpenAI(
                base_url=self._base_url,
                # A server that needs no key still gets a header, and OPENAI_API_KEY must not be what stands in it.
                api_key=self._key or "none",
                http_client=acquire_client(),
                max_retries=0,
            )

    def _model(self, name: str) -> OpenAIChatModel:
        if name not in self._models:
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.profiles.openai import OpenAIModelProfile
            from pydantic_ai.providers.openai import OpenAIProvider

            profile = OpenAIModelProfile(
                # Without it a stream that just stops would pass for a whole answer.
                openai_chat_streaming_requires_finish_reason=True,
                openai_chat_supports_max_completion_tokens=self._provider.max_completion_tokens,
            )
            provider = OpenAIProvider(openai_client=self._client)
            self._models[name] = OpenAIChatModel(name, provider=provider, profile=profile)
        return self._models[name]


def _ending(response: StreamedResponse) -> list[ChatEvent]:
    """Usage and reason, once the stream is over. Raises ChatModelError for an end without a reason."""
    details: Mapping[str, Any] = response.provider_details or {}
    reason = _FINISH.get(response.finish_reason or "")
    if reason is None:
        raw = details.get("finish_reason") or response.finish_reason
        raise ChatModelError("outage", f"the provider ended its answer with {raw!r}")
    events: list[ChatEvent] = []
    used = response.usage
    if not used.unmeasured_requests:
        usage = Usage(
            used.input_tokens,
            used.output_tokens,
            used.cache_read_tokens,
            used.details.get("reasoning_tokens", 0),
        )
        events.append(UsageReported(usage))
    events.append(Finished(reason, response.model_name, str(details.get("refusal") or "")))
    return events
