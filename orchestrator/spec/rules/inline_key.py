"""WF703: a worker's key stands in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.diagnostics import Diagnostic, Span
from orchestrator.spec.loader import Document
from orchestrator.spec.rules._agents import declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF703"
NAME = "inline-key"
SUMMARY = "A worker's key stands in the file."
SEVERITY: Final = "warning"
EXPLANATION = page(
    """`auth: {inline: …}` is for trying something out. Whoever reads the file has the key. `auth: {env_var: NAME}` names a variable
    that holds it, `config_path` a file that only its owner may read, `vault` a vault.""",
    bad="""
    workers: {w: {provider: openai, model_name: gpt-5, auth: {inline: abc}}}
    agents: {a: {worker: w}}
    tasks: {t: {agent: a, prompt: Hi}}
    """,
    good="""
    workers: {w: {provider: openai, model_name: gpt-5, auth: {env_var: OPENAI_API_KEY}}}
    agents: {a: {worker: w}}
    tasks: {t: {agent: a, prompt: Hi}}
    """,
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for name, worker in declared(context, "workers").items():
        if _has_key(worker):
            yield _finding(context.document, name, context.value(("workers", name, "auth", "inline")))
    config = context.workflow.config
    for name, worker in config.workers.items():
        if _has_key(worker):
            origin = config.origins["workers", name]
            span = origin.document.value_span((*origin.path, "auth", "inline"))
            yield _finding(origin.document, name, span)


def _has_key(worker: dict[str, Any]) -> bool:
    auth = worker.get("auth")
    return isinstance(auth, dict) and auth.get("inline") is not None


def _finding(document: Document, name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        code=CODE, severity=SEVERITY, message=f"the key of worker `{name}` stands in the file", file=document.file, span=span,
        help="write `auth: {env_var: NAME}`, and change the key if it was ever committed",
    )  # fmt: skip
