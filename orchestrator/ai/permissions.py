"""Which uses of its tools an agent may make: `permissions: {deny, ask, allow}`, decided anew for every single call.

A pattern is `tool` or `tool:argument=glob`; in both globs `*` stands for any characters (`/` and line ends too), everything else
for itself. Deny wins over ask, ask over allow; where no pattern fits, pure tools run, and others are asked for if somebody can be
asked at once, else denied.

Arguments are matched by their text: a text as it is, a list as the words of a command line, anything else as JSON; one that is
not given as its default, else as the empty text. A path (an argument named `path`, `paths` or `…_path`, or of the schema's format
`path`) counts as what it leads to, seen from the project: `docs/../secret` is `secret`, and so is a link to it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.core.plan import Effect

JSON = Any
Verdict = Literal["deny", "ask", "allow"]

_PATTERN: Final = re.compile(r"(?P<tool>.+?)(?::(?P<argument>[A-Za-z_]\w*)=(?P<glob>.*))?", re.DOTALL)


@dataclass(slots=True, frozen=True)
class Pattern:
    text: str
    """As it was written."""
    tool: str
    argument: str | None = None
    glob: str = "*"


@functools.cache
def parse_pattern(text: str) -> Pattern:
    """`files.write:path=docs/*`; a colon that no `name=` follows belongs to the tool's name (`reports:count`)."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        return Pattern(text, text)
    return Pattern(text, found["tool"], found["argument"], found["glob"] if found["argument"] else "*")


def matches(glob: str, text: str) -> bool:
    """`*` is any characters, none included. Takes time in proportion to both lengths, whatever they hold."""
    first, *rest = glob.split("*")
    if not rest:
        return text == glob
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


@dataclass(slots=True, frozen=True)
class Readings:
    """The texts that one argument can be read as. What forbids needs one that fits, what allows needs all to fit."""

    texts: tuple[str, ...]

    def forbidden(self, glob: str) -> bool:
        return any(matches(glob, text) for text in self.texts)

    def allowed(self, glob: str) -> bool:
        return all(matches(glob, text) for text in self.texts)


@dataclass(slots=True, frozen=True)
class Decision:
    verdict: Verdict
    pattern: str = ""
    """The pattern that decided; empty if none fitted."""


Arguments = Callable[[str], Readings]
"""The readings of an argument by its name."""


@dataclass(slots=True, kw_only=True, frozen=True)
class Permissions:
    deny: tuple[Pattern, ...] = ()
    ask: tuple[Pattern, ...] = ()
    allow: tuple[Pattern, ...] = ()

    def offered(self, tool: str) -> bool:
        """False for a tool of which every use is denied: its agent need not know of it."""
        return not any(one.argument is None and matches(one.tool, tool) for one in self.deny)

    def decide(self, tool: str, arguments: Arguments, *, effect: Effect, attended: bool) -> Decision:
        """`attended`: somebody can be asked at once."""
        for verdict, patterns in (("deny", self.deny), ("ask", self.ask)):
            if (found := _first(patterns, tool, arguments, Readings.forbidden)) is not None:
                return Decision(verdict, found.text)  # type: ignore[arg-type]  # the words above
        if (found := _first(self.allow, tool, arguments, Readings.allowed)) is not None:
            return Decision("allow", found.text)
        if effect == "pure":
            return Decision("allow")
        return Decision("ask" if attended else "deny")


def _first(
    patterns: Iterable[Pattern], tool: str, arguments: Arguments, fits: Callable[[Readings, str], bool]
) -> Pattern | None:
    for one in patterns:
        if matches(one.tool, tool) and (one.argument is None or fits(arguments(one.argument), one.glob)):
            return one
    return None


def read_permissions(said: Mapping[str, Iterable[str]] | None) -> Permissions:
    """An agent's `permissions`, as declared."""
    said = said or {}
    parsed = {word: tuple(parse_pattern(text) for text in said.get(word) or ()) for word in ("deny", "ask", "allow")}
    return Permissions(deny=parsed["deny"], ask=parsed["ask"], allow=parsed["allow"])


@dataclass(slots=True, frozen=True)
class CallArguments:
    """The arguments of one call, as texts that patterns can be held against."""

    values: Mapping[str, JSON]
    schema: Mapping[str, JSON]
    """JSON Schema of the tool's arguments."""
    project: Path
    roots: tuple[Path, ...] = field(default=())
    """Where relative paths may start; the project's root if none is given."""

    def __call__(self, name: str) -> Readings:
        known = (self.schema.get("properties") or {}).get(name)
        known = known if isinstance(known, Mapping) else {}
        value = self.values.get(name, known.get("default", ""))
        if not _is_path(name, known):
            return Readings((_text(value),))
        paths = value if isinstance(value, list) and value else [value]
        return Readings(tuple(dict.fromkeys(text for path in paths for text in self._path(_text(path)))))

    def _path(self, text: str) -> Iterable[str]:
        """What the path says and what it leads to, from the project's root where it is inside."""
        for root in self.roots or (self.project,):
            said = os.path.normpath(root / text)
            yield self._from_project(said, self.project)
            try:
                yield self._from_project(os.path.realpath(said), Path(os.path.realpath(self.project)))
            except ValueError:  # a NUL: no file is called so
                yield text

    def _from_project(self, path: str, project: Path) -> str:
        return str(Path(path).relative_to(project)) if Path(path).is_relative_to(project) else path


def _is_path(name: str, schema: Mapping[str, JSON]) -> bool:
    items = schema.get("items")
    said = schema.get("format") or (items.get("format") if isinstance(items, Mapping) else None)
    return said == "path" or name in ("path", "paths") or name.endswith(("_path", "_paths"))


def _text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(part, list | dict) for part in value):
        return shlex.join(part if isinstance(part, str) else json.dumps(part) for part in value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
