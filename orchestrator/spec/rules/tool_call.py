"""WF510: a `tool` task whose arguments the tool does not take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.core.expressions import can_check, check_value, tree_texts
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF510"
NAME = "tool-call"
SUMMARY = "A `tool` task gives its tool what it does not take."
SEVERITY: Final = "error"
EXPLANATION = page(
    """What each built-in tool takes is known: its arguments, which of them it needs, and their types. `whisper-flow tools NAME`
    shows it. What an expression gives is checked when the task runs, as are the tools of servers and functions.

    The tools of a memory belong to agents that have one, so no `tool` task can call them.""",
    bad="tasks: {a: {tool: files.read, args: {file: README.md}}}",
    good="tasks: {a: {tool: files.read, args: {path: README.md}}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for site in context.sites:
        if site.verb.name == "tool":
            yield from _call(context, site, context.said(site))


def _call(context: RuleContext, site: Site, task: dict[str, Any]) -> Iterator[Diagnostic]:
    from orchestrator.spec.tool_names import built_in

    name, given = str(task.get("tool")), task.get("args") or {}
    facts = built_in().get(name)
    if facts is None or not isinstance(given, dict):
        return
    where = context.value((*site.path, "tool"))
    if name.startswith("memory."):
        help = "let the agent do it, or use `files.*`"
        yield context.finding(CODE, SEVERITY, f"`{name}` belongs to an agent with a `memory`", where, help=help)
        return
    known: dict[str, Any] = facts.parameters["properties"]
    unknown = [argument for argument in given if argument not in known]
    for argument in unknown:
        help = context.did_you_mean(str(argument), known) or f"it takes {', '.join(f'`{one}`' for one in known)}"
        span = context.key((*site.path, "args", argument))
        yield context.finding(CODE, SEVERITY, f"`{name}` has no argument `{argument}`", span, help=help)
    # A name that is not known is most probably one of those that are missing.
    if not unknown and (missing := [one for one in facts.parameters.get("required", ()) if one not in given]):
        words = " and ".join(f"`{one}`" for one in missing)
        span = context.key((*site.path, "args")) if "args" in task else where
        yield context.finding(CODE, SEVERITY, f"`{name}` needs {words}", span, help=f"add `args: {{{missing[0]}: …}}`")
    for argument, value in given.items():
        schema = known.get(argument)
        if schema is None or tree_texts(value) or not can_check(schema):
            continue
        for problem in check_value(schema, value)[:1]:
            span = context.value((*site.path, "args", argument))
            yield context.finding(CODE, SEVERITY, f"the argument `{argument}` does not fit: {problem}", span)
