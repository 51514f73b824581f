from __future__ import annotations

import pytest
from stores.meters_conformance import MetersConformance

from orchestrator.ports.meters import Meters
from orchestrator.stores._meters_memory import MemoryMeters


class TestMemoryMeters(MetersConformance):
    @pytest.fixture
    def meters(self) -> Meters:
        return MemoryMeters()
