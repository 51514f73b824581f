"""What may stand under `defaults:`: for all tasks, for agents, and for the tasks of one verb."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel, create_model

from orchestrator.spec.models_agents import AgentFields
from orchestrator.spec.models_tasks import TaskBase, TaskDefaults
from orchestrator.spec.models_values import Strict
from orchestrator.spec.shape_fields import field_of, names_of
from orchestrator.spec.verbs import VERBS, verb

DEFAULT_KINDS = ("tasks", "agents", *sorted(VERBS - {"tasks"}))


@functools.cache
def defaults_model(kind: str) -> type[BaseModel]:
    """The model of `defaults.<kind>`; nothing in it is required."""
    if kind == "tasks":
        return TaskDefaults
    if kind == "agents":
        return AgentFields
    model = verb(kind).model
    legal = set(names_of(TaskDefaults)) & set(names_of(model))
    own = [name for name in names_of(model) if field_of(TaskBase, name) is None and name != kind]
    fields: dict[str, Any] = {}
    for name in [*own, *(name for name in names_of(TaskDefaults) if name in legal)]:
        source = field_of(model, name)
        assert source is not None
        attribute = next(own for own, field in model.model_fields.items() if field is source)
        fields[attribute] = _optional(source)
    return create_model(f"{model.__name__}Defaults", __base__=Strict, __doc__=f"Defaults for `{kind}` tasks.", **fields)


def _optional(source: Any) -> Any:
    from copy import copy

    field = copy(source)
    if field.is_required():
        field.default = None
    return (field.annotation, field)
