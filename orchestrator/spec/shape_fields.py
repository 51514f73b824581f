"""Looks into the models by a path of a file: which fields are legal there. Asked only when something is wrong."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, Tag
from pydantic.fields import FieldInfo


def model_at(annotation: Any, value: Any, path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that a value at `path` below `value` must fit, if it is one."""
    resolved = resolve(annotation, value)
    if not path:
        return resolved if isinstance(resolved, type) and issubclass(resolved, BaseModel) else None
    part, rest = path[0], path[1:]
    inner = value[part] if _has(value, part) else None
    if isinstance(resolved, type) and issubclass(resolved, BaseModel):
        field = field_of(resolved, str(part))
        return None if field is None else model_at(annotation_of(field), inner, rest)
    args = get_args(resolved)
    if get_origin(resolved) in (dict, list) and args:
        return model_at(args[-1], inner, rest)
    return None


def field_of(model: type[BaseModel], name: str) -> FieldInfo | None:
    """The field that a file calls `name`."""
    for own, field in model.model_fields.items():
        if (field.alias or own) == name:
            return field
    return None


def names_of(model: type[BaseModel]) -> list[str]:
    """The fields as files call them, in the order of the model."""
    return [field.alias or own for own, field in model.model_fields.items()]


def resolve(annotation: Any, value: Any) -> Any:
    """An annotation without its wrappers; of a union the branch that the value's kind picks, or the one that is not None."""
    metadata: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    branches = [branch for branch in get_args(annotation) if branch is not type(None)]
    picker = next((one.discriminator for one in metadata if isinstance(one, Discriminator)), None)
    if callable(picker):
        wanted = picker(value)
        for branch in branches:
            if any(isinstance(one, Tag) and one.tag == wanted for one in getattr(branch, "__metadata__", ())):
                return resolve(branch, value)
        return None
    return resolve(branches[0], value) if len(branches) == 1 else None


def annotation_of(field: FieldInfo) -> Any:
    """A field's annotation with what pydantic took out of it (the discriminator)."""
    picked = [one for one in field.metadata if isinstance(one, Discriminator)]
    if field.discriminator is not None and not picked:
        picked = [
            field.discriminator
            if isinstance(field.discriminator, Discriminator)
            else Discriminator(field.discriminator)
        ]
    annotation: Any = field.annotation
    return Annotated[(annotation, *picked)] if picked else annotation


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
