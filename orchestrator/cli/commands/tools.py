"""`whisper-flow tools`: what agents have to work with, and what becomes of a call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.command import Group
from orchestrator.cli.session import Session, current
from orchestrator.cli.shapes import print_json
from orchestrator.cli.table import table
from orchestrator.errors import NotFoundError, WhisperFlowError

if TYPE_CHECKING:
    from orchestrator.cli.tool_rows import Row
    from orchestrator.spec.load import Workflow

JSON = Any


class ToolsGroup(Group):
    """What is no command of the group is a file, an agent or a tool to list."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ToolsGroup, default="list")
def command() -> None:
    """List tools: all that are built in, or what an agent has.

    \b
    whisper-flow tools
    whisper-flow tools files.edit
    whisper-flow tools workflows/plan-and-build.yaml
    """


@command.command(name="list")
@click.argument("what", required=False)
@click.option("--open", "opens", is_flag=True, help="Start servers and look at functions, to know all of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the schemas of arguments.")
def list_tools(what: str | None, opens: bool, as_json: bool) -> None:
    """List the tools of WHAT: a workflow's agents, an agent of `config/`, or the built-in tools of a name or glob.

    Without `--open` nothing is started: what a server or a function offers is then not known.
    """
    session = current()
    from orchestrator.cli.tool_rows import built_in_rows

    if what is None or (rows := built_in_rows(what)):
        rows = built_in_rows() if what is None else rows
        _show_built_in(session, rows, as_json, in_detail=what is not None)
        return
    workflow, names = _found(session, what)
    settings = session.settings(workflow.project).project_values.get("tools") or {}
    listed = _listed(session, workflow, names, settings, opens)
    if as_json:
        agents = {name: [row.as_json() for row in rows] for name, rows in listed.items()}
        print_json(session.out, "tools/1", {"agents": agents, "sandbox": _sandbox(settings)})
        return
    for name, rows in listed.items():
        _show_agent(session, name, rows)
        if not opens and any(row.name == "shell" for row in rows):
            session.out.line(f"  sandbox of shell: {_sandbox(settings)}")


@command.command(name="pin")
@click.argument("servers", nargs=-1)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="The workflow file that declares them.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a list is not the one on file.")
def pin(servers: tuple[str, ...], file: Path | None, check: bool) -> int:
    """Accept the tools that MCP servers offer now: start SERVERS, show what changed, write config/mcp.lock.json.

    Without names, all that the project declares. Until a changed list is accepted, no task uses it.
    """
    from orchestrator.cli.tool_pins import pin_servers

    return pin_servers(current(), servers, file, check=check)


def _show_built_in(session: Session, rows: list[Row], as_json: bool, *, in_detail: bool) -> None:
    if as_json:
        print_json(session.out, "tools/1", {"tools": [row.as_json() for row in rows]})
        return
    cells = [[row.name, row.effect, row.permission, row.description] for row in rows]
    session.out.write(table(session.out, ["tool", "effect", "by itself", "what it does"], cells))
    if in_detail:
        for row in rows:
            _show_arguments(session, row)


def _show_arguments(session: Session, row: Row) -> None:
    schema = row.parameters or {}
    required = schema.get("required") or ()
    cells = [
        [f"{name}{'' if name in required else '?'}", str(one.get("type") or "any"), str(one.get("description") or "")]
        for name, one in (schema.get("properties") or {}).items()
    ]
    session.out.line("")
    session.out.write(table(session.out, [f"{row.name}", "type", "what it is"], cells))


def _show_agent(session: Session, name: str, rows: list[Row]) -> None:
    session.out.line(f"{name}: {len(rows)} tool{'' if len(rows) == 1 else 's'}" if rows else f"{name}: no tools")
    cells = [[row.name, row.source, row.effect, row.permission, row.description] for row in rows]
    if cells:
        session.out.write(table(session.out, ["tool", "source", "effect", "a call", "what it does"], cells))


def _sandbox(settings: Mapping[str, JSON]) -> str:
    from orchestrator.cli.tool_rows import sandbox_words

    return sandbox_words(settings, os.environ.get("PATH", os.defpath))


def _found(session: Session, what: str) -> tuple[Workflow, list[str]]:
    """The workflow to look at, and which of its agents. Raises NotFoundError, DiagnosticsError."""
    from orchestrator import compile_plan
    from orchestrator.spec.load import load_workflow
    from orchestrator.spec.tool_names import built_in, reachable_agents

    file = Path(what)
    if file.is_file() or file.suffix in (".yaml", ".yml"):
        workflow = load_workflow(file, session.project(file))
        compile_plan(workflow)
        return workflow, list(reachable_agents(workflow))
    workflow = _with_agent(session.project(), what)
    if what not in workflow.agents:
        from orchestrator.spec.suggest import did_you_mean

        known = [*workflow.agents, *built_in()]
        raise NotFoundError(
            f"`{what}` is no file, no tool, and no agent in `config/`",
            help=did_you_mean(what, known) or "name a workflow file to see its agents",
        )
    compile_plan(workflow)
    return workflow, [what]


def _with_agent(project: Path, name: str) -> Workflow:
    """A workflow that uses one agent of `config/`."""
    import json

    from orchestrator.spec.load import workflow_from_text

    text = json.dumps({"tasks": {"look": {"agent": name, "prompt": "look"}}})
    return workflow_from_text(text, path="workflows/tools.yaml", project=project)


def _listed(
    session: Session, workflow: Workflow, names: list[str], settings: Mapping[str, JSON], opens: bool
) -> dict[str, list[Row]]:
    from orchestrator.cli.tool_rows import agent_rows
    from orchestrator.spec.tool_names import reachable_agents

    agents = {name: agent for name, (agent, _, _) in reachable_agents(workflow).items() if name in names}
    if not opens:
        return {name: agent_rows(workflow, agent, settings) for name, agent in agents.items()}
    import asyncio

    return asyncio.run(_opened(session, workflow, agents, settings))


async def _opened(
    session: Session, workflow: Workflow, agents: Mapping[str, dict[str, JSON]], settings: Mapping[str, JSON]
) -> dict[str, list[Row]]:
    from orchestrator.cli.opened_tools import open_tools
    from orchestrator.cli.tool_rows import opened_rows

    listed: dict[str, list[Row]] = {}
    async with session.engine(workflow.project) as engine:
        for name, agent in agents.items():
            try:
                tools = await open_tools(engine, workflow, name, agent, settings)
            except WhisperFlowError as error:
                session.err.line(f"{name}: {error.message}{f' ({error.help})' if error.help else ''}")
                tools = []
            listed[name] = opened_rows(tools, agent, settings, workflow.mcp)
    return listed
