"""WF506: an id of the file hides the one in `config/`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.spec.diagnostics import Diagnostic, Label
from orchestrator.spec.rules._agents import declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF506"
NAME = "hidden-declaration"
SUMMARY = "An agent or worker of the file hides one of `config/` with the same id."
SEVERITY: Final = "info"
EXPLANATION = page(
    """The nearer one wins as a whole; nothing of the other is merged. If that is not meant, rename one. To change only some
    settings for a file, use `defaults`."""
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for section in ("agents", "workers"):
        for name in declared(context, section):
            origin = context.workflow.config.origins.get((section, name))
            if origin is not None:
                yield context.finding(
                    CODE, SEVERITY, f"{section[:-1]} `{name}` hides the one in `{origin.document.file}`", context.key((section, name)),
                    labels=(Label(origin.document.key_span(origin.path), "hidden here", origin.document.file),),
                )  # fmt: skip
