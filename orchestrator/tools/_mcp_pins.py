"""Tool lists of MCP servers, pinned: `config/mcp.lock.json` holds what a person has looked at, and goes into git.

A description is text that every model with the tool reads as an instruction, and a server may change it between two starts.
So a list that is not the one on file stops the task and shows what changed; `whisper-flow tools pin SERVER` accepts it.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.terminal_text import clean_terminal
from orchestrator.host.whole_files import replace_file

JSON = Any
LOCK_FILE: Final = "config/mcp.lock.json"
VERSION: Final = 1
DIFF_LINES_MAX: Final = 60


@dataclass(slots=True, frozen=True, kw_only=True)
class ListedTool:
    """A tool as its server describes it; all of it counts for the pin."""

    name: str
    description: str
    parameters: dict[str, JSON]
    returns: dict[str, JSON] | None = None
    hints: Mapping[str, bool]
    """`readOnlyHint`, `destructiveHint`, `idempotentHint`, `openWorldHint`, as far as they are given."""

    def facts(self) -> dict[str, JSON]:
        said: dict[str, JSON] = {"description": self.description, "parameters": self.parameters}
        if self.returns is not None:
            said["returns"] = self.returns
        if self.hints:
            said["hints"] = dict(self.hints)
        return said


def digest_of(facts: Mapping[str, JSON]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def list_digest(tools: Sequence[ListedTool]) -> str:
    """The same for the same tools in any order."""
    return digest_of({tool.name: digest_of(tool.facts()) for tool in tools})


class Pins:
    """The lock file of one project. Read anew each time: somebody may have pinned meanwhile."""

    def __init__(self, project: Path) -> None:
        self.path = project / LOCK_FILE

    def servers(self) -> dict[str, dict[str, JSON]]:
        """Server id → {sha256, tools}. Raises TaskError `denied` for a file that cannot be read: nothing is accepted unseen."""
        try:
            data = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise TaskError("denied", f"{LOCK_FILE} cannot be read: {error}", help="restore it from git") from error
        servers = data.get("servers") if isinstance(data, dict) and data.get("version") == VERSION else None
        if not isinstance(servers, dict) or not all(map(_is_entry, servers.values())):
            raise TaskError("denied", f"{LOCK_FILE} is not what this version writes", help="restore it from git")
        return servers

    def difference(self, server: str, tools: Sequence[ListedTool]) -> str | None:
        """None if the server was never pinned; empty if its list is the pinned one; else what changed, for people."""
        pinned = self.servers().get(server)
        if pinned is None:
            return None
        facts = {tool.name: tool.facts() for tool in tools}
        before = {name: entry["facts"] for name, entry in pinned["tools"].items()}
        # The digests on file must be those of the texts on file, or somebody who reads the texts reads something else.
        honest = all(entry["sha256"] == digest_of(entry["facts"]) for entry in pinned["tools"].values())
        if honest and pinned["sha256"] == list_digest(tools) and before == facts:
            return ""
        return "\n".join(_bounded(_changes(before, facts))) or f"{LOCK_FILE} does not fit its own digests"

    def pin(self, server: str, tools: Sequence[ListedTool]) -> None:
        """Accept the list. Raises OSError where the file cannot be written."""
        entries = {tool.name: {"sha256": digest_of(tool.facts()), "facts": tool.facts()} for tool in tools}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path.parent):
            servers = {**self.servers(), server: {"sha256": list_digest(tools), "tools": entries}}
            _replace(self.path, {"version": VERSION, "servers": servers})


def _is_entry(entry: JSON) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and isinstance(entry.get("tools"), dict)
        and all(
            isinstance(tool, dict) and isinstance(tool.get("sha256"), str) and isinstance(tool.get("facts"), dict)
            for tool in entry["tools"].values()
        )
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two engines that meet a server for the first time do not lose each other's pin."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, data: JSON) -> None:
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    replace_file(path, text.encode(), mode=0o644)


def _changes(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        shown = _shown(name)
        if name not in before:
            yield f"+ tool `{shown}` is new: {_shown(after[name].get('description') or 'no description')}"
        elif name not in after:
            yield f"- tool `{shown}` is gone"
        elif before[name] != after[name]:
            yield f"~ tool `{shown}` changed:"
            for field in sorted({*before[name], *after[name]}):
                yield from _field(field, before[name].get(field), after[name].get(field))


def _field(field: str, before: JSON, after: JSON) -> Iterator[str]:
    if before == after:
        return
    yield f"    {field}:"
    for line in difflib.unified_diff(_lines(before), _lines(after), n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield f"      {_shown(line)}"


def _lines(value: JSON) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return [] if value is None else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _shown(text: str) -> str:
    """On one line, without what would play with a terminal, and not longer than a person reads."""
    line = " ".join(clean_terminal(text).split("\n")).rstrip()
    return line if len(line) <= 300 else line[:299] + "…"


def _bounded(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == DIFF_LINES_MAX:
            yield f"… and more: see the server's list, and {LOCK_FILE}"
            return
        yield line
