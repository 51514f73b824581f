"""How tapes look on a terminal and in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.ai.tapes.compare import written
from orchestrator.ai.tapes.format import Entry, TapeFile
from orchestrator.ai.tapes.upkeep import Difference, answer_text, tool_calls
from orchestrator.cli import formats
from orchestrator.cli.table import table
from orchestrator.cli.terminal import Screen

JSON = dict[str, Any]

_STYLES: Final = {"answered": "green", "failed": "red", "cut": "yellow"}


def header_json(tape: TapeFile) -> JSON:
    header = tape.header
    return {
        "created": header.created,
        "engine": header.engine,
        "workflow": header.workflow,
        "plan": header.digest,
        "torn": bool(tape.torn),
    }


def row_json(entry: Entry) -> JSON:
    data = entry.data
    return {
        "number": entry.number,
        "entry": entry.kind,
        "run": data.get("run", ""),
        "task": data["task"],
        "agent": data["agent"],
        "model": data.get("model"),
        "tool": entry.request.get("tool") if entry.kind == "tool" else None,
        "key": entry.key,
        "end": entry.end,
        "usage": data.get("usage"),
        "cost": data.get("cost"),
        "ms": data.get("ms"),
        "error": data.get("error"),
    }


def headline(tape: TapeFile) -> str:
    header = tape.header
    torn = "; its last line is not whole" if tape.torn else ""
    of = f" of {header.workflow}" if header.workflow else ""
    return f"{formats.plural(len(tape.entries), 'answer')}{of}, recorded {header.created} by {header.engine}{torn}"


def entry_table(out: Screen, tape: TapeFile) -> str:
    head = ["#", "task", "agent", "asked", "end", "tokens", "cost", "ms", "answer"]
    rows = [_row(entry) for entry in tape.entries]
    styles = [["bold", "", "", "", _STYLES.get(entry.end, "")] for entry in tape.entries]
    return table(out, head, rows, styles=styles)


def _row(entry: Entry) -> list[str]:
    data = entry.data
    usage = data.get("usage") or {}
    tokens = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
    place = "/".join(filter(None, (str(data.get("run", "")), data["task"])))
    return [
        str(entry.number),
        place,
        data["agent"],
        entry.model if entry.kind == "model" else str(entry.request.get("tool", "its tools")),
        entry.end,
        formats.count(tokens) if tokens else "",
        formats.money(data.get("cost")),
        str(data.get("ms", "")),
        _gist(entry),
    ]


def _gist(entry: Entry) -> str:
    error = entry.data.get("error")
    if isinstance(error, dict):
        return f"{error.get('type') or error.get('exception')}: {error.get('message', '')}"
    calls = ", ".join(name for name, _ in tool_calls(entry))
    return " ".join([answer_text(entry), *([f"→ {calls}"] if calls else [])]).strip()


def entry_lines(out: Screen, entry: Entry) -> Iterator[str]:
    """What was asked, then what came."""
    data = entry.data
    yield out.style(f"entry {entry.number}: {entry.said}", "bold")
    facts = {
        "key": entry.key,
        "asked": entry.model or entry.request.get("tool"),
        "end": entry.end,
        "took": f"{data.get('ms', 0)} ms",
        "usage": ", ".join(f"{name} {count}" for name, count in (data.get("usage") or {}).items()),
        "cost": formats.money(data.get("cost")),
    }
    for label, text in facts.items():
        if text:
            yield f"  {out.style(f'{label:<6}', 'dim')} {text}"
    yield out.style("asked", "dim")
    request = written(entry.request) if entry.kind == "model" else _tool_lines(entry)
    yield from (f"  {row}" for row in request)
    yield out.style("came", "dim")
    yield from (f"  {row}" for row in answer_text(entry).splitlines())
    yield from (f"  → {name} {arguments}" for name, arguments in tool_calls(entry))
    if isinstance(error := data.get("error"), dict):
        waits = f", retry after {error['retry_after']} s" if "retry_after" in error else ""
        yield f"  {error.get('type')}: {error.get('message', '')}{waits}"


def _tool_lines(entry: Entry) -> list[str]:
    if entry.kind == "tools":
        return [f"tools: {', '.join(entry.request.get('wanted') or ())}"]
    return [f"{entry.request.get('tool')} {json.dumps(entry.request.get('arguments'), ensure_ascii=False)}"]


def difference_line(difference: Difference) -> str:
    numbers = "/".join(str(number) if number else "–" for number in (difference.before, difference.after))
    return f"{numbers}  {difference.where}: {'; '.join(difference.changes)}"
