"""The small types of the language: what may stand in one place of a file.

Every type says what it wants in the words of the reference, so that a finding never shows a library's own message. Unions are
told apart by the kind of YAML value first (`by_kind`), never tried one after the other: a person sees one complaint, not five.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from orchestrator.core.units import (
    BYTES_PATTERN,
    COUNT_PATTERN,
    DURATION_PATTERN,
    MONEY_PATTERN,
    UnitError,
    parse_bytes,
    parse_count,
    parse_duration,
    parse_money,
)
from orchestrator.errors import ErrorType


class Strict(BaseModel):
    """Base of every model of the language: nothing unknown, nothing converted, built when first needed."""

    model_config = ConfigDict(
        extra="forbid", strict=True, defer_build=True, populate_by_name=False, protected_namespaces=()
    )


def optional(**said: Any) -> Any:
    """A field that may be left out. It may not be null: a key without a value is most often a value forgotten."""
    return Field(default=None, **said)


TEMPLATE: Final = "${{"
"""What makes a text a template; `$${{` is a literal, which is a template too (it must be unescaped)."""


def kind_of(value: Any) -> str:
    """The kind of a YAML value in the words of the reference; the tags of every union."""
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, bool):
        return "<true or false>"
    if isinstance(value, int | float):
        return "<number>"
    if isinstance(value, dict):
        return "<map>"
    if isinstance(value, list):
        return "<list>"
    return "<nothing>" if value is None else "<text>"


BY_KIND: Final = Discriminator(kind_of)
TEXT: Final = Tag("<text>")
FLAG: Final = Tag("<true or false>")
NUMBER: Final = Tag("<number>")
MAP: Final = Tag("<map>")
LIST: Final = Tag("<list>")


def exactly_one_of(*names: str) -> ConfigDict:
    """For the JSON Schema of a model that checks the same itself."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in names]})


def not_together(*pairs: tuple[str, str]) -> ConfigDict:
    """The same for fields that exclude each other."""
    refused: list[Any] = [{"not": {"required": list(pair)}} for pair in pairs]
    return ConfigDict(json_schema_extra={"allOf": refused})


class ByKey:
    """Tells the JSON Schema generator that exactly one of these keys picks the branch (see `schema.py`)."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(core), "x-by-key": list(self.keys)}


def by_key(models: Mapping[str, type[BaseModel]]) -> Any:
    """A union of maps of which each has one key that no other has: that key picks the model, which is then checked alone."""
    keys = tuple(models)

    def exactly_one(value: Any) -> Any:
        if isinstance(value, dict):
            given = [key for key in keys if key in value]
            if len(given) != 1:
                raise PydanticCustomError("wf_exactly_one", "", {"of": list(keys), "given": given})
        return value

    def pick(value: Any) -> str | None:
        return next((f"<{key}>" for key in keys if key in value), None) if isinstance(value, dict) else None

    branches = tuple(Annotated[model, Tag(f"<{key}>")] for key, model in models.items())
    return Annotated[Union[branches], Discriminator(pick), ByKey(keys), BeforeValidator(exactly_one)]  # noqa: UP007


def _named(pattern: str, error: str) -> Callable[[str], str]:
    match = re.compile(pattern).fullmatch

    def check(value: str) -> str:
        if match(value) is None:
            raise PydanticCustomError(error, "`{value}` is not a name", {"value": value})
        return value

    return check


ID_PATTERN: Final = r"[a-z][a-z0-9_]*"
NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]*"
RESOURCE_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"

TaskId = Annotated[
    str,
    AfterValidator(_named(ID_PATTERN, "wf_task_id")),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$"}),
]
"""Id of a task: it is read in expressions, so a hyphen would be a minus."""
Name = Annotated[
    str,
    AfterValidator(_named(NAME_PATTERN, "wf_name")),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"}),
]
"""Name of an input, output, form field, environment variable or secret."""
ResourceId = Annotated[
    str,
    AfterValidator(_named(RESOURCE_PATTERN, "wf_resource_id")),
    WithJsonSchema({"type": "string", "pattern": f"^{RESOURCE_PATTERN}$"}),
]
"""Id of an agent, worker, mailbox or MCP server: never read as an expression."""


def _unit(parse: Callable[[Any], Any], error: str, *, template: bool = False) -> PlainValidator:
    def check(value: Any) -> Any:
        if value is None:
            raise PydanticCustomError(
                error, "", {"reason": "no value", "help": "give it a value, or take the key away"}
            )
        if template and isinstance(value, str) and TEMPLATE in value:
            return value
        try:
            parse(value)
        except UnitError as reason:
            raise PydanticCustomError(
                error, "{reason}", {"reason": reason.message, "help": reason.help or ""}
            ) from None
        return value

    return PlainValidator(check)


def _text_schema(pattern: str, wrong: str, *examples: str) -> WithJsonSchema:
    """A text of a pattern; `errorMessage` is what the language server for YAML then says instead of the pattern."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "errorMessage": wrong, "examples": list(examples)})


_DURATION: Final = DURATION_PATTERN + r"|^P[0-9WDTHMS.]+$"

Duration = Annotated[
    Any,
    _unit(parse_duration, "wf_duration"),
    _text_schema(_DURATION, "A duration needs its unit: 90s, 5m, 1h30m, 2d.", "90s", "5m", "1h30m", "2d"),
]
"""A length of time with its unit: `90s`, `5m`, `1h30m`, `2d`."""
DurationTemplate = Annotated[
    Any,
    _unit(parse_duration, "wf_duration", template=True),
    _text_schema(
        _DURATION + r"|\$\{\{",
        "A duration needs its unit (90s, 5m, 2d); an expression stands in ${{ }}.",
        "90s",
        "5m",
        "2d",
    ),
]
"""A length of time, or an expression that gives one."""
Size = Annotated[
    Any,
    _unit(parse_bytes, "wf_size"),
    _text_schema(BYTES_PATTERN, "A size needs its unit: 512KiB, 10MiB.", "10MiB"),
]
"""A number of bytes with its unit: `512KiB`, `10MiB`."""
Money = Annotated[
    Any,
    _unit(parse_money, "wf_money"),
    _text_schema(MONEY_PATTERN, "An amount needs its currency: $0.50, 2.00 EUR.", "$0.50", "2.00 EUR"),
]
"""An amount with its currency: `$0.50`, `2.00 EUR`. One currency a run."""
Count = Annotated[
    Any,
    _unit(parse_count, "wf_count"),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": COUNT_PATTERN}],
            "examples": [400, "400k"],
        }
    ),
]
"""A count, bare or short: `4000`, `400k`, `2M`."""
PositiveCount = Annotated[
    Any,
    _unit(lambda value: _more_than_nothing(parse_count(value)), "wf_count"),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": COUNT_PATTERN}],
            "examples": [400, "400k"],
        }
    ),
]
"""A count of at least one."""
PositiveDuration = Annotated[
    Any,
    _unit(lambda value: _more_than_nothing(parse_duration(value)), "wf_duration"),
    _text_schema(_DURATION, "A duration needs its unit: 90s, 5m, 1h30m, 2d.", "90s", "5m", "1h30m", "2d"),
]
"""A length of time that is not zero."""


def _more_than_nothing(value: float) -> None:
    if value == 0:
        raise UnitError("this cannot be 0", 0, 1, "leave it out for the default")


def _scalar_text(value: Any) -> Any:
    if isinstance(value, str | int | float) or value is None:
        return value
    raise PydanticCustomError("wf_scalar", "expected text", {})


ScalarText = Annotated[
    Any, PlainValidator(_scalar_text), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})
]
"""A text that may be typed without quotes: `8080`, `1.10` and `true` stay exactly what was typed; empty is the empty text."""


def _expression(value: Any) -> Any:
    if isinstance(value, str):
        return bare_expression(value)
    if isinstance(value, bool | int | float):
        return value
    raise PydanticCustomError("wf_expression", "expected an expression", {})


_BARE: Final[dict[str, Any]] = {
    "pattern": r"^(?!\s*\$\{\{)",
    "patternErrorMessage": "This holds an expression already: write it without ${{ }}.",
}


def bare_expression(value: str) -> str:
    """Refuses `${{ x }}` where an expression is written bare."""
    text = value.strip()
    if text.startswith(TEMPLATE):
        inside = text[len(TEMPLATE) :].removesuffix("}}").strip()
        raise PydanticCustomError("wf_wrapped", "", {"bare": inside if "}}" not in inside else ""})
    return value


BareExpression = Annotated[str, AfterValidator(bare_expression), Field(json_schema_extra=_BARE)]
"""An expression, written bare, where a list or a map is possible too."""
Expression = Annotated[
    Any, PlainValidator(_expression), WithJsonSchema({"type": ["string", "boolean", "number"], **_BARE})
]
"""An expression, written bare: `route.team == 'spam'`."""

Texts = Annotated[Annotated[str, TEXT] | Annotated[list[str], LIST], BY_KIND]
"""One text or a list of texts."""
Ids = Annotated[Annotated[str, TEXT] | Annotated[list[str], LIST], BY_KIND]
"""One task id or a list of them."""
ErrorTypes = Annotated[Annotated[ErrorType, TEXT] | Annotated[list[ErrorType], LIST], BY_KIND]
"""Error types (`error.type`): one or a list."""

_PRIMITIVE: Final = {"type": "string", "minLength": 1}


def _present(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("wf_type", "a type is missing", {})
    return value


TypeSpec = Annotated[
    Any,
    PlainValidator(_present),
    WithJsonSchema(
        {"anyOf": [_PRIMITIVE, {"type": "array", "minItems": 1, "maxItems": 1}, {"type": "object"}], "title": "Type"}
    ),
]
"""A type: text such as `string`, `number 0..10`, `red | green`; `[type]`; `{name: type}`; or a JSON Schema."""


def _only(wanted: Any) -> Any:
    """Exactly this value: for Python 1, 1.0 and true are equal, for a file they are not."""

    def check(value: Any) -> Any:
        if type(value) is not type(wanted) or value != wanted:
            raise PydanticKnownError("literal_error", {"expected": str(wanted).lower()})
        return value

    return Annotated[Any, PlainValidator(check), WithJsonSchema({"const": wanted})]


One: Any = _only(1)
True_: Any = _only(True)
Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
