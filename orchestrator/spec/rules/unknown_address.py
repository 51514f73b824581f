"""WF503: mail to, or from, an address that nobody has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import addresses
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF503"
NAME = "unknown-address"
SUMMARY = "A mail address is neither an agent nor a declared mailbox."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Mail stays inside: its addresses are the ids of agents, and the names under `mailboxes`. Each has one reader.""",
    bad="mailboxes: [inbox]\ntasks:\n  tell: {send: {mail: inbx, body: hello}}",
    good="mailboxes: [inbox]\ntasks:\n  tell: {send: {mail: inbox, body: hello}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    known = [*context.workflow.mailboxes, *context.workflow.agents]
    for name, path, _ in addresses(context):
        if name not in known:
            help = context.did_you_mean(name, known) or f"declare it: `mailboxes: [{name}]`"
            yield context.finding(CODE, SEVERITY, f"unknown address `{name}`", context.value(path), help=help)
