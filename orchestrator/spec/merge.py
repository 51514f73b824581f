"""How defaults and nearer values become one: maps merge, scalars and lists replace, the nearer wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(far: Mapping[str, Any], near: Mapping[str, Any]) -> dict[str, Any]:
    """A new map; neither argument changes. A key said to be null nearer stays null."""
    made = dict(far)
    for key, value in near.items():
        before = made.get(key)
        made[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return made


def model_named(agent: Mapping[str, Any]) -> bool:
    """Does the agent say by itself which model it is?"""
    config = agent.get("ai_config")
    return "worker" in agent or "model" in agent or (isinstance(config, dict) and "model" in config)
