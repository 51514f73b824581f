"""What a verb may reach beyond its own values: ports handed to it, never imported by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # most runs have no tools
    from orchestrator.ports.tool import Toolbox, ToolContext
    from orchestrator.ports.workers import WorkerOperations

JSON = Any


@dataclass(slots=True, kw_only=True, frozen=True)
class ProcessResult:
    exit_code: int
    """As the shell counts: 128 + n for a signal."""
    stdout: bytes
    """The head and tail kept in memory (at most `keep` bytes); the whole (bounded) stream is in the log file."""
    stderr: bytes
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    reply: bytes | None = None
    """What a `call_python` worker answered; None if it ended without an answer."""


class OpenProcess(Protocol):
    """A process that stays, to be talked with over its standard input and output."""

    @property
    def alive(self) -> bool:
        """False once it and all it started are gone."""
        ...

    @property
    def failure(self) -> OSError | None:
        """Why it could not be started at all."""
        ...

    async def read(self) -> bytes:
        """What it wrote since; empty once it has closed its output. One reader at a time."""
        ...

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError if nobody reads it any more."""
        ...

    def complaint(self) -> bytes:
        """The end of what it wrote to its standard error, secrets masked."""
        ...

    async def leave(self) -> None:
        """Close its input, give it a moment, then end it with all it started. Idempotent."""
        ...


class Processes(Protocol):
    """Every process of an engine, started by one reaper that ends all descendants when told or when we die."""

    def warm(self) -> None:
        """A process will be wanted soon: get ready for it, without waiting."""
        ...

    async def run(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: bytes = b"",
        timeout: float | None = None,
        log_dir: Path | None = None,
        keep: int = 8 * 1024 * 1024,
        on_output: Callable[[str, bytes], None] | None = None,
        secrets: Iterable[str] = (),
    ) -> ProcessResult:
        """Run to the end with exactly `env`. When the call ends (also by cancellation or TimeoutError), the process and all
        its descendants are gone, double `setsid` included. Output is given, kept and logged with `secrets` masked.

        Raises TimeoutError (its `result` holds the output until then), FileNotFoundError, PermissionError and other
        OSErrors of the start, TaskError `lost` if the process was ended by no order of ours.
        """
        ...

    async def call_python(
        self,
        target: str,
        arguments: bytes,
        *,
        path: Path,
        env: Mapping[str, str],
        cwd: Path,
        timeout: float | None = None,
        log_dir: Path | None = None,
        keep: int = 8 * 1024 * 1024,
        on_output: Callable[[str, bytes], None] | None = None,
        secrets: Iterable[str] = (),
    ) -> ProcessResult:
        """Call `module:function` with keyword `arguments` (a JSON object) in a fresh process forked from a warm Python, with
        `path` first on `sys.path`. Otherwise as `run`; `reply` is the worker's JSON answer (see `host/python_worker.py`).
        """
        ...

    async def open(
        self, argv: list[str], *, env: Mapping[str, str], cwd: Path, secrets: Iterable[str] = ()
    ) -> OpenProcess:
        """Start a process that stays until it leaves, we close, or we die; it ends with all its descendants. Returns at once:
        a start that fails shows as the end of its output, and in `failure`.
        """
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, kw_only=True, frozen=True)
class HttpResponse:
    status: int
    headers: dict[str, str]
    body: bytes
    url: str


class Http(Protocol):
    """The one way out over HTTP; address and redirect rules of the security policy are inside."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        query: Mapping[str, JSON] = {},
        content: bytes | None = None,
        timeout: float | None = None,
        follow: bool | int = False,
        max_bytes: int = 32 * 1024 * 1024,
    ) -> HttpResponse:
        """Raises TaskError (`denied` for a forbidden address, `outage`, `timeout`, `refused`)."""
        ...

    async def close(self) -> None: ...


class Runs(Protocol):
    """Child runs (`workflow:`, and workflows as tools). A child's id is derived from the caller's key, so a resumed caller finds
    it again. The key's first line is the series' own key: it names the task that is told when the child has ended.
    """

    async def call(
        self, workflow: str, inputs: dict[str, JSON], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult: ...

    def face(self, workflow: str, *, parent_run: str) -> WorkflowFace:
        """What a workflow says of itself to whoever calls it. TaskError `tool` if the caller's plan does not hold it."""
        ...


@dataclass(slots=True, kw_only=True, frozen=True)
class WorkflowFace:
    name: str
    description: str
    inputs: Mapping[str, dict[str, JSON]]
    """Name → JSON Schema."""
    required: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True, frozen=True)
class ChildResult:
    run_id: str
    status: str
    """The child's run status; `waiting` if it is parked on a person."""
    outputs: JSON
    error: dict[str, JSON] | None = None
    cost: float | None = None


class Sessions(Protocol):
    """Agents' AI loops. A session is named by `key`: asked again after a crash, it goes on at its last recorded turn."""

    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        """Raises TaskError (`auth`, `rate_limited`, `invalid_output`, `refused`, …), and PersonNeeded: then the same call is
        made again once somebody has answered, with the answer in `call.answers`.
        """
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class AgentCall:
    run_id: str
    task: str
    key: str
    """The series' idempotency key; with `session` None it names a conversation of its own."""
    agent_id: str
    agent: dict[str, JSON]
    """The agent as the plan declares it (id, model, ai_config, instructions, tools, …), defaults merged."""
    prompt: str
    instructions: str | None = None
    model: str | None = None
    files: list[JSON]
    session: str | None = None
    output_schema: dict[str, JSON] | None = None
    repair: int = 2
    deadline: float | None = None
    publish: Callable[[str, dict[str, JSON]], None]
    control: Callable[[], str | None]
    worker: dict[str, JSON] | None = None
    """The definition of the agent's `worker`: provider, model_name, auth, base_config, cost_metrics."""
    budgets: tuple[dict[str, JSON], ...] = ()
    """The budgets this call draws on, outermost first: {name, cost, currency, tokens, turns, time (seconds), cost_per_day,
    tokens_per_day, on_exceeded, allow_unpriced}. One name is one pot for the whole process; what conversations whose stream
    begins with `streams` (default: this run's) spent before counts, with `task` only what was asked for that task. `day` names
    what shares the limits of a calendar day in `timezone`; `answers` are what people said, by the key of the question.
    """
    project: Path | None = None
    """Where paths in `files` start, and which they may not leave."""
    agents: Mapping[str, dict[str, JSON]] = field(default_factory=dict)
    """All agents of the plan: those it may call (`sub_agents`) or hand over to (`handoffs`) are found here."""
    workers: Mapping[str, dict[str, JSON]] = field(default_factory=dict)
    """All workers of the plan."""
    context: ToolContext | None = None
    """What its tools may reach; None: it has none."""
    workflow: str = ""
    """Whose run it is: its path."""
    timezone: str = "UTC"
    """Of that workflow: when its days begin."""
    failures: int | None = None
    """How often the task has failed so far; None where no task asks."""
    depth: int = 0
    """How many agents stand between this one and the task."""

    @property
    def answers(self) -> Mapping[str, JSON]:
        """What people answered so far, by the key of the question."""
        return self.context.answers if self.context is not None else {}


@dataclass(slots=True, kw_only=True, frozen=True)
class AgentAnswer:
    value: JSON
    """Text, or the validated object if `output_schema` was given."""
    text: str
    model: str
    usage: dict[str, int]
    cost: float | None
    synthetic: bool = False
    """True for `embedded/*` and `scripted`: no AI model was asked."""
    turns: int = 1
    finish: str = "stop"
    """`length` if the answer was cut at `max_tokens`."""
    wrapped_up: bool = False
    """A budget had room for one last turn only."""
    agent: str = ""
    """Who answered: another one than was asked if the conversation was handed over."""


@dataclass(slots=True, kw_only=True)
class Services:
    processes: Processes
    http: Http
    runs: Runs
    sessions: Sessions
    tools: Toolbox
    workers: WorkerOperations | None = None
