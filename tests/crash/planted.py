"""What a life in the nursery is given to carry: the commit at which it dies, and a bug that the harness must find.

`CRASH_AT_COMMIT` is `12 before` (the twelfth append is never written) or `12 after` (it is durable, and nothing came of it yet).
`CRASH_BUG` names one of BUGS.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, Final

import msgspec


def prepare() -> None:
    if moment := os.environ.get("CRASH_AT_COMMIT"):
        number, when = moment.split()
        _die_at_commit(int(number), when)
    if bug := os.environ.get("CRASH_BUG"):
        BUGS[bug](setattr)


def _die_at_commit(number: int, when: str) -> None:
    from orchestrator.stores.sqlite import SqliteJournal

    honest = SqliteJournal.append
    count = 0

    def append(self: SqliteJournal, batch: Any, done: Callable[[BaseException | None], None]) -> None:
        nonlocal count
        count += 1
        if count != number:
            honest(self, batch, done)
        elif when == "before":
            _die()
        else:
            honest(self, batch, lambda error: _die())

    SqliteJournal.append = append  # type: ignore[method-assign]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# Bugs

Patch = Callable[[Any, str, Any], None]
"""Takes an object, the name of its attribute, and another value: `setattr`, or a test's own that takes it back."""


def _sent_before_it_is_durable(patch: Patch) -> None:
    from orchestrator.ai.record import SessionRecord

    honest = SessionRecord.commit

    async def commit(self: SessionRecord) -> None:
        exchange = self.session.exchange
        if exchange is None or exchange.phase != "calling":
            await honest(self)

    patch(SessionRecord, "commit", commit)


def _asked_afresh_on_resume(patch: Patch) -> None:
    from orchestrator.core import session_decide

    honest = session_decide._asked

    def asked(session: Any, given: Any, now: float) -> Any:
        return [
            msgspec.structs.replace(event, from_prompt=True) if type(event).__name__ == "ExchangeResumed" else event
            for event in honest(session, given, now)
        ]

    patch(session_decide, "_asked", asked)


def _lost_calls_are_refunded(patch: Patch) -> None:
    from orchestrator.core.session_state import Call

    def refunded(honest: property) -> property:
        assert honest.fget is not None
        counted = honest.fget
        return property(lambda call: 0 if call.status in ("unknown", "in flight") else counted(call))

    patch(Call, "tokens_counted", refunded(Call.tokens_counted))  # type: ignore[arg-type]
    patch(Call, "cost_counted", refunded(Call.cost_counted))  # type: ignore[arg-type]


def _begins_are_not_recorded(patch: Patch) -> None:
    from orchestrator.ai import drive
    from orchestrator.core.session_events import ToolBegins

    honest = drive.Drive._tell

    def tell(self: drive.Drive, given: Any) -> None:
        if not isinstance(given, ToolBegins):
            honest(self, given)

    patch(drive.Drive, "_tell", tell)


def _tools_run_before_the_answer_is_durable(patch: Patch) -> None:
    from orchestrator.ai.record import SessionRecord

    honest = SessionRecord.commit

    async def commit(self: SessionRecord) -> None:
        exchange = self.session.exchange
        if exchange is None or exchange.phase != "using_tools":
            await honest(self)

    patch(SessionRecord, "commit", commit)


def _lost_calls_are_repeated_for_ever(patch: Patch) -> None:
    from orchestrator.core import session_decide

    patch(session_decide, "LOST_MAX", 99)


BUGS: Final[dict[str, Callable[[Patch], None]]] = {
    "a request is sent before its record is durable": _sent_before_it_is_durable,
    "recorded answers are asked for again on resume": _asked_afresh_on_resume,
    "a lost call is refunded": _lost_calls_are_refunded,
    "that a tool began is not recorded": _begins_are_not_recorded,
    "tools run before the answer that asked for them is durable": _tools_run_before_the_answer_is_durable,
    "lost calls are repeated for ever": _lost_calls_are_repeated_for_ever,
}
