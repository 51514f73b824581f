"""The two shapes of a kind: one that may wait, and one that is done at once."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.ports.task_kind import Attempt, Outcome


class WaitingKind:
    """Performed by a coroutine; subclasses give `perform`."""

    verb: ClassVar[str]
    immediate: ClassVar[bool] = False

    async def perform(self, attempt: Attempt) -> Outcome:
        raise NotImplementedError

    def perform_now(self, attempt: Attempt) -> Outcome:
        raise AssertionError(f"`{self.verb}` may wait: it has no immediate form")


class ImmediateKind:
    """Done within the call, without a coroutine of its own; subclasses give `perform_now`."""

    verb: ClassVar[str]
    immediate: ClassVar[bool] = True

    async def perform(self, attempt: Attempt) -> Outcome:
        return self.perform_now(attempt)

    def perform_now(self, attempt: Attempt) -> Outcome:
        raise NotImplementedError
