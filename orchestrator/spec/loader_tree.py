"""From libyaml's events to plain JSON data and a tree of offsets, in one loop without recursion.

The loop composes the nodes itself: PyYAML's composer recurses in C and dies of 30,000 nested brackets, and a second walk to
build the data would cost as much again. Depth, nodes and what aliases add are bounded while reading.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from orchestrator.spec.positions import BLOCK_LIST, BLOCK_MAP, FLOW_LIST, FLOW_MAP
from orchestrator.spec.yaml12 import UnfitNumberError, resolve_plain

DEPTH_MAX: Final = 100
NODES_MAX: Final = 1_000_000
ALIASED_NODES_MAX: Final = 100_000
"""How many nodes aliases may add: enough for any set of defaults, and nothing for a bomb."""

FLAWS_MAX: Final = 1_000
"""Nobody reads more; a file made to hold a million duplicates shall not cost a million findings."""

MERGE: Final = "<<"

RawNode = tuple[int, int, str, str | None, Any]
"""See `positions.TreeNode`."""


class Flaw(NamedTuple):
    """Something wrong at `[start, end)`; `loader` makes the diagnostic of it. `other` is the second place, if any."""

    code: str
    start: int
    end: int
    text: str
    other: tuple[int, int] | None = None


class Valueless(NamedTuple):
    """A key without value inside `{…}`: mostly the rest of a text that a comma ended. `data` and `kids` are its mapping's."""

    data: dict[str, Any]
    kids: dict[str, tuple[RawNode, RawNode]]
    key: str
    key_node: RawNode


class FatalFlawError(Exception):
    """Reading stops here."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.text)
        self.flaw = flaw


class Tree(NamedTuple):
    data: Any
    root: RawNode | None
    """None: the file holds no document."""
    flaws: list[Flaw]
    valueless: list[Valueless]
    unused_anchors: dict[str, int]
    """Name → offset of anchors that no alias asked for."""


class _Frame:
    """An open collection. `weight` counts its nodes with aliases expanded, `height` the levels below it."""

    __slots__ = (
        "anchor",
        "as_key",
        "data",
        "end",
        "height",
        "key",
        "key_node",
        "kids",
        "merges",
        "start",
        "style",
        "weight",
    )

    def __init__(
        self, data: Any, kids: Any, start: int, style: str, anchor: str | None, weight: int, as_key: bool
    ) -> None:
        self.data = data
        self.kids = kids
        self.start = start
        self.end = start
        self.style = style
        self.anchor = anchor
        self.weight = weight
        self.as_key = as_key
        self.height = 0
        self.key: str | None = None
        self.key_node: RawNode | None = None
        self.merges: list[tuple[RawNode, Any, RawNode]] = []


class _Anchored(NamedTuple):
    value: Any
    node: RawNode
    weight: int
    height: int


def build_tree(text: str) -> Tree:
    """Raises yaml.YAMLError where libyaml does, FatalFlawError at a limit, a second document, a bad alias."""
    return _Builder(text).build()


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.flaws: list[Flaw] = []
        self.valueless: list[Valueless] = []
        self.anchors: dict[str, _Anchored] = {}
        self.waiting: dict[str, int] = {}
        self.stack: list[_Frame] = []
        self.frame: _Frame | None = None
        self.data: Any = None
        self.root: RawNode | None = None
        self.count = 0
        self.aliased = 0

    def build(self) -> Tree:
        get_event = CParser(self.text).get_event
        while True:
            event: Any = get_event()
            kind = event.__class__
            if kind is ScalarEvent:
                self._scalar(event)
            elif kind is MappingStartEvent:
                self._open(event, {}, {}, FLOW_MAP if event.flow_style else BLOCK_MAP)
            elif kind is SequenceStartEvent:
                self._open(event, [], [], FLOW_LIST if event.flow_style else BLOCK_LIST)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._close(event)
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentStartEvent:
                if self.root is not None:
                    at = event.start_mark.index
                    raise FatalFlawError(Flaw("WF109", at, at + 3, "", self.root[:2]))
            elif kind is StreamEndEvent:
                return Tree(self.data, self.root, self.flaws, self.valueless, self.waiting)

    def _scalar(self, event: Any) -> None:
        start: int = event.start_mark.index
        end: int = event.end_mark.index
        raw: str = event.value
        style: str = event.style
        if event.tag is not None:
            self._tag(event, start, end)
        value: Any = raw
        if not style:
            try:
                value = resolve_plain(raw)
            except UnfitNumberError:
                self._flaw(Flaw("WF119", start, end, raw))
        node = (start, end, style, raw, None)
        self.count += 1
        if self.count > NODES_MAX:
            raise FatalFlawError(Flaw("WF117", start, end, f"{NODES_MAX:,}"))
        if event.anchor is not None:
            self._anchor(event.anchor, start, _Anchored(value, node, 1, 0))
        frame = self.frame
        # The hot path: a key, or a value in a mapping, without a call.
        if frame is None:
            self.data, self.root = value, node
        elif frame.key_node is None and frame.data.__class__ is dict:
            frame.key_node = node
            if value.__class__ is str and raw != MERGE:
                frame.key = value
            else:
                self._odd_key(frame, node, value)
        else:
            if start == end and value is None and frame.style == FLOW_MAP:
                self._no_value(frame, start)
            self._attach(frame, value, node)

    def _attach(self, frame: _Frame, value: Any, node: RawNode) -> None:
        """A finished value goes into the open collection."""
        frame.end = node[1]
        if frame.data.__class__ is list:
            frame.data.append(value)
            frame.kids.append(node)
            return
        key, key_node = frame.key, frame.key_node
        assert key_node is not None
        frame.key = frame.key_node = None
        if key is None:
            if key_node[3] == MERGE and not key_node[2]:
                frame.merges.append((key_node, value, node))
            return
        if key in frame.data:
            first = frame.kids[key][0]
            self._flaw(Flaw("WF111", key_node[0], key_node[1], key, (first[0], first[1])))
            return
        frame.data[key] = value
        frame.kids[key] = (key_node, node)

    def _odd_key(self, frame: _Frame, node: RawNode, value: Any) -> None:
        """A key that is no text. The value still follows and is read, then dropped."""
        frame.key = None
        raw = node[3]
        if value.__class__ is str and raw == MERGE:
            if node[2]:
                frame.key = value
            return
        self._flaw(Flaw("WF112", node[0], node[1], raw or ""))

    def _no_value(self, frame: _Frame, at: int) -> None:
        """In `{a: b, c}` the pair `c` has no colon."""
        key, key_node = frame.key, frame.key_node
        if key is not None and key_node is not None and key_node[1] <= at and ":" not in self.text[key_node[1] : at]:
            self.valueless.append(Valueless(frame.data, frame.kids, key, key_node))

    def _open(self, event: Any, data: Any, kids: Any, style: str) -> None:
        start = event.start_mark.index
        if event.tag is not None:
            self._tag(event, start, start)
        self.count += 1
        if len(self.stack) >= DEPTH_MAX:
            raise FatalFlawError(Flaw("WF116", start, start + 1, str(DEPTH_MAX)))
        if self.count > NODES_MAX:
            raise FatalFlawError(Flaw("WF117", start, start + 1, f"{NODES_MAX:,}"))
        parent = self.frame
        as_key = parent is not None and parent.key_node is None and parent.data.__class__ is dict
        if event.anchor is not None:
            self.waiting.setdefault(event.anchor, start)
        self.frame = _Frame(data, kids, start, style, event.anchor, self.count + self.aliased - 1, as_key)
        self.stack.append(self.frame)

    def _close(self, event: Any) -> None:
        frame = self.stack.pop()
        if frame.merges:
            self._merge(frame)
        # A block collection ends where its last child does; libyaml's mark stands at the next token, lines below.
        end = event.end_mark.index if frame.style in (FLOW_MAP, FLOW_LIST) else frame.end
        node = (frame.start, end, frame.style, None, frame.kids)
        if frame.anchor is not None:
            weight = self.count + self.aliased - frame.weight
            self._anchor(frame.anchor, frame.start, _Anchored(frame.data, node, weight, frame.height + 1))
        parent = self.frame = self.stack[-1] if self.stack else None
        if parent is None:
            self.data, self.root = frame.data, node
            return
        parent.height = max(parent.height, frame.height + 1)
        if frame.as_key:
            parent.key_node = node
            parent.key = None
            self._flaw(Flaw("WF112", node[0], node[1], self.text[node[0] : node[1]]))
        else:
            self._attach(parent, frame.data, node)

    def _alias(self, event: Any) -> None:
        start, end, name = event.start_mark.index, event.end_mark.index, event.anchor
        found = self.anchors.get(name)
        frame = self.frame
        if found is None or frame is None:
            inside = any(one.anchor == name for one in self.stack)
            raise FatalFlawError(Flaw("WF114", start, end, name, (self.waiting[name],) * 2 if inside else None))
        self.waiting.pop(name, None)
        self.aliased += found.weight
        if self.aliased > ALIASED_NODES_MAX:
            raise FatalFlawError(Flaw("WF115", start, end, f"{ALIASED_NODES_MAX:,}"))
        if len(self.stack) + found.height > DEPTH_MAX:
            raise FatalFlawError(Flaw("WF116", start, end, str(DEPTH_MAX)))
        frame.height = max(frame.height, found.height)
        if frame.key_node is None and frame.data.__class__ is dict:
            frame.key_node = (start, end, "*", found.node[3], None)
            if found.value.__class__ is str:
                frame.key = found.value
            else:
                self._flaw(Flaw("WF112", start, end, self.text[start:end]))
            return
        self._attach(frame, found.value, found.node)
        frame.end = end

    def _anchor(self, name: str, start: int, anchored: _Anchored) -> None:
        self.anchors[name] = anchored
        self.waiting.setdefault(name, start)

    def _flaw(self, flaw: Flaw) -> None:
        if len(self.flaws) < FLAWS_MAX:
            self.flaws.append(flaw)

    def _tag(self, event: Any, start: int, end: int) -> None:
        self._flaw(Flaw("WF113", start, end, event.tag))

    def _merge(self, frame: _Frame) -> None:
        """`<<: *base` or `<<: [*a, *b]`: the mapping's own keys win, then the earlier source."""
        data: dict[str, Any] = {}
        kids: dict[str, Any] = {}
        for key_node, value, node in frame.merges:
            values, nodes = (value, node[4]) if value.__class__ is list else ([value], [node])
            for one, one_node in zip(values, nodes, strict=True):
                if one.__class__ is not dict:
                    self._flaw(Flaw("WF118", key_node[0], key_node[1], "", one_node[:2]))
                    continue
                for name, item in one.items():
                    if name not in data:
                        data[name] = item
                        kids[name] = one_node[4][name]
        data.update(frame.data)
        kids.update(frame.kids)
        frame.data.clear()
        frame.data.update(data)
        frame.kids.clear()
        frame.kids.update(kids)
