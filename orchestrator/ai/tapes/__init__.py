"""Tapes: what models and tools answered, recorded once and played again without a network, a key or a bill.

format      the lines of a tape, read and written
canonical   a request as it is compared: secrets gone, one spelling, one key
recorder    stands between a loop and its model, and writes down what goes by
player      answers in the model's place
nearest     what to say when a tape has no answer
upkeep      verify, redact, prune
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.ai.tapes.player import TapePlayer as TapePlayer
    from orchestrator.ai.tapes.recorder import TapeRecorder as TapeRecorder

__all__ = ["TapePlayer", "TapeRecorder"]

_HOMES = {"TapePlayer": "player", "TapeRecorder": "recorder"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
