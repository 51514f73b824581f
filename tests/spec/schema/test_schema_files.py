"""The schemas in the repository are those that the models give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.schema import NAMES, as_text, schema, verbs_in_order, write_schemas
from orchestrator.spec.verbs import VERBS, verb

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_fresh(name: str) -> None:
    file = ROOT / "schemas" / NAMES[name][0]
    assert file.read_text("utf-8") == as_text(schema(name)), "run `whisper-flow schema --write`"


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert {path.name for path in write_schemas(tmp_path)} == {file for file, _ in NAMES.values()}
    assert write_schemas(tmp_path) == []


def test_an_unknown_schema_is_refused_with_a_suggestion() -> None:
    with pytest.raises(NotFoundError) as error:
        schema("workflows")
    assert "`workflow`" in str(error.value.help)


def test_every_verb_has_its_branch_and_every_field_its_words() -> None:
    definitions = schema("workflow")["definitions"]
    assert set(definitions["Task"]["properties"]) == VERBS == set(verbs_in_order())
    for name in VERBS:
        properties = definitions[verb(name).model.__name__]["properties"]
        assert [key for key, said in properties.items() if not said.get("description")] == []


def test_defaults_are_in_the_schema() -> None:
    run = schema("workflow")["definitions"]["RunTask"]["properties"]
    assert (run["shell"]["default"], run["retry"]["default"], run["cwd"]["default"]) == ("bash", 0, ".")


def test_no_name_the_library_made_up_is_left() -> None:
    text = json.dumps([schema(name) for name in NAMES])
    assert '"title": "Max Parallel"' not in text
    assert "x-by-key" not in text
    assert '"default": null' not in text


def test_no_verb_hides_a_common_field() -> None:
    common = set(TaskBase.model_fields)
    for name in VERBS:
        model = verb(name).model
        assert {
            field for field in common if model.model_fields[field].annotation != TaskBase.model_fields[field].annotation
        } == set()
