"""What requests cost when they were recorded: played again, they are shown at that price, whatever models cost by then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.ai.prices import PriceBook
from orchestrator.core.messages import Usage

Known = dict[tuple[str, Usage], int | None]


class RecordedPrices(PriceBook):
    """A price book that remembers what it was asked, and for which models it was."""

    def __init__(self, book: PriceBook, asked: Known, books: dict[str, PriceBook]) -> None:
        super().__init__()
        self._book = book
        self._asked = asked
        self._books = books
        self.currency = book.currency

    def cost(self, provider: str, model: str, usage: Usage) -> int | None:
        cost = self._book.cost(provider, model, usage)
        self._asked[(f"{provider}/{model}", usage)] = cost
        self._books[f"{provider}/{model}"] = self
        return cost


class PlayedPrices(PriceBook):
    """Answers what the tape knows; asks the real book for anything else."""

    def __init__(self, book: PriceBook, known: Known) -> None:
        super().__init__()
        self._book = book
        self._known = known
        self.currency = book.currency

    def cost(self, provider: str, model: str, usage: Usage) -> int | None:
        name = (f"{provider}/{model}", usage)
        return self._known[name] if name in self._known else self._book.cost(provider, model, usage)


def shown(asked: Known) -> list[list[Any]]:
    """As an entry keeps them: [model, input, output, cached, reasoning, cost in trillionths of the currency's unit]."""
    return [
        [model, usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens, cost]
        for (model, usage), cost in asked.items()
    ]


def read(entry: Mapping[str, Any]) -> Known:
    """The prices of an entry; lines that are none are passed over."""
    found: Known = {}
    for row in entry.get("prices") or ():
        if isinstance(row, list) and len(row) == 6:
            found[(str(row[0]), Usage(*row[1:5]))] = row[5]
    return found
