"""Opened providers: one ChatModel, and its connections, for everybody who asks with the same options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from orchestrator import registry
from orchestrator.ai.masking import masked_model
from orchestrator.ai.prices import PriceBook
from orchestrator.errors import NotFoundError
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import ChatModel, Provider, ProviderOptions
from orchestrator.ports.secret_source import Secret
from orchestrator.workers.keys import KeyRing, key_variables

PACKAGE = "orchestrator.providers"


class Tape(Protocol):
    """Records what models answer, or answers in their place."""

    @property
    def replaying(self) -> bool:
        """No model is asked: nothing is spent, and no key is needed."""
        ...

    def wrap(self, provider: str, model: str, open_model: Callable[[], ChatModel]) -> ChatModel: ...

    def prices(self, book: PriceBook) -> PriceBook:
        """A replay costs what it cost when it was recorded."""
        ...


class ProviderPool:
    """Finds providers by name and keeps what they opened. `given` models (tests, embedding) win over those discovered.

    `tape` stands between every loop and its models: a recorder opens the model it is asked for, a player never does.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        given: Mapping[str, Provider] | None = None,
        tape: Tape | None = None,
        keys: KeyRing | None = None,
    ) -> None:
        self.environ = environ
        self.keys = keys or KeyRing(environ, Path())
        self.tape = tape
        self._given = dict(given or {})
        self._open: dict[tuple[str, ProviderOptions], ChatModel] = {}

    def provider(self, name: str) -> Provider:
        """Raises NotFoundError with a suggestion."""
        if name in self._given:
            return self._given[name]
        try:
            found: Provider = registry.load(PACKAGE, name, "PROVIDER", noun="model provider")
        except NotFoundError as error:
            raise NotFoundError(error.message, help=error.help or "a model is written provider/model") from None
        return found

    def options(self, worker: Mapping[str, Any] | None = None, *, fresh: bool = False) -> ProviderOptions:
        """What a worker's definition says about key and address; without one, the provider's own variables hold.

        Its key is looked for the first time, and anew with `fresh`; that may take a while where a vault is asked. Raises
        CredentialsError where the place the worker names does not have it.
        """
        if self.replaying:
            return ProviderOptions(environ=self.environ)
        worker = worker or {}
        auth = worker.get("auth") or {}
        base_url = (worker.get("base_config") or {}).get("base_url")
        if auth in ("none", {"none": True}):
            return ProviderOptions(environ=self.environ, keyless=True, base_url=base_url)
        if not auth or "env_var" in auth:
            return ProviderOptions(
                environ=self.environ, key_env=auth.get("env_var") if auth else None, base_url=base_url
            )
        return ProviderOptions(environ=self.environ, key=self.keys.key(worker, fresh=fresh), base_url=base_url)

    async def find_key(self, worker: Mapping[str, Any] | None) -> None:
        """Look for a worker's key off the event loop, if its source was not asked yet; `options` then has it at hand.

        Raises CredentialsError.
        """
        auth = (worker or {}).get("auth")
        if self.replaying or not worker or not isinstance(auth, Mapping) or "env_var" in auth:
            return
        if not self.keys.at_hand(worker):
            await asyncio.to_thread(self.options, worker)

    def key(self, name: str, options: ProviderOptions) -> Secret | None:
        """The key that calls with these options go out with; None if there is none."""
        return options.key_from(*key_variables(self.provider(name)))

    @property
    def replaying(self) -> bool:
        return self.tape is not None and self.tape.replaying

    def prices(self, cost_metrics: Mapping[str, Any] | None) -> PriceBook:
        """A worker's own prices, or the public list's. Raises UsageError for prices that are none."""
        book = PriceBook(cost_metrics)
        return book if self.tape is None else self.tape.prices(book)

    def open(self, name: str, model: str, options: ProviderOptions) -> ChatModel:
        """Raises NotFoundError for an unknown provider or model, CredentialsError naming the variable that is missing."""
        if self.tape is not None:
            return self.tape.wrap(name, model, lambda: self._opened(name, model, options))
        return self._opened(name, model, options)

    def _opened(self, name: str, model: str, options: ProviderOptions) -> ChatModel:
        provider = self.provider(name)
        provider.check(model, options)
        key = (name, options)
        if key not in self._open:
            own = self.key(name, options)
            # A server may echo the key it was asked with: that stops here, before tapes and records.
            self._open[key] = masked_model(provider.open(options), Redactor([own.reveal()] if own else ()))
        return self._open[key]

    async def close(self) -> None:
        opened, self._open = list(self._open.values()), {}
        for model in opened:
            await model.close()
