"""The settings of `ai_config` that every live provider takes. What one of them cannot honour is left out, and it says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from orchestrator.ports.chat_model import ChatModelError, ChatRequest

SHARED: Final[dict[str, str]] = {
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop_sequences",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "parallel_tool_calls": "parallel_tool_calls",
}
"""Our name → pydantic-ai's."""
SETTINGS: Final = frozenset(SHARED) | {"reasoning_effort", "api"}
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SAMPLING: Final = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")
APIS: Final = ("chat", "responses")


class Translated(NamedTuple):
    settings: dict[str, Any]
    """In pydantic-ai's names."""
    notices: list[str]
    """Sentences for the user: what was left out, or chosen in their place."""


class Draft:
    """The settings of one request on their way out. `who` is `provider/model`, as the user wrote it."""

    def __init__(self, request: ChatRequest, who: str) -> None:
        self.who = who
        self.given: dict[str, Any] = {k: v for k, v in request.settings.items() if k in SETTINGS}
        if request.temperature is not None:
            self.given["temperature"] = request.temperature
        self.max_tokens = request.max_tokens
        self.extra: dict[str, Any] = dict(request.settings.get("extra") or {})
        self.notices: list[str] = []

    def drop(self, names: Iterable[str], why: str = "") -> None:
        """Leave out what is set of `names`, and say so."""
        found = [name for name in names if self.given.pop(name, None) is not None]
        if found:
            self.notices.append(f"{self.who} {why}takes no {', '.join(found)}: left out")

    def effort(self) -> str | None:
        """Taken out of the settings. Raises ChatModelError for a word nobody knows."""
        effort = self.given.pop("reasoning_effort", None)
        if effort is not None and effort not in EFFORTS:
            raise ChatModelError(
                "invalid_input",
                f"`reasoning_effort` says {effort!r}",
                charged=False,
                help=f"one of {', '.join(EFFORTS)}",
            )
        return None if effort is None else str(effort)

    def translated(self, **more: Any) -> Translated:
        settings = {SHARED.get(name, name): value for name, value in self.given.items() if name != "api"}
        if isinstance(settings.get("stop_sequences"), str):
            settings["stop_sequences"] = [settings["stop_sequences"]]
        if self.max_tokens is not None:
            settings["max_tokens"] = self.max_tokens
        return Translated(settings | more, self.notices)


def api_of(settings: Mapping[str, Any]) -> str:
    """`chat` or `responses`. Raises ChatModelError for another word."""
    said = settings.get("api", APIS[0])
    if said not in APIS:
        raise ChatModelError("invalid_input", f"`api` says {said!r}", charged=False, help=f"one of {', '.join(APIS)}")
    return str(said)
