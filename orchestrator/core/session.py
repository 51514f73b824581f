"""A conversation as a state machine: decide, evolve, wanted, next_wake over plain values.

An exchange is one prompt and all that follows until its answer. Its life:

    preparing    wants leave and budget for the next request
    calling      a request is out
    deciding     a request came back; never at rest, the same batch goes on from here
    backing_off  waits until it may try again
    using_tools  the answer asked for tools; each runs, or waits for a person
    ended        answered; for ever
    failed       gave up; asked again, it goes on
    stopped      somebody ended it; asked again, it goes on

Midway it may move to another model (`ModelSwitched`) or agent (`HandedOff`), and what the model is sent may become less than
what was said (`ContextTrimmed`, `SummaryPlanned`). `session_decide` says what follows from an input, `session_evolve` what an
event changes.
"""

from __future__ import annotations

from orchestrator.core.session_decide import LOST_MAX, PATIENCE_S, decide, next_model
from orchestrator.core.session_events import CallModel, CallTool, Effect, PrepareRequest
from orchestrator.core.session_evolve import PHASE_TABLE, evolve
from orchestrator.core.session_state import Session

__all__ = ["LOST_MAX", "PATIENCE_S", "PHASE_TABLE", "decide", "evolve", "next_model", "next_wake", "wanted"]


def wanted(session: Session) -> list[Effect]:
    """What should be in progress now."""
    exchange = session.exchange
    if exchange is None:
        return []
    match exchange.phase:
        case "preparing":
            return [PrepareRequest(exchange.turn)]
        case "calling":
            return [CallModel(session.calls[-1].number)]
        case "using_tools":
            return [CallTool(call.id) for call in exchange.pending]
    return []


def next_wake(session: Session) -> float | None:
    """The instant at which TimePassed matters; None if never."""
    exchange = session.exchange
    return exchange.wake_at if exchange is not None else None
