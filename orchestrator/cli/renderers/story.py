"""What the event stream has told so far: the state that the live and the plain renderer draw from.

`Story.apply` takes every event of a run, in order; it keeps little: one `TaskLine` a task, its last lines, the sums.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.cli import formats
from orchestrator.cli.terminal import clean, clean_line, cut

Event = dict[str, Any]

OPEN: Final = frozenset({"running", "sleeping", "asked", "parked"})
SETTLED: Final = frozenset({"succeeded", "warned", "failed", "blocked", "skipped", "cancelled"})
CALL_MAX: Final = 80
"""Characters of a call's arguments that are shown."""
DENIED: Final = "denied: "
"""How what a model is told of a call begins that was not let through."""
PARTIAL_MAX: Final = 4000
"""Characters of an unfinished line that are kept; a model that never breaks a line is shown by its end."""


@dataclass(slots=True)
class TaskLine:
    name: str
    order: int
    depth: int = 0
    """How many tasks, items and rounds are around it."""
    verb: str = ""
    status: str = "waiting"
    attempt: int = 1
    of: int = 1
    detail: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    cost: float | None = None
    tokens: int = 0
    items: int | None = None
    """Of a `foreach`: how many there are, and how many have settled."""
    items_settled: int = 0
    items_failed: int = 0
    round: int | None = None
    tool: str = ""
    tool_at: float | None = None
    denied: int = 0
    """Tool calls that its agents were not allowed to make."""
    until: float | None = None
    waits_for: str = ""
    """What it waits for before it really begins, though it counts as running."""
    reason: str = ""
    question: Event | None = None
    answered: bool = False
    goes_on: bool = False
    """Its last start only went on with what it had asked about."""
    failure: dict[str, Any] | None = None
    forgiven: bool = False
    tail: list[str] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=2))
    """The last whole lines that a model or command wrote."""
    partial: str = ""
    written: int = 0
    """Characters that came since its last start or tool call."""
    inner: dict[str, str] = field(default_factory=dict)
    """Unfinished lines of the agents that its agent asked, by their names."""

    @property
    def top(self) -> bool:
        """A task of the run itself, not an inner one."""
        return self.depth == 0

    @property
    def duration(self) -> float | None:
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at

    @property
    def tries(self) -> str:
        """`attempt 2 of 4`; where an attempt was cut off by a crash, there may be more than were granted."""
        return f"attempt {self.attempt} of {self.of}" if self.attempt <= self.of else f"attempt {self.attempt}"

    def wrote(self, text: str, who: str = "") -> None:
        """Keep the last whole lines of a text that comes in pieces; `who` writes it, if not the task's own agent."""
        self.written += len(text)
        if who:
            *whole, rest = (self.inner.get(who, "") + text).split("\n")
            self.lines.extend(f"{who}: {clean(line).rstrip()}" for line in whole if line.strip())
            self.inner[who] = rest[-PARTIAL_MAX:]
            return
        *whole, rest = (self.partial + text).split("\n")
        self.lines.extend(clean(line).rstrip() for line in whole if line.strip())
        self.partial = rest[-PARTIAL_MAX:]


def segments(name: str) -> list[str]:
    """`build[a.b].rounds#2.code` → `build[a.b]`, `rounds#2`, `code`: dots inside an item's key do not count."""
    if "[" not in name:
        return name.split(".")
    found, depth, start = [], 0, 0
    for position, c in enumerate(name):
        depth += (c == "[") - (c == "]")
        if c == "." and depth == 0:
            found.append(name[start:position])
            start = position + 1
    return [*found, name[start:]]


def outer(name: str) -> str:
    """The task around an inner one: `a.b[k]#2.c` → `a.b[k]#2` → `a.b[k]` → `a.b` → `a` → empty."""
    parts = segments(name)
    last = parts[-1]
    if "#" in last and last.rpartition("#")[2].isdigit():
        return ".".join([*parts[:-1], last.rpartition("#")[0]])
    if last.endswith("]") and "[" in last:
        return ".".join([*parts[:-1], last[: last.index("[")]])
    return ".".join(parts[:-1])


def depth_of(name: str) -> int:
    """0 for a task of the run itself."""
    depth = 0
    while name := outer(name):
        depth += 1
    return depth


class Story:
    def __init__(self) -> None:
        self.run_id = ""
        self.workflow = ""
        self.title = ""
        self.synthetic = False
        """Small programs may answer in it; with `live`, real models as well."""
        self.live = False
        self.resumed = False
        self.rerun_of = ""
        """The run whose results this one may take over."""
        self.started_at: float | None = None
        self.first_at: float | None = None
        """When what we saw of it began: a resumed run started earlier."""
        self.last_at: float = 0.0
        self.last_seq = 0
        self.status = "running"
        self.reason = ""
        self.holds: dict[str, str] = {}
        self.tasks: dict[str, TaskLine] = {}
        self.open: dict[str, TaskLine] = {}
        self.cost: float | None = None
        self.currency = "USD"
        self.unpriced = 0
        """Requests that may have been paid, and nobody knows how much."""
        self.tokens = 0
        self.ended: Event | None = None

    def apply(self, event: Event) -> None:
        """Take in one event. Unknown types are kept out of the way: a newer engine may say more than we show."""
        at = event.get("at")
        if isinstance(at, int | float):
            self.first_at = at if self.first_at is None else self.first_at
            self.last_at = max(self.last_at, at)
        if isinstance(event.get("seq"), int):
            self.last_seq = max(self.last_seq, event["seq"])
        method = getattr(self, f"_on_{event.get('type')}", None)
        if method is not None:
            method(event)

    def task(self, name: str) -> TaskLine:
        line = self.tasks.get(name)
        if line is None:
            line = self.tasks[name] = TaskLine(name, len(self.tasks), depth_of(name))
        return line

    def counts(self) -> dict[str, int]:
        """How many tasks of the run itself (not inner ones) have each status."""
        found: dict[str, int] = {}
        for line in self.tasks.values():
            if line.top and line.status in SETTLED:
                found[line.status] = found.get(line.status, 0) + 1
        return found

    # One method for each event type.

    def _on_run_started(self, event: Event) -> None:
        self.run_id = event.get("run_id", "")
        self.workflow = event.get("workflow", "")
        self.title = event.get("name") or self.workflow
        self.synthetic, self.live = bool(event.get("synthetic")), bool(event.get("live"))
        self.resumed = bool(event.get("resumed"))
        self.currency = event.get("currency") or self.currency
        trigger = event.get("trigger") or {}
        self.rerun_of = str(trigger.get("of", "")) if trigger.get("kind") == "rerun" else ""
        if self.resumed:
            # The clock that people see counts from when somebody drives it again.
            self.first_at = event.get("at", self.first_at)
        self.started_at = event.get("at") if self.started_at is None else self.started_at
        self.status, self.ended = "running", None

    def _on_task_started(self, event: Event) -> None:
        line = self._goes_on(event, "running")
        line.goes_on, line.answered, line.waits_for = line.answered, False, ""
        line.attempt = event.get("attempt", 1)
        line.of = event.get("of", 1)
        line.detail = clean_line(str(event.get("detail") or ""))
        line.partial, line.tool, line.question, line.written = "", "", None, 0
        line.lines.clear()
        line.inner.clear()

    def _on_task_opened(self, event: Event) -> None:
        line = self._goes_on(event, "running")
        line.items = event.get("count", line.items)
        if line.verb == "loop":
            line.round = event.get("index")

    def _goes_on(self, event: Event, status: str) -> TaskLine:
        line = self.task(event["task"])
        line.status = status
        line.verb = event.get("verb", line.verb)
        if line.started_at is None:
            line.started_at = event.get("at")
        line.until = None
        self.open[line.name] = line
        return line

    def _on_task_log(self, event: Event) -> None:
        self.task(event["task"]).wrote(event.get("text", ""))

    def _on_task_chunk(self, event: Event) -> None:
        line = self.task(event["task"])
        line.tool = ""
        line.wrote(event.get("text", ""), inner_agent(event))

    def _on_task_tool(self, event: Event) -> None:
        line = self.task(event["task"])
        line.tool, line.written = call_text(event), 0
        line.tool_at = event.get("at")

    def _on_task_tool_ended(self, event: Event) -> None:
        line = self.task(event["task"])
        if line.tool == call_text(event):
            line.tool = ""
        line.denied += event.get("error", "").startswith(DENIED)

    def _on_task_waits(self, event: Event) -> None:
        self.task(event["task"]).waits_for = clean_line(str(event.get("for") or ""))

    def _on_task_progress(self, event: Event) -> None:
        text = event.get("text") or event.get("message")
        if isinstance(text, str):
            self.task(event["task"]).detail = clean_line(" ".join([*said_by(event), text]))

    def _settle(self, event: Event, status: str) -> TaskLine:
        line = self.task(event["task"])
        line.status = status
        line.ended_at = event.get("at")
        line.reason = clean_line(str(event.get("reason") or ""))
        self.open.pop(line.name, None)
        if line.name.endswith("]") and (whole := self.tasks.get(outer(line.name))) is not None:
            whole.items_settled += 1
            whole.items_failed += status == "failed"
        return line

    def _on_task_succeeded(self, event: Event) -> None:
        line = self._settle(event, "succeeded")
        line.cost = event.get("cost")
        line.tokens = formats.tokens(event.get("usage"))
        if line.verb not in ("group", "each", "loop") and not event.get("reused"):
            self.tokens += line.tokens
            self.unpriced += (event.get("usage") or {}).get("unpriced", 0)
            if line.cost is not None:
                self.cost = (self.cost or 0.0) + line.cost

    def _on_task_failed(self, event: Event) -> None:
        line = self._settle(event, event.get("status") or "failed")
        line.failure = event.get("failure")
        line.forgiven = bool(event.get("forgiven"))
        tail = event.get("tail") or []
        line.tail = tail.splitlines() if isinstance(tail, str) else list(tail)

    def _on_task_skipped(self, event: Event) -> None:
        self._settle(event, "skipped")

    def _on_task_blocked(self, event: Event) -> None:
        self._settle(event, "blocked")

    def _on_task_cancelled(self, event: Event) -> None:
        self._settle(event, "cancelled")

    def _on_task_retrying(self, event: Event) -> None:
        line = self._goes_on(event, "sleeping")
        line.until = event.get("retry_at")
        line.attempt = event.get("attempt", line.attempt)
        line.of = event.get("of", line.of)
        line.failure = event.get("failure")

    def _on_task_sleeping(self, event: Event) -> None:
        self._goes_on(event, "sleeping").until = event.get("until")

    def _on_task_asked(self, event: Event) -> None:
        self._goes_on(event, "asked").question = event

    def _on_task_answered(self, event: Event) -> None:
        line = self._goes_on(event, "running")
        line.question, line.answered = None, True

    def _on_task_parked(self, event: Event) -> None:
        self._goes_on(event, "parked").reason = clean_line(str(event.get("reason") or ""))

    def _on_task_unknown(self, event: Event) -> None:
        self._goes_on(event, "parked").reason = clean_line(
            str(event.get("reason") or "may or may not have taken effect")
        )
        self.tasks[event["task"]].status = "unknown"

    def _on_items_opened(self, event: Event) -> None:
        line = self._goes_on({"verb": "each", **event}, "running")
        line.items, line.items_settled, line.items_failed = event.get("count"), 0, 0

    def _on_round_judged(self, event: Event) -> None:
        self.task(event["task"]).round = event.get("round")

    def _on_task_cut(self, event: Event) -> None:
        self.task(event["task"]).status = "ready"
        self.open.pop(event["task"], None)

    def _on_hold_set(self, event: Event) -> None:
        self.holds[event.get("name", "")] = clean_line(str(event.get("reason") or ""))

    def _on_hold_cleared(self, event: Event) -> None:
        self.holds.pop(event.get("name", ""), None)

    def _on_run_status(self, event: Event) -> None:
        self.status = event.get("status", self.status)
        self.reason = clean_line(str(event.get("reason") or ""))

    def _on_run_ended(self, event: Event) -> None:
        self.ended = event
        self.status = event.get("status", "failed")
        if event.get("cost") is not None:
            self.cost = event["cost"]
        self.tokens = max(self.tokens, formats.tokens(event.get("usage")))
        self.unpriced = max(self.unpriced, (event.get("usage") or {}).get("unpriced", 0))
        self.open.clear()


def inner_agent(event: Event) -> str:
    """The agent that says it, if the task's own agent asked another; else empty."""
    return clean_line(str(event.get("agent") or "")) if event.get("depth") else ""


def said_by(event: Event) -> list[str]:
    who = inner_agent(event)
    return [f"{who}:"] if who else []


def call_text(event: Event) -> str:
    """The call that a `task_tool` or `task_tool_ended` speaks of, on one line."""
    return " ".join([*said_by(event), tool_text(event.get("tool") or event.get("name", ""), event.get("arguments"))])


def tool_text(name: str, arguments: Any) -> str:
    """`web.search "q3 results"`, `files.write path: a.md, content: …`: a tool call on one line."""
    if isinstance(arguments, dict) and len(arguments) == 1:
        arguments = next(iter(arguments.values()))
        arguments = f'"{arguments}"' if isinstance(arguments, str) else arguments
    elif isinstance(arguments, dict):
        arguments = ", ".join(f"{key}: {formats.value_text(value)}" for key, value in arguments.items())
    shown = "" if arguments in (None, "", []) else cut(clean_line(formats.value_text(arguments)), CALL_MAX)
    return f"{clean_line(name)} {shown}".strip()
