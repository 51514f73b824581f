"""Accepting what MCP servers say about their tools: shows each difference to the lock file, then writes it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.cli.session import Session
from orchestrator.cli.terminal import clean
from orchestrator.core.expressions import render_tree
from orchestrator.errors import NotFoundError, TaskError, UsageError
from orchestrator.host.environment import base_environment
from orchestrator.ports.tool import ToolContext

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine
    from orchestrator.core.plan import Plan
    from orchestrator.spec.load import Workflow
    from orchestrator.tools._mcp_pins import ListedTool

JSON = Any
LOOK = "tools"


class Declared(NamedTuple):
    """A server, and the workflow (or the project's configuration, as one) that declares it."""

    id: str
    workflow: Workflow


def mcp_context(engine: ExecutionEngine, plan: Plan) -> ToolContext:
    """To open a plan's servers outside any run, with the secrets that it hands to them. Raises CredentialsError."""
    secrets = engine.secrets_of(plan) if plan.mcp else {}
    adapters = engine.adapters
    outside: dict[str, JSON] = {"secrets": secrets, "inputs": {}, "env": {}}
    return ToolContext(
        run_id=LOOK,
        task=LOOK,
        key=LOOK,
        project=adapters.project.root,
        cwd=adapters.project.root,
        run_dir=adapters.state / "runs" / LOOK,
        env=base_environment(os.environ, adapters.pass_env),
        secrets=tuple(secrets.values()),
        services=engine.services,
        mcp=render_tree(plan.mcp, outside.get, now=engine.clock.now()) if plan.mcp else {},
    )


def declared_servers(project: Path, file: Path | None) -> dict[str, Declared]:
    """The servers of a file, or of `config/` and every workflow of the project; `config/` and the first file win."""
    from orchestrator.spec.load import load_workflow, workflow_from_text

    if file is not None:
        workflow = load_workflow(file, project)
        return {id: Declared(id, workflow) for id in workflow.mcp}
    text = "tasks: {nothing: {set: null}}"
    config = workflow_from_text(text, path="workflows/tools.yaml", project=project)
    found = {id: Declared(id, config) for id in config.mcp}
    for path in sorted((project / "workflows").rglob("*.y*ml")):
        if "mcp" in path.read_text("utf-8", "replace"):
            workflow = load_workflow(path, project)
            for id in workflow.mcp:
                found.setdefault(id, Declared(id, workflow))
    return found


def pin_servers(session: Session, names: Sequence[str], file: Path | None, *, check: bool) -> int:
    """Exit code 0 if all is on file now; 1 if something is not and `check` was asked for, or a server cannot be asked."""
    project = session.project(file)
    declared = declared_servers(project, file)
    for name in names:
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none is declared"
            raise NotFoundError(f"no MCP server is called `{name}`", help=f"there are: {known}")
    chosen = [declared[name] for name in names or declared]
    if not chosen:
        raise UsageError("no MCP server is declared here", help="`mcp:` of a workflow or of config/whisper-flow.yaml")
    return asyncio.run(_pin(session, project, chosen, check=check))


async def _pin(session: Session, project: Path, chosen: Sequence[Declared], *, check: bool) -> int:
    left = 0
    async with session.engine(project) as engine:
        for server in chosen:
            try:
                left += not await _pin_one(session, engine, project, server, check=check)
            except TaskError as error:
                left += 1
                session.err.line(f"{server.id}: {clean(error.message)}{f' ({error.help})' if error.help else ''}")
    return 1 if left else 0


async def _pin_one(session: Session, engine: ExecutionEngine, project: Path, server: Declared, *, check: bool) -> bool:
    """Whether the server's list is on file now."""
    from orchestrator import compile_plan
    from orchestrator.tools._mcp_pins import LOCK_FILE, Pins
    from orchestrator.tools.mcp import McpTools

    source = McpTools()
    try:
        tools = await source.listed(server.id, mcp_context(engine, compile_plan(server.workflow)))
    finally:
        await source.close()
    pins = Pins(project)
    difference = pins.difference(server.id, tools)
    if difference == "":
        session.out.line(f"{server.id}: {_count(tools)}, as on file")
        return True
    session.out.line(f"{server.id}: {_count(tools)}, {'never accepted' if difference is None else 'changed'}")
    for row in (difference or "\n".join(f"+ {tool.name}: {tool.description}" for tool in tools)).splitlines():
        session.out.line(f"  {clean(row)}")
    if check:
        return False
    try:
        pins.pin(server.id, tools)
    except OSError as error:
        raise TaskError("denied", f"{LOCK_FILE} cannot be written: {error.strerror}") from error
    session.out.line(f"accepted in {LOCK_FILE}: commit it")
    return True


def _count(tools: Sequence[ListedTool]) -> str:
    return f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"
