from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--images", type=int, help="how many power cuts to try (200, or 1,000,000 with --release)")
    parser.addoption("--first-seed", type=int, default=0, help="where to begin, to replay or to go on")
