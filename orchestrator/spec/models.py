"""The whole language as models: what a workflow file, `config/whisper-flow.yaml`, agent files and worker files may say.

Tasks are checked one by one, each against its verb's model (`shape.py`), so here they are plain maps. The models say what is
right; what a file means is read from the file's own values (`compile.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.spec.models_agents import Agent, McpServer, Worker
from orchestrator.spec.models_policy import Budget, Concurrency, Schedule
from orchestrator.spec.models_values import (
    BY_KIND,
    LIST,
    MAP,
    TEXT,
    Duration,
    Name,
    One,
    Positive,
    ResourceId,
    ScalarText,
    Strict,
    TypeSpec,
    optional,
)
from orchestrator.spec.models_waits import Trigger

SECRET_SOURCES = ("env", "dotenv", "file", "keyring", "vault")


TaskMap = Annotated[dict[str, Any], Field(min_length=1)]


class VaultSource(Strict):
    """A field of a secret in a vault."""

    path: str = Field(description="Path of the secret.")
    key: str = Field("value", description="Field of the secret.")


class KeyringSource(Strict):
    """An entry of the system's keyring."""

    service: str = Field(description="Service name.")
    username: str = optional(description="User name.")


class SecretSource(Strict):
    """Where a secret's value is; exactly one place."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [place]} for place in SECRET_SOURCES],
            "dependencies": {"key": ["dotenv"]},
        }
    )

    env: Name = optional(description="Name of an environment variable.")
    dotenv: str = optional(description="A file of `NAME=value` lines.")
    key: Name = optional(description="Name in that file. Default: the secret's name.")
    file: str = optional(description="A file that holds only the value.")
    keyring: Annotated[Annotated[str, TEXT] | Annotated[KeyringSource, MAP], BY_KIND] = optional(
        description="The system's keyring."
    )
    vault: Annotated[Annotated[str, TEXT] | Annotated[VaultSource, MAP], BY_KIND] = optional(description="A vault.")

    @model_validator(mode="after")
    def one_place(self) -> SecretSource:
        given = [name for name in SECRET_SOURCES if name in self.model_fields_set]
        if len(given) != 1:
            raise PydanticCustomError("wf_exactly_one", "", {"of": list(SECRET_SOURCES), "given": given})
        if "key" in self.model_fields_set and given != ["dotenv"]:
            raise PydanticCustomError("wf_together", "", {"first": given[0], "second": "key"})
        return self


class Workflow(Strict):
    """A workflow file."""

    version: One = Field(1, description="Version of the language.")
    name: str = optional(description="Title. Default: the file's name; the identity is always the path.")
    description: str = optional(description="What the workflow is for.")
    timezone: str = Field("UTC", description="IANA time zone of schedules and dates, for example `Europe/Rome`.")
    timeout: Duration = optional(description="Time limit for a run.")
    max_parallel: Positive = Field(16, description="Most tasks at the same time.")
    fail_fast: bool = Field(False, description="Whether one failure cancels everything else.")
    order: Literal["inferred", "listed"] = Field(
        "inferred", description="`listed` runs the tasks one after the other, as they are written."
    )
    inputs: dict[Name, TypeSpec] = optional(
        description="What a run needs: name → type. Required unless it has a `default` or is `optional`."
    )
    outputs: dict[Name, Any] = optional(description="What a run gives: name → value.")
    env: dict[Name, ScalarText] = optional(
        description="Environment variables for every task; `env.X` in expressions sees only these."
    )
    secrets: Annotated[Annotated[list[Name], LIST] | Annotated[dict[Name, SecretSource | None], MAP], BY_KIND] = (
        optional(description="Names of environment variables, or name → where the value is.")
    )
    workers: dict[ResourceId, Worker] = optional(description="Models with key, prices and limits: id → worker.")
    mcp: dict[ResourceId, McpServer] = optional(description="Tool servers: id → server.")
    mailboxes: list[ResourceId] = optional(description="Names of mailboxes.")
    agents: dict[ResourceId, Agent] = optional(description="Models with a duty: id → agent.")
    schedules: list[Schedule] = optional(description="When runs start by the clock.")
    wake_on: list[Trigger] = optional(description="What else starts runs.")
    concurrency: Concurrency = optional(description="How many runs may be active at the same time.")
    budget: Budget = optional(description="Limits for a run and for a day.")
    defaults: dict[str, Any] = optional(
        description="Defaults: for all tasks (`tasks`), for agents (`agents`), for tasks of one verb (its name)."
    )
    tasks: TaskMap = optional(description="What to do: id → task.")
    finally_: TaskMap = optional(alias="finally", description="Tasks at the end of every run, however it ended.")
    on_failure: TaskMap = optional(description="Tasks after a failed run, before `finally`.")


class Limits(Strict):
    """What one engine does at the same time."""

    processes: Positive = Field(8, description="Most processes of tasks at the same time.")
    waiting_calls: Positive = Field(
        64, description="Most calls that wait for somebody else (models, HTTP) at the same time."
    )


class ProjectHttp(Strict):
    """What `http` tasks may reach."""

    allow_private: list[str] = optional(
        description="Private networks, addresses and host names that may be asked, such as 127.0.0.1 or 10.0.0.0/8."
    )


class FileRoot(Strict):
    """A folder that agents' file tools may use."""

    path: str = Field(description="The folder, from the project's root; others are named whole.")
    write: bool = Field(True, description="Whether files in it may be changed.")


class FileToolSettings(Strict):
    """Where `files.*` may go."""

    roots: list[Annotated[Annotated[str, TEXT] | Annotated[FileRoot, MAP], BY_KIND]] = optional(
        description="Folders, by default the project. `.git`, `.whisper-flow` and `.env` are closed unless one lies in them."
    )


class ShellToolSettings(Strict):
    """What `shell` may do."""

    allow: list[str] = optional(description="Programs that agents may start without permission, as they name them.")
    sandbox: Literal["required", "preferred", "none"] = Field(
        "preferred", description="`required` refuses the tool where bubblewrap does not work; `none` never uses it."
    )
    network: bool = Field(False, description="Whether programs in the sandbox may use the network.")
    read: list[str] = optional(description="More folders that programs in the sandbox may read.")
    env: list[Name] = optional(description="More environment variables that programs get.")
    timeout: Duration = optional(description="Time limit of a call that names none; 2m if not said.")


class HttpToolSettings(Strict):
    """What `http.get` may ask without permission."""

    allow: list[str] = optional(description="Hosts or globs of hosts, such as `docs.python.org` or `*.example.com`.")


class PythonToolSettings(Strict):
    """How functions are called as tools."""

    timeout: Duration = optional(description="Time limit of a call; 10m if not said.")


class McpToolSettings(Strict):
    """How tool servers are trusted."""

    pin: Literal["first", "required"] = Field(
        "first",
        description="`required` refuses a server whose tools were not pinned before; `first` pins them at first use.",
    )


class ToolSettings(Strict):
    """What tools may do in this project, whoever uses them."""

    files: FileToolSettings = optional(description="Where `files.*` may go.")
    shell: ShellToolSettings = optional(description="What `shell` may do.")
    http: HttpToolSettings = optional(description="What `http.get` may ask without permission.")
    python: PythonToolSettings = optional(description="How functions are called as tools.")
    mcp: McpToolSettings = optional(description="How tool servers are trusted.")


class Project(Strict):
    """`config/whisper-flow.yaml`: what holds for every workflow of the project."""

    version: One = Field(1, description="Version of the language.")
    limits: Limits = optional(description="What one engine does at the same time.")
    packages: list[str] = optional(description="Python packages that bring plug-ins. No other is ever loaded.")
    pass_env: list[Name] = optional(
        description="More environment variables that tasks get, beside PATH, HOME, LANG, TZ, TERM and TMPDIR."
    )
    http: ProjectHttp = optional(description="What `http` tasks may reach.")
    tools: ToolSettings = optional(description="What tools may do.")
    state: str = optional(
        description="Folder of runs and journal, relative to the project; `.whisper-flow` if not said."
    )
    synchronous: Literal["full", "normal"] = optional(
        description="`full` survives a power cut, `normal` a crash of the program; `full` if not said."
    )
    grace: Duration = optional(description="How long running tasks may go on after a stop; 30s if not said.")
    progress: Literal["auto", "live", "plain", "json", "none"] = optional(description="How a run is shown.")
    color: Literal["auto", "always", "never"] = optional(description="When to use colours.")
    budget: Budget = optional(description="Limits for every run that says none, and for a day.")
    agents: dict[ResourceId, Agent] = optional(description="Agents for every workflow.")
    workers: dict[ResourceId, Worker] = optional(description="Workers for every workflow.")
    mcp: dict[ResourceId, McpServer] = optional(description="Tool servers for every workflow.")
    mailboxes: list[ResourceId] = optional(description="Mailboxes for every workflow.")
    defaults: dict[str, Any] = optional(description="Defaults for every workflow; a file's own win.")


class AgentFile(Strict):
    """A file in `config/agents/`: id → agent."""

    agents: dict[ResourceId, Agent]


class WorkerFile(Strict):
    """A file in `config/workers/`: id → worker."""

    workers: dict[ResourceId, Worker]


RESERVED_TOP = frozenset({"profiles", "matrix", "use"})
"""Words that a later version will know at the top of a file."""
RESERVED_TASK = frozenset({"runs_on", "matrix", "use"})
"""The same for tasks."""
INSTEAD = {
    "profiles": "keep one file for each, or use inputs with defaults",
    "matrix": "`foreach: product(os=['linux', 'mac'], python=['3.11', '3.12'])` does every combination",
    "use": "call the other file with `workflow:`",
    "runs_on": "for now, tasks run on the machine of the engine",
}
"""What to do meanwhile."""
