"""What all providers over the network share: their keys and addresses, one request from its translation to its last event.

pydantic-ai translates messages and parses streams; of it, only `Model` and `direct` are used. Importing it takes 0.8 s, so
this happens on the first live call, off the event loop. Its retries, and those of the SDKs below it, are off: ours are on
record. What differs between services is a `Wire`, one for each wire format.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from orchestrator.errors import CredentialsError, NotFoundError
from orchestrator.ports.chat_model import ChatEvent, ChatModelError, ChatRequest, Notice, ProviderOptions
from orchestrator.providers._connections import acquire_client, noting, release_client
from orchestrator.providers._settings import SETTINGS, Translated

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse

_IMPORTS: Final = ("pydantic_ai.direct", "httpx2", "orchestrator.providers._messages", "orchestrator.providers._errors")
_importing: Final = threading.Lock()


@dataclass(slots=True, kw_only=True, frozen=True)
class LiveProvider:
    """Implements ports.Provider for one service, or one kind of server."""

    name: str
    wire: str
    """The module with the `Wire` it speaks; imported on the first call."""
    key_envs: tuple[str, ...]
    """Variables that may hold the key, the first that is set counts; unless a worker names another."""
    base_url_env: str
    base_url: str | None
    """Where it is if nothing else says; None: it must be said."""
    needs_key: bool = False
    extra: str | None = None
    """Of our package: what must be installed besides, if the SDK is not part of the base."""
    sdk: str | None = None
    """The module that comes with `extra`."""
    max_completion_tokens: bool = False
    """How the limit of output tokens is called: OpenAI's newer name, or `max_tokens`, which everybody else knows."""
    settings: frozenset[str] = field(default=SETTINGS)
    takes_extra: bool = True

    def check(self, model: str, options: ProviderOptions) -> None:
        """As the port says; imports nothing."""
        if self.sdk is not None and not _installed(self.sdk):
            raise NotFoundError(
                f"{self.name}/{model} needs a package that is not installed",
                help=f"pip install 'whisper-flow[{self.extra}]'",
            )
        names = self._key_names(options)
        if self._key(options) is None and not options.keyless and (self.needs_key or options.key_env):
            raise CredentialsError(
                f"{self.name}/{model} needs a key: the variable {' (or '.join(names)}{')' * (len(names) - 1)} is not set",
                help=f"export {names[0]}=…, or use an embedded model, for example embedded/writer, to try without a key",
            )
        if self._base_url(options) is None:
            raise CredentialsError(
                f"{self.name}/{model} needs an address: the variable {self.base_url_env} is not set",
                help=f"export {self.base_url_env}=…, or set `base_url` in the worker's `base_config`",
            )

    def open(self, options: ProviderOptions) -> LiveChat:
        url = self._base_url(options)
        assert url is not None, "opened without being checked"
        return LiveChat(self, url, self._key(options))

    def preload(self) -> None:
        """Import what the first call needs; slow, so call it off the event loop."""
        # One at a time: threads that import modules which import each other may see half of one.
        with _importing:
            for module in (*_IMPORTS, self.wire):
                importlib.import_module(module)

    def _key_names(self, options: ProviderOptions) -> tuple[str, ...]:
        return (options.key_env,) if options.key_env else self.key_envs

    def _key(self, options: ProviderOptions) -> str | None:
        found = options.key_from(*self.key_envs)
        return found.reveal() if found is not None else None

    def _base_url(self, options: ProviderOptions) -> str | None:
        return options.base_url or options.environ.get(self.base_url_env) or self.base_url


class Wire(Protocol):
    """One service's wire format behind pydantic-ai. A wire's module has a class `WIRE` of this shape."""

    def __init__(self, provider: LiveProvider, base_url: str, key: str | None, client: AsyncClient) -> None: ...

    def model(self, request: ChatRequest) -> Model[Any]:
        """For the model the request names; models are kept. Raises ChatModelError."""
        ...

    def settings(self, request: ChatRequest, model: Model[Any]) -> Translated:
        """The request's settings in pydantic-ai's names. Raises ChatModelError."""
        ...

    def parameters(self, request: ChatRequest, model: Model[Any]) -> tuple[ModelRequestParameters, list[str]]:
        """Tools and wanted output, and sentences for the user. Raises ChatModelError."""
        ...

    def check_files(self, request: ChatRequest) -> None:
        """Raises ChatModelError for a file that the service cannot read."""
        ...


class LiveChat:
    """Implements ports.ChatModel. The key is in here and nowhere else."""

    synthetic = False

    def __init__(self, provider: LiveProvider, base_url: str, key: str | None) -> None:
        self._provider = provider
        self._base_url = base_url
        self._key = key
        self._wire: Wire | None = None

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        wire = await self._connect()
        from orchestrator.providers._errors import chat_model_error

        failure: ChatModelError | None = None
        try:
            async with aclosing(_events(wire, request)) as events:
                async for event in events:
                    yield event
        except ChatModelError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 whatever the SDK raises ends as one of our errors
            # Raised below, with no cause: what the other side sent, and may have repeated of us, ends here.
            failure = chat_model_error(error, self._key, self._base_url)
        if failure is not None:
            raise failure

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await release_client()

    async def _connect(self) -> Wire:
        if self._wire is None:
            await asyncio.to_thread(self._provider.preload)
        if self._wire is None:
            make = importlib.import_module(self._provider.wire).WIRE
            self._wire = make(self._provider, self._base_url, self._key, acquire_client())
        return self._wire


async def _events(wire: Wire, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
    from pydantic_ai.direct import model_request_stream

    from orchestrator.providers import _messages as translate

    wire.check_files(request)
    model = wire.model(request)
    settings, notices = wire.settings(request, model)
    parameters, more_notices = wire.parameters(request, model)
    for notice in (*notices, *more_notices):
        yield Notice(notice)
    asked = model_request_stream(
        model,
        translate.messages(request),
        model_settings=translate.as_settings(settings),
        model_request_parameters=parameters,
    )
    called = False
    async with _opened(asked) as response:
        async for theirs in response:
            if (event := translate.event(theirs)) is not None:
                called = called or translate.is_call(event)
                yield event
        for event in translate.ending(response, called=called):
            yield event


@asynccontextmanager
async def _opened(asked: AbstractAsyncContextManager[StreamedResponse]) -> AsyncIterator[StreamedResponse]:
    """Send the request; at the end its connection is given back at once, also where an SDK leaves that to chance."""
    responses: list[Response] = []
    try:
        with noting(responses):
            response = await asked.__aenter__()
        try:
            yield response
        except BaseException as error:
            if not await asked.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            await asked.__aexit__(None, None, None)
    finally:
        for one in responses:
            await one.aclose()


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
