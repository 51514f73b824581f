"""A schema comes from people and from tool servers: it may be wrong or wicked, and neither reaches the network nor breaks us."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from orchestrator.ai.output import check
from orchestrator.engine.schemas import problems
from orchestrator.host.json_schema import UnusableSchemaError, misfits, without_patterns

WRONG: list[Any] = [
    {"$ref": "#"},
    {"type": "strin"},
    {"oneOf": 3},
    {"allOf": [{"minimum": "x"}], "type": "integer"},
    {"$ref": "#/$defs/nowhere"},
    {"$ref": "file:///etc/hostname"},
    {"pattern": "(", "allOf": []},
]


class _Listener(HTTPServer):
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[_Listener]:
    server = _Listener(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_reference_to_an_address_is_never_fetched(listener: _Listener) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": f"http://127.0.0.1:{listener.server_port}/schema"}}}
    assert "cannot be used" in check({"a": 1}, schema)[0]
    assert "cannot be used" in problems(schema, {"a": 1})[0]
    with pytest.raises(UnusableSchemaError):
        misfits(schema, {"a": 1})
    assert listener.asked == []


def test_a_reference_inside_the_schema_or_to_the_standard_is_followed() -> None:
    schema = {"$ref": "#/$defs/small", "$defs": {"small": {"maximum": 3}}}
    assert (check(2, schema), len(check(4, schema))) == ((), 1)
    assert check({"type": 5}, {"$ref": "https://json-schema.org/draft/2020-12/schema"})


@pytest.mark.parametrize("schema", WRONG, ids=str)
def test_nothing_fits_a_schema_that_is_none_and_nothing_breaks(schema: Any) -> None:
    value = 1 if schema.get("type") == "integer" else "text"
    assert "cannot be used" in check(value, schema)[0]


@pytest.mark.parametrize(
    "schema", [{"properties": 5}, {"required": 5}, {"enum": 5}, {"properties": {"a": {"minimum": "x"}}}], ids=str
)
def test_everyday_words_with_unusable_values_are_told_too(schema: Any) -> None:
    assert "cannot be used" in check({"a": 1}, schema)[0]


def test_a_strangers_regular_expressions_are_left_out_and_nothing_that_is_only_called_so() -> None:
    endless = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "pattern": "^(a+)+$"},
            "tag": {"anyOf": [{"pattern": "(a|a)*b", "minLength": 1}, {"const": {"pattern": "x"}}]},
        },
        "patternProperties": {"^(b+)+$": {"type": "integer"}},
        "additionalProperties": False,
        "required": ["pattern"],
    }
    safe = without_patterns(endless)
    assert safe == {
        "type": "object",
        "properties": {
            "pattern": {"type": "string"},
            "tag": {"anyOf": [{"minLength": 1}, {"const": {"pattern": "x"}}]},
        },
        "required": ["pattern"],
    }
    assert not misfits(safe, {"pattern": "a" * 50 + "!", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb!": 1})
