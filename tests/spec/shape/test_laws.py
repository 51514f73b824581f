"""Whatever a file says: never a traceback, always a place, and the JSON Schema is of the same opinion about its shape."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from orchestrator.spec.load import workflow_from_text
from orchestrator.spec.loader import load_document
from orchestrator.spec.schema import schema
from orchestrator.spec.validate import validate

TYPE_FORM = "WF406"

FULL = """
version: 1
name: full
timezone: Europe/Rome
timeout: 1h
order: listed
inputs: {a: string, b: {type: number, default: 8}}
outputs: {x: '${{ one }}'}
env: {A: b, N: 1.10}
secrets: {S: {dotenv: .env, key: K}, V: {vault: {path: p}}}
mailboxes: [inbox]
mcp: {files: {command: [server, --here], args: [1], env: {A: b}}, web: {url: 'http://localhost', headers: {H: x}}}
workers:
  fast:
    provider: openai
    model_name: m
    auth: {env_var: KEY}
    interaction_models: [both]
    base_config: {temperature: 0.5, stop: [x]}
    cost_metrics: {input_per_million: 0.25}
    rate_limits: {max_tokens_per_minute: 200k}
agents:
  writer: {worker: fast, ai_config: {max_tokens: 2k}, tools: [x], permissions: {deny: [y]}, fallback: [m], memory: true}
  keeper: {model: embedded/writer, resident: {wake_on: [{mail: inbox}], queue: 5}, schedule: {every: 5m}}
schedules: [{cron: '0 8 * * *', missed: {all: 2}, jitter: 5s, inputs: {a: x}}]
wake_on: [{mail: inbox, min_priority: high, debounce: {for: 5s}}, {file: '*.csv', settled: 2s}, {load: {below: 0.5}}]
concurrency: {key: k, max: 2}
budget: {cost: $1.00, tokens: 4k, on_exceeded: ask}
defaults: {tasks: {retry: 1}, run: {shell: sh}, agents: {repair: 1}}
tasks:
  one: {run: echo, args: [a], retry: {max: 2, delay: 1s, on: [exit]}, cache: {ttl: 1h}, env: {X: 1}}
  two: {agent: writer, prompt: Hi, output: {n: integer}, files: [a.txt], when: inputs.b > 1}
  three: {http: {method: POST, url: 'http://localhost', json: {a: 1}, auth: {bearer: t}, follow: 3}, expect: [200, 2xx]}
  four: {python: 'a:b', args: {x: 1}, timeout: 5s, effect: pure}
  five: {ask: 'Go?', form: {go: boolean}, to: [me], expires: 1d, on_expired: {go: false}}
  six: {wait: [{event: x, when: event.a}, {for: 5m}], expires: 1h}
  seven: {send: {mail: inbox, body: x, priority: low}}
  eight:
    foreach: [1, 2]
    as: n
    key: n
    max_parallel: 2
    loop: {until: round > 1, max: 3}
    tasks:
      inner: {set: '${{ n }}'}
    outputs: {x: '${{ inner }}'}
  nine: {tool: t, args: {a: 1}, on_error: warn, budget: {turns: 3}}
  ten: {end: succeeded, message: done, after: [one, two]}
on_failure:
  tell: {run: [echo, no]}
finally:
  tidy: {wait: 5s}
"""
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.floats(-1, 3).filter(lambda number: not number.is_integer()),  # 1.0 is whole for a schema, not for us
    st.sampled_from(
        [
            "",
            "x",
            "5m",
            "$1.00",
            "2k",
            "a-b",
            "${{ one }}",
            "fail",
            "none",
            "http://localhost",
            "2xx",
            "a:b",
            "0 8 * * *",
        ]
    ),
    st.sampled_from(
        [[], {}, ["x"], [1], {"x": 1}, {"for": "5s"}, {"max": 1}, {"run": "x"}, [{"event": "x"}], {"type": "string"}]
    ),
)
KEYS = st.sampled_from(
    [
        "run",
        "set",
        "x",
        "when",
        "foreach",
        "max",
        "for",
        "model",
        "retires",
        "x-mine",
        "a-b",
        "timeout",
        "tasks",
        "matrix",
    ]
)


@cache
def full() -> dict[str, Any]:
    made: dict[str, Any] = load_document(FULL.encode()).data
    return made


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(schema("workflow"))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += places(one, (*path, key))
    return found


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """The full file with up to three things changed: a value replaced, a key taken away, a key added."""
    data = copy.deepcopy(full())
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data)[1:] or [()]))
        at: Any = data
        for part in path[:-1]:
            at = at[part]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if not path:
            break
        if change == "replace":
            at[path[-1]] = copy.deepcopy(draw(VALUES))
        elif change == "remove":
            del at[path[-1]]
        elif isinstance(at, dict):
            at[draw(KEYS)] = copy.deepcopy(draw(VALUES))
    return data


def as_text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, allow_nan=False)


def test_the_full_file_is_right() -> None:
    workflow = workflow_from_text(FULL, path="workflows/full.yaml")
    assert workflow.shape == []
    assert [one.message for one in validator().iter_errors(full())] == []


@given(files())
def test_validation_never_raises_and_every_finding_has_a_place(data: dict[str, Any]) -> None:
    text = as_text(data)
    lines = text.split("\n")
    for one in validate(workflow_from_text(text, path="workflows/full.yaml")):
        assert 1 <= one.span.line <= len(lines)
        assert 1 <= one.span.column <= len(lines[one.span.line - 1]) + 1
        assert one.message


@given(files())
def test_the_schema_and_we_are_of_one_opinion(data: dict[str, Any]) -> None:
    workflow = workflow_from_text(as_text(data), path="workflows/full.yaml")
    ours = [one for one in workflow.shape if one.code != "WF211"]  # that an id is used twice no schema can say
    # What a type is made of has a rule of its own, which can point into its text.
    ours = ours or [one for one in validate(workflow) if one.code == TYPE_FORM]
    theirs = [f"{one.json_path}: {one.message[:200]}" for one in validator().iter_errors(data)]
    if any(one.code == TYPE_FORM for one in ours) and not theirs:
        return  # a type written wrong inside its text
    assert bool(ours) == bool(theirs), (ours, theirs)


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    text = "tasks:\n  a:\n    workflow: |\n      one line\n      and another\n"
    messages = [one.message for one in validate(workflow_from_text(text, path="workflows/full.yaml"))]
    assert any("one line and another" in message for message in messages), messages
    assert not any("\n" in message for message in messages)
