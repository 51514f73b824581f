"""`set` gives back what it was given."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.kinds.conformance import KindConformance, World


class TestSet(KindConformance):
    verb = "set"
    fields: ClassVar[dict[str, Any]] = {"value": {"a": [1, None, "text"]}}

    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "text", 1.5, {"a": {"b": [1]}}])
    async def test_the_value_is_what_was_set(self, world: World, value: Any) -> None:
        assert (await world.succeed("set", {"value": value})).value == value
