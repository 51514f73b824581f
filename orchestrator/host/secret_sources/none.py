"""`auth: none`: the service takes no key."""

from __future__ import annotations

from typing import Any

from orchestrator.ports.secret_source import Looked, Place


class NoKey:
    name = "none"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        return Looked("Not Configured", "no key is needed")


SOURCE = NoKey()
