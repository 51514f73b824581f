"""Where keys and secrets come from, and the type of their values.

A source is one file in `host/secret_sources/`, attribute `SOURCE`. It looks in one place, says in four words what it found
there, and never puts the value into a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Protocol

JSON = Any

KeyStatus = Literal["Found", "Not Found", "Not Configured", "Error"]
"""`Not Found`: the place is known and does not have it. `Not Configured`: nothing says where to look, or what looking there
needs is not set up. `Error`: the place is there and cannot be read, or must not be used as it is."""

LOOKING_S: Final = 10.0
"""Longest time a source may take."""


class Secret:
    """A secret value with its name. `reveal()` is the only way to it: it cannot be printed, formatted, pickled or encoded."""

    __slots__ = ("__value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.__value = value

    def reveal(self) -> str:
        return self.__value

    def __repr__(self) -> str:
        return f"<secret {self.name}>"

    def __str__(self) -> str:
        raise TypeError(f"secret {self.name} cannot be printed or put into a text")

    def __format__(self, spec: str) -> str:
        raise TypeError(f"secret {self.name} cannot be printed or put into a text")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"secret {self.name} cannot be pickled or copied")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.name == self.name and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash((Secret, self.name))


@dataclass(slots=True, frozen=True, kw_only=True)
class Place:
    """What sources may read."""

    project: Path
    """Paths of files start here."""
    environ: Mapping[str, str] = field(repr=False)
    """The process's own environment."""
    dotenv: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The project's `.env`; for declared secrets only."""


@dataclass(slots=True, frozen=True)
class Looked:
    """What came of looking."""

    status: KeyStatus
    detail: str
    """Where was looked, and what is wrong: a phrase for people, without the value."""
    secret: Secret | None = None
    """Given if and only if the status is `Found`."""
    help: str | None = None
    """The remedy."""


class SecretSource(Protocol):
    name: str

    def look(self, said: JSON, name: str, place: Place) -> Looked:
        """Look for the secret `name`. `said` is what the file has under the source's word. Never raises for what it finds,
        takes at most `LOOKING_S`. It may ask a network or another program: not to be called on an event loop.
        """
        ...
