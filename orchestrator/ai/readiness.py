"""Before a run starts: could every agent it uses be asked at all? No network, no SDK, no key leaves its variable."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orchestrator.ai.fallback import models_of
from orchestrator.ai.pool import ProviderPool
from orchestrator.ai.settings import loop_settings
from orchestrator.core.plan import Node, Plan, agents_behind
from orchestrator.errors import CredentialsError, UsageError, WhisperFlowError
from orchestrator.ports.chat_model import parse_model
from orchestrator.ports.secret_source import Secret
from orchestrator.workers.keys import KeyRing


class Asked(NamedTuple):
    """A model that a task may ask, and on whose account."""

    agent: str
    model: str
    worker: Mapping[str, Any] | None


def check_agents(plan: Plan, environ: Mapping[str, str], keys: KeyRing | None = None) -> tuple[Secret, ...]:
    """The keys that its models will be asked with, read anew. May block: a vault is asked.

    Raises CredentialsError naming every one that is missing, UsageError for a model nobody has. Only what tasks use counts:
    an agent that is declared and never asked may lack its key.
    """
    pool = ProviderPool(environ, keys=keys)
    found: dict[Secret, None] = {}
    missing: dict[str, CredentialsError] = {}
    """Message → the error."""
    for asked in models_asked(plan):
        try:
            provider, model = parse_model(asked.model)
            options = pool.options(asked.worker, fresh=True)
            pool.provider(provider).check(model, options)
            if key := pool.key(provider, options):
                found[key] = None
        except CredentialsError as error:
            missing.setdefault(error.message, error)
        except ValueError as error:
            raise UsageError(f"agent `{asked.agent}`: {error}") from None
        except WhisperFlowError as error:
            raise UsageError(f"agent `{asked.agent}`: {error.message}", help=error.help) from None
    if missing:
        helps = dict.fromkeys(error.help for error in missing.values() if error.help)
        raise CredentialsError("; ".join(missing), help="; ".join(helps) or None)
    return tuple(found)


def preload(plan: Plan) -> None:
    """Begin to import what live models need while the first tasks run; it takes most of a second otherwise."""
    pool = ProviderPool({})
    names = {parse_model(asked.model)[0] for asked in models_asked(plan)}
    for name in sorted(names):
        load = getattr(pool.provider(name), "preload", None)
        if load is not None:
            threading.Thread(target=load, name=f"preload {name}", daemon=True).start()


def models_asked(plan: Plan) -> Iterator[Asked]:
    """Every model that the agent tasks of a plan, and of the workflows it calls, may ask. Templates may give any agent."""
    for scope in plan.scopes:
        for node in scope.nodes:
            if node.verb == "agent":
                yield from _models_of(node, plan)
    for child in plan.children.values():
        yield from models_asked(child)


def _models_of(node: Node, plan: Plan) -> Iterator[Asked]:
    who, model = node.fields.get("agent"), node.fields.get("model")
    if isinstance(who, str) and "${{" not in who:
        ids = [who] if who in plan.agents else []
    else:
        ids = [name for name in plan.agents if "." not in name]
    for name in agents_behind(ids, plan.agents):
        agent = plan.agents[name]
        worker_id = agent.get("worker") or ""
        worker = {"definition_id": worker_id, **plan.workers[worker_id]} if worker_id in plan.workers else None
        if name in ids and isinstance(model, str) and "${{" in model:
            continue
        # What a task says of the model holds for the agent that it names, not for those behind it.
        found = loop_settings(agent, worker, model if name in ids else None)["model"]
        if found:
            yield Asked(name, found, worker)
        for backup in models_of(agent.get("fallback")):
            # The worker's key and address serve its own provider's models only.
            shared = bool(found) and parse_model(backup)[0] == parse_model(found)[0]
            yield Asked(name, backup, worker if shared else None)
