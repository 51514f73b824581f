"""Which worker an agent is asked on, in a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.errors import TaskError

JSON = Any

ONLY_SINGLE: Final = "takes single calls only (`interaction_models: stateless_task`)"
SAY_BOTH: Final = "set `interaction_models: both`, or let the agent name another"


def chosen_worker(
    agent_id: str, agent: Mapping[str, JSON], workers: Mapping[str, dict[str, JSON]]
) -> dict[str, JSON] | None:
    """The definition of the worker that an agent names, with its id under `definition_id`; None if it names its model itself.

    Raises TaskError `invalid_input` for a worker that is not declared, not active, or takes single calls only: validation says
    so first, but an agent may be chosen while the run goes.
    """
    name = agent.get("worker")
    if name is None:
        return None
    if name not in workers:
        raise TaskError("invalid_input", f"agent {agent_id!r} wants worker {name!r}, which is not declared")
    status = workers[name].get("status") or "active"
    if status != "active":
        help = "make it active, or let the agent name another"
        raise TaskError("invalid_input", f"agent {agent_id!r} wants worker {name!r}, which is {status}", help=help)
    if not converses(workers[name]):
        raise TaskError(
            "invalid_input", f"agent {agent_id!r} wants worker {name!r}, which {ONLY_SINGLE}", help=SAY_BOTH
        )
    return {"definition_id": name, **workers[name]}


def converses(worker: Mapping[str, JSON]) -> bool:
    """Whether agents and spawned instances may be asked on it; `stateless_task` alone is for single calls."""
    said = worker.get("interaction_models") or "conversational"
    return said in ("conversational", "both") if isinstance(said, str) else bool({"conversational", "both"} & set(said))
