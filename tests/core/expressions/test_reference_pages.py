"""Every example in the reference pages of expressions, types and units says the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.core.expressions import (
    MISSING,
    evaluate,
    field_schema,
    has_marks,
    parse_template,
    render,
    type_schema,
)
from orchestrator.core.expressions.functions import FILTERS, FUNCTIONS
from orchestrator.core.expressions.type_text import PRIMITIVES
from orchestrator.core.units import parse_bytes, parse_count, parse_duration, parse_money
from orchestrator.errors import WhisperFlowError

PAGES = Path(__file__).resolve().parents[3] / "docs" / "reference"
EXPRESSIONS = (PAGES / "expressions.md").read_text()
TYPES = (PAGES / "types.md").read_text()
SCOPE = json.loads(re.search(r"```json\n(.*?)```", EXPRESSIONS, re.DOTALL)[1])  # type: ignore[index]

UNITS: dict[str, Callable[[Any], Any]] = {
    "duration": parse_duration,
    "size": parse_bytes,
    "count": parse_count,
    "money": parse_money,
}


def examples(page: str) -> list[tuple[str, str]]:
    blocks = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    # The template examples may end in a space that belongs to their output, never to their source.
    return [(source.rstrip(), said.strip()) for source, said in (line.split(" → ", 1) for line in lines)]


def outcome(compute: Callable[[], Any]) -> str:
    try:
        value = compute()
    except WhisperFlowError as error:
        return f"error: {error.message}"
    assert value is not MISSING
    return json.dumps(value, sort_keys=True)


def agrees(found: str, said: str) -> bool:
    if said.startswith("error:"):
        return found.startswith(said)
    return not found.startswith("error:") and json.loads(found) == json.loads(said)


@pytest.mark.parametrize(("source", "said"), examples(EXPRESSIONS))
def test_examples_of_expressions(source: str, said: str) -> None:
    text = has_marks(source) or "{{" in source
    found = outcome(lambda: render(source, SCOPE) if text else evaluate(source, SCOPE))
    assert agrees(found, said), found


@pytest.mark.parametrize(("source", "said"), examples(TYPES))
def test_examples_of_types_and_units(source: str, said: str) -> None:
    word, _, rest = source.partition(" ")
    if word in UNITS:
        found = outcome(lambda: UNITS[word](rest))
    elif word == "field":
        found = outcome(lambda: field_schema(yaml.safe_load(rest)))
    else:
        found = outcome(lambda: type_schema(yaml.safe_load(source)))
    assert agrees(found, said), found


def test_the_page_names_every_filter_function_and_type() -> None:
    for name in [*FILTERS, *FUNCTIONS]:
        assert re.search(rf"`{name}\b", EXPRESSIONS), name
    for name in PRIMITIVES:
        assert f"`{name}`" in TYPES, name


def test_a_tag_alone_on_its_line_takes_the_line_with_it() -> None:
    text = "Items:\n{% for i in fetch.items %}\n- ${{ i.id }}\n{% endfor %}\nEnd\n"
    assert render(parse_template(text), SCOPE) == "Items:\n- a\n- b\nEnd\n"
