"""WF504: an agent that no task uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import addresses, agent_mentions, any_agent_computed, declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF504"
NAME = "unused-agent"
SUMMARY = "An agent is declared and never used."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """No task names it, no other agent may call it, no mail goes to it, and it does not stay resident. Agents that other files use
    belong into `config/agents/`.""",
    bad="agents: {writer: {model: openai/gpt-5-mini}}\ntasks:\n  a: {run: echo}",
    good="agents: {writer: {model: openai/gpt-5-mini}}\ntasks:\n  a: {agent: writer, prompt: Say hello}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    if context.partial or not context.sites or any_agent_computed(context):
        return
    used = {mention.name for mention in agent_mentions(context)} | {mention.name for mention in addresses(context)}
    # A mistyped name is one mistake, not two: what it may have meant counts as used.
    used |= {
        near for name in used - set(context.workflow.agents) for near in context.near(name, context.workflow.agents)
    }
    for name, agent in declared(context, "agents").items():
        if name not in used and not agent.get("resident") and not agent.get("schedule"):
            yield context.finding(CODE, SEVERITY, f"agent `{name}` is never used", context.key(("agents", name)))
