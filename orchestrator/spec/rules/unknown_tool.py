"""WF509: a tool that nobody has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Diagnostic
from orchestrator.spec.rules._agents import all_agents, config_agents
from orchestrator.spec.rules._context import RuleContext
from orchestrator.spec.rules._page import page

CODE = "WF509"
NAME = "unknown-tool"
SUMMARY = "A tool is named that nobody has."
SEVERITY: Final = "error"
EXPLANATION = page(
    """An agent's `tools:` and a `tool:` task name tools: those that are built in (`files.read`, `shell`; `whisper-flow tools`
    lists them), `server.tool` of a server under `mcp:`, `module:function` of the project, or the path of a workflow. In `tools:`, a
    glob such as `files.*` names several.""",
    bad="tasks: {a: {tool: file.read, args: {path: README.md}}}",
    good="tasks: {a: {tool: files.read, args: {path: README.md}}}",
)


def check(context: RuleContext) -> Iterator[Diagnostic]:
    for site in context.sites:
        if site.verb.name == "tool":
            yield from _name(context, context.said(site).get("tool"), (*site.path, "tool"), task=True)
    for _, agent, path in all_agents(context):
        for index, said in enumerate(_tools(agent)):
            yield from _name(context, said, (*path, "tools", index))
    for shown, agent, mention, label in config_agents(context):
        for said in _tools(agent):
            for one in _name(context, said, mention.path, whose=shown):
                yield context.finding(
                    CODE, SEVERITY, one.message, context.value(mention.path), labels=(label,), help=one.help
                )


def _tools(agent: dict[str, Any]) -> list[Any]:
    said = agent.get("tools")
    return said if isinstance(said, list) else []


def _name(context: RuleContext, said: Any, path: Path, *, task: bool = False, whose: str = "") -> Iterator[Diagnostic]:
    if not isinstance(said, str) or "${{" in said:
        return
    from orchestrator.spec.tool_names import built_in, is_glob, is_known, is_workflow

    servers = context.workflow.mcp
    if task and is_glob(said):
        message, help = f"`{said}` is a glob: a task calls one tool", "name the tool"
    elif is_known(said, servers):
        return
    elif is_workflow(said):
        message, help = f"`{said}` is a glob: every workflow is named by itself", "list each file"
    else:
        message = f"no tool fits `{said}`" if is_glob(said) else f"unknown tool `{said}`"
        known = [*built_in(), *(f"{server}.*" for server in servers), *servers]
        help = context.did_you_mean(said, known) or _near_prefix(context, said) or _help(said, servers)
    shown = f"{whose} uses the {message}" if whose and message.startswith("unknown") else message
    yield context.finding(CODE, SEVERITY, shown, context.value(path), help=help)


def _near_prefix(context: RuleContext, said: str) -> str | None:
    """Where the first part alone is mistyped: `tme.now` for `time.now`."""
    from orchestrator.spec.suggest import sentence
    from orchestrator.spec.tool_names import built_in, is_known

    prefix, dot, rest = said.partition(".")
    prefixes = dict.fromkeys([*context.workflow.mcp, *(name.partition(".")[0] for name in built_in() if "." in name)])
    near = [f"{one}.{rest}" for one in context.near(prefix, prefixes)] if dot else []
    return sentence([name for name in near if is_known(name, context.workflow.mcp)])


def _help(said: str, servers: dict[str, Any]) -> str:
    server, dot, _ = said.partition(".")
    if said in servers:
        return f"`{said}.*` are all tools of that server"
    return (
        f"is `{server}` a server? Declare it under `mcp:`"
        if dot
        else "`whisper-flow tools` lists those that are built in"
    )
