"""The graph as one SVG file: no font, script or picture from elsewhere, light and dark, every box with a text alternative."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from orchestrator.core.plan import ORDER, SOFT
from orchestrator.spec.graph_layout import LINE, PAD, TITLE, Box, Drawing, Line, lay_out
from orchestrator.spec.graph_text import ICONS
from orchestrator.spec.graph_view import Picture

MARGIN: Final = 24.0
_STYLE: Final = """
text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #111827 }
.id { font-weight: 600 } .what { fill: #6b7280 } h1, .title { font: 600 15px system-ui, sans-serif }
.part { font: 600 12px system-ui, sans-serif; fill: #6b7280 }
rect { fill: #ffffff; stroke: #9ca3af } .group { fill: #f9fafb; stroke-dasharray: 4 3 }
path { fill: none; stroke: #6b7280; stroke-width: 1.3 } .order { stroke-dasharray: 6 4 } .soft { stroke-dasharray: 1.5 4 }
marker path { fill: #6b7280; stroke: none }
.succeeded > rect { stroke: #16a34a } .running > rect, .ready > rect { stroke: #2563eb; stroke-width: 2 }
.failed > rect, .unknown > rect { stroke: #dc2626; stroke-width: 2 } .warned > rect, .blocked > rect { stroke: #d97706 }
.sleeping > rect { stroke: #7c3aed } .skipped, .cancelled { opacity: .55 }
@media (prefers-color-scheme: dark) {
 svg { background: #0b0f19 } text { fill: #e5e7eb } rect { fill: #111827; stroke: #4b5563 } .group { fill: #0f172a }
 .what, .part { fill: #9ca3af } path { stroke: #9ca3af } marker path { fill: #9ca3af }
}
""".strip()


def as_svg(drawn: Picture) -> str:
    parts = [("", drawn.tasks), ("on failure", drawn.on_failure), ("finally", drawn.on_finally)]
    body: list[str] = []
    top, width = MARGIN + 30, 200.0
    for title, items in parts:
        if not items:
            continue
        if title:
            body.append(f'<text class="part" x="{MARGIN:g}" y="{top + 4:g}">{title}</text>')
            top += 16
        drawing = lay_out(items)
        body.append(f'<g transform="translate({MARGIN:g} {top:g})">')
        body.extend(_drawing(drawing))
        body.append("</g>")
        top += drawing.height + 36
        width = max(width, drawing.width)
    title = drawn.plan.name
    full, height = max(width, len(title) * 9.0) + 2 * MARGIN, top - 36 + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {full:.0f} {height:.0f}" role="img" aria-labelledby="graph-title">'
    )
    marker = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8Z"/></marker></defs>'
    )
    return "\n".join(
        [
            head,
            f'<title id="graph-title">{_clean(title)}: tasks and what they wait for</title>',
            f"<style>{_STYLE}</style>",
            marker,
            f'<text class="title" x="{MARGIN:g}" y="{MARGIN + 8:g}">{_clean(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _drawing(drawing: Drawing) -> Iterator[str]:
    for line in drawing.lines:
        yield _path(line)
    for box in drawing.boxes:
        yield from _box(box)


def _path(line: Line) -> str:
    """A soft curve from row to row."""
    start = line.boxes[0]
    x, y = start.middle, start.y + start.height
    parts = [f"M{x:.1f} {y:.1f}"]
    for box in line.boxes[1:]:
        to_x, to_y = box.middle, box.y
        half = (y + to_y) / 2
        parts.append(f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y + box.height
    style = ' class="soft"' if line.kind == SOFT else ' class="order"' if line.kind == ORDER else ""
    return f'<path{style} d="{" ".join(parts)}" marker-end="url(#arrow)"/>'


def _box(box: Box) -> Iterator[str]:
    item = box.item
    assert item is not None
    waits = ", ".join(other.id for other in item.needs)
    told = f"{item.path}: {item.label}" + (f"; waits for {waits}" if waits else "")
    told += f"; {item.status}" if item.status else ""
    status = f' class="{item.status}"' if item.status in ICONS else ""
    yield f'<g{status} transform="translate({box.x:.1f} {box.y:.1f})"><title>{_clean(told)}</title>'
    group = ' class="group"' if box.inner is not None else ""
    yield f'<rect{group} width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'
    shown = f"{ICONS[item.status]} {item.id}  {item.status}" if item.status in ICONS else item.id
    yield f'<text class="id" x="{PAD:g}" y="{LINE:g}">{_clean(shown)}</text>'
    yield f'<text class="what" x="{PAD:g}" y="{2 * LINE:g}">{_clean(item.label)}</text>'
    if box.inner is not None:
        yield f'<g transform="translate({(box.width - box.inner.width) / 2:.1f} {TITLE:g})">'
        yield from _drawing(box.inner)
        yield "</g>"
    yield "</g>"


def _clean(text: str) -> str:
    """Text for XML: control characters, which it has no way to write, become spaces."""
    return escape("".join(char if char.isprintable() else " " for char in text))
