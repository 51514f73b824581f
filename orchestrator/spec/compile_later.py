"""What the language has and this version cannot run: found in a file, said with its place, refused when a run starts.

A line goes when what it names is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

Path = tuple[str | int, ...]

AGENT: Final = (
    "resident", "schedule",
)  # fmt: skip


class Later(NamedTuple):
    what: str
    path: Path
    """Where the file says it."""


def of_agents(used: Mapping[str, dict[str, Any]]) -> Iterator[Later]:
    """Of the agents that tasks use."""
    for name, agent in used.items():
        for word in AGENT:
            if agent.get(word):
                yield Later(f"`{word}` of agent `{name}`", ("agents", name, word))
