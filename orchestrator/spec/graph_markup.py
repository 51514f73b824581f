"""The graph for other programs: Mermaid, Graphviz, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.plan import ORDER, SOFT
from orchestrator.spec.graph_view import Item, Picture

KIND_WORDS: Final = ("soft", "order", "value")
COLOURS: Final = {
    "waiting": "#f3f4f6", "ready": "#e5e7eb", "running": "#dbeafe", "sleeping": "#ede9fe", "succeeded": "#dcfce7",
    "warned": "#fef9c3", "failed": "#fee2e2", "blocked": "#ffedd5", "skipped": "#f9fafb", "cancelled": "#f5f5f4",
    "unknown": "#fce7f3",
}  # fmt: skip


def as_mermaid(drawn: Picture) -> str:
    lines = ["flowchart TD"]
    used: set[str] = set()
    for title, items in _parts(drawn):
        if title:
            lines += [
                f'  subgraph {title.replace(" ", "_")}_tasks ["{title}"]',
                *_mermaid(items, "    ", used),
                "  end",
            ]
        else:
            lines += _mermaid(items, "  ", used)
    lines += [f"  classDef {word} fill:{COLOURS[word]}" for word in COLOURS if word in used]
    return "\n".join(lines) + "\n"


def _parts(drawn: Picture) -> list[tuple[str, list[Item]]]:
    parts = [("", drawn.tasks), ("on failure", drawn.on_failure), ("finally", drawn.on_finally)]
    return [(title, items) for title, items in parts if items]


def _mermaid(items: list[Item], indent: str, used: set[str]) -> Iterator[str]:
    for item in items:
        name = _name(item)
        text = _mermaid_text(item)
        status = f":::{item.status}" if item.status in COLOURS else ""
        if item.inner:
            yield f'{indent}subgraph {name} ["{text}"]'
            yield from _mermaid(item.inner, indent + "  ", used)
            yield f"{indent}end"
            if status:
                yield f"{indent}class {name} {item.status}"
        else:
            yield f'{indent}{name}["{text}"]{status}'
        used.add(item.status)
    for item in items:
        for other, kind in item.needs.items():
            arrow = "-.->" if kind == SOFT else "-->"
            yield f"{indent}{_name(other)} {arrow} {_name(item)}"


def _name(item: Item) -> str:
    # `end`, `subgraph` and the like are words of Mermaid and of Graphviz: a prefix keeps clear of all of them.
    return "t_" + item.path.replace(".", "__")


def _mermaid_text(item: Item) -> str:
    safe = item.label.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
    return f"<b>{item.id}</b><br>{safe}" if safe else f"<b>{item.id}</b>"


def as_dot(drawn: Picture) -> str:
    lines = [
        "digraph workflow {",
        f"  label={_quoted(drawn.plan.name)}; labelloc=t; compound=true; rankdir=TB;",
        '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica"];',
    ]
    for title, items in _parts(drawn):
        if title:
            name = title.replace(" ", "_")
            lines += [f"  subgraph cluster_{name} {{", f"    label={_quoted(title)};", *_dot(items, "    "), "  }"]
        else:
            lines += _dot(items, "  ")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(items: list[Item], indent: str) -> Iterator[str]:
    for item in items:
        label = _quoted(f"{item.id}\n{item.label}".strip())
        colour = f', fillcolor="{COLOURS[item.status]}"' if item.status in COLOURS else ""
        if item.inner:
            yield f"{indent}subgraph cluster_{_name(item)} {{"
            yield f"{indent}  label={label};"
            yield from _dot(item.inner, indent + "  ")
            yield f"{indent}}}"
        else:
            yield f"{indent}{_name(item)} [label={label}{colour}];"
    for item in items:
        for other, kind in item.needs.items():
            yield f"{indent}{_name(_last(other))} -> {_name(_first(item))}{_dot_style(other, item, kind)};"


def _dot_style(other: Item, item: Item, kind: int) -> str:
    said = [f"ltail=cluster_{_name(other)}"] if other.inner else []
    said += [f"lhead=cluster_{_name(item)}"] if item.inner else []
    said += ["style=dotted"] if kind == SOFT else ["style=dashed"] if kind == ORDER else []
    return f" [{', '.join(said)}]" if said else ""


def _first(item: Item) -> Item:
    return _first(item.inner[0]) if item.inner else item


def _last(item: Item) -> Item:
    return _last(item.inner[-1]) if item.inner else item


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def as_json(drawn: Picture) -> str:
    plan = drawn.plan
    made = {
        "schema_version": 1,
        "workflow": plan.workflow,
        "name": plan.name,
        "digest": plan.digest,
        "tasks": [_json(item) for item in drawn.tasks],
        "on_failure": [_json(item) for item in drawn.on_failure],
        "finally": [_json(item) for item in drawn.on_finally],
    }
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _json(item: Item) -> dict[str, Any]:
    node = item.node
    made: dict[str, Any] = {
        "id": item.id,
        "path": item.path,
        "verb": item.verb,
        "label": item.label,
        "needs": [{"task": other.path, "kind": KIND_WORDS[kind]} for other, kind in item.needs.items()],
    }
    if node is not None:
        made["line"] = node.line
        made["digest"] = node.digest
        made |= {"when": node.when} if node.when is not None else {}
        made |= {"description": node.description} if node.description else {}
    if item.status:
        made["status"] = item.status
    if item.inner:
        made["tasks"] = [_json(one) for one in item.inner]
    return made
