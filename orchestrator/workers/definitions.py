"""WorkerDefinition: which model of which provider, with which key, at which price, within which limits.

The same noun comes from a workflow's `workers:`, from `config/workers/*.yaml` and from JSON. Durations are seconds and
counts are numbers here; `from_plan` takes what the compiler makes of YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from orchestrator.workers.errors import InvalidArgumentError
from orchestrator.workers.reading import read_noun

Interaction = Literal["conversational", "stateless_task", "both"]
DefinitionStatus = Literal["active", "disabled", "archived"]

Amount = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Word = Annotated[str, Meta(min_length=1, max_length=200)]
_ID: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
Id = Annotated[str, Meta(pattern=f"^{_ID.pattern}$")]


class _Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the nested maps: only what was said is written."""

    def said(self) -> dict[str, Any]:
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


class Vault(_Settings, frozen=True):
    """A key in a vault."""

    path: Word
    key: str = "value"


class Auth(_Settings, frozen=True):
    """Where the key is: exactly one method. Never shown with its value."""

    env_var: str | None = None
    inline: str | None = None
    """The key itself; empty where a saved file left it out."""
    none: Literal[True] | None = None
    config_path: str | None = None
    vault: Vault | str | None = None

    def __post_init__(self) -> None:
        if len(given := self._given()) != 1:
            said = " and ".join(f"`{name}`" for name in given) or "none"
            raise ValueError(f"`auth` takes exactly one of {', '.join(self.__struct_fields__)}; given: {said}")

    def _given(self) -> list[str]:
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]

    @property
    def method(self) -> str:
        return self._given()[0]

    def __repr__(self) -> str:
        shown = "'…'" if self.inline is not None else repr(getattr(self, self.method))
        return f"Auth({self.method}={shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(self.method, "…" if self.inline is not None else getattr(self, self.method))]

    def shown(self) -> dict[str, Any]:
        """For people and programs: the method and where it points; of an inline key nothing."""
        return {"inline": ""} if self.inline is not None else self.said()


class BaseConfig(_Settings, frozen=True):
    """How the model is asked; an agent's `ai_config` wins over it."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    parallel_tool_calls: bool | None = None
    api: Literal["chat", "responses"] | None = None
    """Which of OpenAI's two APIs is asked."""
    timeout: Annotated[float, Meta(gt=0)] | None = None
    """Seconds for one request."""
    retries: Count | None = None
    retry_delay: Amount | None = None
    """Seconds before the first of them."""
    max_turns: Annotated[int, Meta(ge=1)] | None = None
    max_time: Annotated[float, Meta(gt=0)] | None = None
    """Seconds for one prompt and all that follows from it."""
    max_identical_calls: Annotated[int, Meta(ge=1)] | None = None
    on_overflow: Literal["fail", "drop_oldest", "summarise"] | None = None
    context_window: Annotated[int, Meta(ge=1)] | None = None
    extra: dict[str, Any] | None = None
    base_url: str | None = None


DURATIONS: Final = frozenset({"timeout", "retry_delay", "max_time"})
"""Settings in seconds; files of people write their unit."""


class CostMetrics(_Settings, frozen=True):
    """Prices, per token or per million. What has none is of unknown cost, never free."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "USD"
    input_per_million: Amount | None = None
    output_per_million: Amount | None = None
    cached_per_million: Amount | None = None
    input_per_token: Amount | None = None
    output_per_token: Amount | None = None
    cached_per_token: Amount | None = None


class RateLimits(_Settings, frozen=True):
    """Over everybody who uses the definition; 0 is no limit."""

    max_requests_per_minute: Count = 0
    max_requests_per_day: Count = 0
    max_tokens_per_minute: Count = 0
    max_tokens_per_day: Count = 0
    max_concurrent_active_instances: Count = 0


class WorkerDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    definition_id: Id
    name: str = ""
    """What people call it; its id where that is empty."""
    description: str = ""
    provider: Word
    model_name: Word
    auth: Auth | None = None
    """None: the provider's usual environment variable."""
    interaction_models: tuple[Interaction, ...] = ("conversational",)
    capabilities: tuple[str, ...] = ()
    base_config: BaseConfig = BaseConfig()
    cost_metrics: CostMetrics | None = None
    rate_limits: RateLimits = RateLimits()
    status: DefinitionStatus = "active"
    default_file_contexts: tuple[str, ...] = ()
    """Files every conversation sees, as paths from the project's root."""
    metadata: dict[str, Any] = {}

    @property
    def model(self) -> str:
        return f"{self.provider}/{self.model_name}"

    def takes(self, interaction: Interaction) -> bool:
        return "both" in self.interaction_models or interaction in self.interaction_models

    def as_worker(self) -> dict[str, Any]:
        """As a plan has it, with its id: what `AgentCall.worker` and the loops take."""
        made: dict[str, Any] = {
            "definition_id": self.definition_id,
            "provider": self.provider,
            "model_name": self.model_name,
            "base_config": self.base_config.said(),
            "rate_limits": self.rate_limits.said(),
            "interaction_models": list(self.interaction_models),
            "status": self.status,
            "default_file_contexts": list(self.default_file_contexts),
        }
        if self.auth is not None:
            made["auth"] = self.auth.said()
        if self.cost_metrics is not None:
            made["cost_metrics"] = self.cost_metrics.said()
        return made

    def shown(self) -> dict[str, Any]:
        """JSON of all of it, without a key's value."""
        page: dict[str, Any] = msgspec.to_builtins(self)
        page["auth"] = self.auth.shown() if self.auth is not None else None
        return page


PROTECTED: Final = frozenset({"auth", "rate_limits", "cost_metrics", "definition_id"})
"""What no agent may set or change: keys, limits, prices."""
_PROTECTED_CONFIG: Final = frozenset({"base_url"})
"""Nor where the key is sent."""


def check_id(text: Any) -> None:
    """Raises InvalidArgumentError for what is no id of a worker."""
    if isinstance(text, str) and not _ID.fullmatch(text):
        help = "a letter, then letters, digits, `_` and `-`: 64 characters at most"
        raise InvalidArgumentError(f"`{text}` cannot be the id of a worker (`definition_id`)", help=help)


def read_definition(data: Any, *, exact: bool = False) -> WorkerDefinition:
    """From JSON in snake_case or camelCase. Raises InvalidArgumentError that names the key, with a near one.

    `auth: "none"` and a single interaction model may be written as in YAML.
    """
    if isinstance(data, Mapping):
        check_id(data.get("definition_id", data.get("definitionId")))
        said = {
            name: data[name] for name in ("interaction_models", "interactionModels") if isinstance(data.get(name), str)
        }
        data = {**data, **{name: [word] for name, word in said.items()}}
        if data.get("auth") == "none":
            data["auth"] = {"none": True}
    return _whole(read_noun(WorkerDefinition, data, "worker definition", exact=exact))


def from_plan(definition_id: str, worker: Mapping[str, Any]) -> WorkerDefinition:
    """From a plan's worker (`Plan.workers`): YAML with its units undone."""
    return read_definition({**worker, "definition_id": definition_id})


def changed(definition: WorkerDefinition, changes: Mapping[str, Any]) -> WorkerDefinition:
    """The definition with some fields replaced; maps replace as a whole, None goes back to the default."""
    if "definition_id" in changes and changes["definition_id"] != definition.definition_id:
        raise InvalidArgumentError("the id of a worker does not change", help="add a new one, and archive this one")
    page = {**msgspec.to_builtins(definition), **changes}
    if "auth" not in changes:
        page["auth"] = definition.auth.said() if definition.auth is not None else None
    required = {"definition_id", "provider", "model_name"}
    kept = {key: value for key, value in page.items() if value is not None or key in required}
    return read_definition(kept)


def configured(definition: WorkerDefinition, overrides: Mapping[str, Any] | None) -> BaseConfig:
    """`base_config` with an instance's or a call's overrides: the nearer wins. Raises InvalidArgumentError."""
    page = {**definition.base_config.said(), **(overrides or {})}
    return read_noun(BaseConfig, {k: v for k, v in page.items() if v is not None}, "settings")


def refuse_protected(changes: Mapping[str, Any]) -> None:
    """Raises InvalidArgumentError for what no agent may decide, in whichever spelling."""
    from orchestrator.workers.reading import snake

    config = changes.get("base_config", changes.get("baseConfig"))
    named = [key for key in changes if snake(key) in PROTECTED - {"definition_id"}]
    named += [key for key in (config if isinstance(config, Mapping) else ()) if snake(key) in _PROTECTED_CONFIG]
    if named:
        raise InvalidArgumentError(
            f"`{named[0]}` of a worker is not for agents to set", help="a person writes it in `config/workers/`"
        )


def _whole(definition: WorkerDefinition) -> WorkerDefinition:
    from orchestrator import registry

    known = registry.names("orchestrator.providers")
    if definition.provider not in {*known, "openai", "anthropic", "google", "ollama", "local", "custom"}:
        from orchestrator.spec.suggest import did_you_mean

        help = did_you_mean(definition.provider, known) or "another server is `custom`, with its `base_url`"
        raise InvalidArgumentError(f"unknown provider {definition.provider!r}", help=help)
    if not definition.interaction_models:
        raise InvalidArgumentError("`interaction_models` is empty", help="leave it out for `conversational`")
    for path in definition.default_file_contexts:
        if path.startswith(("/", "~")) or ".." in path.split("/"):
            raise InvalidArgumentError(f"file {path!r} is outside the project", help="paths start at its root")
    return definition
