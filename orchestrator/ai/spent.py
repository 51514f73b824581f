"""What conversations on record have spent: where the accounts of a resumed run begin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from orchestrator.ai.record import read_session
from orchestrator.core.events import RunStarted, decode_batch
from orchestrator.core.session_state import Call
from orchestrator.ports.journal import Journal, StreamRow

ROWS_MAX: Final = 1_000_000
AGENTS: Final = "/agent/"
_ATTEMPT: Final = re.compile(r"~\d+(?=[.#\[/]|$)")


class Before(NamedTuple):
    cost: int = 0
    """Trillionths, unknown requests at their bound."""
    tokens: int = 0
    turns: int = 0
    seconds: float = 0.0
    """While at least one request was out."""


def spent_before(journal: Journal, streams: str, *, task: str | None = None, timed: bool = False) -> Before:
    """Of one conversation with all below it, or of all below a prefix that ends in `/`; for `RUN/agent/` also of the runs it called.

    With `task` only what was asked for that task, its items and the tasks inside it. `seconds` only if `timed`.
    """
    if task is None and not timed:
        return _from_rows(journal, streams)
    calls = list(_calls(journal, streams, task))
    return Before(
        sum(call.cost_counted for call in calls),
        sum(call.tokens_counted for call in calls),
        len(calls),
        _seconds(calls) if timed else 0.0,
    )


def _from_rows(journal: Journal, streams: str) -> Before:
    """The rows know it: nothing is folded."""
    cost = tokens = turns = 0
    for row in _rows(journal, streams):
        cost += int(row.summary.get("cost_counted", 0))
        tokens += int(row.summary.get("tokens", 0))
        turns += int(row.summary.get("requests", 0))
    for child in _children(journal, streams):
        more = _from_rows(journal, f"{child.stream}{AGENTS}")
        cost, tokens, turns = cost + more.cost, tokens + more.tokens, turns + more.turns
    return Before(cost, tokens, turns)


def _calls(journal: Journal, streams: str, task: str | None) -> Iterator[Call]:
    run = streams.split(AGENTS)[0]
    for row in _rows(journal, streams):
        for call in read_session(journal, row.stream).calls:
            if task is None or is_within(call.key.removeprefix(f"{run}:"), task):
                yield call
    for child in _children(journal, streams):
        if task is None or is_within(_called_by(journal, child.stream), task):
            yield from _calls(journal, f"{child.stream}{AGENTS}", None)


def _rows(journal: Journal, streams: str) -> Iterator[StreamRow]:
    for row in journal.rows(prefix=streams, limit=ROWS_MAX):
        if streams.endswith("/") or row.stream == streams or row.stream.startswith(f"{streams}/"):
            yield row


def _children(journal: Journal, streams: str) -> Iterator[StreamRow]:
    """The runs that this one called, if all of its conversations are meant."""
    if streams.endswith(AGENTS):
        for row in journal.rows(parent=streams.removesuffix(AGENTS), limit=ROWS_MAX):
            if "/" not in row.stream:
                yield row


def runs_called(journal: Journal, run_id: str, task: str, since: float) -> list[StreamRow]:
    """The runs that this very task of a run called since then (epoch seconds)."""
    children = [row for row in _children(journal, f"{run_id}{AGENTS}") if row.started_at >= since]
    return [row for row in children if _called_by(journal, row.stream) == task]


def _called_by(journal: Journal, run_id: str) -> str:
    """The caller's task that a run was started for."""
    for batch in journal.read(run_id):
        try:
            events = decode_batch(batch.payload).events
        except msgspec.DecodeError:
            return ""
        for event in events:
            if isinstance(event, RunStarted):
                return str(event.trigger.get("task", ""))
        return ""
    return ""


def is_within(name: str, task: str) -> bool:
    """Whether an instance's name is the task, an item or round of it, or inside it. A group's attempts are all the same task."""
    name = _ATTEMPT.sub("", name.split("\n")[0])
    return name == task or (name.startswith(task) and name[len(task)] in ".[#/")


def _seconds(calls: list[Call]) -> float:
    """Length of the union of the calls; one that never came back counts nothing: nobody knows how long it went on."""
    total, until = 0.0, 0.0
    for start, end in sorted((call.sent_at, call.ended_at or call.sent_at) for call in calls):
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total
