"""What an agent's model is asked with: worker, then agent, then the task's own `model`. The nearer wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def loop_settings(
    agent: Mapping[str, Any], worker: Mapping[str, Any] | None, model: str | None = None
) -> dict[str, Any]:
    """The merged `ai_config` mapping of an agent; `model` is None if nothing says which."""
    worker = worker or {}
    base = {k: v for k, v in (worker.get("base_config") or {}).items() if k != "base_url"}
    merged = base | {k: v for k, v in (agent.get("ai_config") or {}).items() if v is not None}
    if base.get("extra") and merged.get("extra"):
        merged["extra"] = {**base["extra"], **merged["extra"]}
    of_worker = f"{worker['provider']}/{worker['model_name']}" if worker else None
    merged["model"] = model or agent.get("model") or merged.get("model") or of_worker
    return merged
