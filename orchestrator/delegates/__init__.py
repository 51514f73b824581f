"""Hooks into engine and AI loops: manager, catalogue of events and controls, dispatcher, built-in delegates."""

from __future__ import annotations

from orchestrator.delegates.catalogue import EventEntry, catalogue, check_payload
from orchestrator.delegates.dispatcher import ControlAnswers, DelegateDispatcher
from orchestrator.delegates.manager import CONTROL_LIMIT, FAILURES_MAX, DelegateManager

__all__ = [
    "CONTROL_LIMIT",
    "FAILURES_MAX",
    "ControlAnswers",
    "DelegateDispatcher",
    "DelegateManager",
    "EventEntry",
    "catalogue",
    "check_payload",
]
