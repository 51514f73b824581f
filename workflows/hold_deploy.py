"""A delegate for `delegate-pause.yaml`: holds a run before its deploy for as long as a file named HOLD exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.delegates import listens_to


@listens_to("engine_request_pause", on_error="hold")
def hold(sender: Any, control_type: str, *, task_ids: list[str], **payload: Any) -> bool:
    """True holds the run. Only tasks named `deploy` are of interest; if this fails, better wait than deploy."""
    return "deploy" in task_ids and Path("HOLD").exists()
