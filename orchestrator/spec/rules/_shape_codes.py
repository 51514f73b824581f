"""Explanations of what the shape checks find (WF2xx)."""

from __future__ import annotations

from typing import Final

from orchestrator.spec.rules import Rule

RULES: Final[tuple[Rule, ...]] = ()
