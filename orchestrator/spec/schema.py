"""JSON Schemas of everything people write, made from the models: for editors, for other tools, for the reference.

    schema("workflow")     a workflow file
    schema("project")      config/whisper-flow.yaml
    schema("agents")       a file in config/agents/
    schema("workers")      a file in config/workers/

Draft-07, because that is what the language server for YAML and `check-jsonschema` both understand in full. Where one key picks
a branch (the verb of a task, what a matcher waits for) the schema is a chain of `if`/`then`, so that an editor shows what is
wrong with that branch and nothing of the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orchestrator.errors import NotFoundError
from orchestrator.spec import models
from orchestrator.spec.models_defaults import DEFAULT_KINDS, defaults_model
from orchestrator.spec.models_tasks import FOREACH_ONLY
from orchestrator.spec.models_values import ID_PATTERN
from orchestrator.spec.reserved import RESERVED_IDS
from orchestrator.spec.suggest import did_you_mean
from orchestrator.spec.verbs import VERBS, verb

JSONSchema = dict[str, Any]
DRAFT: Final = "http://json-schema.org/draft-07/schema#"
NAMES: Final = {
    "workflow": ("workflow.schema.json", "A whisper-flow workflow"),
    "project": ("project.schema.json", "config/whisper-flow.yaml: what holds for every workflow of a project"),
    "agents": ("agents.schema.json", "A file in config/agents/: id → agent"),
    "workers": ("workers.schema.json", "A file in config/workers/: id → worker"),
}
"""Name of a schema → its file in `schemas/`, its title."""
VERB_ORDER: Final = ("agent", "run", "python", "http", "workflow", "tool", "ask", "wait", "send", "set", "tasks", "end")


def schema(name: str) -> JSONSchema:
    """The JSON Schema of that name. Raises NotFoundError."""
    if name not in NAMES:
        raise NotFoundError(
            f"there is no schema {name!r}", help=did_you_mean(name, NAMES) or "there are: " + ", ".join(NAMES)
        )
    make = {"workflow": _workflow, "project": _project, "agents": _agents, "workers": _workers}[name]
    made = make()
    title = NAMES[name][1]
    return {"$schema": DRAFT, "title": title, **made}


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema into a folder; returns the files that changed."""
    changed = []
    for name, (file, _) in NAMES.items():
        path = folder / file
        text = as_text(schema(name))
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed


def as_text(made: JSONSchema) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def verbs_in_order() -> list[str]:
    """The verbs, the most used first."""
    known = [name for name in VERB_ORDER if name in VERBS]
    return [*known, *sorted(VERBS - set(known))]


def _workflow() -> JSONSchema:
    verbs = {name: verb(name).model for name in verbs_in_order()}
    defaults = {kind: defaults_model(kind) for kind in DEFAULT_KINDS}
    refs, definitions = _definitions([models.Workflow, *verbs.values(), *defaults.values()])
    root = definitions.pop("Workflow")
    task_map = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{ID_PATTERN}$", "not": {"enum": sorted(RESERVED_IDS)}},
        "additionalProperties": {"$ref": "#/definitions/Task"},
    }
    for key in ("tasks", "finally", "on_failure"):
        root["properties"][key] = {**task_map, "description": root["properties"][key]["description"]}
    root["properties"]["defaults"] = {
        "type": "object",
        "description": root["properties"]["defaults"]["description"],
        "properties": {kind: refs[model] for kind, model in defaults.items()},
        "additionalProperties": False,
    }
    root["patternProperties"] = {"^x-": {"description": "Free: a home for YAML anchors."}}
    root["anyOf"] = [{"required": ["tasks"]}, {"required": ["agents"]}]
    definitions["Task"] = _task({name: refs[model] for name, model in verbs.items()}, definitions)
    for name, model in verbs.items():
        known = verb(name)
        told = definitions[refs[model]["$ref"].rpartition("/")[2]]
        told["description"] += f" Value: {known.value}. Default effect: {known.effect_words}."
    group = definitions[refs[verbs["tasks"]]["$ref"].rpartition("/")[2]]
    group["properties"]["tasks"] = {**task_map, "description": group["properties"]["tasks"]["description"]}
    return {**root, "definitions": dict(sorted(definitions.items()))}


def _task(verbs: dict[str, JSONSchema], definitions: JSONSchema) -> JSONSchema:
    """A task: the verb picks the branch, `foreach` goes with what needs it."""
    says = {name: definitions[ref["$ref"].rpartition("/")[2]]["properties"][name] for name, ref in verbs.items()}
    return {
        "type": "object",
        "description": "A task: exactly one verb, and the fields that go with it.",
        "properties": {name: {"description": one["description"]} for name, one in says.items()},
        "dependencies": {name: ["foreach"] for name in FOREACH_ONLY},
        **_pick(verbs),
    }


def _pick(branches: dict[str, JSONSchema]) -> JSONSchema:
    """`if` the key is there `then` its branch `else` the next one; without any of them, that is the complaint."""
    wrong = f"One of these is needed: {', '.join(branches)}."
    made: JSONSchema = {"anyOf": [{"required": [key], "errorMessage": wrong} for key in branches]}
    for key, branch in reversed(branches.items()):
        made = {"if": {"required": [key]}, "then": branch, "else": made}
    return made


def _project() -> JSONSchema:
    defaults = {kind: defaults_model(kind) for kind in DEFAULT_KINDS}
    refs, definitions = _definitions([models.Project, *defaults.values()])
    root = definitions.pop("Project")
    root["properties"]["defaults"] = {
        "type": "object",
        "description": root["properties"]["defaults"]["description"],
        "properties": {kind: refs[model] for kind, model in defaults.items()},
        "additionalProperties": False,
    }
    return {**root, "definitions": dict(sorted(definitions.items()))}


def _agents() -> JSONSchema:
    return _declared(models.AgentFile, "agents")


def _workers() -> JSONSchema:
    return _declared(models.WorkerFile, "workers")


def _declared(model: type[BaseModel], noun: str) -> JSONSchema:
    _, definitions = _definitions([model])
    root = definitions.pop(model.__name__)
    return {**root["properties"][noun], "definitions": dict(sorted(definitions.items()))}


def _definitions(wanted: list[type[BaseModel]]) -> tuple[dict[Any, JSONSchema], dict[str, JSONSchema]]:
    refs, made = models_json_schema([(model, "validation") for model in wanted], ref_template="#/definitions/{model}")
    definitions = {name: _clean(one) for name, one in made["$defs"].items()}
    return {model: ref for (model, _), ref in refs.items()}, definitions


def _clean(node: Any, *, names: bool = False) -> Any:
    """What the library writes, without the titles it makes up, and with branches that are picked by a key."""
    if isinstance(node, list):
        return [_clean(one) for one in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _clean(one) for key, one in node.items()}
    made = {
        key: _clean(one, names=key in ("properties", "patternProperties"))
        for key, one in node.items()
        if key not in ("title", "discriminator") and not (key == "default" and one is None)
    }
    if "patternProperties" in made:
        made.setdefault("additionalProperties", False)  # a key that fits no pattern is no name
    keys = made.pop("x-by-key", None)
    if keys is not None:
        made = {"type": "object", **_pick(dict(zip(keys, made.pop("oneOf"), strict=True))), **made}
    if "$ref" in made and len(made) > 1:
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    return made
