"""Where a request stands, said so that another run of the same workflow says the same: no run's id is in it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.ports.chat_model import ChatModelError, ChatRequest

_PART: Final = "/agent/"


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What a tape may know of the engine it serves."""

    path_of: Callable[[str], str] = lambda run_id: ""
    """A called run by the tasks that called it (`build[a]`); empty for a run of its own."""
    settled: Callable[[str], int] = lambda stream: 0
    """How many requests of a conversation have been answered, or have failed by themselves, in its record."""
    tools_done: Callable[[str], list[tuple[str, Any]]] = lambda stream: []
    """(name as models see it, arguments) of the tool calls whose results a conversation has on record."""
    missed: Callable[[str, ChatModelError], None] = lambda run_id, error: None
    """Told of a request of that run which the tape cannot answer."""


def run_of(stream: str) -> str:
    """The run a conversation belongs to; empty if it belongs to none."""
    run, found, _ = stream.partition(_PART)
    return run if found else ""


def conversation_of(stream: str) -> str:
    """The conversation's name without its run's id."""
    run, _, name = stream.partition(_PART)
    return name.replace(run, "") if run else name


def where(request: ChatRequest, around: Surroundings) -> dict[str, Any]:
    """The part of an entry that says who asked."""
    path = around.path_of(run_of(request.conversation))
    return {
        **({"run": path} if path else {}),
        "task": request.task,
        "agent": request.agent,
        "conversation": conversation_of(request.conversation),
        "number": request.number,
    }


inside_tool: ContextVar[list[bool] | None] = ContextVar("inside_tool", default=None)
"""While a tool is recorded: whether models were asked within its call. Such a tool is called anew when its tape is played."""


def models_asked_here() -> None:
    noted = inside_tool.get()
    if noted is not None:
        noted[0] = True
