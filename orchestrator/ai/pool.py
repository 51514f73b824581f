"""Opened providers: one ChatModel, and its connections, for everybody who asks with the same options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from orchestrator import registry
from orchestrator.errors import NotFoundError
from orchestrator.ports.chat_model import ChatModel, Provider, ProviderOptions

PACKAGE = "orchestrator.providers"


class Tape(Protocol):
    """Records what models answer, or answers in their place."""

    def wrap(self, provider: str, model: str, open_model: Callable[[], ChatModel]) -> ChatModel: ...


class ProviderPool:
    """Finds providers by name and keeps what they opened. `given` models (tests, embedding) win over those discovered.

    `tape` stands between every loop and its models: a recorder opens the model it is asked for, a player never does.
    """

    def __init__(
        self, environ: Mapping[str, str], given: Mapping[str, Provider] | None = None, tape: Tape | None = None
    ) -> None:
        self.environ = environ
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

    def options(self, worker: Mapping[str, Any] | None = None) -> ProviderOptions:
        """What a worker's definition says about key and address; without one, the provider's own variables hold."""
        worker = worker or {}
        auth = worker.get("auth") or {}
        key_env = auth.get("env_var") if isinstance(auth, Mapping) else None
        base_url = (worker.get("base_config") or {}).get("base_url")
        return ProviderOptions(environ=self.environ, key_env=key_env, base_url=base_url)

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
            self._open[key] = provider.open(options)
        return self._open[key]

    async def close(self) -> None:
        opened, self._open = list(self._open.values()), {}
        for model in opened:
            await model.close()
