"""What an agent's `fallback` says, and which models are left alone for a while because they were given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.core.events import Failure
from orchestrator.core.session_terms import FALLBACK_ON, Backup
from orchestrator.errors import UsageError
from orchestrator.ports.clock import Clock

COOLDOWN_S: Final = 60.0
"""How long a model is left alone after a fallback, if the agent does not say."""


@dataclass(slots=True, kw_only=True, frozen=True)
class Fallback:
    """Which models are asked when an agent's own cannot answer."""

    models: tuple[Backup, ...] = ()
    on: tuple[str, ...] = FALLBACK_ON
    cooldown: float = COOLDOWN_S
    dropped: Mapping[str, tuple[str, ...]] | None = None
    """Model → settings of the agent that its provider does not know; the user is told when it is asked."""


def models_of(said: Any) -> list[str]:
    """The models an agent's `fallback` names, in their order."""
    models = said.get("models") if isinstance(said, Mapping) else said
    return [str(model) for model in models or ()]


def errors_of(said: Any) -> tuple[str, ...]:
    """The error types that lead there. Raises UsageError for `auth`."""
    on = said.get("on") if isinstance(said, Mapping) else None
    if on is None:
        return FALLBACK_ON
    on = (on,) if isinstance(on, str) else tuple(on)
    if "auth" in on:
        raise UsageError("`fallback.on` may not hold `auth`", help="a wrong key is mended, not worked around")
    return on


def cooldown_of(said: Any) -> float:
    """Seconds."""
    cooldown = said.get("cooldown") if isinstance(said, Mapping) else None
    return COOLDOWN_S if cooldown is None else float(cooldown)


class Cooldowns:
    """Models that are left alone, each until when and why; remembered by the process, for all loops of one agent or worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], tuple[float, Failure]] = {}

    def begin(self, who: str, model: str, seconds: float, why: Failure) -> None:
        if seconds > 0:
            self._until[who, model] = (self._clock.monotonic() + seconds, why)

    def why(self, who: str, model: str) -> Failure | None:
        """Why it is left alone now; None if it is not."""
        until, why = self._until.get((who, model), (0.0, None))
        if why is not None and self._clock.monotonic() >= until:
            del self._until[who, model]
            return None
        return why
