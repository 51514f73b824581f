"""`wait:` for a duration. Fields: `{for: seconds, or a text that says a duration}`; it holds no process meanwhile."""

from __future__ import annotations

from orchestrator.errors import TaskError
from orchestrator.kinds._kind import ImmediateKind
from orchestrator.kinds._words import seconds_of
from orchestrator.ports.task_kind import Attempt, Sleeping


class WaitKind(ImmediateKind):
    verb = "wait"

    def perform_now(self, attempt: Attempt) -> Sleeping:
        if "for" not in attempt.fields:
            # The compiler refuses such runs before they start; a plan of a newer version may still come by.
            raise TaskError("internal", "this version can only wait for a duration, not for something to happen")
        seconds = seconds_of(attempt.fields["for"], "wait")
        return Sleeping(until=attempt.now + seconds, value={"kind": "for", "seconds": seconds})


KIND = WaitKind()
