"""The last block: on failure the cause first; then the outcome, what it cost, what it made, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.cli import formats
from orchestrator.cli.renderers.header import who_answers
from orchestrator.cli.renderers.lines import failure_lines, icon
from orchestrator.cli.renderers.story import Story, TaskLine
from orchestrator.cli.terminal import Screen, clean, clean_line, cut

FAILURES_MAX = 3
FILES_MAX = 5
NAMED_MAX = 3


@dataclass(slots=True, kw_only=True)
class Ending:
    """What the driver of a run knows at its end beyond the story that the events told."""

    status: str
    """The run's status; `interrupted` if we stopped driving it."""
    run_id: str
    next_commands: list[tuple[str, str]] = field(default_factory=list)
    """(command, what it does)."""
    artifacts: list[tuple[str, int]] = field(default_factory=list)
    """(path, size in bytes)."""
    cost_max: str = ""
    message: str = ""
    notes: list[str] = field(default_factory=list)


_OUTCOME = {
    "succeeded": ("succeeded", "green"),
    "warned": ("succeeded with warnings", "yellow"),
    "failed": ("failed", "red"),
    "cancelled": ("was cancelled", "yellow"),
    "waiting": ("waits", "yellow"),
    "paused": ("is held", "yellow"),
    "interrupted": ("was interrupted; it is resumable", "yellow"),
}


def ending_lines(story: Story, ending: Ending, screen: Screen) -> list[str]:
    lines = [""]
    if ending.status in ("failed", "cancelled", "warned"):
        lines += _causes(story, screen)
    word, style = _OUTCOME.get(ending.status, (ending.status, "yellow"))
    status = "paused" if ending.status in ("waiting", "interrupted") else ending.status
    title = clean_line(story.title) or "the run"
    facts = " · ".join(fact for fact in _facts(story, ending) if fact)
    lines.append(
        f"{icon(screen, status)} {screen.style(title, 'bold')} {screen.style(word, style)}{'  ' if facts else ''}{facts}"
    )
    if ending.message:
        lines.append(f"  {clean(ending.message).strip()}")
    lines += [f"  {screen.style(f'{label:<9}', 'dim')} {text}" for label, text in _rows(story, ending, screen)]
    lines += [f"  {note}".rstrip() for note in ending.notes]
    return lines


def _causes(story: Story, screen: Screen) -> list[str]:
    """The failed tasks that nothing inside of them explains better: their last lines and the cause."""
    failed = [line for line in story.tasks.values() if line.status in ("failed", "warned") and not line.forgiven]
    inner = [line for line in failed if not any(_inside(other, line) for other in failed)]
    lines: list[str] = []
    for line in inner[:FAILURES_MAX]:
        tries = f"  {line.tries}" if line.of > 1 else ""
        lines.append(f"{icon(screen, line.status)} {screen.style(clean_line(line.name), 'bold')} failed{tries}")
        lines += [f"    {row}" for row in failure_lines(screen, line.failure, line.tail)]
    if len(inner) > FAILURES_MAX:
        lines.append(f"  and {len(inner) - FAILURES_MAX} more failed")
    failure = (story.ended or {}).get("failure")
    if failure and not inner:
        lines += failure_lines(screen, failure, [])
    return [*lines, ""] if lines else []


def _inside(other: TaskLine, line: TaskLine) -> bool:
    return other is not line and (other.name.startswith((line.name + ".", line.name + "[", line.name + "#")))


def _facts(story: Story, ending: Ending) -> list[str]:
    ended = story.ended or {}
    seconds = ended.get("duration")
    if seconds is None and story.first_at is not None:
        seconds = story.last_at - story.first_at
    cost = formats.cost(story.cost, {"unpriced": story.unpriced}, story.currency)
    if cost and ending.cost_max:
        cost = f"{cost} of {ending.cost_max}"
    tokens = f"{formats.count(story.tokens)} tokens" if story.tokens else ""
    counts = ", ".join(f"{number} {status}" for status, number in story.counts().items())
    return [f"in {formats.duration(seconds)}" if seconds is not None else "", cost, tokens, counts]


def _rows(story: Story, ending: Ending, screen: Screen) -> list[tuple[str, str]]:
    rows = [("run", f"{ending.run_id}  ({who_answers(story)})" if story.synthetic else ending.run_id)]
    slow = _slowest(story)
    if slow is not None:
        rows.append(("slowest", f"{clean_line(slow.name)} {formats.duration(slow.duration)}"))
    for line in story.open.values():
        if line.status == "asked" and line.question is not None:
            rows.append(
                ("asks", f"{clean_line(line.name)}: {cut(clean_line(str(line.question.get('question', ''))), 100)}")
            )
    denied = [line for line in story.tasks.values() if line.denied]
    if denied:
        names = ", ".join(clean_line(line.name) for line in denied[:NAMED_MAX]) + (
            " …" if len(denied) > NAMED_MAX else ""
        )
        calls = formats.plural(sum(line.denied for line in denied), "tool call")
        how = screen.style(f"`whisper-flow tools {clean_line(story.workflow)}` shows what each agent may do", "dim")
        rows.append(("denied", f"{calls} of {names}  {how}"))
    for path, size in ending.artifacts[:FILES_MAX]:
        rows.append(("artefact", f"{clean_line(path)} ({formats.size(size)})"))
    if len(ending.artifacts) > FILES_MAX:
        rows.append(("", f"and {len(ending.artifacts) - FILES_MAX} more files"))
    for position, (command, what) in enumerate(ending.next_commands):
        told = f"{screen.style(command, 'bold')}{'  ' + screen.style(what, 'dim') if what else ''}"
        rows.append(("next" if position == 0 else "", told))
    return rows


def _slowest(story: Story) -> TaskLine | None:
    """The task of the run itself that took longest; not worth a line where there is only one."""
    timed = [
        line for line in story.tasks.values() if line.duration is not None and line.depth == 0 and "[" not in line.name
    ]
    if len(timed) < 2:
        return None
    return max(timed, key=lambda line: line.duration or 0.0)
