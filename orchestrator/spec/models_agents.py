"""Agents, the workers they run on, tool servers: who does the thinking, with which model and which key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.spec.models_policy import Budget, Priority, Schedule
from orchestrator.spec.models_values import (
    BY_KIND,
    FLAG,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    Count,
    Duration,
    Name,
    Natural,
    Positive,
    PositiveCount,
    PositiveDuration,
    ResourceId,
    ScalarText,
    Size,
    Strict,
    Texts,
    True_,
    exactly_one_of,
    optional,
)
from orchestrator.spec.models_waits import Matcher


class ModelSettings(Strict):
    """How a model is asked. What is not set stays the provider's default."""

    temperature: Annotated[float, Field(ge=0, le=2)] = optional(description="0 is the most predictable.")
    max_tokens: PositiveCount = optional(description="Most tokens of one answer.")
    top_p: Annotated[float, Field(gt=0, le=1)] = optional(description="Share of probability that is sampled from.")
    top_k: Positive = optional(description="How many candidates are sampled from.")
    seed: int = optional(description="Asks the provider for repeatable answers.")
    stop: Texts = optional(description="Texts that end an answer.")
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = optional(description="Against old subjects.")
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = optional(description="Against repeated words.")
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] = optional(
        description="How long a reasoning model thinks. The last two are for the models that know them."
    )
    parallel_tool_calls: bool = optional(description="Whether one turn may call several tools.")
    api: Literal["chat", "responses"] = optional(
        description="Which of OpenAI's two APIs is asked, there and at servers that speak both. Default: `chat`."
    )
    timeout: PositiveDuration = optional(description="Time limit for one model call.")
    retries: Natural = optional(
        description="More tries of one model call that failed for a passing reason. Default: 3."
    )
    retry_delay: Duration = optional(description="Wait before the first of them; it doubles each time. Default: `1s`.")
    max_turns: Positive = optional(
        description="Most answers of the model to one prompt; tool calls and repairs count. Default: 32."
    )
    max_time: Duration = optional(description="Time limit for one prompt; waiting for a person does not count.")
    max_identical_calls: Positive = optional(
        description="Most calls of one tool with the same arguments in a row. Default: 5."
    )
    context_window: PositiveCount = optional(
        description="Tokens the model takes, question and answer together: `128k`."
    )
    on_overflow: Literal["fail", "drop_oldest", "summarise"] = optional(
        description="What happens when a conversation is too long for the model. Default: `fail`."
    )
    extra: dict[str, Any] = optional(description="Settings of one provider, passed on as they are.")


class AIConfig(ModelSettings):
    """A model and how it is asked."""

    model: str = optional(description="`provider/model`, for example `openai/gpt-5-mini`.")


FallbackError = Literal[
    "rate_limited", "overloaded", "outage", "timeout", "context_too_long", "refused", "invalid_input", "invalid_output"
]
"""A wrong key is not among them: it is mended, not worked around."""
FallbackErrors = Annotated[Annotated[FallbackError, TEXT] | Annotated[list[FallbackError], LIST], BY_KIND]


class Fallback(Strict):
    """What to ask when the model cannot answer."""

    models: list[str] = Field(description="Models, in the order they are tried.")
    on: FallbackErrors = optional(
        description="Error types that lead there. Default: `rate_limited`, `overloaded`, `outage`, `timeout`."
    )
    cooldown: Duration = optional(description="How long a model that failed is left alone after that. Default: `1m`.")


class Permissions(Strict):
    """What an agent may do with its tools: `tool` or `tool:arg=glob`. Deny wins over ask, ask over allow."""

    deny: list[str] = optional(description="Never.")
    ask: list[str] = optional(description="Only after a person agreed.")
    allow: list[str] = optional(description="Without asking.")


class Memory(Strict):
    """What an agent remembers between conversations."""

    path: str = optional(
        description="File that holds it, from the project's root. Default: one of its own in the state folder."
    )
    max_size: Size = optional(description="Most bytes; 256KiB if not said.")


class Queue(Strict):
    """Assignments that wait for a resident agent."""

    max: Positive = Field(100, description="Most waiting assignments.")


class Resident(Strict):
    """An agent that stays: it sleeps, wakes and works through a queue."""

    wake_on: list[Matcher] = optional(description="Matchers; any of them wakes the agent.")
    check_mail_interval: Duration = optional(description="How often it looks for mail by itself.")
    wake_on_priority: Priority = optional(description="Least urgent mail that wakes it.")
    max_concurrent_tasks: Positive = Field(1, description="Assignments at the same time.")
    queue: Annotated[Annotated[Positive, NUMBER] | Annotated[Queue, MAP], BY_KIND] = Field(
        100, description="Most waiting assignments."
    )
    prompt: str = optional(description="What it does when it wakes without an assignment.")


def _one_model(schema: dict[str, Any]) -> None:
    """Says in the JSON Schema, too, that only one of the three ways to name a model may be taken."""
    within: dict[str, Any] = {"properties": {"ai_config": {"required": ["model"]}}}
    schema["allOf"] = [
        {"not": {"required": ["worker", "model"]}},
        {"not": {"required": ["worker", "ai_config"], **within}},
        {"not": {"required": ["model", "ai_config"], **within}},
    ]


class AgentFields(Strict):
    """A model with a duty. Exactly one of `worker`, `model` and `ai_config.model` says which model."""

    model_config = ConfigDict(json_schema_extra=_one_model)

    name: str = optional(description="What people call it. Default: its id.")
    description: str = optional(description="What it is good at; other agents read this.")
    worker: ResourceId = optional(description="Id of a declared worker.")
    model: str = optional(description="`provider/model`, for example `openai/gpt-5-mini`.")
    ai_config: AIConfig = optional(description="How the model is asked.")
    instructions: str = optional(description="The system prompt.")
    tools: list[str] = optional(description="Names or globs of tools it may use: `files.*`, `shell`.")
    permissions: Permissions = optional(description="Which uses of its tools are denied, asked for, allowed.")
    fallback: Annotated[Annotated[list[str], LIST] | Annotated[Fallback, MAP], BY_KIND] = optional(
        description="Models to ask when this one cannot answer."
    )
    sub_agents: list[ResourceId] = optional(description="Agents it may call like tools.")
    handoffs: list[ResourceId] = optional(description="Agents it may hand the conversation to.")
    files: list[str] = optional(description="Files it always sees, from the project's root.")
    memory: Annotated[Annotated[bool, FLAG] | Annotated[ResourceId, TEXT] | Annotated[Memory, MAP], BY_KIND] = optional(
        description="What it remembers between conversations, read and written by its `memory.*` tools: `true` for one of its"
        " own, a name for one that agents share, or where it is."
    )
    repair: Natural = Field(2, description="How often it may correct an answer that does not fit `output`.")
    budget: Budget = optional(description="Limits for each of its conversations.")
    schedule: Annotated[Annotated[Schedule, MAP] | Annotated[list[Schedule], LIST], BY_KIND] = optional(
        description="When a resident agent wakes by the clock."
    )
    resident: Resident = optional(description="Makes it an agent that stays.")

    @model_validator(mode="after")
    def one_model(self) -> AgentFields:
        given: list[str] = [name for name in ("worker", "model") if name in self.model_fields_set]
        if "ai_config" in self.model_fields_set and "model" in self.ai_config.model_fields_set:
            given.append("ai_config.model")
        if len(given) > 1:
            raise PydanticCustomError("wf_together", "", {"first": given[0], "second": given[1]})
        return self


class Agent(AgentFields):
    """An agent as it is declared under `agents:`, in `config/agents/` or inline in an `agent` task."""


class Vault(Strict):
    """A key in a vault."""

    path: str = Field(description="Path of the secret.")
    key: str = Field("value", description="Field of the secret.")


class Auth(Strict):
    """Where the key is; exactly one method. The value is never shown, logged or stored."""

    model_config = exactly_one_of("env_var", "inline", "none", "config_path", "vault")

    env_var: Name = optional(description="Name of an environment variable.")
    inline: str = optional(description="The key itself. Anybody who reads the file has it: a finding says so.")
    none: True_ = optional(description="No key is needed.")
    config_path: str = optional(description="File that holds only the key and only its owner may read.")
    vault: Annotated[Annotated[str, TEXT] | Annotated[Vault, MAP], BY_KIND] = optional(description="A vault.")

    @model_validator(mode="after")
    def one_method(self) -> Auth:
        methods = ["env_var", "inline", "none", "config_path", "vault"]
        given = [name for name in methods if name in self.model_fields_set]
        if len(given) != 1:
            raise PydanticCustomError("wf_exactly_one", "", {"of": methods, "given": given})
        return self


Price = Annotated[float, Field(ge=0)]


class CostMetrics(Strict):
    """Prices. What has none is of unknown cost, never free."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = Field("USD", description="Three letters.")
    input_per_million: Price = optional(description="Price of a million tokens in.")
    output_per_million: Price = optional(description="Price of a million tokens out.")
    cached_per_million: Price = optional(description="Price of a million tokens in that were cached.")
    input_per_token: Price = optional(description="Price of one token in.")
    output_per_token: Price = optional(description="Price of one token out.")
    cached_per_token: Price = optional(description="Price of one token in that was cached.")


class RateLimits(Strict):
    """Limits over all agents that use the worker. Absent or 0: no limit."""

    max_requests_per_minute: Count = optional(description="Model calls in any 60 seconds.")
    max_requests_per_day: Count = optional(description="Model calls in any 24 hours.")
    max_tokens_per_minute: Count = optional(description="Tokens, in and out, in any 60 seconds.")
    max_tokens_per_day: Count = optional(description="Tokens, in and out, in any 24 hours.")
    max_concurrent_active_instances: Natural = optional(description="Conversations at the same time.")


class WorkerConfig(ModelSettings):
    """Settings of the worker; an agent's `ai_config` wins over them."""

    base_url: str = optional(description="Address of the service, in place of the usual one.")


Interaction = Literal["conversational", "stateless_task", "both"]


class Worker(Strict):
    """A model of a provider, with key, prices and limits."""

    name: str = optional(description="What people call it. Default: its id.")
    description: str = optional(description="What it is for.")
    provider: Literal["google", "openai", "anthropic", "ollama", "local", "custom", "embedded"] = Field(
        description="Who runs the model. `embedded` models are small programs, not AI; they need no key and no network."
    )
    model_name: str = Field(description="The provider's name of the model.")
    auth: Annotated[Annotated[Literal["none"], TEXT] | Annotated[Auth, MAP], BY_KIND] = optional(
        description="Where the key is. Default: the provider's usual environment variable."
    )
    interaction_models: Annotated[Annotated[Interaction, TEXT] | Annotated[list[Interaction], LIST], BY_KIND] = Field(
        "conversational", description="Conversations, single calls, or both."
    )
    capabilities: list[str] = optional(description="Free words to choose a worker by.")
    base_config: WorkerConfig = optional(description="Settings for every call.")
    cost_metrics: CostMetrics = optional(description="Prices; they win over the built-in price list.")
    rate_limits: RateLimits = optional(description="Limits.")
    status: Literal["active", "disabled", "archived"] = Field("active", description="Only active workers are used.")
    default_file_contexts: list[str] = optional(description="Files every conversation sees.")
    metadata: dict[str, Any] = optional(description="Free.")


class McpServer(Strict):
    """A tool server: a command, or an address."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["command"]}, {"required": ["url"]}],
            "dependencies": {"args": ["command"], "env": ["command"], "cwd": ["command"], "headers": ["url"]},
        }
    )

    command: Texts = optional(description="Program to start.")
    args: list[ScalarText] = optional(description="Its arguments.")
    env: dict[Name, ScalarText] = optional(description="Its environment.")
    cwd: str = optional(description="Its working directory, from the project's root.")
    url: str = optional(description="Address of a running server.")
    headers: dict[str, ScalarText] = optional(description="Headers of every request.")

    @model_validator(mode="after")
    def one_transport(self) -> McpServer:
        given = [name for name in ("command", "url") if name in self.model_fields_set]
        if len(given) != 1:
            raise PydanticCustomError("wf_exactly_one", "", {"of": ["command", "url"], "given": given})
        wrong = ("args", "env", "cwd") if given == ["url"] else ("headers",)
        for name in wrong:
            if name in self.model_fields_set:
                raise PydanticCustomError("wf_together", "", {"first": given[0], "second": name})
        return self
