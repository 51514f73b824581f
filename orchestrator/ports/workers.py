"""What can be done with workers from outside: by an agent's tool, over the wire. One table, the same for all of them.

`WorkerOperations.perform` does them; who may ask for which is the asker's affair: `changes` marks those that no agent has
without being told so by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from orchestrator.core.plan import Effect

JSON = Any


class WorkerOperation(NamedTuple):
    description: str
    parameters: dict[str, JSON]
    """JSON Schema of an object."""
    effect: Effect
    changes: bool = False
    """It adds, changes or removes a definition."""


@dataclass(slots=True, kw_only=True, frozen=True)
class Asker:
    """For whom something is done: a run's task. What it costs is that run's."""

    run_id: str
    key: str
    """Names this one call for ever: made again after a crash, it goes on where it stood and pays nothing twice."""
    budgets: tuple[dict[str, JSON], ...] = ()
    """As in `AgentCall.budgets`."""
    workers: Mapping[str, dict[str, JSON]] = field(default_factory=dict)
    """Those of its plan; they hide others of the same id."""
    deadline: float | None = None
    """Epoch seconds."""
    control: Callable[[], str | None] = lambda: None
    depth: int = 0
    costs: list[float] = field(default_factory=list)
    """What was paid for it so far; whoever asks a model adds to it."""


class WorkerOperations(Protocol):
    async def perform(self, operation: str, arguments: Mapping[str, JSON], asker: Asker | None = None) -> JSON:
        """The arguments are checked against the operation's schema before anything happens. Raises WhisperFlowError whose
        message is fit for a model.
        """
        ...


def _object(required: tuple[str, ...] = (), /, **properties: JSON) -> dict[str, JSON]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_ID: Final = {"type": "string", "description": "Id of a worker."}
_INSTANCE: Final = {"type": "string", "description": "Id of an instance."}
_CONFIG: Final = {
    "type": "object",
    "description": "Settings of this call or instance alone: temperature, max_tokens, …",
}
_FILES: Final = {**_TEXTS, "description": "Paths from the project's root."}
_STATUS: Final = {"enum": ["active", "disabled", "archived"]}
_INTERACTION: Final = {"enum": ["conversational", "stateless_task", "both"]}
_DEFINITION: Final = {
    "name": _TEXT,
    "description": _TEXT,
    "provider": _TEXT,
    "model_name": _TEXT,
    "interaction_models": {"type": "array", "items": _INTERACTION, "minItems": 1},
    "capabilities": _TEXTS,
    "base_config": _CONFIG,
    "status": _STATUS,
    "default_file_contexts": _FILES,
    "metadata": {"type": "object"},
}

OPERATIONS: Final[dict[str, WorkerOperation]] = {
    "list": WorkerOperation(
        "List the workers: models with their settings, limits and prices.",
        _object(
            name={**_TEXT, "description": "A part of the name."},
            provider=_TEXT,
            model=_TEXT,
            status=_STATUS,
            interaction_model=_INTERACTION,
            capabilities={**_TEXTS, "description": "All of them must be there."},
        ),
        "pure",
    ),
    "get": WorkerOperation(
        "Show one worker: definition, whether its key is there, and how it performed.",
        _object(("definition_id",), definition_id=_ID),
        "pure",
    ),
    "instances": WorkerOperation("List the instances at work.", _object(definition_id=_ID), "pure"),
    "instance": WorkerOperation("Show one instance.", _object(("instance_id",), instance_id=_INSTANCE), "pure"),
    "performance": WorkerOperation(
        "List what workers did, the latest first.",
        _object(
            definition_id=_ID,
            task_id=_TEXT,
            instance_id=_INSTANCE,
            success={"type": "boolean"},
            duration_ms_min={"type": "integer", "minimum": 0},
            duration_ms_max={"type": "integer", "minimum": 0},
            cost_min={"type": "number", "minimum": 0},
            cost_max={"type": "number", "minimum": 0},
            limit={"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
        ),
        "pure",
    ),
    "summary": WorkerOperation(
        "Sum up how workers performed: success, duration, quality, tokens, cost.",
        _object(definition_id=_ID),
        "pure",
    ),
    "costs": WorkerOperation(
        "Say where the money went. Unknown costs are counted beside the sums.",
        _object(
            ("by",),
            by={"enum": ["run", "workflow", "agent", "worker", "model", "day", "task"]},
            since={"type": "number", "description": "Epoch seconds."},
        ),
        "pure",
    ),
    "run": WorkerOperation(
        "Give a worker one prompt and get its answer. The worker knows nothing but the prompt.",
        _object(
            ("definition_id", "prompt"), definition_id=_ID, prompt=_TEXT, config_overrides=_CONFIG, file_contexts=_FILES
        ),
        "at_least_once",
    ),
    "spawn": WorkerOperation(
        "Start an instance of a worker, for a conversation of several prompts.",
        _object(("definition_id",), definition_id=_ID, config_overrides=_CONFIG, file_contexts=_FILES),
        "at_least_once",
    ),
    "converse": WorkerOperation(
        "Give an instance its next prompt and get its answer.",
        _object(("instance_id", "prompt"), instance_id=_INSTANCE, prompt=_TEXT),
        "at_least_once",
    ),
    "retire": WorkerOperation(
        "End an instance.", _object(("instance_id",), instance_id=_INSTANCE, reason=_TEXT), "at_least_once"
    ),
    "feedback": WorkerOperation(
        "Say how well a worker did one piece of work.",
        _object(
            ("instance_id", "task_id", "rating"),
            instance_id=_INSTANCE,
            task_id=_TEXT,
            rating={"type": "number", "minimum": 0, "maximum": 10},
            comments=_TEXT,
            correction_instructions=_TEXT,
            supervisor_agent_id=_TEXT,
        ),
        "idempotent",
    ),
    "add": WorkerOperation(
        "Add a worker. Its key is its provider's usual variable; limits and prices are a person's to set.",
        _object(("definition_id", "provider", "model_name"), definition_id=_ID, **_DEFINITION),
        "at_most_once",
        changes=True,
    ),
    "update": WorkerOperation(
        "Change a worker that was added so. Fields given replace the old ones.",
        _object(
            ("definition_id", "changes"),
            definition_id=_ID,
            changes={"type": "object", "properties": _DEFINITION, "additionalProperties": False, "minProperties": 1},
        ),
        "idempotent",
        changes=True,
    ),
    "remove": WorkerOperation(
        "Remove a worker that was added so. What it did stays on record.",
        _object(("definition_id",), definition_id=_ID),
        "idempotent",
        changes=True,
    ),
}
