"""A request that the tape has no answer for: what is said of it, and the recording that comes nearest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.ai.tapes.compare import changes, likeness, unified
from orchestrator.ai.tapes.format import Entry
from orchestrator.errors import REPLAY_MISS as MISS
from orchestrator.ports.chat_model import ChatModelError

JSON = Any

_COMPARED_MAX: Final = 200
_SAID_MAX: Final = 3


class ReplayMissError(ChatModelError):
    """The tape has no answer. Nobody is asked instead: another try would miss again."""

    def __init__(self, message: str, diff: list[str], help: str) -> None:
        super().__init__("denied", message, retryable=False, charged=False, help=help)
        self.diff = diff
        """Unified diff from the nearest recording to what was asked now; empty if nothing is near."""


@dataclass(slots=True)
class Asked:
    """What was asked, as an entry would say it."""

    who: dict[str, JSON]
    key: str
    request: dict[str, JSON]
    kind: str = "model"

    @property
    def said(self) -> str:
        task = f"task `{self.who['task']}`" if self.who.get("task") else "no task"
        called = f" of `{self.who['run']}`" if self.who.get("run") else ""
        if self.kind == "tool":
            return f"tool `{self.request.get('tool')}` in {task}{called}"
        if self.kind == "tools":
            return f"the tools of agent `{self.who.get('agent', '')}` in {task}{called}"
        return f"request {self.who.get('number', '?')} of agent `{self.who.get('agent', '')}` in {task}{called}"


def miss(tape: str, asked: Asked, entries: Iterable[Entry], used: set[int]) -> ReplayMissError:
    """The error that ends the run, with the nearest recording and what is different in it."""
    same_kind = [entry for entry in entries if entry.kind == asked.kind]
    record = f"record it anew: `whisper-flow run FILE --record {tape} --force`"
    if again := _played_out(asked, same_kind, used):
        message = f"{MISS}: {asked.said} asks what {tape} answers {_times(len(again))}, and that is used up"
        return ReplayMissError(message, [], record)
    near = nearest(asked, same_kind, used)
    if near is None:
        return ReplayMissError(f"{MISS}: {tape} has nothing for {asked.said}", [], record)
    found = changes(near.request, asked.request)
    told = "; ".join(found[:_SAID_MAX]) + (f"; and {len(found) - _SAID_MAX} more" if len(found) > _SAID_MAX else "")
    elsewhere = "" if _same_place(asked, near) else f" (of agent `{near.lane[2]}` in task `{near.lane[1]}`)"
    message = f"{MISS}: {tape} has no answer to {asked.said}; the nearest is entry {near.number}{elsewhere}: " + (
        told or "the same request, but asked elsewhere"
    )
    diff = unified(near.request, asked.request, before=f"{tape} entry {near.number}", after="asked now")
    return ReplayMissError(message, diff, record)


def nearest(asked: Asked, entries: list[Entry], used: set[int]) -> Entry | None:
    """The most alike, first among those of the same task and agent, unused ones before used ones."""
    ranks = [
        [entry for entry in entries if _same_place(asked, entry) and entry.number not in used],
        [entry for entry in entries if _same_place(asked, entry)],
        [entry for entry in entries if entry.lane[2] == asked.who.get("agent", "")],
        entries,
    ]
    for rank in ranks:
        if rank:
            return max(rank[:_COMPARED_MAX], key=lambda entry: likeness(entry.request, asked.request))
    return None


def _same_place(asked: Asked, entry: Entry) -> bool:
    who = asked.who
    return entry.lane == (str(who.get("run", "")), str(who.get("task", "")), str(who.get("agent", "")), asked.kind)


def _played_out(asked: Asked, entries: list[Entry], used: set[int]) -> list[Entry]:
    same = [entry for entry in entries if entry.key == asked.key and _same_place(asked, entry) and entry.playable]
    return same if all(entry.number in used for entry in same) else []


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"
