"""Typed text, `-p`, parameter files, and where inputs come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.inputs import collect, parse_pair, read_params
from orchestrator.cli.typed import NotOfTypeError, typed, wanted
from orchestrator.errors import UsageError

SCHEMAS: dict[str, dict[str, Any]] = {
    "name": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1},
    "ratio": {"type": "number"},
    "deep": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "level": {"enum": ["low", "high", 3]},
    "maybe": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "free": {},
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "12", "12"),
        ("name", "true", "true"),
        ("name", '{"a": 1}', '{"a": 1}'),
        ("name", "", ""),
        ("limit", "12", 12),
        ("limit", "-3", -3),
        ("limit", "1_000", 1000),
        ("ratio", "0.5", 0.5),
        ("ratio", "2", 2),
        ("deep", "yes", True),
        ("deep", "False", False),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("level", "high", "high"),
        ("level", "3", 3),
        ("maybe", "7", 7),
        ("maybe", "seven", "seven"),
        ("free", "[1]", [1]),
        ("free", "just text", "just text"),
    ],
)
def test_text_becomes_what_the_schema_wants(name: str, text: str, value: Any) -> None:
    found = typed(text, SCHEMAS[name])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("limit", "12.5", "expected a whole number"),
        ("limit", "", "expected a whole number"),
        ("ratio", "nan", "expected a number"),
        ("deep", "maybe", "expected `true` or `false`"),
        ("tags", "a,b", "expected a JSON list"),
        ("tags", '{"a": 1}', "expected a JSON list"),
        ("level", "medium", "expected low | high | 3"),
    ],
)
def test_text_that_does_not_fit_says_what_was_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(NotOfTypeError, match=expected.replace("|", r"\|")):
        typed(text, SCHEMAS[name])


def test_what_to_type_is_said_in_a_few_words() -> None:
    assert wanted({"type": "integer", "minimum": 1, "maximum": 5}) == "a whole number 1..5"
    assert wanted(SCHEMAS["level"]) == "low | high | 3"
    assert wanted(SCHEMAS["maybe"]) == "a whole number or text"
    assert wanted({"type": "string", "format": "date"}) == "date"


def test_a_pair_takes_files_and_texts_that_begin_with_an_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.txt").write_text("=\nlong @text\n")
    assert parse_pair("name=@body.txt", SCHEMAS) == ("name", "=\nlong @text\n")
    assert parse_pair("name=@@handle", SCHEMAS) == ("name", "@handle")
    assert parse_pair("name=a=b", SCHEMAS) == ("name", "a=b")


@pytest.mark.parametrize(
    ("pair", "message", "help"),
    [
        ("limit", "is not `name=value`", "-p name=value"),
        ("limt=1", "has no input `limt`", "did you mean `limit`"),
        ("limit=x", r"input `limit` \(-p limit\): expected a whole number", None),
        ("name=@nowhere.txt", "there is no file 'nowhere.txt'", None),
    ],
)
def test_a_bad_pair_says_what_is_wrong(pair: str, message: str, help: str | None) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_pair(pair, SCHEMAS)
    assert help is None or help in str(caught.value.help)


def test_the_nearer_source_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "WHISPER_FLOW_INPUT_NAME=dotenv\nWHISPER_FLOW_INPUT_LIMIT=1\nWHISPER_FLOW_INPUT_RATIO=0.1\n"
    )
    params = tmp_path / "params.yaml"
    params.write_text("name: file\ndeep: true\n")
    environ = {"WHISPER_FLOW_INPUT_LIMIT": "2", "WHISPER_FLOW_INPUT_NAME": "environment"}
    found = collect(SCHEMAS, ["deep=no"], params, tmp_path, environ)
    assert found == {"name": "file", "limit": 2, "ratio": 0.1, "deep": False}


def test_a_parameter_file_that_holds_no_object_is_refused(tmp_path: Path) -> None:
    for name, text in (("a.json", "[1]"), ("b.json", "{"), ("c.yaml", "- 1")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError):
            read_params(tmp_path / name)
