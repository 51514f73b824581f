"""The catalogue is complete, typed, and its published schema is fresh."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from orchestrator.delegates import catalogue, check_payload
from orchestrator.delegates.envelope import delegates_schema, envelope, schema_text

ROOT = Path(__file__).resolve().parents[2]

PROMISED = {
    "engine_started": (),
    "engine_stopped": (),
    "task_execution_started": ("task_id", "task_details"),
    "task_execution_completed": ("task_id", "status", "result_summary"),
    "engine_error_occurred": ("error_type", "error_message"),
    "delegate_execution_error": ("event_type", "delegate_name", "error"),
    "engine_request_pause": (),
    "engine_request_stop": (),
    "ai_loop_started": (),
    "ai_loop_stopped": (),
    "ai_request_prepared": ("request_payload", "target_model"),
    "ai_response_received": ("response_data", "tokens_used", "cost"),
    "ai_processing_step": ("step_name", "details"),
    "ai_loop_error_occurred": ("error_type", "error_message"),
    "budget_threshold_reached": ("budget", "limit", "percent", "used", "most"),
    "ai_loop.session_started": (),
    "ai_loop.session_ended": (),
    "ai_loop.message.ai_chunk_received": (),
    "ai_loop.tool.call_generated": (),
    "ai_loop_request_pause": (),
    "ai_loop_request_stop": (),
}


def test_every_promised_event_and_control_is_there_once_with_its_fields():
    assert {entry.name for entry in catalogue()} == PROMISED.keys()
    assert len(catalogue()) == len(PROMISED)
    for entry in catalogue():
        assert set(PROMISED[entry.name]) <= set(entry.fields)
        assert (entry.kind == "control") == ("_request_" in entry.name and entry.name != "ai_request_prepared")
        assert entry.description


def test_the_published_schema_is_what_the_models_say_now():
    written = (ROOT / "schemas" / "delegates.schema.json").read_text()
    assert written == schema_text(), "run: python -m orchestrator.delegates.envelope > schemas/delegates.schema.json"


def test_the_schema_takes_an_envelope_and_refuses_a_wrong_payload():
    import json

    schema = delegates_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    good = {"task_id": "a", "task_details": {"verb": "run"}, "run_id": "r"}
    jsonschema.validate(json.loads(envelope("task_execution_started", good)), schema)
    for bad in ({}, {**good, "colour": 1}, {**good, "task_id": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(envelope("task_execution_started", bad)), schema)


def test_a_payload_is_held_against_its_model():
    check_payload("engine_error_occurred", {"error_type": "outage", "error_message": "gone"})
    with pytest.raises(TypeError, match="engine_error_occurred"):
        check_payload("engine_error_occurred", {"error_type": "outage"})
    with pytest.raises(TypeError, match="colour"):
        check_payload("engine_started", {"colour": "red"})
