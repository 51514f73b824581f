"""What the tools of an attempt may know and reach, and what it means to the engine that a tool needs a person."""

from __future__ import annotations

from orchestrator.ports.task_kind import Asking, Attempt
from orchestrator.ports.tool import Question, ToolContext


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
        budgets=attempt.fields.get("budgets") or (),
        workers=attempt.fields.get("workers") or {},
        mcp=attempt.fields.get("mcp") or {},
        settings=attempt.fields.get("tool_settings") or {},
    )


def asking(question: Question, now: float) -> Asking:
    """The attempt parks on this question; it is performed again with the answer under the question's key. `now` in epoch seconds."""
    return Asking(
        question=question.question,
        schema=question.schema,
        show=question.show,
        to=list(question.to),
        expires_at=None if question.expires is None else now + question.expires,
        on_expired="fail" if question.on_expired is None else question.on_expired,
        resumes=question.key,
    )
