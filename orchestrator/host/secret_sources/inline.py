"""`auth: {inline: …}`: the key itself stands in a file of the project, for trying something out.

Plans are recorded, so a plan holds only where the key stands: `{file, path}`. The key is read from there when a run starts or
goes on; who moved it meanwhile is told.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import WhisperFlowError
from orchestrator.ports.secret_source import Looked, Place, Secret


class InlineKey:
    name = "inline"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        value = said if isinstance(said, str) else _read_again(said, place)
        if isinstance(value, str) and value:
            return Looked("Found", "written in the file", Secret(name, value))
        where = f"{said['file']} has no key there any more" if isinstance(said, dict) else "the key is empty"
        return Looked("Not Found", where, help="write `auth: {env_var: NAME}`")


def _read_again(said: Any, place: Place) -> Any:
    from orchestrator.spec.loader import load_document  # yaml, for the few who write a key into a file

    try:
        found = load_document(place.project / said["file"], file=said["file"], tolerant=True).data
        for part in said["path"]:
            found = found[part]
    except (WhisperFlowError, OSError, LookupError, TypeError):
        return None
    return found


SOURCE = InlineKey()
