"""`set:` gives a name to a value. Fields: `{value}`."""

from __future__ import annotations

from orchestrator.kinds._kind import ImmediateKind
from orchestrator.ports.task_kind import Attempt, Succeeded


class SetKind(ImmediateKind):
    verb = "set"

    def perform_now(self, attempt: Attempt) -> Succeeded:
        return Succeeded(value=attempt.fields["value"])


KIND = SetKind()
