"""What a request costs: a worker's own prices first, then the public list; what neither knows stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from orchestrator.core.budget import UNIT, money
from orchestrator.core.messages import Usage
from orchestrator.errors import UsageError

DEFAULT_CURRENCY: Final = "USD"
_MILLION: Final = 1_000_000


class PriceBook:
    """Prices of one worker's `cost_metrics`, or of the public list where there are none. Money as in `core.budget`."""

    def __init__(self, cost_metrics: Mapping[str, Any] | None = None) -> None:
        metrics = dict(cost_metrics or {})
        self.currency: str = metrics.pop("currency", None) or DEFAULT_CURRENCY
        self._input = _per_token(metrics, "input")
        self._output = _per_token(metrics, "output")
        self._cached = _per_token(metrics, "cached")
        if strange := [name for name in metrics if name not in _NAMES]:
            raise UsageError(f"unknown price `{strange[0]}` in `cost_metrics`", help=f"there are: {', '.join(_NAMES)}")

    @property
    def at_hand(self) -> bool:
        """Whether `cost` answers at once; else it reads the public list first, and should be called off the loop."""
        return _list_was_read or (self._input is not None and self._output is not None)

    def cost(self, provider: str, model: str, usage: Usage) -> int | None:
        """None if the price is unknown. The first look at the public list imports it (0.2 s): call it off the loop."""
        if self._input is not None and self._output is not None:
            cached = self._cached if self._cached is not None else self._input
            fresh = usage.input_tokens - usage.cached_tokens
            total = fresh * self._input + usage.cached_tokens * cached + usage.output_tokens * self._output
            return int(total.to_integral_value())
        return _listed(provider, model, usage)


_NAMES: Final = tuple(f"{what}_per_{unit}" for what in ("input", "output", "cached") for unit in ("million", "token"))


def _per_token(metrics: Mapping[str, Any], what: str) -> Decimal | None:
    for unit, tokens in (("million", _MILLION), ("token", 1)):
        price = metrics.get(f"{what}_per_{unit}")
        if price is not None:
            return Decimal(str(price)) * UNIT / tokens
    return None


_list_was_read = False


def _listed(provider: str, model: str, usage: Usage) -> int | None:
    global _list_was_read
    from genai_prices import Usage as ListedUsage
    from genai_prices import calc_price

    listed = ListedUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens or None,
    )
    try:
        return money(calc_price(listed, model, provider_id=provider).total_price)
    except LookupError:
        return None
    finally:
        _list_was_read = True
