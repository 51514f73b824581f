"""Random plans: every shape the run machine knows, nested, with all three kinds of edge."""

from __future__ import annotations

import random

from orchestrator.core.plan import (
    ORDER,
    SOFT,
    VALUE,
    Each,
    Effect,
    Loop,
    Need,
    Node,
    OnError,
    Plan,
    Retry,
    Scope,
    sealed,
)

DEPTH_MAX = 3


class _Builder:
    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng = rng
        self.size = size
        self.scopes: list[Scope | None] = []

    def scope(self, depth: int, parent: int | None, outer: tuple[Need, ...] = ()) -> int:
        """`outer`: what its tasks may need in enclosing scopes, as seen from inside."""
        number = len(self.scopes)
        self.scopes.append(None)
        nodes: list[Node] = []
        for index in range(self.rng.randint(1, self.size if depth == 0 else 3)):
            nodes.append(self.node(index, depth, number, outer))
        outputs = {"n": "1"} if depth and self.rng.random() < 0.3 else None
        self.scopes[number] = Scope(nodes=tuple(nodes), outputs=outputs, parent=parent)
        return number

    def needs(self, index: int, outer: tuple[Need, ...]) -> tuple[Need, ...]:
        rng = self.rng
        found = [
            Need(earlier, rng.choice((SOFT, ORDER, VALUE, VALUE)))
            for earlier in rng.sample(range(index), k=min(index, rng.randint(0, 3)))
        ]
        for need in rng.sample(outer, k=min(len(outer), rng.choice((0, 0, 1, 2)))):
            kind = SOFT if need.kind == SOFT else rng.choice((SOFT, ORDER, VALUE))
            found.append(Need(need.index, kind, need.up))
        return tuple(found)

    def node(self, index: int, depth: int, scope: int, outer: tuple[Need, ...]) -> Node:
        rng = self.rng
        name = f"t{scope}_{index}"
        needs = self.needs(index, outer)
        inside = tuple(Need(need.index, need.kind, need.up + 1) for need in needs)
        when = "x" if rng.random() < 0.2 else None
        on_error: OnError = rng.choice(("fail", "fail", "fail", "continue", "warn"))
        shape = rng.choice(("leaf", "leaf", "leaf", "group", "each", "loop")) if depth < DEPTH_MAX else "leaf"
        if shape == "leaf":
            return self.leaf(name, needs=needs, when=when, on_error=on_error)
        if shape == "group":
            inner = self.scope(depth + 1, scope, inside)
            retry = Retry(max=rng.choice((0, 0, 1)), within=rng.choice((None, None, 30.0)))
            timeout = rng.choice((None, None, 20.0))
            return Node(id=name, verb="group", scope=inner, needs=needs, when=when, on_error=on_error, retry=retry,
                        timeout=timeout, slot=False)  # fmt: skip
        body = self.body(name, depth + 1, scope, inside)
        if shape == "each":
            enough = rng.choice((None, None, None, 1))
            each = Each(source="x", max_parallel=rng.randint(1, 3), enough=enough,
                        item_after=rng.choice((None, None, "x")),
                        on_item_error=rng.choice(("fail", "collect")))  # fmt: skip
            return Node(
                id=name, verb="each", scope=body, each=each, needs=needs, when=when, on_error=on_error, slot=False
            )
        loop = Loop(until=rng.choice(("x", None)), max=rng.randint(1, 3), every=rng.choice((None, None, 5.0)),
                    on_exhausted=rng.choice(("fail", "continue")))  # fmt: skip
        return Node(id=name, verb="loop", scope=body, loop=loop, needs=needs, when=when, on_error=on_error, slot=False)

    def body(self, name: str, depth: int, parent: int, outer: tuple[Need, ...]) -> int:
        """The scope of exactly one inner node, which needs what its wrapper needs."""
        number = len(self.scopes)
        self.scopes.append(None)
        if depth < DEPTH_MAX and self.rng.random() < 0.5:
            inner = self.scope(depth + 1, number, tuple(Need(need.index, need.kind, need.up + 1) for need in outer))
            node = Node(id=name, verb="group", scope=inner, needs=outer, inner=True, slot=False)
        else:
            when = "x" if self.rng.random() < 0.2 else None
            node = self.leaf(name, needs=outer, when=when, inner=True)
        self.scopes[number] = Scope(nodes=(node,), parent=parent)
        return number

    def leaf(self, name: str, *, needs: tuple[Need, ...] = (), when: str | None = None, on_error: OnError = "fail",
             inner: bool = False) -> Node:  # fmt: skip
        rng = self.rng
        effect: Effect = rng.choice(("pure", "at_least_once", "at_least_once", "at_most_once"))
        retry = Retry(max=rng.choice((0, 0, 0, 1, 2)), within=rng.choice((None, None, None, 5.0)))
        return Node(id=name, verb=rng.choice(("work", "work", "work", "fail")), needs=needs, when=when, on_error=on_error,
                    effect=effect, retry=retry, inner=inner, slot=rng.random() < 0.8)  # fmt: skip


def random_plan(seed: int, size: int = 6) -> Plan:
    """A valid plan that depends on nothing but the seed."""
    rng = random.Random(seed)  # noqa: S311  a reproducible plan is the point
    builder = _Builder(rng, size)
    builder.scope(0, None)
    on_failure = builder.scope(DEPTH_MAX, 0) if rng.random() < 0.3 else None
    on_finally = builder.scope(DEPTH_MAX, 0) if rng.random() < 0.3 else None
    scopes = tuple(scope for scope in builder.scopes if scope is not None)
    assert len(scopes) == len(builder.scopes)
    return sealed(
        Plan(
            workflow=f"random-{seed}.yaml",
            name=f"random-{seed}",
            scopes=scopes,
            on_failure=on_failure,
            on_finally=on_finally,
            max_parallel=rng.randint(1, 4),
            fail_fast=rng.random() < 0.1,
            timeout=rng.choice((None,) * 9 + (100.0,)),
            outputs={"o": "1"} if rng.random() < 0.3 else {},
        )
    )
