"""Looking after tapes: is one sound, are there secrets on it, what of it is no longer needed, how do two differ."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.ai.tapes.canonical import key_of
from orchestrator.ai.tapes.compare import changes
from orchestrator.ai.tapes.format import Entry, TapeError, TapeFile, encode_line, without
from orchestrator.ai.tapes.secrets import SECRET_LIKE
from orchestrator.ai.tapes.stream import SafeStream, error_of, events_of
from orchestrator.core.plan import Plan
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import Finished, TextDelta, ToolCallDelta

JSON = Any

_ITEM: Final = re.compile(r"\[[^\]]*\]|#\d+")
_SHOWN: Final = 6
"""So many characters of what looks like a secret are said, to find it by."""


@dataclass(slots=True, frozen=True)
class Finding:
    entry: int
    """0: the tape as a whole."""
    message: str


# Sound?


def verify(tape: TapeFile, redactor: Redactor) -> list[Finding]:
    """Everything wrong with a tape, in its order: torn lines, keys, answers, secrets. `redactor` knows the keys in reach."""
    found = [Finding(0, "its last line is not whole: the recording was cut off")] if tape.torn else []
    for entry in tape.entries:
        found += [Finding(entry.number, message) for message in _flaws(entry)]
        found += [Finding(entry.number, message) for message in _secrets(entry, redactor)]
    found += [Finding(0, f"the header holds {said}") for said in _secret_like(tape.header.line().decode())]
    return found


def _flaws(entry: Entry) -> list[str]:
    found = []
    if key_of(entry.request) != entry.key:
        found.append("its key is not that of its request: one of them was edited (`tape redact` makes new keys)")
    if entry.end not in ("answered", "failed", "cut"):
        found.append(f"its `end` is {entry.end!r}, not answered, failed or cut")
    if entry.kind == "model":
        found += _answer_flaws(entry)
    elif entry.kind not in ("tool", "tools"):
        found.append(f"`entry` is {entry.kind!r}, not model, tool or tools")
    return found


def _answer_flaws(entry: Entry) -> list[str]:
    try:
        events = [event for _, event in events_of(entry.data["events"])]
        if isinstance(error := entry.data.get("error"), dict):
            error_of(error)
    except (TapeError, KeyError) as error:
        return [f"its answer cannot be played: {error}"]
    finished = any(isinstance(event, Finished) for event in events)
    return ["it is `answered`, but its answer has no end"] if entry.end == "answered" and not finished else []


def _secrets(entry: Entry, redactor: Redactor) -> list[str]:
    line = encode_line(entry.data)
    whole = _whole_answer(entry)
    found = [f"it holds {said}" for said in dict.fromkeys(_secret_like(line.decode()) + _secret_like(whole.decode()))]
    if redactor.bytes(line) != line or redactor.bytes(whole) != whole:
        found.append("it holds a key of this environment")
    return found


def _whole_answer(entry: Entry) -> bytes:
    """Its pieces joined: a secret may be spread over them. Nothing where they cannot be read, which is said elsewhere."""
    try:
        return json.dumps([answer_text(entry), tool_calls(entry)]).encode()
    except TapeError:
        return b""


def _secret_like(text: str) -> list[str]:
    return [f"what looks like a secret ({found[0][:_SHOWN]}…)" for found in SECRET_LIKE.finditer(text)]


# Without secrets


def redact(tape: TapeFile, redactor: Redactor) -> tuple[TapeFile, set[int]]:
    """The tape with every form of the secrets replaced and new keys, and the numbers of the entries that changed."""
    entries, changed = [], set()
    for entry in tape.entries:
        data = _redacted(entry, redactor)
        data["key"] = key_of(data["request"])
        entries.append(Entry(entry.number, data))
        if data != entry.data:
            changed.add(entry.number)
    header = tape.header
    header.more = redactor.value(header.more)
    return TapeFile(header, entries), changed


def _redacted(entry: Entry, redactor: Redactor) -> dict[str, JSON]:
    data: dict[str, JSON] = dict(redactor.value(entry.data))
    if entry.kind == "model":
        # A secret may be spread over several events: they are read as the streams they are.
        safe = SafeStream(redactor)
        for ms, event in events_of(entry.data["events"]):
            safe.take(event, ms)
        data["events"] = safe.rows()
    return data


# Without what nobody needs


def stale(tape: TapeFile, plan: Plan) -> set[int]:
    """Numbers of the entries whose task or agent the workflow has not any more. Called workflows are not looked into."""
    ids = {node.id for scope in plan.scopes for node in scope.nodes}
    return {
        entry.number
        for entry in tape.entries
        if not entry.lane[0]
        and (not _names(entry.lane[1]) <= ids or (entry.kind == "model" and entry.lane[2] not in plan.agents))
    }


def _names(task: str) -> set[str]:
    """The ids in an instance's name: `build[a].rounds#2.code` has three."""
    return set(filter(None, _ITEM.sub("", task).split(".")))


def pruned(tape: TapeFile, left_out: Iterable[int]) -> TapeFile:
    """The tape without those entries, and without the cut ones: those are never played."""
    cut = {entry.number for entry in tape.entries if entry.end == "cut"}
    return TapeFile(tape.header, without(tape.entries, {*left_out, *cut}))


# Two of them


@dataclass(slots=True, frozen=True)
class Difference:
    where: str
    before: int | None
    """Entry of the first tape; None: only the second has it."""
    after: int | None
    changes: tuple[str, ...]


def differences(one: TapeFile, other: TapeFile) -> list[Difference]:
    """What the second tape answers differently. Entries are matched by task and agent, in their order there: tapes of one
    workflow interleave its tasks differently each time."""
    found: list[Difference] = []
    before, after = _by_lane(one), _by_lane(other)
    for lane in dict.fromkeys([*before, *after]):
        olds, news = before.get(lane, []), after.get(lane, [])
        where = (olds or news)[0].said
        for at in range(max(len(olds), len(news))):
            old = olds[at] if at < len(olds) else None
            new = news[at] if at < len(news) else None
            if said := _entry_changes(old, new):
                found.append(Difference(where, old.number if old else None, new.number if new else None, tuple(said)))
    return found


def _by_lane(tape: TapeFile) -> dict[tuple[str, ...], list[Entry]]:
    lanes: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in tape.entries:
        lanes[entry.lane].append(entry)
    return lanes


def _entry_changes(old: Entry | None, new: Entry | None) -> list[str]:
    if old is None or new is None:
        return ["is new"] if old is None else ["is gone"]
    found = changes(old.request, new.request) if old.key != new.key else []
    if old.end != new.end:
        found.append(f"was {old.end}, is {new.end}")
    if answer_text(old) != answer_text(new) or tool_calls(old) != tool_calls(new):
        found.append("the answer differs")
    for name in ("usage", "error", "tools"):
        if old.data.get(name) != new.data.get(name):
            found.append(f"`{name}` differs")
    return found


# What an answer says


def answer_text(entry: Entry) -> str:
    """All text of a model's answer; of a tool's, its result."""
    if entry.kind == "tools":
        return ", ".join(str(said.get("tool")) for said in entry.data.get("tools") or ())
    if entry.kind == "tool":
        result = entry.data.get("result", "")
        return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return "".join(event.text for _, event in events_of(entry.data["events"]) if isinstance(event, TextDelta))


def tool_calls(entry: Entry) -> list[tuple[str, str]]:
    """(name, arguments) of the tools a model asked for."""
    if entry.kind != "model":
        return []
    calls: dict[int, list[str]] = {}
    for _, event in events_of(entry.data["events"]):
        if isinstance(event, ToolCallDelta):
            call = calls.setdefault(event.index, ["", ""])
            call[0] = call[0] or event.name
            call[1] += event.arguments
    return [(name, arguments) for name, arguments in calls.values()]
