"""`agent:` gives a prompt to an agent. Plan fields: `{agent, prompt, repair}` and, where given, `instructions`, `model`,
`files`, `session`. `agent` is the id of an agent in the Plan, or a template that gives one; an agent written inside the task
is in the Plan's `agents` under `task.<ids from the top>`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchestrator.spec.models_agents import Agent
from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import BY_KIND, MAP, TEXT, Natural, optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class AgentTask(CachedTask):
    """Give a prompt to an agent."""

    agent: Annotated[Annotated[str, TEXT, Field(min_length=1)] | Annotated[Agent, MAP], BY_KIND] = Field(
        description="Id of a declared agent, an agent written here, or an expression that gives an id."
    )
    prompt: str = Field(description="What the agent is asked.")
    instructions: str = optional(description="Added to the agent's own instructions.")
    model: str = optional(description="Another model for this task.")
    files: list[Any] = optional(description="Files the agent sees: paths, or values of type `file`.")
    session: str = optional(description="Name of a conversation to go on with. Default: a fresh one.")
    repair: Natural = Field(2, description="How often an answer that does not fit `output` may be corrected.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    who = task["agent"]
    made = {"agent": lowering.agent(who) if isinstance(who, dict) else who, "prompt": task["prompt"]}
    if "repair" in task:
        made["repair"] = task["repair"]
    for name in ("instructions", "model", "files", "session"):
        if task.get(name) is not None:
            made[name] = task[name]
    return made


VERB = Verb(
    name="agent",
    model=AgentTask,
    fields=fields,
    value="the answer: text, or what `output` says",
    effect="at_least_once",
)
