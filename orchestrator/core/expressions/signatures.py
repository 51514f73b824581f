"""How filters and functions are called: names of parameters, which are required, what stands where nothing is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from orchestrator.core.expressions.faults import Fault
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.values import JSON

REQUIRED: Final = object()


class Signature(msgspec.Struct, frozen=True):
    name: str
    run: Callable[..., JSON]
    """`run(context, value, *args)` for a filter, `run(context, *args)` for a function."""
    params: tuple[tuple[str, Any], ...] = ()
    """Each with the value it has when not given, or REQUIRED."""
    check: Callable[[list[JSON]], None] | None = None
    """Looks at arguments that are known before anything runs (None where they are not); raises Fault."""
    open: bool = False
    """Takes arguments by any name, and only so (`product`)."""

    def shape(self) -> str:
        """`truncate(n)`: what messages show."""
        if self.open:
            return f"{self.name}(name=list, …)"
        return f"{self.name}({', '.join(name for name, _ in self.params)})" if self.params else self.name

    def bind(self, positional: int, named: list[str]) -> list[int]:
        """The places of the arguments given, first the positional ones; raises Fault if they do not fit."""
        if positional > len(self.params):
            raise Fault(f"`{self.name}` takes {_count(len(self.params))}", f"write `{self.shape()}`")
        places = list(range(positional))
        known = [name for name, _ in self.params]
        for name in named:
            if name not in known:
                raise Fault(f"`{self.name}` has no argument `{name}`", did_you_mean(name, known) or self._usage())
            place = known.index(name)
            if place in places:
                raise Fault(f"the argument `{name}` is given twice")
            places.append(place)
        for place, (name, default) in enumerate(self.params):
            if default is REQUIRED and place not in places:
                raise Fault(f"`{self.name}` needs its argument `{name}`", self._usage())
        return places

    def _usage(self) -> str:
        return f"write `{self.shape()}`"


def _count(n: int) -> str:
    return "no arguments" if n == 0 else "one argument" if n == 1 else f"at most {n} arguments"
