"""What an agent's loop, and the `tool:` verb, may call; and where tools come from.

A tool has two names: its own (`files.read`, `time.get_current_time`, `reports:count`), which people write under `tools:` and
`permissions:`, and the one in its `spec`, which models see (`files_read`: letters, digits, `_` and `-`, at most 64).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.core.plan import Effect
from orchestrator.ports.chat_model import ToolSpec

if TYPE_CHECKING:
    from orchestrator.ports.services import AgentCall, Services

JSON = Any


class Tool(Protocol):
    name: str
    """As people write it."""
    spec: ToolSpec
    effect: Effect
    """After a crash an interrupted call is made again, unless it is `at_most_once`: then the model is told so. `pure`
    tools run without permission."""

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        """JSON or text. Raises TaskError; its message goes back to the model, which may try something else.

        The arguments fit `spec.parameters`: the caller has checked them. `call_id` is the same when an interrupted call is
        made again, and differs between calls of one context. Raises PersonNeeded, before anything happened, if a person
        must say something first: the run parks, and the same call is made again once the answer is in
        `ToolContext.answers`. Raises ChildParked if a run it started waits for a person: likewise.
        """
        ...


@dataclass(slots=True, kw_only=True, frozen=True)
class Question:
    """Something a person must answer before an attempt can go on."""

    key: str
    """Names the answer; unique in its attempt and the same after a crash."""
    question: str
    schema: dict[str, JSON]
    """JSON Schema of the answer: an object."""
    show: JSON = None
    to: tuple[str, ...] = ()
    expires: float | None = None
    """Seconds from when it is asked."""
    on_expired: JSON = None
    """The answer if nobody gives one; None fails the attempt as `timeout`."""


class PersonNeeded(Exception):  # noqa: N818  it is no error: the attempt goes on when somebody has answered
    cost: float | None = None
    """Out of `Sessions.run_turns`: what the agent has cost so far."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.question)
        self.question = question


class ChildParked(Exception):  # noqa: N818  it is no error: the attempt goes on when the child run has ended
    """A run that a tool started waits for a person: the attempt parks, and the same call is made again once that run has ended.

    The run must have been started under a key whose first line is `ToolContext.key` (`f"{context.key}\\n{call_id}"`).
    """

    cost: float | None = None
    """As of PersonNeeded."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True, kw_only=True)
class ToolContext:
    """What the tools of one agent call, or one `tool:` attempt, may know and reach."""

    run_id: str
    task: str
    """The instance's full name."""
    key: str
    """Idempotency key of the series; with a call's id it names one call for ever."""
    project: Path
    """Paths start here and may not leave it."""
    cwd: Path
    run_dir: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """Whole environment for processes: PATH and the like, and what the task declares. Never to be logged."""
    secrets: tuple[str, ...] = ()
    """Values that must not reach any output."""
    services: Services
    publish: Callable[[str, dict[str, JSON]], None] = lambda type, data: None
    control: Callable[[], str | None] = lambda: None
    answers: Mapping[str, JSON] = field(default_factory=dict)
    """What people answered so far, by `Question.key`."""
    attended: bool = False
    """Somebody sits at the terminal that drives the run, and can be asked at once."""
    deadline: float | None = None
    """Epoch seconds."""
    mcp: Mapping[str, dict[str, JSON]] = field(default_factory=dict)
    """The declared tool servers, templates rendered."""
    settings: Mapping[str, JSON] = field(default_factory=dict)
    """`tools:` of the project's configuration: {files: {roots}, shell: {allow, sandbox}, http: {…}}."""
    call: AgentCall | None = None
    """The agent call they serve; None for the `tool:` verb."""
    budgets: tuple[dict[str, JSON], ...] = ()
    """What a `tool:` attempt draws on, as in `AgentCall.budgets`."""
    workers: Mapping[str, dict[str, JSON]] = field(default_factory=dict)
    """Those of its plan."""
    costs: list[float] = field(default_factory=list)
    """What runs and workers that its tools asked have cost, in the run's currency; a tool adds to it when it is known. For the `tool:`
    verb: an agent's are read from the record, so that those of an attempt before count as well."""


class ToolSource(Protocol):
    """One file in `tools/`, attribute `TOOLS`. Its module is cheap to import; heavy ones wait until a tool is opened."""

    prefix: str
    """What its tools' names begin with, up to the dot; the name itself for a single tool. Empty for a source that is found
    by the form of the name (`module:function`, a workflow's path, an MCP server's id)."""

    def known(self, server: str | None = None) -> tuple[str, ...]:
        """Names that are known without opening anything (validation and did-you-mean); () if it takes opening."""
        ...

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Its tools that match any of `wanted` (names and globs). Raises TaskError `tool` that names what is missing."""
        ...

    async def close(self) -> None:
        """Release what it shares between contexts. Idempotent."""
        ...


class Toolbox(Protocol):
    """All tools of an engine: finds the source of each name."""

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Tools for these names and globs, each once. Raises TaskError `tool` for a name nobody has, with near ones."""
        ...

    async def close(self) -> None: ...
