"""WF508: two readers of one mail address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._agents import addresses, declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF508"
NAME = "two-readers"
SUMMARY = "Two readers wait for the mail of one address."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A message is read once, so an address has one reader: the agent whose id it is, if it is resident, or one workflow or agent
    that waits for it in `wake_on`. Give the second a mailbox of its own, or send to both.""",
    bad="""
    agents: {helper: {model: openai/gpt-5, resident: {prompt: Answer the mail}}}
    wake_on: [{mail: helper}]
    tasks: {a: {set: 1}}
    """,
    good="""
    mailboxes: [inbox]
    agents: {helper: {model: openai/gpt-5, resident: {prompt: Answer the mail}}}
    wake_on: [{mail: inbox}]
    tasks: {a: {set: 1}}
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    first: dict[str, tuple[str, Path]] = {}
    for name, agent in declared(context, "agents").items():
        if agent.get("resident"):
            first[name] = f"agent `{name}`", ("agents", name)
    for mention in addresses(context):
        reader = _reader(mention.path)
        if reader is None:
            continue
        before = first.setdefault(mention.name, (reader, mention.path))
        if before[0] != reader:
            yield context.finding(
                CODE, SEVERITY, f"the mail of `{mention.name}` has two readers: {before[0]} and {reader}", context.value(mention.path),
                labels=(Label(context.key(before[1]), "the first reader"),), help="give one of them a mailbox of its own",
            )  # fmt: skip


def _reader(path: Path) -> str | None:
    """Who takes the mail; None for those who send it or wait for a single answer."""
    if path[0] == "wake_on":
        return "this workflow"
    if path[0] == "agents":
        return f"agent `{path[1]}`"
    return None
