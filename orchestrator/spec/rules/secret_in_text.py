"""WF704: a secret where it could be read: in a text for a model, a person, a log or the journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext, Text
from orchestrator.spec.rules._page import page
from orchestrator.spec.shell_text import variable_for

CODE = "WF704"
NAME = "secret-in-text"
SUMMARY = "A secret is used where it could be read."
SEVERITY: Final = "error"
EXPLANATION = page(
    """Secrets are handed to programs and services, never to models or people: they are allowed in `env`, in `http` tasks, in `mcp`
    and in `auth`. A prompt, a question, a value or an output would be stored, shown, or sent to a provider. A script gets a
    secret by `env`.""",
    bad="secrets: [TOKEN]\ntasks:\n  call: {run: 'curl -H \"Authorization: ${{ secrets.TOKEN }}\" https://example.org'}",
    good="""
    secrets: [TOKEN]
    tasks:
      call:
        env: {TOKEN: '${{ secrets.TOKEN }}'}
        run: 'curl -H "Authorization: $TOKEN" https://example.org'
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for text in context.texts:
        if _allowed(text):
            continue
        for reference in text.references:
            if reference.root == "secrets":
                source = text.text[reference.start : reference.end]
                help = (
                    f"hand it over by `env: {{{variable_for(source)}: '${{{{ {source} }}}}'}}`"
                    if text.field == "run"
                    else None
                )
                yield context.finding(
                    CODE, SEVERITY, f"`{source}` is not allowed here", context.part(text.path, reference.start, reference.end),
                    help=help or "secrets are allowed in `env`, `http`, `mcp` and `auth`",
                )  # fmt: skip


def _allowed(text: Text) -> bool:
    if text.field in ("env", "mcp") or (text.field == "defaults" and "env" in text.path):
        return True
    return text.site is not None and text.site.verb.name == "http" and text.field in ("http",)
