"""What must be true before a run begins: inputs that fit, secrets that are there, nothing this version cannot do."""

from __future__ import annotations

import logging
import os
import platform
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.plan import Plan
from orchestrator.engine.schemas import problems
from orchestrator.errors import CredentialsError, InvalidInputsError, NotYetError, UsageError
from orchestrator.ports.secret_source import Place

_log = logging.getLogger("orchestrator.engine")

JSON = Any


def refuse_not_yet(plan: Plan) -> None:
    """Raises NotYetError naming everything the file uses that this version cannot run."""
    if plan.not_yet:
        lines = "\n  ".join(plan.not_yet)
        raise NotYetError(
            f"{plan.workflow} uses what this version cannot run yet:\n  {lines}",
            help="`whisper-flow validate` accepts the file; leave these parts out to run it today",
        )


def refuse_what_is_no_plan(plan: object) -> None:
    """A path or a loaded workflow is easily taken for a plan. Raises UsageError."""
    if not isinstance(plan, Plan):
        raise UsageError(
            f"a run needs a plan, not {type(plan).__name__}", help="make one: `compile_plan(load_workflow(path))`"
        )


def check_inputs(plan: Plan, given: Mapping[str, JSON]) -> dict[str, JSON]:
    """The inputs with defaults filled in. Raises InvalidInputsError with one line for each that does not fit."""
    found: list[str] = []
    inputs: dict[str, JSON] = {}
    for name in given:
        if name not in plan.inputs:
            known = ", ".join(sorted(plan.inputs)) or "it declares none"
            found.append(f"`{name}` is no input of this workflow ({known})")
    for name, schema in plan.inputs.items():
        if name in given:
            inputs[name] = given[name]
            found.extend(f"input `{name}`: {problem}" for problem in problems(schema, given[name]))
        elif "default" in schema:
            inputs[name] = schema["default"]
        elif name in plan.required:
            found.append(f"input `{name}` is required: {_wanted(schema)}")
    if found:
        raise InvalidInputsError(found)
    return inputs


def _wanted(schema: dict[str, JSON]) -> str:
    text = str(schema.get("description") or schema.get("type") or "any value")
    return text if "enum" not in schema else f"one of {', '.join(map(str, schema['enum']))}"


@dataclass(slots=True, frozen=True)
class Credentials:
    """What a run may hand over and must never show."""

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The declared secrets, by name."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """What its models are asked with: no expression can read these."""

    @property
    def masked(self) -> tuple[str, ...]:
        """Every value that must not reach any output."""
        return tuple(dict.fromkeys((*self.secrets.values(), *self.keys)))


def masked_inputs(given: dict[str, JSON], credentials: Credentials) -> dict[str, JSON]:
    """The inputs without any secret that the run knows: they stand on record, and tasks get what is on record."""
    if not credentials.masked:
        return given
    from orchestrator.host.redact import Redactor

    redactor = Redactor(credentials.masked)
    masked: dict[str, JSON] = {name: redactor.value(value) for name, value in given.items()}
    for name in given:
        if masked[name] != given[name]:
            _log.warning(
                "input `%s` holds a secret, and is masked: tasks get it as `${{ secrets.NAME }}` in their `env`", name
            )
    return masked


def resolve_secrets(plan: Plan, project: Path, environ: Mapping[str, str], dotenv: Mapping[str, str]) -> dict[str, str]:
    """The values of the declared secrets. Raises CredentialsError that names all that are missing and where they were looked for."""
    from orchestrator.host.secret_sources import look_for  # most runs have none

    place = Place(project=project, environ=environ, dotenv=dotenv)
    looked = {name: look_for(said, name, place) for name, said in plan.secrets.items()}
    missing = {name: one for name, one in looked.items() if one.secret is None}
    if missing:
        lines = (f"secret `{name}` is missing: {one.detail}" for name, one in missing.items())
        raise CredentialsError("; ".join(lines), help=next(iter(missing.values())).help)
    return {name: one.secret.reveal() for name, one in looked.items() if one.secret is not None}


def new_run_id() -> str:
    """Twelve hexadecimal digits of chance: the first few are enough to name a run."""
    return randomness.token_hex(6)


def driver_name() -> str:
    return f"pid {os.getpid()} on {platform.node() or 'this machine'}"
