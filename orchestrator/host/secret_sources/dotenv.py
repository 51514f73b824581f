"""`dotenv: FILE` with an optional `key: NAME` beside it: a line of a file of `NAME=value` lines."""

from __future__ import annotations

from typing import Any

from orchestrator.host.dotenv import read_dotenv
from orchestrator.host.secret_sources.file import path_of
from orchestrator.ports.secret_source import Looked, Place, Secret


class DotenvFile:
    name = "dotenv"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        file, key = (said["dotenv"], said.get("key", name)) if isinstance(said, dict) else (said, name)
        path = path_of(str(file), place)
        if value := read_dotenv(path).get(str(key)):
            return Looked("Found", f"`{key}` in {file}", Secret(name, value))
        return Looked("Not Found", f"{file} has no `{key}`", help=f"write a line `{key}=…` into {file}")


SOURCE = DotenvFile()
