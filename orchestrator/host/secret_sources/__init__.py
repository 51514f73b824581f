"""One file for each place that keys and secrets come from (`ports/secret_source.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.ports.secret_source import Looked, Place, SecretSource
from orchestrator.registry import load

PACKAGE: Final = "orchestrator.host.secret_sources"
_WORDS: Final = {"env_var": "env", "config_path": "file"}
"""What `auth` calls a source that `secrets` has under another name."""


def source_of(said: Mapping[str, Any]) -> tuple[SecretSource, Any]:
    """The source that a mapping like `{vault: …}` names by its first key, and what it says there. Imports only that one."""
    word = next(iter(said))
    source: SecretSource = load(PACKAGE, _WORDS.get(word, word), "SOURCE", noun="secret source")
    # `key` stands beside `dotenv`; every other source has all it needs under its own word.
    return source, said if len(said) > 1 else said[word]


def look_for(said: Mapping[str, Any], name: str, place: Place) -> Looked:
    """Look where `said` says. Raises NotFoundError for a source that does not exist."""
    source, detail = source_of(said)
    return source.look(detail, name, place)
