"""Explanations of what the shape checks (WF2xx) and the checks of calls (WF32x) find."""

from __future__ import annotations

from typing import Final

from orchestrator.spec.rules import Rule
from orchestrator.spec.rules._page import page


def _code(code: str, name: str, summary: str, text: str, *, bad: str = "", good: str = "") -> Rule:
    return Rule(code, name, summary, page(text, bad=bad, good=good))


RULES: Final = (
    _code(
        "WF201", "wrong-kind", "A value is of the wrong kind.",
        """A text where a list is wanted, a list where a map is wanted, nothing at all. A text that looks like a number or like
        `true` needs quotes where only text fits.""",
        bad="tasks:\n  - {run: make}", good="tasks:\n  build: {run: make}",
    ),
    _code(
        "WF202", "missing-field", "A field that is needed is missing.",
        "Each verb has fields without which it says nothing: an `agent` task needs its `prompt`.",
        bad="agents: {w: {model: openai/gpt-5-mini}}\ntasks:\n  a: {agent: w}",
        good="agents: {w: {model: openai/gpt-5-mini}}\ntasks:\n  a: {agent: w, prompt: Say hello}",
    ),
    _code(
        "WF203", "unknown-field", "A field does not exist here.",
        """Unknown fields are errors, so that a typing mistake is never a setting that silently does nothing. The verb of a task
        decides which fields it may have. Data of your own goes under a key that begins with `x-`.""",
        bad="tasks:\n  a: {run: make, retires: 3}", good="tasks:\n  a: {run: make, retry: 3}",
    ),
    _code(
        "WF204", "no-verb", "A task does not say what it does.",
        """A task has exactly one verb: `agent`, `run`, `python`, `http`, `workflow`, `tool`, `ask`, `wait`, `send`, `set`, `tasks` or
        `end`.""",
        bad="tasks:\n  a: {command: make}", good="tasks:\n  a: {run: make}",
    ),
    _code(
        "WF205", "two-verbs", "A task has two verbs.",
        "A task does one thing. Make it two tasks; the second refers to the first, or says `after`.",
        bad="tasks:\n  a: {run: make, set: 1}", good="tasks:\n  a: {run: make}\n  b: {after: a, set: 1}",
    ),
    _code(
        "WF206", "bad-name", "A name is not written as names are.",
        """A task's id begins with a small letter; letters, digits and `_` follow. It is read in expressions, where a hyphen would be
        a minus, and where words such as `inputs`, `item` or `not` mean something already.""",
        bad="tasks:\n  run-tests: {run: make test}", good="tasks:\n  run_tests: {run: make test}",
    ),
    _code(
        "WF207", "value-not-allowed", "A value is not among those allowed.",
        "A word that is not on the list, a number out of its bounds, an empty text where something must stand.",
        bad="tasks:\n  a: {run: make, on_error: ignore}", good="tasks:\n  a: {run: make, on_error: continue}",
    ),
    _code(
        "WF208", "unit", "A duration, size, count or amount has no unit, or a wrong one.",
        """Durations and sizes carry their units (`90s`, `5m`, `1h30m`, `2d`, `10MiB`), money its currency (`$2.00`, `2.00 EUR`); a bare
        number would leave everybody guessing. Counts may be bare, or short: `400k`.""",
        bad="tasks:\n  a: {run: make, timeout: 30}", good="tasks:\n  a: {run: make, timeout: 30s}",
    ),
    _code(
        "WF209", "reserved", "A word is kept for a later version.",
        "It will mean something; so that no file breaks then, it means nothing now.",
        bad="profiles: {}\ntasks:\n  a: {run: make}", good="tasks:\n  a: {run: make}",
    ),
    _code(
        "WF210", "fields-together", "Fields exclude each other, or one needs another.",
        """Of some fields exactly one is given, some mean nothing without another: a `loop` needs a bound (`max`, `times` or `for`), so
        that it ends; `as` and `key` need `foreach`.""",
        bad="tasks:\n  a: {run: ./try.sh, loop: {until: a == 'ok'}}", good="tasks:\n  a: {run: ./try.sh, loop: {until: a == 'ok', max: 5}}",
    ),
    _code(
        "WF211", "id-twice", "An id is used twice.",
        """`tasks`, `finally` and `on_failure` share their ids, and an inner task may not have the id of an outer one: an expression could
        not tell them apart. An agent or worker is declared in one file of `config/`.""",
        bad="tasks:\n  a: {run: make}\nfinally:\n  a: {run: make clean}",
        good="tasks:\n  a: {run: make}\nfinally:\n  clean: {run: make clean}",
    ),
    _code(
        "WF212", "wrapped-expression", "A field that holds an expression has `${{ }}` around it.",
        "`when`, `until`, `foreach`, `key` and `item_after` hold nothing but an expression, so it is written bare.",
        bad="inputs: {go: boolean}\ntasks:\n  a: {when: '${{ inputs.go }}', run: make}",
        good="inputs: {go: boolean}\ntasks:\n  a: {when: inputs.go, run: make}",
    ),
    _code(
        "WF320", "missing-workflow", "A called workflow does not exist.",
        """`workflow:` names a file: from the project's root, or, beginning with `./`, from the folder of the calling file. It stays
        inside the project, links included.""",
        bad="tasks:\n  a: {workflow: workflows/nowhere.yaml}",
    ),
    _code(
        "WF321", "recursion", "Workflows call each other in a circle.",
        "A workflow cannot call itself, directly or through others. `loop` and `foreach` repeat inside one workflow.",
    ),
    _code(
        "WF322", "invalid-workflow", "A called workflow is not valid.",
        "Validate that file: its own findings say what is wrong.",
    ),
    _code(
        "WF323", "call-inputs", "A call does not fit the inputs of the called workflow.",
        "Every input without `default` or `optional` is given, no others are, and each is of its type.",
    ),
)  # fmt: skip
