"""Hooks into engine and AI loops: manager, catalogue of events and controls, dispatcher, built-in delegates.

A run without delegates needs the manager only, so the rest is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

# Not lazily: the function must stand before the module of its name is imported by somebody else.
from orchestrator.delegates.catalogue import EventEntry, catalogue, check_payload

if TYPE_CHECKING:
    from orchestrator.delegates.dispatcher import ControlAnswers, DelegateDispatcher
    from orchestrator.delegates.loading import attach_delegate, listens_to, load_delegate
    from orchestrator.delegates.manager import CONTROL_LIMIT, FAILURES_MAX, DelegateManager

__all__ = [
    "CONTROL_LIMIT",
    "FAILURES_MAX",
    "ControlAnswers",
    "DelegateDispatcher",
    "DelegateManager",
    "EventEntry",
    "attach_delegate",
    "catalogue",
    "check_payload",
    "listens_to",
    "load_delegate",
]

_HOMES: Final = {
    "CONTROL_LIMIT": "manager",
    "FAILURES_MAX": "manager",
    "ControlAnswers": "dispatcher",
    "DelegateDispatcher": "dispatcher",
    "DelegateManager": "manager",
    "attach_delegate": "loading",
    "listens_to": "loading",
    "load_delegate": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
