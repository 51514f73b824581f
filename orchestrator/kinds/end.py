"""`end:` ends the run; what still runs is cancelled. Fields: `{status, message}`."""

from __future__ import annotations

from orchestrator.kinds._kind import ImmediateKind
from orchestrator.kinds._words import word_of
from orchestrator.ports.task_kind import Attempt, Ending


class EndKind(ImmediateKind):
    verb = "end"

    def perform_now(self, attempt: Attempt) -> Ending:
        message = attempt.fields.get("message")
        return Ending(status=attempt.fields["status"], message=None if message is None else word_of(message))


KIND = EndKind()
