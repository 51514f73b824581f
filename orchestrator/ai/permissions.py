"""Which uses of its tools an agent may make: `permissions: {deny, ask, allow}`, decided anew for every single call.

A pattern is `tool` or `tool:argument=glob`; in both globs `*` stands for any characters (`/` and line ends too), everything else
for itself. Deny wins over ask, ask over allow; where no pattern fits, pure tools run, and others are asked for if somebody can be
asked at once, else denied.

Arguments are matched by their text: a text as it is, a list as the words of a command line, anything else as JSON; one that is
not given as its default, else as the empty text. A path (an argument named `path`, `paths` or `…_path`, or of the schema's format
`path`) counts as what it leads to, seen from the working folder: `docs/../secret` is `secret`, and so is a link to it.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.core.tool_patterns import Pattern, matches, parse_pattern

JSON = Any
Verdict = Literal["deny", "ask", "allow"]


@dataclass(slots=True, frozen=True)
class Readings:
    """The texts that one argument can be read as. What allows must fit all of `texts`; what forbids, any text at all."""

    texts: tuple[str, ...]
    others: tuple[str, ...] = ()

    def forbidden(self, glob: str) -> bool:
        return any(matches(glob, text) for text in (*self.texts, *self.others))

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

    def decide(self, tool: str, arguments: Arguments, *, free: bool, attended: bool) -> Decision:
        """`free`: the tool itself needs nobody's permission (a pure one); `attended`: somebody can be asked at once."""
        for verdict, patterns in (("deny", self.deny), ("ask", self.ask)):
            if (found := _first(patterns, tool, arguments, Readings.forbidden)) is not None:
                return Decision(verdict, found.text)  # type: ignore[arg-type]  # the words above
        if (found := _first(self.allow, tool, arguments, Readings.allowed)) is not None:
            return Decision("allow", found.text)
        if free:
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
    cwd: Path
    """Where the tools' paths start."""

    def __call__(self, name: str) -> Readings:
        known = (self.schema.get("properties") or {}).get(name)
        known = known if isinstance(known, Mapping) else {}
        value = self.values.get(name, known.get("default", ""))
        if not _is_path(name, known):
            return Readings((_text(value),))
        paths = [_text(path) for path in (value if isinstance(value, list) and value else [value])]
        led = [self._leads_to(path) for path in paths]
        seen = [self._from_folder(path) for pair in led for path in pair]
        others = [_below(path, Path(os.path.realpath(self.project))) for _, path in led]
        return Readings(tuple(dict.fromkeys(seen)), tuple(dict.fromkeys([*paths, *others])))

    def _leads_to(self, text: str) -> tuple[str, str]:
        """Where the path points by its words, and where with all links followed; both absolute."""
        said = os.path.normpath(self.cwd / text)
        if "\0" in text:  # no file is called so; the tool will say it
            return said, said
        # Words and links may disagree about `link/..`: what a tool opens is what the system finds.
        return said, os.path.realpath(self.cwd / text)

    def _from_folder(self, path: str) -> str:
        """A path of the project as seen from the working folder; one outside the project stays whole."""
        for cwd, project in (
            (self.cwd, self.project),
            (Path(os.path.realpath(self.cwd)), Path(os.path.realpath(self.project))),
        ):
            if Path(path).is_relative_to(project):
                return os.path.relpath(path, cwd)
        return path


def _below(path: str, project: Path) -> str:
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
