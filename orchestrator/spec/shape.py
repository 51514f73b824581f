"""Does a file have the shape of a workflow (an agent file, a worker file, a project file)?

The verb of a task is picked first, and the task is checked against that verb's model alone, so that a person never sees
what the other eleven verbs would have wanted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from orchestrator.spec import models
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.loader import Document
from orchestrator.spec.models_agents import Agent, Worker
from orchestrator.spec.models_tasks import FOREACH_ONLY
from orchestrator.spec.models_values import ID_PATTERN
from orchestrator.spec.reserved import RESERVED_IDS
from orchestrator.spec.shape_fields import field_of, names_of
from orchestrator.spec.shape_findings import Checked, around, bad_name, diagnostic, explain
from orchestrator.spec.shape_words import Path, kind_word, place
from orchestrator.spec.suggest import did_you_mean
from orchestrator.spec.verbs import VERBS, verb

_is_id = re.compile(ID_PATTERN).fullmatch
_TASK_MAPS = ("tasks", "finally", "on_failure")

OTHER_WORDS = {
    "command": "run", "cmd": "run", "script": "run", "bash": "run", "shell": "run", "exec": "run", "sh": "run",
    "steps": "tasks", "jobs": "tasks", "group": "tasks", "url": "http", "request": "http", "call": "workflow",
    "sleep": "wait", "delay": "wait", "approve": "ask", "approval": "ask", "question": "ask", "value": "set", "vars": "set",
    "mail": "send", "emit": "send", "prompt": "agent", "llm": "agent", "model": "agent", "function": "python",
}  # fmt: skip
"""What other tools call our verbs, so that a person who comes from there is led to the word."""
OTHER_FIELDS = {
    "depends_on": "after", "needs": "after", "depends": "after", "if": "when", "for_each": "foreach", "with_items": "foreach",
    "retries": "retry", "environment": "env", "working_directory": "cwd", "workdir": "cwd", "dir": "cwd",
    "continue_on_error": "on_error", "output_type": "output",
}  # fmt: skip
"""The same for fields."""
TOP_WORDS = {
    "jobs": "tasks", "steps": "tasks", "stages": "tasks", "nodes": "tasks", "params": "inputs", "parameters": "inputs",
    "arguments": "inputs", "variables": "env", "vars": "env", "environment": "env", "schedule": "schedules", "cron": "schedules",
    "on": "wake_on", "triggers": "wake_on", "trigger": "wake_on", "results": "outputs", "title": "name",
}  # fmt: skip
"""The same for what stands at the top of a file."""


def check_workflow(document: Document) -> list[Diagnostic]:
    """Everything that is wrong with the shape of a workflow file."""
    return list(_workflow(document))


def check_project(document: Document) -> list[Diagnostic]:
    """The same for `config/whisper-flow.yaml`."""
    data = document.data
    if not isinstance(data, dict):
        return [_not_a_map(document, "a project file")]
    return [*_fit_fields(document, models.Project, data), *_defaults(document, data)]


def check_declarations(document: Document, noun: str) -> list[Diagnostic]:
    """The same for a file of `config/agents/` (`noun` "agents") or `config/workers/`."""
    if not isinstance(document.data, dict):
        return [_not_a_map(document, f"a file of {noun}")]
    if (one := _without_an_id(document, noun)) is not None:
        return [one]
    return _fit(document, _declarations(noun), document.data, ())


def _without_an_id(document: Document, noun: str) -> Diagnostic | None:
    """A file that holds the fields of one declaration, or all of them below `agents:`, though it is id → declaration."""
    data, fields = document.data, (Agent if noun == "agents" else Worker).model_fields
    if loose := [key for key in data if key in fields and not isinstance(data[key], dict)]:
        name = document.file.rpartition("/")[2].partition(".")[0].replace("-", "_")
        message, help = f"the {noun[:-1]} of this file has no id", f"begin with `{name}:` and indent the rest below it"
        return diagnostic(
            document, "WF201", message, document.key_span((loose[0],)), label="a field, not an id", help=help
        )
    if set(data) == {noun} and isinstance(data[noun], dict) and not set(data[noun]) & set(fields):
        message, help = f"a file of {noun} holds them without `{noun}:`", f"take the line `{noun}:` away"
        return diagnostic(document, "WF201", message, document.key_span((noun,)), help=help)
    return None


@functools.cache
def _declarations(noun: str) -> TypeAdapter[Any]:
    declared: Any = models.AgentFile if noun == "agents" else models.WorkerFile
    return TypeAdapter(declared.model_fields[noun].annotation)


def _not_a_map(document: Document, noun: str) -> Diagnostic:
    return diagnostic(
        document,
        "WF201",
        f"{noun} must be a map, not {kind_word(document.data)}",
        document.key_span(()),
        help="it begins with `name: …` and `tasks: …`" if noun == "a workflow" else None,
    )


def _workflow(document: Document) -> Iterator[Diagnostic]:
    data = document.data
    if not isinstance(data, dict):
        yield _not_a_map(document, "a workflow")
        return
    reserved = [key for key in data if key in models.RESERVED_TOP]
    for key in reserved:
        yield _reserved(document, (key,))
    known = {key: value for key, value in data.items() if not _free(key) and key not in reserved}
    yield from _fit_fields(document, models.Workflow, known)
    yield from _defaults(document, data)
    if "tasks" not in data and "agents" not in data and not any(map(_meant_tasks, data)):
        yield diagnostic(
            document,
            "WF202",
            "the file has neither `tasks` nor `agents`",
            document.key_span(()),
            label="nothing to do",
            help="add `tasks:`",
        )
    ids = _Ids(None)
    maps = [key for key in _TASK_MAPS if isinstance(data.get(key), dict)]
    for key in maps:
        yield from _ids(document, data[key], (key,), ids)
    for key in maps:
        for name, task in data[key].items():
            yield from _task(document, task, (key, name), ids)


def _free(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("x-")


def _reserved(document: Document, path: Path) -> Diagnostic:
    word = str(path[-1])
    return diagnostic(
        document,
        "WF209",
        f"`{word}` is reserved for a later version",
        document.key_span(path),
        labels=around(document, path),
        help=models.INSTEAD[word],
    )


def _fit_fields(document: Document, model: type[BaseModel], data: dict[Any, Any]) -> Iterator[Diagnostic]:
    """Check a whole file field by field, so that only what is in it is built: the models of agents, workers and triggers
    cost more than most files."""
    elsewhere = _at_the_top if model is models.Workflow else _nowhere
    checked = Checked(document, (), data, model, elsewhere=elsewhere)
    for key, value in data.items():
        check = _checker(model, key) if isinstance(key, str) else None
        if check is None:
            yield explain(checked, {"type": "extra_forbidden", "loc": (key,), "input": value})
            continue
        try:
            check(value)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                yield explain(checked, {**one, "loc": (key, *one["loc"])})


@functools.cache
def _checker(model: type[BaseModel], name: str) -> Callable[[Any], Any] | None:
    """Checks one field of a model; None if it has no such field."""
    field = field_of(model, name)
    if field is None:
        return None
    annotation: Any = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_validate
    whole = Annotated[(annotation, *field.metadata)] if field.metadata else annotation
    adapter: TypeAdapter[Any] = TypeAdapter(whole, config=ConfigDict(strict=True))  # type: ignore[arg-type]
    return adapter.validate_python


def _fit(document: Document, model: Any, data: Any, base: Path, **more: Any) -> list[Diagnostic]:
    """Check a value against a model (or a TypeAdapter)."""
    try:
        if isinstance(model, TypeAdapter):
            model.validate_python(data)
        else:
            model.model_validate(data)
    except ValidationError as error:
        annotation = model._type if isinstance(model, TypeAdapter) else model  # noqa: SLF001 - it has no public name
        checked = Checked(document, base, data, annotation, **more)
        errors = error.errors(include_url=False)
        unknown = [one["loc"] for one in errors if one["type"] == "extra_forbidden"]
        return [explain(checked, one) for one in errors if not _misspelt(one, unknown)]
    return []


def _misspelt(error: Any, unknown: list[tuple[str | int, ...]]) -> bool:
    """Whether a field is missing only because its name was mistyped: the unknown field is the cause, and says so."""
    if error["type"] != "missing":
        return False
    *where, name = error["loc"]
    return any([*loc[:-1]] == where and did_you_mean(str(loc[-1]), [str(name)]) for loc in unknown)


def _defaults(document: Document, data: dict[str, Any]) -> Iterator[Diagnostic]:
    from orchestrator.spec.models_defaults import DEFAULT_KINDS, defaults_model

    defaults = data.get("defaults")
    if not isinstance(defaults, dict):
        return
    for kind, fields in defaults.items():
        path = ("defaults", kind)
        if kind not in DEFAULT_KINDS:
            yield diagnostic(
                document,
                "WF203",
                f"unknown kind of defaults `{kind}`",
                document.key_span(path),
                label="not `tasks`, `agents` or a verb",
                help=did_you_mean(str(kind), DEFAULT_KINDS),
            )
        else:
            noun = "these defaults" if kind in ("tasks", "agents") else f"defaults for `{kind}`"
            yield from _fit(document, defaults_model(kind), fields, path, fields_noun=noun)


class _Ids:
    """The ids of one map of tasks (or of the three at the top, which share them), and the maps around it."""

    __slots__ = ("here", "outer")

    def __init__(self, outer: _Ids | None) -> None:
        self.here: dict[str, Path] = {}
        self.outer = outer

    def find(self, name: str) -> Path | None:
        at: _Ids | None = self
        while at is not None:
            if name in at.here:
                return at.here[name]
            at = at.outer
        return None


def _ids(document: Document, tasks: dict[Any, Any], path: Path, ids: _Ids) -> Iterator[Diagnostic]:
    for name in tasks:
        here = (*path, name)
        if not isinstance(name, str) or not _is_id(name) or name in RESERVED_IDS:
            yield _bad_id(document, here, str(name))
        elif (first := ids.find(name)) is not None:
            yield _same_id(document, here, name, first, nested=name not in ids.here)
        else:
            ids.here[name] = here


def _bad_id(document: Document, path: Path, name: str) -> Diagnostic:
    if name in RESERVED_IDS:
        label, help = f"it is {RESERVED_IDS[name]} of expressions", f"for example `{name}_task`"
    elif name.lower() != name and _is_id(name.lower()):
        label, help = "ids are small letters, digits and `_`", f"write `{name.lower()}`"
    else:
        return bad_name(document, path, name, "the id of a task")
    return diagnostic(
        document, "WF206", f"`{name}` cannot be the id of a task", document.key_span(path), label=label, help=help
    )


def _same_id(document: Document, path: Path, name: str, first: Path, *, nested: bool) -> Diagnostic:
    return diagnostic(
        document,
        "WF211",
        f"two tasks have the id `{name}`",
        document.key_span(path),
        label="again here",
        labels=(Label(document.key_span(first), "first here"),),
        help="an inner task may not have the id of an outer one: expressions could not tell them apart"
        if nested
        else "`tasks`, `finally` and `on_failure` share their ids",
    )


def _task(document: Document, task: Any, path: Path, outer: _Ids) -> Iterator[Diagnostic]:
    if not isinstance(task, dict):
        yield _task_not_map(document, task, path)
        return
    verbs = [key for key in task if key in VERBS]
    if len(verbs) != 1:
        yield _two_verbs(document, path, verbs) if verbs else _no_verb(document, task, path)
        return
    found = verb(verbs[0])
    try:
        found.model.model_validate(task)
    except ValidationError:
        reserved = [key for key in task if key in models.RESERVED_TASK and key not in found.model.model_fields]
        for key in reserved:
            yield _reserved(document, (*path, key))
        rest = {key: value for key, value in task.items() if key not in reserved}
        yield from _fit(
            document,
            found.model,
            rest,
            path,
            fields_noun=f"`{found.name}` tasks",
            elsewhere=functools.partial(_elsewhere, found.name),
        )
    if "foreach" not in task:
        yield from _without_foreach(document, task, path)
    if isinstance(task.get("tasks"), dict):
        inner = (*path, "tasks")
        ids = _Ids(outer)
        yield from _ids(document, task["tasks"], inner, ids)
        for name, one in task["tasks"].items():
            yield from _task(document, one, (*inner, name), ids)


def _task_not_map(document: Document, task: Any, path: Path) -> Diagnostic:
    name = path[-1]
    text = task if isinstance(task, str) and "\n" not in task and len(task) < 60 else "…"
    return diagnostic(
        document,
        "WF201",
        f"task `{name}` must be a map, not {kind_word(task)}",
        document.key_span(path),
        label="what should it do?",
        help=f"for example `{name}: {{run: {text}}}`"
        if isinstance(task, str)
        else f"for example `{name}: {{run: make}}`",
    )


def _two_verbs(document: Document, path: Path, verbs: list[str]) -> Diagnostic:
    return diagnostic(
        document,
        "WF205",
        f"{place(path)} has two verbs, `{verbs[0]}` and `{verbs[1]}`",
        document.key_span((*path, verbs[1])),
        label="the second verb",
        labels=(Label(document.key_span((*path, verbs[0])), "the first verb"),),
        help="a task does one thing: make it two tasks",
    )


def _no_verb(document: Document, task: dict[Any, Any], path: Path) -> Diagnostic:
    for key in task:
        near = did_you_mean(str(key), VERBS) if str(key) not in _common_fields() else None
        other = OTHER_WORDS.get(str(key).lower())
        if near is not None or other is not None:
            return diagnostic(
                document,
                "WF204",
                f"{place(path)} has no verb",
                document.key_span((*path, key)),
                label=f"`{key}` is no verb" if other != "agent" else "belongs to `agent` tasks",
                labels=(Label(document.key_span(path), "in this task"),),
                help=near or f"here it is called `{other}`" if other != "agent" else "add `agent: …`",
            )
    return diagnostic(
        document,
        "WF204",
        f"{place(path)} has no verb",
        document.key_span(path),
        label="what should it do?",
        help="for example `run: make test`, `agent: writer` or `set: …`",
    )


@functools.cache
def _common_fields() -> frozenset[str]:
    from orchestrator.spec.models_tasks import TaskBase

    return frozenset(names_of(TaskBase))


def _at_the_top(field: str) -> str | None:
    other = TOP_WORDS.get(field.lower())
    return f"here it is called `{other}`" if other else None


def _meant_tasks(key: Any) -> bool:
    """A top-level key whose own finding leads to `tasks`."""
    return isinstance(key, str) and (TOP_WORDS.get(key.lower()) == "tasks" or did_you_mean(key, ["tasks"]) is not None)


def _nowhere(field: str) -> str | None:
    return None


def _elsewhere(own: str, field: str) -> str | None:
    """Help for a field that other verbs have, or that other tools call differently."""
    if field in OTHER_FIELDS:
        return f"here it is called `{OTHER_FIELDS[field]}`"
    owners = [name for name in sorted(VERBS) if name != own and field in names_of(verb(name).model)]
    if not owners:
        return None
    shown = " and ".join(f"`{name}`" for name in owners[:2])
    return f"`{field}` belongs to {shown} tasks" if len(owners) <= 2 else f"only other verbs have `{field}`"


def _without_foreach(document: Document, task: dict[str, Any], path: Path) -> Iterator[Diagnostic]:
    for key in FOREACH_ONLY:
        if key in task:
            yield diagnostic(
                document,
                "WF210",
                f"`{key}` of {place(path)} means nothing without `foreach`",
                document.key_span((*path, key)),
                label="there are no items",
                labels=around(document, (*path, key)),
                help="add `foreach`, or take it away",
            )
