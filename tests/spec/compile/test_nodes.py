"""How a task becomes nodes: what is meant once, per item, per round; what defaults give; what a verb's fields are."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.plan import Node, Plan, Retry
from orchestrator.errors import NotFoundError
from orchestrator.spec.compile import compile_plan, lower
from orchestrator.spec.diagnostics import DiagnosticsError
from orchestrator.spec.load import workflow_from_text
from orchestrator.spec.verbs import VERBS, verb


def plan_of(text: str) -> Plan:
    workflow = workflow_from_text(text)
    assert workflow.has_shape, workflow.shape
    return lower(workflow)


def layers(plan: Plan, name: str) -> list[Node]:
    """The nodes of a task, from the outermost to the one with the verb."""
    found = [next(one for one in plan.scopes[0].nodes if one.id == name)]
    while found[-1].verb in ("each", "loop"):
        assert found[-1].scope is not None
        found.append(plan.scopes[found[-1].scope].nodes[0])
    return found


def leaf(text: str, **top: str) -> Node:
    return layers(plan_of(f"tasks:\n  t: {{{text}}}\n"), "t")[-1]


FULL = """
tasks:
  t:
    foreach: [1]
    loop: {max: 3, every: 1m, for: 1h, on_exhausted: continue}
    when: WHEN
    key: item
    max_parallel: 2
    enough: 1
    item_after: item
    on_item_error: collect
    retry: {max: 2, delay: 5s, backoff: 3, jitter: 0, for: 1m, on: timeout}
    timeout: 30s
    budget: {cost: $1.00, tokens: 4k, time: 1m}
    total_budget: {cost: 2 EUR}
    on_error: warn
    effect: idempotent
    cache: {ttl: 1h}
    env: {A: b}
    cwd: sub
    output: {n: integer}
    run: echo
"""


def test_each_around_loop_around_verb() -> None:
    each, loop, run = layers(plan_of(FULL.replace("WHEN", "inputs.x")), "t")
    assert [one.verb for one in (each, loop, run)] == ["each", "loop", "run"]
    assert each.each is not None
    assert (each.each.max_parallel, each.each.enough, each.each.key, each.each.item_after) == (2, 1, "item", "item")
    assert each.each.on_item_error == "collect"
    assert loop.loop is not None
    assert (loop.loop.max, loop.loop.every, loop.loop.within, loop.loop.on_exhausted) == (3, 60, 3600, "continue")
    assert run.retry == Retry(2, 5.0, 3.0, 0.0, 60.0, ("timeout",))
    assert (run.timeout, run.effect, run.cache, run.env, run.cwd) == (30, "idempotent", 3600, {"A": "b"}, "sub")
    assert run.output is not None
    assert run.output["required"] == ["n"]
    assert (each.on_error, loop.on_error, run.on_error) == ("warn", "fail", "fail")
    assert each.total_budget == {"cost": 2.0, "currency": "EUR"}
    assert loop.budget == {"cost": 1.0, "currency": "USD", "tokens": 4000, "time": 60}
    assert (each.budget, run.budget) == (None, None)
    assert [one.slot for one in (each, loop, run)] == [False, False, True]


@pytest.mark.parametrize(
    ("when", "level"), [("inputs.x", 0), ("item > 1", 1), ("index == 0", 1), ("round > 1", 2), ("previous == 1", 2)]
)
def test_when_is_asked_where_its_names_mean_something(when: str, level: int) -> None:
    found = layers(plan_of(FULL.replace("WHEN", when)), "t")
    assert [one.when for one in found] == [when if at == level else None for at in range(3)]


def test_a_budget_without_items_is_for_all_rounds() -> None:
    loop, run = layers(plan_of("tasks:\n  t: {run: x, loop: {max: 2}, budget: {turns: 3}}\n"), "t")
    assert (loop.budget, run.budget) == ({"turns": 3}, None)


def test_conditions_may_be_plain_yaml_values() -> None:
    assert leaf("run: x, when: true").when == "true"
    assert leaf("run: x, when: 1").when == "1"


def test_a_group_hands_env_and_cwd_to_its_tasks_and_the_nearer_wins() -> None:
    plan = plan_of(
        "defaults: {tasks: {env: {A: far, Z: far}, cwd: far}, run: {env: {A: verb, B: verb}}}\n"
        "tasks:\n  g:\n    env: {B: group, C: group}\n    cwd: group\n    tasks:\n"
        "      a: {run: x}\n      b: {run: x, env: {C: own}, cwd: own}\n      c: {set: 1}\n"
    )
    a, b, _ = plan.scopes[1].nodes
    assert a.env == {"Z": "far", "A": "verb", "B": "group", "C": "group"}
    assert a.cwd == "group"
    assert (b.env["C"], b.cwd) == ("own", "own")


def test_defaults_go_to_the_tasks_they_fit() -> None:
    plan = plan_of(
        "defaults: {tasks: {retry: 2, cache: {ttl: 1m}, max_parallel: 3, on_error: warn}, run: {shell: sh, timeout: 5s}}\n"
        "tasks:\n  a: {run: x}\n  b: {run: x, retry: 0, shell: bash, on_error: fail}\n  c: {ask: Go?}\n"
        "  d: {foreach: [1], set: 1}\n"
    )
    a, b, c, d = plan.scopes[0].nodes
    assert (a.retry.max, a.fields["shell"], a.timeout, a.cache, a.on_error) == (2, "sh", 5, 60, "warn")
    assert (b.retry.max, b.fields["shell"], b.on_error) == (0, "bash", "fail")
    assert (c.cache, c.timeout) == (None, None)
    assert d.each is not None
    assert d.each.max_parallel == 3


def test_what_was_typed_stays_in_env() -> None:
    found = leaf("run: x, env: {V: 1.10, P: 8080, ON: true, OLD: 0777, E: , T: on}")
    assert found.env == {"V": "1.10", "P": "8080", "ON": "true", "OLD": "0777", "E": "", "T": "on"}


FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("set: {a: 1}", {"value": {"a": 1}}),
    ("run: make", {"script": "make", "values": {}, "shell": "bash", "args": []}),
    ("run: [make, 1.10]", {"argv": ["make", "1.10"]}),
    ("run: x, args: [a, 2], stdin: {a: 1}, shell: python", {"args": ["a", "2"], "stdin": {"a": 1}, "shell": "python"}),
    ("python: 'a.b:c', args: {x: 1}", {"call": "a.b:c", "args": {"x": 1}}),
    ("http: 'http://localhost'", {"method": "GET", "url": "http://localhost", "expect": ["2xx"]}),
    ("http: 'POST http://localhost', expect: 201", {"method": "POST", "url": "http://localhost", "expect": [201]}),
    ("http: {url: u, json: null, headers: {X: 1.10}}", {"method": "GET", "json": None, "headers": {"X": "1.10"}}),
    ("ask: Go?, expires: 1h", {"question": "Go?", "expires": 3600, "on_expired": "fail", "to": []}),
    ("wait: 90s", {"for": 90}),
    ("wait: '${{ inputs.pause }}'", {"for": "${{ inputs.pause }}"}),
    ("wait: {for: 2m}", {"for": 120}),
    ("end: failed, message: no", {"status": "failed", "message": "no"}),
    ("tool: files.read, args: {path: x}", {"name": "files.read", "args": {"path": "x"}}),
    ("send: {mail: inbox, body: x}", {"mail": "inbox", "body": "x", "priority": "normal"}),
    ("agent: '${{ inputs.who }}', prompt: Hi", {"agent": "${{ inputs.who }}", "prompt": "Hi"}),
    ("agent: {model: embedded/writer}, prompt: Hi", {"agent": "task.t", "prompt": "Hi"}),
]


@pytest.mark.parametrize(("text", "fields"), FIELDS, ids=[text for text, _ in FIELDS])
def test_fields_of_a_verb(text: str, fields: dict[str, Any]) -> None:
    made = leaf(text).fields
    assert {key: made.get(key) for key in fields} == fields


def test_expressions_in_a_script_become_variables() -> None:
    made = leaf('run: "echo ${{ inputs.a }} $HOME $${{ x }}"').fields
    assert list(made["values"].values()) == ["${{ inputs.a }}"]
    (name,) = made["values"]
    assert f'"${name}"' in made["script"]
    from orchestrator.core.expressions import render

    assert render(made["script"], {}) == f'echo "${name}" $HOME ${{{{ x }}}}'


def test_the_answer_of_a_question_is_an_object() -> None:
    schema = leaf("ask: Go?, form: {go: boolean, why: optional string, n: {type: integer, default: 1}}").fields[
        "schema"
    ]
    assert schema["required"] == ["go"]
    assert schema["properties"]["why"] == {"type": "string"}
    assert schema["additionalProperties"] is False
    assert leaf("ask: Go?").fields["schema"]["required"] == ["approve"]


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("run: x", "at_least_once"), ("set: 1", "pure"), ("http: 'http://localhost'", "pure"),
        ("http: 'PUT http://localhost'", "idempotent"), ("http: 'POST http://localhost'", "at_most_once"),
        ("send: {event: x}", "idempotent"), ("ask: Go?", "pure"), ("run: x, effect: pure", "pure"),
    ],
)  # fmt: skip
def test_effects_have_defaults(text: str, effect: str) -> None:
    assert leaf(text).effect == effect


def test_only_what_works_takes_a_place() -> None:
    assert {name for name in VERBS if not verb(name).slot} == {"set", "wait", "ask", "end", "tasks"}


def test_inputs_are_required_unless_they_say_otherwise() -> None:
    plan = plan_of(
        "inputs: {a: string, b: optional string, c: {type: number, default: 8}, d: [string]}\ntasks: {t: {set: 1}}\n"
    )
    assert plan.required == ("a", "d")
    assert plan.inputs["b"] == {"type": "string"}
    assert plan.inputs["c"] == {"type": "number", "default": 8}


def test_a_plan_knows_the_rest_of_the_file() -> None:
    plan = plan_of(
        "name: All\ndescription: d\ntimezone: Europe/Rome\ntimeout: 1h\nmax_parallel: 3\nfail_fast: true\n"
        "secrets: [TOKEN]\nmailboxes: [inbox]\nconcurrency: {key: k, max: 2}\nbudget: {cost_per_day: $3.00}\n"
        "schedules: [{every: 5m, jitter: 10s}]\nwake_on: [{mail: inbox}]\nenv: {PORT: 8080}\n"
        "agents: {w: {model: embedded/writer, ai_config: {max_tokens: 2k, timeout: 5s}}}\n"
        "workers: {f: {provider: openai, model_name: m, auth: none, rate_limits: {max_tokens_per_minute: 200k}}}\n"
        "tasks: {t: {set: 1}}\noutputs: {x: '${{ t }}'}\n"
    )
    assert (plan.name, plan.timezone, plan.timeout, plan.max_parallel, plan.fail_fast) == (
        "All",
        "Europe/Rome",
        3600,
        3,
        True,
    )
    assert plan.secrets == {"TOKEN": {"env": "TOKEN"}}
    assert plan.concurrency == {"key": "k", "max": 2, "on_conflict": "queue"}
    assert plan.budget == {"cost_per_day": 3.0, "currency": "USD"}
    assert plan.schedules[0] == {"every": 300.0, "jitter": 10.0}
    assert plan.env == {"PORT": "8080"}
    assert plan.agents["w"]["ai_config"] == {"max_tokens": 2000, "timeout": 5.0}
    assert plan.workers["f"]["auth"] == {"none": True}
    assert plan.workers["f"]["rate_limits"] == {"max_tokens_per_minute": 200_000}
    assert plan.outputs == {"x": "${{ t }}"}
    assert len(plan.digest) == 64


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("mailboxes: [i]\ntasks: {t: {send: {mail: i, body: x}}}", "`send` tasks"),
        ("tasks: {t: {wait: {event: x}}}", "`wait` for anything but a duration"),
        (
            "agents: {w: {model: embedded/writer, resident: {prompt: x}}}\ntasks: {t: {agent: w, prompt: x}}",
            "`resident` of agent `w`",
        ),
        ("tasks: {t: {ask: 'Go?', remind: 1h}}", "`remind`"),
    ],
)
def test_what_a_later_version_does_is_named_with_its_place(text: str, word: str) -> None:
    (line,) = plan_of(text).not_yet
    assert line.startswith(word)
    assert "workflows/untitled.yaml:" in line


def test_what_only_a_daemon_does_stops_no_run() -> None:
    plan = plan_of(
        "schedules: [{every: 5m}]\nwake_on: [{event: x}]\nagents: {w: {model: embedded/writer, tools: [shell]}}\n"
        "tasks: {t: {set: 1}}\n"
    )
    assert plan.not_yet == ()


def test_compile_refuses_with_every_finding() -> None:
    with pytest.raises(DiagnosticsError) as error:
        compile_plan(workflow_from_text("tasks:\n  a: {rnu: x}\n  b: {run: y, retires: 2}\n"))
    assert [one.code for one in error.value.diagnostics] == ["WF204", "WF203"]


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Any) -> None:
    with pytest.raises(NotFoundError):
        compile_plan(tmp_path / "none.yaml")


def test_a_group_with_items_mentioned_in_env_may_not_hide_them() -> None:
    from orchestrator.spec.validate import validate

    text = (
        "tasks:\n  g:\n    foreach: [1]\n    NAMED\n    env: {A: '${{ ITEM }}'}\n    tasks:\n"
        "      i: {foreach: [2], run: ['echo', '${{ item }}']}\n"
    )
    same = text.replace("NAMED", "max_parallel: 1").replace("ITEM", "item")
    other = text.replace("NAMED", "as: outer").replace("ITEM", "outer")
    errors = [
        [one.code for one in validate(workflow_from_text(one)) if one.severity == "error"] for one in (same, other)
    ]
    assert errors == [["WF307"], []]
