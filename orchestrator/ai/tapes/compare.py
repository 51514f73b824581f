"""Two requests side by side: what changed in plain words, and line by line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, Final

JSON = Any

_SAID_MAX: Final = 60


def changes(recorded: dict[str, JSON], now: dict[str, JSON]) -> list[str]:
    """One phrase for each part of the request that differs, in the order a reader looks for them."""
    found: list[str] = []
    for name in ("provider", "model", "instructions", "temperature", "max_tokens"):
        if recorded.get(name) != now.get(name):
            found.append(f"`{name}` {_changed(recorded.get(name), now.get(name))}")
    found += _messages(recorded.get("messages") or [], now.get("messages") or [])
    found += _tools(recorded.get("tools") or [], now.get("tools") or [])
    found += _named("settings", recorded.get("settings") or {}, now.get("settings") or {})
    if recorded.get("output_schema") != now.get("output_schema"):
        found.append("`output_schema` (the task's `output`) differs")
    known = {"provider", "model", "instructions", "temperature", "max_tokens", "messages", "tools", "settings"}
    others = sorted({*recorded, *now} - known - {"output_schema"})
    return [*found, *(f"`{name}` differs" for name in others if recorded.get(name) != now.get(name))]


def _changed(before: JSON, after: JSON) -> str:
    if before is None or after is None:
        said = f"is new: {_short(after)}" if before is None else f"is gone; it was {_short(before)}"
    else:
        said = f"was {_short(before)}, is {_short(after)}"
    return said if len(said) <= 2 * _SAID_MAX else "differs"


def _short(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def _messages(before: list[JSON], after: list[JSON]) -> list[str]:
    found = []
    for number, (old, new) in enumerate(zip(before, after, strict=False), 1):
        if old != new:
            role = new.get("role", "") if isinstance(new, dict) else ""
            found.append(f"`messages`: number {number} ({_kind(old, new) or role}) differs")
    if len(before) != len(after):
        found.append(f"`messages`: there were {len(before)}, there are {len(after)}")
    return found


def _kind(old: JSON, new: JSON) -> str:
    """`tool result of get_time` says more than `tool`."""
    try:
        pairs = list(zip(old["parts"], new["parts"], strict=False))
        part = next(after for before, after in pairs if before != after)
    except (KeyError, TypeError, StopIteration):
        return ""
    word, content = next(iter(part.items()))
    if word == "text" or not isinstance(content, dict):
        return f"{new.get('role', '')} text"
    name = content.get("name") or content.get("sha256", "")[:12]
    return f"{word.replace('_', ' ')} {name}".strip()


def _tools(before: list[JSON], after: list[JSON]) -> list[str]:
    return _named("tools", {tool["name"]: tool for tool in before}, {tool["name"]: tool for tool in after})


def _named(field: str, before: dict[str, JSON], after: dict[str, JSON]) -> list[str]:
    found = [f"`{field}`: `{name}` is new" for name in after if name not in before]
    found += [f"`{field}`: `{name}` is gone" for name in before if name not in after]
    for name in after:
        if name in before and before[name] != after[name]:
            said = _changed(before[name], after[name]) if field == "settings" else "differs"
            found.append(f"`{field}`: `{name}` {said}")
    if not found and list(before) != list(after):
        found.append(f"`{field}`: they stand in another order")
    return found


def unified(recorded: dict[str, JSON], now: dict[str, JSON], *, before: str, after: str) -> list[str]:
    """A unified diff of both requests, written out line by line."""
    return [
        line.rstrip("\n")
        for line in difflib.unified_diff(list(written(recorded)), list(written(now)), before, after, lineterm="")
    ]


def written(request: dict[str, JSON]) -> Iterator[str]:
    """A request as lines that people read and `diff` compares."""
    for name in ("provider", "model", "temperature", "max_tokens"):
        if name in request:
            yield f"{name}: {_plain(request[name])}"
    if request.get("settings"):
        for name, value in sorted(request["settings"].items()):
            yield f"settings.{name}: {_plain(value)}"
    if request.get("instructions"):
        yield "instructions:"
        yield from _indented(str(request["instructions"]))
    for tool in request.get("tools") or []:
        yield f"tool {tool.get('name', '')}:"
        yield from _indented(str(tool.get("description", "")))
        yield from _indented(json.dumps(tool.get("parameters"), ensure_ascii=False, indent=1, sort_keys=True))
    if "output_schema" in request:
        yield "output_schema:"
        yield from _indented(json.dumps(request["output_schema"], ensure_ascii=False, indent=1, sort_keys=True))
    for number, message in enumerate(request.get("messages") or [], 1):
        yield f"message {number}, {message.get('role', '')}:"
        for part in message.get("parts") or []:
            yield from _part(part)


def _part(part: dict[str, JSON]) -> Iterator[str]:
    if "text" in part:
        yield from _indented(part["text"])
        return
    for word, content in part.items():
        said = {k: v for k, v in content.items() if k != "content"} if isinstance(content, dict) else content
        yield f"  {word.replace('_', ' ')} {_plain(said)}"
        if isinstance(content, dict) and "content" in content:
            yield from _indented(str(content["content"]), "    ")


def _plain(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _indented(text: str, by: str = "  ") -> Iterator[str]:
    for line in text.splitlines() or [""]:
        yield by + line


def likeness(one: dict[str, JSON], other: dict[str, JSON]) -> float:
    """From 0 to 1: how many fields are equal, then how alike their texts are."""
    names = {*one, *other}
    equal = sum(one.get(name) == other.get(name) for name in names) / len(names)
    a, b = "\n".join(written(one))[:20_000], "\n".join(written(other))[:20_000]
    return float(equal + difflib.SequenceMatcher(None, a, b, autojunk=False).quick_ratio()) / 2
