"""WF511: a permission about a tool, or an argument, that the agent does not have."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from orchestrator.core.tool_patterns import Pattern, matches, parse_pattern
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import declared
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF511"
NAME = "permission-pattern"
SUMMARY = "A permission is about a tool or an argument that the agent does not have."
SEVERITY: Final = "error"
EXPLANATION = page(
    """A pattern under `permissions` is `tool` or `tool:argument=glob`; in both, `*` stands for any characters. Its tool is one
    that the agent has: by its `tools:`, as `ask_ID` for each of its `sub_agents`, as `transfer_to_ID` for each of its `handoffs`.
    One that fits nothing would forbid nothing, or allow nothing, without a word.""",
    bad="""agents:
  clerk: {model: openai/gpt-5-mini, tools: ['files.*'], permissions: {deny: ['file.write:path=secret/*']}}
tasks: {a: {agent: clerk, prompt: Tidy up}}""",
    good="""agents:
  clerk: {model: openai/gpt-5-mini, tools: ['files.*'], permissions: {deny: ['files.write:path=secret/*']}}
tasks: {a: {agent: clerk, prompt: Tidy up}}""",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for name, agent in declared(context, "agents").items():
        yield from _agent(context, agent, context.workflow.agents.get(name, agent), ("agents", name))
    for site in context.sites:
        who = context.said(site).get("agent")
        if site.verb.name == "agent" and isinstance(who, dict):
            yield from _agent(context, who, context.workflow.with_agent_defaults(who), (*site.path, "agent"))


def _agent(context: RuleContext, said: dict[str, Any], whole: dict[str, Any], path: Path) -> Iterator[Diagnostic]:
    """What the agent itself says; `whole` is it with the defaults, for its tools."""
    permissions = said.get("permissions")
    if not isinstance(permissions, dict):
        return
    for word, patterns in permissions.items():
        for index, text in enumerate(patterns if isinstance(patterns, list) else ()):
            if isinstance(text, str):
                where = (*path, "permissions", word, index)
                yield from _pattern(context, parse_pattern(text), whole, where)


def _pattern(context: RuleContext, pattern: Pattern, agent: dict[str, Any], where: Path) -> Iterator[Diagnostic]:
    from orchestrator.spec.tool_names import built_in, own_name

    facts = built_in()
    tools = [own_name(context.workflow, str(word)) for word in agent.get("tools") or ()]
    names, open_ended = _tools_of({**agent, "tools": tools}, list(facts))
    fitting = [name for name in names if matches(pattern.tool, name)]
    if not fitting:
        if any(_may_meet(pattern.tool, one) for one in open_ended):
            return
        help = context.did_you_mean(pattern.tool, names) or (
            f"it has {', '.join(f'`{name}`' for name in names[:8])}" if names else "it has no tools"
        )
        yield context.finding(
            CODE, SEVERITY, f"the agent has no tool `{pattern.tool}`", context.value(where), help=help
        )
        return
    known = [facts[name].parameters.get("properties", {}) for name in fitting if name in facts]
    if pattern.argument is None or len(known) < len(fitting) or any(pattern.argument in one for one in known):
        return
    arguments = list(dict.fromkeys(name for one in known for name in one))
    help = context.did_you_mean(pattern.argument, arguments) or f"there are {', '.join(f'`{a}`' for a in arguments)}"
    message = f"no tool that fits `{pattern.tool}` has an argument `{pattern.argument}`"
    yield context.finding(CODE, SEVERITY, message, context.value(where), help=help)


def _tools_of(agent: dict[str, Any], known: list[str]) -> tuple[list[str], list[str]]:
    """The agent's tools by name, and the words for tools that only a server or the user's code knows."""
    names: dict[str, None] = {}
    unknown: list[str] = []
    for word in agent.get("tools") or ():
        found = [name for name in known if fnmatchcase(name, str(word))]
        names.update(dict.fromkeys(found))
        if not found and "*" not in str(word):
            names[str(word)] = None
        elif not found or str(word).startswith("*"):
            unknown.append(str(word))
    if agent.get("memory"):
        names.update(dict.fromkeys(name for name in known if name.startswith("memory.")))
    names.update(dict.fromkeys(f"ask_{one}" for one in agent.get("sub_agents") or ()))
    names.update(dict.fromkeys(f"transfer_to_{one}" for one in agent.get("handoffs") or ()))
    return list(names), unknown


def _may_meet(pattern: str, word: str) -> bool:
    """Whether a pattern and a glob may both fit one name: as far as both are plain, they agree."""
    one, other = pattern.partition("*")[0], word.partition("*")[0]
    return one.startswith(other) or other.startswith(one)
