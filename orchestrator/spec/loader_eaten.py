"""Text that YAML ate without complaint: a comma in a flow value, ` #`, an anchor (grammar, rule 1).

Costs nothing for files that show no sign of it: each search begins with a plain `in` or an already collected list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.diagnostics import Diagnostic, Edit, Label, shown
from orchestrator.spec.loader_causes import quoted
from orchestrator.spec.loader_tree import Tree, Valueless
from orchestrator.spec.positions import PLAIN, TreeNode

TEXT_KEYS: Final = frozenset(
    {"prompt", "instructions", "ask", "message", "description", "subject", "body", "run", "name"}
)
"""Fields that hold prose or commands: a comment right behind them is suspicious."""

_HASH: Final = re.compile(r"(?<=\S)( +)#([^\r\n]*)")


def eaten_text(tree: Tree, document: Any) -> Iterator[Diagnostic]:
    if tree.valueless:
        yield from _commas(tree.valueless, document)
    if " #" in document.text:
        yield from _comments(document)
    if tree.unused_anchors:
        yield from _anchors(tree, document)


def _commas(valueless: list[Valueless], document: Any) -> Iterator[Diagnostic]:
    """`{instructions: Do this, then that}`: one finding for all commas of a text; the text is put together again, so that
    no later check stumbles over the pieces.
    """
    by_mapping: dict[int, list[Valueless]] = {}
    for one in valueless:
        by_mapping.setdefault(id(one.data), []).append(one)
    for group in by_mapping.values():
        pieces = {one.key: one for one in group}
        owner: str | None = None
        chain: list[Valueless] = []
        for key in list(group[0].kids):
            if key in pieces:
                chain.append(pieces[key])
                continue
            yield from _comma(owner, chain, document)
            owner, chain = key, []
        yield from _comma(owner, chain, document)


def _comma(owner: str | None, chain: list[Valueless], document: Any) -> Iterator[Diagnostic]:
    if not chain:
        return
    first, last = chain[0].key_node, chain[-1].key_node
    span = document.lines.span(first[0], first[1])
    node = TreeNode(*chain[0].kids[owner][1]) if owner is not None else None
    if owner is None or node is None or node.style != PLAIN or not node.raw or node.start > first[0]:
        yield Diagnostic(
            code="WF131", severity="error", message=f"`{shown(chain[0].key)}` has no value", file=document.file, span=span,
            help="write `key: value`; if it is text with a comma, put the whole text in quotes",
        )  # fmt: skip
        return
    text = document.text[node.start : last[1]]
    one_line = "\n" not in text and "\r" not in text
    yield Diagnostic(
        code="WF131",
        severity="error",
        message=f"the comma ends the text of `{shown(owner)}`",
        file=document.file,
        span=span,
        label="YAML reads the rest as a key of its own",
        labels=(Label(document.lines.span(node.start, node.end), "the text ends here"),),
        help=f"quote it: {quoted(shown(text))}" if one_line else "put the whole text in quotes",
        fix=(Edit(document.lines.span(node.start, last[1]), quoted(text)),) if one_line else None,
    )
    mapping, kids = chain[0].data, chain[0].kids
    for piece in chain:
        mapping.pop(piece.key, None)
        kids.pop(piece.key, None)
    mapping[owner] = text
    kids[owner] = (kids[owner][0], (node.start, last[1], PLAIN, text, None))


def _comments(document: Any) -> Iterator[Diagnostic]:
    """`prompt: Fix issue #12` is `Fix issue`: a `#` glued to a word, or right behind a field of prose, was meant as text."""
    suspects = [found for found in _HASH.finditer(document.text) if _suspicious(document.text, found)]
    if not suspects:
        return
    ends = {node.end: node for node in document.scalars() if node.style == PLAIN}
    for found in suspects:
        node = ends.get(found.start())
        value_start, value = (node.start, node.raw or "") if node is not None else (found.start(), "")
        before = document.text[: found.start()]
        if node is None and not before.endswith(":"):
            continue
        start, end = found.start() + len(found.group(1)), found.end()
        whole = document.text[value_start:end].strip()
        where = value_start if value else start
        in_flow = document.text[found.end() - 1] in "}]"
        fix = None if in_flow or "\n" in whole else (Edit(document.lines.span(where, end), quoted(whole)),)
        yield Diagnostic(
            code="WF132",
            severity="warning",
            message="` #` begins a comment: the rest of this text is lost",
            file=document.file,
            span=document.lines.span(start, end),
            label="YAML skips this",
            labels=(Label(document.lines.span(value_start, found.start()), "the text ends here"),) if value else (),
            help=f"quote it: {quoted(shown(whole))}" if fix else "put the whole text in quotes",
            fix=fix,
        )


def _suspicious(text: str, found: re.Match[str]) -> bool:
    comment = found.group(2)
    if not comment or len(found.group(1)) > 1:
        return False
    if not comment[0].isspace() and comment[0] not in "#!-=":
        return True
    line_start = max(text.rfind("\n", 0, found.start()), text.rfind("\r", 0, found.start())) + 1
    key = re.match(r"\s*(?:- +)?([a-z_]+): +(?=[^\s\"'|>])", text[line_start : found.start()])
    return key is not None and key.group(1) in TEXT_KEYS - {"run", "name"}


def _anchors(tree: Tree, document: Any) -> Iterator[Diagnostic]:
    """`prompt: &co is good` is `is good`, marked `co`."""
    starts = {start: name for name, start in tree.unused_anchors.items()}
    for node in document.scalars():
        name = starts.get(node.start)
        if name is None or node.style != PLAIN or not document.text.startswith("&", node.start):
            continue
        whole = document.text[node.start : node.end]
        span = document.lines.span(node.start, node.start + 1 + len(name))
        yield Diagnostic(
            code="WF137",
            severity="warning",
            message=f"`&{shown(name)}` marks a value that nothing repeats",
            file=document.file,
            span=span,
            label="YAML does not count this as text",
            help=f"if it is text, quote it: {quoted(shown(whole))}" if "\n" not in whole else "if it is text, quote it",
            fix=None,
        )
