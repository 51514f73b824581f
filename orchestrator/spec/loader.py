"""A YAML file as plain JSON data that still knows where everything stands.

    document = load_document("workflows/x.yaml")
    document.data                                   str, int, float, bool, None, list, dict: share, never change
    document.key_span(("tasks", "log", "run"))      the key; an item of a list: the item
    document.value_span(("tasks", "log", "run"))    the value
    document.raw(("env", "VERSION"))                what the author typed: "1.10", where data has 1.1
    document.position_in(("tasks", "log", "run"), 4, 3)   three characters inside the text, escapes and folding undone

Aliases and merge keys are expanded; their positions are those of the anchored text. Bounds: 16 MiB, 1,000,000 nodes, 100 levels,
100,000 nodes more by aliases. Nothing blocks: a named pipe or a device is refused.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from orchestrator.spec.diagnostics import FILE_START, Diagnostic, DiagnosticsError, Span, has_errors
from orchestrator.spec.loader_read import FILE_BYTES_MAX, decode, read_bytes
from orchestrator.spec.positions import PLAIN, LineIndex, TreeNode, content_start, value_offsets

Path = Sequence[str | int]
"""Keys and indices from the top of a document to a value; empty: the whole document."""

KEPT_MAX = 16


class Document:
    """One loaded file. `diagnostics` are the findings that did not stop the reading (see `load_document`)."""

    def __init__(self, file: str, text: str, data: Any, root: Any, diagnostics: list[Diagnostic]) -> None:
        self.file = file
        self.text = text
        self.data = data
        self.diagnostics = diagnostics
        self._kept: dict[int, list[int] | None] = {}
        self.root = root
        """The tree as plain tuples (see `positions.TreeNode`)."""

    @cached_property
    def lines(self) -> LineIndex:
        return LineIndex(self.text)

    def node(self, path: Path) -> TreeNode | None:
        """The node at a path, or None if the file has none there."""
        found = self._find(path)
        return TreeNode(*found[1]) if found is not None else None

    def _find(self, path: Path) -> tuple[Any, Any] | None:
        """(key node or None, value node) as plain tuples."""
        key_node, node = None, self.root
        for part in path:
            kids = node[4] if node is not None else None
            if kids.__class__ is dict and part in kids:
                key_node, node = kids[part]
            elif kids.__class__ is list and isinstance(part, int) and -len(kids) <= part < len(kids):
                key_node, node = None, kids[part]
            else:
                return None
        return (key_node, node) if node is not None else None

    def _nearest(self, path: Path) -> tuple[Any, Any] | None:
        for length in range(len(path), -1, -1):
            if (found := self._find(path[:length])) is not None:
                return found
        return None

    def value_span(self, path: Path) -> Span:
        """Where a value stands (without its anchor). A path that the file lacks: the nearest thing above it that exists."""
        found = self._find(path)
        if found is None:
            return self.key_span(path)
        node = TreeNode(*found[1])
        return self.lines.span(content_start(self.text, node), node.end)

    def key_span(self, path: Path) -> Span:
        """Where a key stands; for an item of a list the item. A path that the file lacks: the nearest key above it."""
        found = self._nearest(path)
        if found is None:
            return FILE_START
        key_node, node = found
        if key_node is not None:
            return self.lines.span(key_node[0], key_node[1])
        return self._head(TreeNode(*node))

    def _head(self, node: TreeNode) -> Span:
        """A span that shows a node: all of it on one line, else its first line."""
        span = self.lines.span(content_start(self.text, node), node.end)
        if span.line == span.end_line:
            return span
        end = len(self.lines.line_text(span.line).rstrip())
        return Span(span.line, span.column, span.line, max(end + 1, span.column))

    def line(self, path: Path) -> int:
        """The line of a key (or item), from 1."""
        found = self._nearest(path)
        if found is None:
            return 1
        return self.lines.place((found[0] or found[1])[0])[0]

    def raw(self, path: Path) -> str | None:
        """A scalar's text as the author typed it (quotes and escapes undone); None if there is no scalar."""
        found = self._find(path)
        return found[1][3] if found is not None else None

    def style(self, path: Path) -> str | None:
        """One of `positions.PLAIN SINGLE DOUBLE LITERAL FOLDED FLOW_MAP FLOW_LIST BLOCK_MAP BLOCK_LIST`."""
        found = self._find(path)
        return found[1][2] if found is not None else None

    def is_plain(self, path: Path) -> bool:
        return self.style(path) == PLAIN

    def source(self, path: Path) -> str:
        """The piece of the file that holds a value, quotes and all; empty if there is none."""
        node = self.node(path)
        return self.text[content_start(self.text, node) : node.end] if node is not None else ""

    def position_in(self, path: Path, offset: int, length: int = 1) -> Span:
        """Where `length` characters from `offset` of a scalar's value stand. What cannot be mapped: the whole scalar."""
        node = self.node(path)
        offsets = self._offsets(node) if node is not None else None
        if offsets is None or not 0 <= offset < len(offsets):
            return self.value_span(path)
        last = min(offset + max(length, 1), len(offsets)) - 1
        start, end = offsets[offset], offsets[last] + (length > 0 and last < len(offsets) - 1)
        return self.lines.span(start, end)

    def _offsets(self, node: TreeNode) -> list[int] | None:
        """Kept for a few texts: many findings may stand in one."""
        if node.start not in self._kept:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[node.start] = value_offsets(self.text, node)
        return self._kept[node.start]

    def scalars(self) -> Iterator[TreeNode]:
        """Every scalar of the file once, keys included, in no promised order."""
        stack, seen = [self.root], set[int]()
        while stack:
            node = stack.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            kids = node[4]
            if kids is None:
                yield TreeNode(*node)
            elif kids.__class__ is dict:
                for pair in kids.values():
                    stack.extend(pair)
            else:
                stack.extend(kids)


def load_document(
    source: str | os.PathLike[str] | bytes,
    *,
    file: str | None = None,
    tolerant: bool = False,
    bytes_max: int = FILE_BYTES_MAX,
) -> Document:
    """Read a file (a path) or its content (bytes); `file` is the name in findings.

    Raises DiagnosticsError for what stops the reading. Lesser errors (a duplicate key, a comma that ate a text) raise too, unless
    `tolerant`: then they wait in `document.diagnostics` beside the warnings, so that one look finds everything.
    """
    name = file or ("<text>" if isinstance(source, bytes) else os.fspath(source))
    content = source if isinstance(source, bytes) else read_bytes(source, file=name, bytes_max=bytes_max)
    if len(content) > bytes_max:
        from orchestrator.spec.loader_read import too_big

        raise too_big(name, bytes_max)
    text, findings = decode(content, file=name)
    document = _parse(text, name, findings)
    if not tolerant and has_errors(document.diagnostics):
        raise DiagnosticsError(document.diagnostics)
    return document


def _parse(text: str, file: str, findings: list[Diagnostic]) -> Document:
    from yaml import YAMLError

    from orchestrator.spec.loader_flaws import check_directives, describe, describe_all, no_document
    from orchestrator.spec.loader_tree import FatalFlawError, build_tree

    if (directive := check_directives(text, file)) is not None:
        raise DiagnosticsError([*findings, directive])
    collecting = gc.isenabled()
    gc.disable()  # a young tree of 100,000 nodes is no garbage, and looking for it costs two thirds of the load
    try:
        tree = build_tree(text)
    except YAMLError as error:
        from orchestrator.spec.loader_causes import explain_syntax_error

        raise DiagnosticsError([*findings, explain_syntax_error(error, text, file)]) from None
    except FatalFlawError as error:
        raise DiagnosticsError([*findings, describe(error.flaw, LineIndex(text), file)]) from None
    finally:
        if collecting:
            gc.enable()
    document = Document(file, text, tree.data, tree.root, findings)
    if tree.root is None:
        raise DiagnosticsError([*findings, no_document(file)])
    findings.extend(describe_all(tree, document))
    return document
