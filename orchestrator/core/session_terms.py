"""Under what an exchange is asked: who, with which model and settings, within which limits. It stands in the journal."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from orchestrator.core.plan import Retry

FALLBACK_ON: Final = ("rate_limited", "overloaded", "outage", "timeout")
"""Errors that lead to the next model if the agent names none. A wrong key never does."""

IDENTICAL_MAX: Final = 5

Overflow = Literal["fail", "drop_oldest", "summarise"]


class Backup(msgspec.Struct, frozen=True, array_like=True):
    """A model to fall back on, with what of the agent's settings its provider knows."""

    model: str
    settings: dict[str, Any] = {}
    worker: str = ""
    """Id of the worker it is asked on; empty if none."""


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What an exchange was asked under. A resumed exchange keeps these, whatever the agent's file says by then.

    Fields are only ever added at the end, with defaults.
    """

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
    """Id of the worker it is asked on; empty if the agent names its model itself."""
    added: str = ""
    """The question's own instructions, which stand at the end of `instructions` and go along to another agent."""
    fallback: tuple[Backup, ...] = ()
    fallback_on: tuple[str, ...] = FALLBACK_ON
    cooldown: float = 60.0
    """Seconds that a model which was given up is left alone."""
    identical_max: int = IDENTICAL_MAX
    """Calls of one tool with the same arguments in a row that are made."""
    time_max: float | None = None
    """Seconds from when it is asked, or asked again."""
    on_overflow: Overflow = "fail"
    context_window: int | None = None
    """Tokens that the model takes, question and answer together; None: only its provider knows."""
