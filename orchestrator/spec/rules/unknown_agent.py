"""WF501: an agent that is not declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import agent_mentions
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF501"
NAME = "unknown-agent"
SUMMARY = "An agent is not declared."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Agents are declared under `agents` of the file, or in `config/agents/`. A task may also hold its agent itself:
    `agent: {model: openai/gpt-5-mini, instructions: …}`.""",
    bad="agents: {writer: {model: openai/gpt-5-mini}}\ntasks:\n  a: {agent: writter, prompt: Say hello}",
    good="agents: {writer: {model: openai/gpt-5-mini}}\ntasks:\n  a: {agent: writer, prompt: Say hello}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    agents = context.workflow.agents
    for name, path, _ in agent_mentions(context):
        if name not in agents:
            help = context.did_you_mean(name, agents) or (None if agents else "declare it under `agents:`")
            yield context.finding(CODE, SEVERITY, f"unknown agent `{name}`", context.value(path), help=help)
