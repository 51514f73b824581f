"""AILoopConfig: what one loop asks its model with. Unknown keys and wrong types are errors, nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, get_args

from orchestrator.core.session_terms import IDENTICAL_MAX, Overflow
from orchestrator.errors import UsageError
from orchestrator.ports.chat_model import parse_model

TIMEOUT_S: Final = 600.0
"""One request, if nothing else is said."""


@dataclass(slots=True, kw_only=True, frozen=True)
class AILoopConfig:
    """Settings that are None are not sent: the provider's own default holds."""

    model: str
    """`provider/model` or `provider:model`."""
    temperature: float | None = None
    """0 to 2."""
    max_tokens: int | None = None
    """Most output tokens of one answer."""
    timeout: float = TIMEOUT_S
    """Seconds for one request, its whole stream included."""
    retries: int = 3
    """More tries of one request where the provider is overloaded, out of reach, too slow or limits the rate."""
    retry_delay: float = 1.0
    """Seconds before the first of them; it doubles, and is never less than what the provider asks for."""
    max_turns: int = 32
    """Most answers of the model to one prompt, tool calls, repairs and summaries included."""
    max_time: float | None = None
    """Seconds for one prompt, from when it is asked or goes on; waiting for a person does not count."""
    max_identical_calls: int = IDENTICAL_MAX
    """Most calls of one tool with the same arguments in a row; the model is told once, then it fails as `budget`."""
    on_overflow: Overflow = "fail"
    """What happens when the conversation is too long for the model: fail, leave out the oldest, or have it summed up."""
    context_window: int | None = None
    """Tokens that the model takes, question and answer together; None: only its provider knows."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Everything else the provider knows: `top_p`, `seed`, `stop`, … and the keys of `extra`."""

    def __post_init__(self) -> None:
        try:
            parse_model(self.model)
        except ValueError as error:
            raise UsageError(str(error)) from None
        _within("temperature", self.temperature, 0, 2)
        _within("max_tokens", self.max_tokens, 1, None)
        _within("timeout", self.timeout, 0.001, None)
        _within("retries", self.retries, 0, 100)
        _within("retry_delay", self.retry_delay, 0, None)
        _within("max_turns", self.max_turns, 1, 10_000)
        _within("max_time", self.max_time, 0.001, None)
        _within("max_identical_calls", self.max_identical_calls, 1, None)
        _within("context_window", self.context_window, 256, None)
        if self.on_overflow not in get_args(Overflow):
            raise UsageError(f"`on_overflow` must be one of {', '.join(get_args(Overflow))}, got {self.on_overflow!r}")

    @property
    def provider(self) -> str:
        return parse_model(self.model)[0]

    @property
    def model_name(self) -> str:
        """The model without its provider."""
        return parse_model(self.model)[1]

    def recorded(self) -> dict[str, Any]:
        """All settings but the model, as they stand in the conversation's record."""
        own = {name: getattr(self, name) for name in _OWN if name != "model" and getattr(self, name) is not None}
        return {**own, "settings": dict(self.settings)}


_OWN: Final = tuple(f.name for f in fields(AILoopConfig) if f.name != "settings")

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "model": (str,),
    "temperature": (int, float),
    "max_tokens": (int,),
    "timeout": (int, float),
    "retries": (int,),
    "retry_delay": (int, float),
    "max_turns": (int,),
    "max_time": (int, float),
    "max_identical_calls": (int,),
    "on_overflow": (str,),
    "context_window": (int,),
}
_DURATIONS: Final = frozenset({"timeout", "retry_delay", "max_time"})


def loop_config(
    mapping: Mapping[str, Any], known: frozenset[str] = frozenset(), *, takes_extra: bool = False
) -> AILoopConfig:
    """An `ai_config` mapping as AILoopConfig; `known` are the provider's own settings.

    What stands under `extra` is passed on as it is where the provider takes that, else it counts as written beside it.
    Keys whose value is None count as absent. Raises UsageError that names the key and the near ones.
    """
    given = {key: value for key, value in mapping.items() if value is not None}
    extra = given.pop("extra", {})
    if not isinstance(extra, Mapping):
        raise UsageError(f"`extra` must be a mapping, got {type(extra).__name__}")
    if not given.get("model"):
        raise UsageError("no model is named", help="set `model: provider/model`, for example `openai/gpt-5-mini`")
    own: dict[str, Any] = {}
    settings: dict[str, Any] = {} if takes_extra else dict(extra)
    for key, value in given.items():
        if key in _TYPES:
            own[key] = _typed(key, value)
        else:
            settings[key] = value
    for key in settings:
        if key not in known:
            raise UsageError(f"unknown setting `{key}` for model {own['model']}", help=_near(key, known))
    if takes_extra and extra:
        settings["extra"] = dict(extra)
    return AILoopConfig(**own, settings=settings)


def _typed(key: str, value: Any) -> Any:
    if key in _DURATIONS and isinstance(value, str):
        return _seconds(key, value)
    if isinstance(value, bool) or not isinstance(value, _TYPES[key]):
        raise UsageError(f"`{key}` must be {_words(_TYPES[key])}, got {value!r}")
    return value


def _seconds(key: str, text: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    unit = text.lstrip("0123456789.")
    if unit in units and text != unit:
        return float(text[: -len(unit)]) * units[unit]
    raise UsageError(f"`{key}` must be a duration, got {text!r}", help="for example `90s`")


def _words(types: tuple[type, ...]) -> str:
    if str in types:
        return "a text"
    return "a number" if float in types else "a whole number"


def _within(name: str, value: float | None, low: float, high: float | None) -> None:
    if value is None:
        return
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise UsageError(f"`{name}` must be {bounds}, got {value!r}")


def _near(key: str, known: frozenset[str]) -> str | None:
    from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

    return did_you_mean(key, sorted({*known, *_OWN}))
