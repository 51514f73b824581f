"""How much of a thing a test tries: little at a desk, what the quality page says under CI, and all of it before a release."""

from __future__ import annotations

import os

import pytest


def size(config: pytest.Config, *, here: int, ci: int, release: int) -> int:
    if config.getoption("--release", default=False):
        return release
    return ci if os.environ.get("CI", "").lower() not in ("", "0", "false") else here
