"""`concurrency:`: how many runs of one key go on at once, over all processes of the project.

A run that must wait begins with the hold `concurrency` and lifts it itself when its turn comes: first come, first served. Each key has
`max` places, and a place is a claim like that on a run: two processes cannot hold the same one, and a dead one holds none.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from orchestrator.core.expressions import render_tree
from orchestrator.core.inputs import ClearHold
from orchestrator.engine.inbox import Message, encode
from orchestrator.errors import RunBusyError, WhisperFlowError
from orchestrator.ports.journal import Journal, StreamRow

if TYPE_CHECKING:
    from orchestrator.engine.actor import RunActor

JSON = Any

HOLD: Final = "concurrency"
LOOK_AGAIN_S: Final = 0.25
_GOING: Final = ("running", "waiting", "paused")


class ConcurrencySkippedError(WhisperFlowError):
    """Another run of the same key is going on, and the workflow says to skip then."""

    exit_code = 0


class Queue:
    def __init__(self, journal: Journal, run_id: str, declared: dict[str, JSON], inputs: dict[str, JSON]) -> None:
        self._journal = journal
        self._run_id = run_id
        self.key = str(render_tree(declared.get("key", ""), {"inputs": inputs}.get, now=0.0))
        self._max = int(declared.get("max", 1))
        self._on_conflict = declared.get("on_conflict", "queue")
        self._place = contextlib.ExitStack()

    def _others(self) -> list[StreamRow]:
        """Runs of the key that are going on and have a living driver, oldest first."""
        rows = self._journal.rows(concurrency_key=self.key, status=_GOING)
        rows = [row for row in rows if row.stream != self._run_id and self._journal.holder(row.stream) is not None]
        return list(reversed(rows))

    def _take_place(self) -> bool:
        """Whether one of the key's places is ours now, until `leave`."""
        for place in range(self._max):
            try:
                self._place.enter_context(self._journal.claim(f"concurrency/{self.key}/{place}"))
            except RunBusyError:
                continue
            return True
        return False

    def leave(self) -> None:
        self._place.close()

    def hold(self) -> tuple[str, ...]:
        """The hold to begin with: () if there is room. Raises ConcurrencySkippedError."""
        if self._on_conflict == "allow":
            return ()
        others = self._others()
        if len(others) < self._max and self._take_place():
            return ()
        if self._on_conflict == "skip":
            other = f"run {others[0].stream}" if others else "another run"
            raise ConcurrencySkippedError(f"skipped: {other} of `{self.key}` is going on")
        if self._on_conflict == "replace":
            for row in others[: len(others) - self._max + 1]:
                message = Message(kind="cancel", by=self._run_id, reason="replaced by a newer run")
                self._journal.send(row.stream, f"replaced:{self._run_id}", encode(message))
        return (HOLD,)

    def must_wait(self) -> bool:
        """Whether a run that had let go of its place finds none now."""
        return self._on_conflict != "allow" and not self._take_place()

    async def wait(self, actor: RunActor) -> None:
        """Lift our hold once fewer than `max` runs stand before us."""
        while HOLD in actor.state.holds or actor.state.start is None:
            if actor.state.start is not None:
                started = actor.state.started_at
                before = [row for row in self._others() if (row.started_at, row.stream) < (started, self._run_id)]
                if len(before) < self._max and self._take_place():
                    actor.post(ClearHold(HOLD, "engine"))
                    return
            await asyncio.sleep(LOOK_AGAIN_S)
