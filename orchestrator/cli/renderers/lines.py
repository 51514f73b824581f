"""One change, one line: how each event reads in the history of a terminal and in a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from orchestrator.cli import formats
from orchestrator.cli.renderers.story import DENIED, Story, TaskLine, call_text
from orchestrator.cli.terminal import Screen, cell_width, clean, clean_line, cut

Event = dict[str, Any]

ICONS: Final[dict[str, tuple[str, str]]] = {
    "running": ("●", "cyan"),
    "sleeping": ("◌", "blue"),
    "waiting": ("◌", "dim"),
    "ready": ("◌", "dim"),
    "asked": ("⏸", "yellow"),
    "parked": ("⏸", "yellow"),
    "paused": ("⏸", "yellow"),
    "retrying": ("↻", "yellow"),
    "unknown": ("⚠", "yellow"),
    "succeeded": ("✓", "green"),
    "warned": ("⚠", "yellow"),
    "failed": ("✗", "red"),
    "blocked": ("⊘", "dim"),
    "skipped": ("⊘", "dim"),
    "cancelled": ("⊘", "dim"),
}
"""State is shown by icon, word and colour: none of them alone."""

TAIL_LINES: Final = 10
SUMMARY_MAX: Final = 80
DETAIL_MAX: Final = 160
SUMMARY_MIN: Final = 20
"""Columns that a summary has in any case, even where the line then wraps."""


def icon(screen: Screen, status: str) -> str:
    mark, style = ICONS.get(status, ("·", "dim"))
    return screen.style(mark, style)


class History:
    """Turns events into lines; knows the story so far, which each event has already entered.

    `margin`: columns that somebody else writes before each line.
    """

    def __init__(self, story: Story, screen: Screen, *, verbose: bool = False, margin: int = 0) -> None:
        self.story = story
        self.screen = screen
        self.verbose = verbose
        self.margin = margin
        self._why_cancelled = ""
        """Said once for the run; its tasks were cancelled for the same reason."""
        self._tellers: dict[str, Callable[[Event], list[str]]] = {
            "task_succeeded": self._succeeded,
            "task_failed": self._failed,
            "task_retrying": self._retrying,
            "task_skipped": self._settled_early,
            "task_blocked": self._settled_early,
            "task_cancelled": self._settled_early,
            "task_asked": self._asked,
            "task_answered": self._answered,
            "task_parked": self._waits,
            "task_unknown": self._unknown,
            "task_cut": self._cut,
            "hold_set": self._hold_set,
            "hold_cleared": self._hold_cleared,
            "cancel_requested": self._cancel_requested,
            "stop_requested": self._stop_requested,
            "task_log": self._log,
            "task_tool_ended": self._tool_ended,
        }
        if verbose:
            self._tellers["task_tool"] = self._tool

    def lines(self, event: Event) -> list[str]:
        """What to say about an event; nothing for most that only mark the way."""
        teller = self._tellers.get(event.get("type", ""))
        return teller(event) if teller is not None else []

    def _row(self, line: TaskLine, status: str, *facts: str) -> str:
        """Icon, name, facts; facts that are empty leave no gap."""
        indent = "  " * line.depth
        name = clean_line(line.name)
        told = "  ".join(fact for fact in facts if fact)
        return f"{indent}{icon(self.screen, status)} {name}{'  ' if told else ''}{told}"

    def _succeeded(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        reused = event.get("reused")
        facts = [
            formats.duration(event.get("duration")),
            formats.cost(event.get("cost"), event.get("usage"), self.story.currency),
        ]
        if line.items is not None:
            failed = f", {line.items_failed} failed" if line.items_failed else ""
            facts.append(formats.plural(line.items, "item") + failed)
        if line.round is not None:
            facts.append(formats.plural(line.round, "round"))
        if reused:
            facts = ["from the cache" if reused == "cache" else f"reused from run {formats.short(reused)}"]
        elif event.get("by"):
            facts.append(f"by {clean_line(str(event['by']))}")
        before = cell_width(
            f"{'  ' * line.depth}. {clean_line(line.name)}  {'  '.join(fact for fact in facts if fact)}  "
        )
        room = max(self.screen.width - self.margin - before, SUMMARY_MIN)
        summary = cut(clean_line(str(event.get("summary") or "")), min(room, SUMMARY_MAX))
        return [self._row(line, "succeeded", *facts, self.screen.style(summary, "dim"))]

    def _failed(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        warned = line.status == "warned" or line.forgiven
        word = "failed, forgiven" if warned else self.screen.style("failed", "red")
        tries = line.tries if line.of > 1 else ""
        rows = [self._row(line, "warned" if warned else "failed", word, formats.duration(event.get("duration")), tries)]
        return rows + self._indented(line, failure_lines(self.screen, line.failure, line.tail))

    def _indented(self, line: TaskLine, rows: list[str]) -> list[str]:
        return [f"{'  ' * line.depth}    {row}" for row in rows]

    def _retrying(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        failure = event.get("failure") or {}
        wait = (event.get("retry_at") or 0) - (event.get("at") or 0)
        again = f"again in {formats.duration(wait)}" if wait > 0 else "again now"
        tries = f"attempt {event.get('attempt', 1)} of {event.get('of', 1)} failed"
        return [self._row(line, "retrying", f"{tries}: {clean_line(str(failure.get('message', '')))}", again)]

    def _settled_early(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        why = "" if line.reason and line.reason == self._why_cancelled else self.screen.style(line.reason, "dim")
        return [self._row(line, line.status, line.status, why)]

    def _asked(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        until = event.get("expires_at")
        expires = f"until {formats.instant(until, now=event.get('at'))}" if until else ""
        return [self._row(line, "asked", f"asks: {clean_line(str(event.get('question', '')))}", expires)]

    def _answered(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        said = cut(clean_line(str(event.get("summary") or "")), SUMMARY_MAX)
        by = "nobody answered in time" if event.get("by") == "expiry" else f"answered by {clean_line(str(event['by']))}"
        return [self._row(line, "running", by, self.screen.style(said, "dim"))]

    def _tool(self, event: Event) -> list[str]:
        """With `--verbose`: which tool an agent calls."""
        line = self.story.task(event["task"])
        return [self._row(line, "running", f"tool {cut(line.tool, DETAIL_MAX)}")]

    def _tool_ended(self, event: Event) -> list[str]:
        """What was denied, and what may have changed something; with `--verbose` what failed as well."""
        line = self.story.task(event["task"])
        error = clean_line(str(event.get("error") or ""))
        if error.startswith(DENIED):
            # The rest of the sentence is for the model.
            why = error.removeprefix(DENIED).partition("; ")[0]
            row = self._row(line, "warned", f"{self.screen.style('denied', 'yellow')}: {call_text(event)}")
            return [row, *self._indented(line, [self.screen.style(why, "dim")])]
        if error:
            return [self._row(line, "running", f"tool {call_text(event)}", f"failed: {error}")] if self.verbose else []
        if self.verbose or event.get("effect", "pure") == "pure":
            return []
        return [self._row(line, "running", f"tool {call_text(event)}", formats.duration(event.get("seconds")))]

    def progress(self, event: Event) -> list[str]:
        """What an agent is up to, in a line of its own; a frame shows it beside the task instead."""
        line = self.story.task(event["task"])
        return [self._row(line, "running", cut(line.detail, DETAIL_MAX))] if line.detail else []

    def _waits(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        return [self._row(line, "parked", f"waits: {line.reason}")]

    def _unknown(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        return [self._row(line, "unknown", f"unknown: {line.reason}")]

    def _cut(self, event: Event) -> list[str]:
        line = self.story.tasks[event["task"]]
        return [self._row(line, "retrying", f"was cut off: {clean_line(str(event.get('reason', '')))}")]

    def _hold_set(self, event: Event) -> list[str]:
        reason = clean_line(str(event.get("reason") or ""))
        by = clean_line(str(event.get("by") or ""))
        told = f"hold `{clean_line(str(event.get('name', '')))}`{f' by {by}' if by else ''}{f': {reason}' if reason else ''}"
        return [f"{icon(self.screen, 'paused')} {told}; nothing new starts"]

    def _hold_cleared(self, event: Event) -> list[str]:
        return [f"{icon(self.screen, 'running')} hold `{clean_line(str(event.get('name', '')))}` cleared"]

    def _cancel_requested(self, event: Event) -> list[str]:
        reason = clean_line(str(event.get("reason") or ""))
        by = clean_line(str(event.get("by") or ""))
        self._why_cancelled = reason
        return [
            f"{icon(self.screen, 'cancelled')} cancelled{f' by {by}' if by else ''}{f': {reason}' if reason else ''}"
        ]

    def _stop_requested(self, event: Event) -> list[str]:
        until = (event.get("until") or 0) - (event.get("at") or 0)
        grace = f"; what runs gets {formats.duration(until).replace('.0s', 's')}" if until > 0 else ""
        return [f"{icon(self.screen, 'paused')} stopping: nothing new starts{grace}"]

    def _log(self, event: Event) -> list[str]:
        """With `--verbose`: what commands write, as whole lines."""
        if not self.verbose:
            return []
        name = clean_line(str(event.get("task", "")))
        rows = clean(event.get("text", "")).rstrip("\n").split("\n")
        return [f"{self.screen.style(name + ' │', 'dim')} {row}" for row in rows]


def failure_lines(screen: Screen, failure: dict[str, Any] | None, tail: list[str]) -> list[str]:
    """The last lines of what failed, then the cause, then what helps."""
    rows = [f"{screen.style('│', 'dim')} {clean(row).rstrip()}" for row in tail[-TAIL_LINES:]]
    if failure:
        message = clean(str(failure.get("message", ""))).strip().splitlines() or [""]
        word = str(failure.get("type", "error"))
        # `exit code 7` says its type itself.
        told = message[0][len(word) :] if message[0].startswith(f"{word} ") else f": {message[0]}"
        rows.append(f"{screen.style(word, 'red')}{told}")
        rows += [f"  {row}" for row in message[1:12]]
        if failure.get("help"):
            rows.append(f"{screen.style('help', 'cyan')}: {clean_line(str(failure['help']))}")
    return rows
