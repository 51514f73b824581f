"""Names of tools as files say them, and what is known of each without opening anything.

Files of `tools/` are found by the registry, as everywhere; only what they declare is read. A function or a server's tool is
known by the form of its name alone: user code is never imported, no server is asked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, Protocol

from orchestrator import registry
from orchestrator.core.plan import Effect
from orchestrator.spec.compile_references import Path
from orchestrator.spec.load import Workflow, child_path

PACKAGE: Final = "orchestrator.tools"
OPENED: Final = frozenset({"mcp", "python", "workflow"})
"""Sources that know no tool by name until they are opened: looking is spared their imports."""
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_GLOB: Final = re.compile(r"[*?\[]")


class ToolFacts(Protocol):
    """What a built-in tool says of itself."""

    @property
    def description(self) -> str: ...
    @property
    def parameters(self) -> dict[str, Any]: ...
    @property
    def effect(self) -> Effect: ...


@functools.cache
def built_in() -> dict[str, ToolFacts]:
    """Every tool whose facts are known beforehand, by its name."""
    facts: dict[str, ToolFacts] = {}
    for name in registry.names(PACKAGE):
        if name in OPENED:
            continue
        source = registry.load(PACKAGE, name, "TOOLS", noun="tool source")
        if not isinstance(source, type) and hasattr(source, "declared"):
            facts.update(source.declared())
    return facts


def is_workflow(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def is_function(name: str) -> bool:
    return _FUNCTION.fullmatch(name) is not None


def is_glob(name: str) -> bool:
    return _GLOB.search(name) is not None


def is_known(name: str, servers: Collection[str]) -> bool:
    """Whether a name or glob means something. Of a server only its id is known, of a workflow whether there is such a file."""
    if is_workflow(name):
        return not is_glob(name)
    if is_function(name) or name in built_in():
        return True
    server, dot, tool = name.partition(".")
    if dot and tool and server in servers:
        return True
    if not is_glob(name):
        return False
    return any(fnmatchcase(known, name) for known in built_in()) or any(fnmatchcase(f"{one}.", name) for one in servers)


def own_name(workflow: Workflow, said: str) -> str:
    """The name by which permissions know a tool: of a workflow its path from the project's root."""
    if not is_workflow(said):
        return said
    try:
        return child_path(workflow.project, workflow.identity, said).resolve().relative_to(workflow.project).as_posix()
    except (OSError, RuntimeError, ValueError):
        return said


def effect_of(name: str) -> Effect:
    facts = built_in().get(name)
    return facts.effect if facts is not None else "at_least_once"


class WorkflowTool(NamedTuple):
    """A workflow that an agent may call."""

    said: str
    path: Path
    """Where this file says so, or names the agent that does."""
    agent: str


def workflow_tools(workflow: Workflow) -> Iterator[WorkflowTool]:
    """Of every agent that the file declares, or that its tasks may reach; only for a file whose shape is right."""
    for name, (agent, path, own) in reachable_agents(workflow).items():
        tools = agent.get("tools")
        for index, said in enumerate(tools if isinstance(tools, list) else ()):
            if isinstance(said, str) and is_workflow(said) and not is_glob(said):
                yield WorkflowTool(said, (*path, "tools", index) if own else path, name)


def reachable_agents(workflow: Workflow) -> dict[str, tuple[dict[str, Any], Path, bool]]:
    """The agents that the file declares, or that its tasks may reach: name → (agent, where, whether it is declared there).

    An agent within a task is named after its place.
    """
    declared = workflow.data.get("agents") or {}
    found: dict[str, tuple[dict[str, Any], Path, bool]] = {
        name: (workflow.agents[name], ("agents", name), True) for name in declared if name in workflow.agents
    }
    for site in workflow.analysis.sites():
        if site.verb.name != "agent":
            continue
        who, path = site.task["agent"], (*site.path, "agent")
        if isinstance(who, dict):
            inline = workflow.with_agent_defaults(who)
            found[f"task {'.'.join(map(str, site.path))}"] = (inline, path, True)
        else:
            for name in workflow.agents if "${{" in who else (who,):
                if name in workflow.agents:
                    found.setdefault(name, (workflow.agents[name], path, False))
    waiting = list(found.values())
    while waiting:
        agent, path, _ = waiting.pop()
        for name in (*(agent.get("sub_agents") or ()), *(agent.get("handoffs") or ())):
            if name in workflow.agents and name not in found:
                found[name] = (workflow.agents[name], path, False)
                waiting.append(found[name])
    return found
