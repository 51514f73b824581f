"""The operations of `ports.workers` over a WorkerManager: plain JSON in, plain JSON out. What is added so is saved at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from orchestrator.ports.journal import Journal
from orchestrator.ports.workers import OPERATIONS, Asker
from orchestrator.workers.definitions import refuse_protected
from orchestrator.workers.errors import InvalidArgumentError, WorkerNotFoundError
from orchestrator.workers.manager import WorkerManager
from orchestrator.workers.performance import SupervisorFeedback
from orchestrator.workers.spending import spending, total

JSON = Any


class ManagedOperations:
    """Implements ports.workers.WorkerOperations. The manager is made when it is first needed."""

    def __init__(self, make: Callable[[], WorkerManager], journal: Journal | None = None) -> None:
        self._make = make
        self._made: WorkerManager | None = None
        self._making = threading.Lock()
        self._journal = journal

    @property
    def manager(self) -> WorkerManager:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def perform(self, operation: str, arguments: Mapping[str, JSON], asker: Asker | None = None) -> JSON:
        """Raises WorkerError."""
        check_arguments(operation, arguments)
        manager = await asyncio.to_thread(lambda: self.manager)
        if asker is not None and asker.workers:
            manager = manager.beside(asker.workers)
        if operation in _ASKING:
            return await _ASKING[operation](manager, dict(arguments), asker)
        if operation == "costs":
            return await asyncio.to_thread(self._costs, **arguments)
        return await asyncio.to_thread(_READING[operation], manager, dict(arguments))

    def _costs(self, by: Any, since: float = 0.0) -> JSON:
        groups = spending(self._journal, by, since=since)
        return {"by": by, "groups": [one.shown() for one in groups], "total": total(groups).shown()}


def check_arguments(operation: str, arguments: Mapping[str, JSON]) -> None:
    """Raises WorkerNotFoundError for an unknown operation, InvalidArgumentError with every problem."""
    if operation not in OPERATIONS:
        from orchestrator.spec.suggest import did_you_mean

        help = did_you_mean(operation, OPERATIONS) or f"there are {', '.join(OPERATIONS)}"
        raise WorkerNotFoundError(f"no operation of workers is called {operation!r}", help=help)
    if OPERATIONS[operation].changes:
        refuse_protected({**arguments, **_map(arguments.get("changes"))})
    if "base_url" in _map(arguments.get("config_overrides")):
        raise InvalidArgumentError("`base_url` is not for agents to set: the key would go there")
    from jsonschema import Draft202012Validator

    found = Draft202012Validator(OPERATIONS[operation].parameters).iter_errors(dict(arguments))
    problems = [f"{'.'.join(map(str, one.path)) or 'arguments'}: {one.message}" for one in found]
    if problems:
        raise InvalidArgumentError("; ".join(sorted(problems)[:5]))


def _map(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, Mapping) else {}


def _list(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    return [one.shown() for one in manager.list_definitions(**arguments)]


def _get(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    definition = manager.get_definition(arguments["definition_id"])
    status, where = manager.key_status(definition.definition_id)
    return {
        **definition.shown(),
        "key": {"status": status, "detail": where},
        "performance": manager.get_performance_summary(definition.definition_id).shown(),
    }


def _instances(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    return [one.shown() for one in manager.list_active(arguments.get("definition_id"))]


def _instance(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    return manager.get_instance(arguments["instance_id"]).shown()


def _performance(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    limit = arguments.pop("limit", 50)
    return [one.shown() for one in reversed(manager.get_performance_records(**arguments)[-limit:])]


def _summary(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    if "definition_id" in arguments:
        return manager.get_performance_summary(arguments["definition_id"]).shown()
    return [one.shown() for one in manager.summaries()]


def _spawn(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    return manager.spawn(
        arguments["definition_id"], arguments.get("config_overrides"), arguments.get("file_contexts") or ()
    ).shown()


def _retire(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    return manager.retire(arguments["instance_id"], arguments.get("reason", "")).shown()


def _feedback(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    task, instance = arguments.pop("task_id"), arguments.pop("instance_id")
    found = manager.get_performance_records(task_id=task, instance_id=instance)
    if not found:
        raise WorkerNotFoundError(f"instance {instance!r} has no record of task {task!r}")
    given = SupervisorFeedback(**arguments, timestamp=manager.now())
    rated = manager.log_performance(msgspec.structs.replace(found[-1], supervisor_feedback=given))
    manager.keep()
    return rated.shown()


def _add(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    made = manager.add_definition(arguments)
    manager.keep()
    return made.shown()


def _update(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    made = manager.update_definition(arguments["definition_id"], arguments["changes"])
    manager.keep()
    return made.shown()


def _remove(manager: WorkerManager, arguments: dict[str, JSON]) -> JSON:
    removed = manager.remove_definition(arguments["definition_id"])
    manager.keep()
    return {"removed": removed.definition_id}


async def _run(manager: WorkerManager, arguments: dict[str, JSON], asker: Asker | None) -> JSON:
    output, record = await manager.execute_stateless_task(
        arguments["definition_id"],
        arguments["prompt"],
        arguments.get("config_overrides"),
        file_contexts=arguments.get("file_contexts") or (),
        asker=asker,
    )
    return {"output": output, "record": record.shown()}


async def _converse(manager: WorkerManager, arguments: dict[str, JSON], asker: Asker | None) -> JSON:
    output = await manager.converse(arguments["instance_id"], arguments["prompt"], asker=asker)
    return {"output": output}


_READING: Final[dict[str, Callable[[WorkerManager, dict[str, JSON]], JSON]]] = {
    "list": _list,
    "get": _get,
    "instances": _instances,
    "instance": _instance,
    "performance": _performance,
    "summary": _summary,
    "spawn": _spawn,
    "retire": _retire,
    "feedback": _feedback,
    "add": _add,
    "update": _update,
    "remove": _remove,
}
_ASKING: Final[dict[str, Callable[[WorkerManager, dict[str, JSON], Asker | None], Awaitable[JSON]]]] = {
    "run": _run,
    "converse": _converse,
}
