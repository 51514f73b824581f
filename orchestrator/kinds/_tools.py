"""What the tools of an attempt may know and reach."""

from __future__ import annotations

from orchestrator.ports.task_kind import Attempt
from orchestrator.ports.tool import ToolContext


def tool_context(attempt: Attempt) -> ToolContext:
    """For verbs that call tools: the engine put `mcp` and `tool_settings` among their fields."""
    return ToolContext(
        run_id=attempt.run_id,
        task=attempt.task,
        key=attempt.key,
        project=attempt.project,
        cwd=attempt.cwd,
        run_dir=attempt.run_dir,
        env=attempt.env,
        secrets=attempt.secrets,
        services=attempt.services,
        publish=attempt.publish,
        control=attempt.control,
        answers=attempt.answers,
        attended=attempt.attended,
        deadline=attempt.deadline,
        mcp=attempt.fields.get("mcp") or {},
        settings=attempt.fields.get("tool_settings") or {},
    )
