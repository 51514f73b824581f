"""How findings talk about places and kinds of values: "`budget` of task `write`", "text, not a number"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.spec.models_values import kind_of

Path = tuple[str | int, ...]

_KINDS = {
    "<text>": "text",
    "<true or false>": "`true` or `false`",
    "<number>": "a number",
    "<map>": "a map",
    "<list>": "a list",
    "<nothing>": "nothing",
}
_TASK_MAPS = ("tasks", "finally", "on_failure")
_NOUNS = {"agents": "agent", "workers": "worker", "mcp": "MCP server", "inputs": "input", "secrets": "secret"}


def kind_word(value: Any) -> str:
    """`a number`, `text`, …: what a YAML value is."""
    return _KINDS[kind_of(value)]


def tag_word(tag: str) -> str:
    return _KINDS.get(tag, tag)


def listed(words: Sequence[str], last: str = "or") -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def plain_list(words: Sequence[str], last: str = "or") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def owner(path: Path) -> tuple[str, Path]:
    """(noun with name, its path) of the nearest named thing around a path: a task, an agent, …, else the file."""
    found: tuple[str, Path] = ("the file", ())
    at = 0
    while at + 1 < len(path):
        key, name = path[at], path[at + 1]
        if key in _TASK_MAPS:
            found = (f"task `{name}`", path[: at + 2])
        elif at == 0 and key in _NOUNS:
            return f"{_NOUNS[str(key)]} `{name}`", path[:2]
        else:
            return found
        at += 2
    return found


def place(path: Path, around: tuple[str, Path] | None = None) -> str:
    """What stands at a path: "`budget` of task `write`", "task `write`", "`schedules[0]`", "the file"."""
    noun, start = around if around is not None else owner(path)
    inner = dotted(path[len(start) :])
    if not inner:
        return noun
    return f"`{inner}`" if not start else f"`{inner}` of {noun}"


def dotted(path: Path) -> str:
    """`wake_on[0].mail`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
