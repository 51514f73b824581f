"""Every step that a loop tells its delegates of stands in the catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import orchestrator
from orchestrator.delegates.catalogue import STEPS


def test_every_step_is_listed_and_every_listed_step_is_told() -> None:
    told: set[str] = set()
    for path in Path(orchestrator.__file__).parent.rglob("*.py"):
        told |= set(re.findall(r"\.step\(\s*\"([a-z_]+)\"", path.read_text()))
    assert told == set(STEPS)
