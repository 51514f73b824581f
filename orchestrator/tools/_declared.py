"""Tools whose name, schema and effect are known without opening anything, and what every call of one goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.core.plan import Effect
from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools._names import wants, wire_name

JSON = Any
Run = Callable[[dict[str, JSON], str], Awaitable[JSON]]
"""(arguments, call_id) → JSON."""
Free = Callable[[Mapping[str, JSON]], bool]

TEXT: Final[dict[str, JSON]] = {"type": "string"}


def text(description: str, **more: JSON) -> dict[str, JSON]:
    return {"type": "string", "description": description, **more}


def whole(description: str, *, least: int = 1, **more: JSON) -> dict[str, JSON]:
    return {"type": "integer", "minimum": least, "description": description, **more}


def flag(description: str) -> dict[str, JSON]:
    return {"type": "boolean", "description": description}


def arguments(required: Iterable[str] = (), /, **properties: dict[str, JSON]) -> dict[str, JSON]:
    """JSON Schema of a closed object."""
    schema: dict[str, JSON] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def seconds(said: JSON, otherwise: float) -> float:
    """A duration of the configuration, as `90s`, in seconds. Raises TaskError `invalid_input`."""
    if said is None:
        return otherwise
    from orchestrator.core.units import UnitError, parse_duration

    try:
        return float(said) if isinstance(said, int | float) else parse_duration(said)
    except UnitError as error:
        raise TaskError("invalid_input", error.message, help=error.help) from None


@dataclass(slots=True, kw_only=True, frozen=True)
class Declaration:
    """What is known of a tool before anybody opens it."""

    name: str
    description: str
    parameters: dict[str, JSON]
    effect: Effect

    def tool(self, context: ToolContext, run: Run, *, note: str = "", free: Free | None = None) -> BuiltTool:
        """The tool itself. `note` is added to the description; `free` says which calls need nobody's permission."""
        description = f"{self.description} {note}".strip()
        spec = ToolSpec(name=wire_name(self.name), description=description, parameters=self.parameters)
        return BuiltTool(
            name=self.name, spec=spec, effect=self.effect, run=run, secrets=context.secrets, free=free or _never
        )


def _never(arguments: Mapping[str, JSON]) -> bool:
    return False


@dataclass(slots=True, kw_only=True)
class BuiltTool:
    """Implements ports.Tool over one coroutine. No secret of the context comes out of it, in a result or a failure."""

    name: str
    spec: ToolSpec
    effect: Effect
    run: Run
    secrets: tuple[str, ...] = ()
    free: Free = _never

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        if not self.secrets:
            return await self.run(arguments, call_id)
        from orchestrator.host.redact import Redactor

        redactor = Redactor(self.secrets)
        try:
            return redactor.value(await self.run(arguments, call_id))
        except TaskError as error:
            clean = TaskError(
                error.type, redactor.text(error.message), help=error.help, meta=redactor.value(error.meta)
            )
            raise clean from None

    def needs_no_permission(self, arguments: Mapping[str, JSON]) -> bool:
        """Whether the project's configuration lets this very call run without a person's word."""
        return self.effect == "pure" or self.free(arguments)


class DeclaredSource:
    """A ToolSource of declarations; subclasses give `prefix`, `declarations` and `opened`."""

    prefix: str
    declarations: Sequence[Declaration]

    def known(self, server: str | None = None) -> tuple[str, ...]:
        return tuple(one.name for one in self.declarations)

    def declared(self) -> Mapping[str, Declaration]:
        """Name → what is known without opening."""
        return {one.name: one for one in self.declarations}

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        chosen = [one for one in self.declarations if wants(wanted, one.name)]
        return await self.opened(context, chosen) if chosen else []

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        """The tools of these declarations. Raises TaskError `tool` where they cannot be had here."""
        raise NotImplementedError

    async def close(self) -> None:
        return None
