"""What an agent has to work with, as rows: known from files alone, or from opened tools."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.core.tool_patterns import Pattern
    from orchestrator.ports.tool import Tool
    from orchestrator.spec.load import Workflow

JSON = Any
UNKNOWN = "?"
NAMED_ONLY = "denied, unless `allow` names it"


@dataclass(slots=True, kw_only=True, frozen=True)
class Row:
    name: str
    source: str
    """`built in`, `server ID`, `function`, `workflow`, `agent`, `hand-off`."""
    effect: str
    permission: str
    """What happens when the agent calls it."""
    description: str
    parameters: Mapping[str, JSON] | None = None

    def as_json(self) -> dict[str, JSON]:
        return {name: getattr(self, name) for name in self.__slots__}


def built_in_rows(wanted: str = "*") -> list[Row]:
    """Every tool that needs no declaration, or those that fit a name or glob."""
    from orchestrator.spec.tool_names import built_in

    return [
        Row(
            name=name,
            source="built in",
            effect=facts.effect,
            permission=_by_itself(name, facts.effect),
            description=facts.description,
            parameters=facts.parameters,
        )
        for name, facts in built_in().items()
        if name == wanted or fnmatchcase(name, wanted)
    ]


def agent_rows(workflow: Workflow, agent: Mapping[str, JSON], settings: Mapping[str, JSON]) -> list[Row]:
    """What an agent would have, without opening anything."""
    rows: dict[str, Row] = {}
    for said in _tools(agent):
        for row in _rows_of(said, workflow):
            rows.setdefault(row.name, row)
    for word, source, prefix in (("sub_agents", "agent", "ask_"), ("handoffs", "hand-off", "transfer_to_")):
        for name in agent.get(word) or ():
            known = workflow.agents.get(name, {})
            about = str(known.get("description") or f"agent {name}")
            rows[prefix + name] = Row(
                name=prefix + name, source=source, effect="at_least_once", permission="runs", description=about
            )
    return [_with_permission(row, agent, settings) for row in rows.values() if _offered(row, agent)]


def _tools(agent: Mapping[str, JSON]) -> list[str]:
    return [*(agent.get("tools") or ()), *(["memory.*"] if agent.get("memory") else [])]


def _rows_of(said: str, workflow: Workflow) -> Iterable[Row]:
    from orchestrator.spec.tool_names import is_function, is_workflow

    if is_workflow(said):
        return [_workflow_row(said, workflow)]
    if is_function(said):
        return [_closed(said, "function", "at_least_once", "a function of the project; `--open` reads its schema")]
    found = [row for row in built_in_rows(said) if not row.name.startswith("memory.") or said.startswith("memory.")]
    server = said.partition(".")[0]
    if server in workflow.mcp:
        found.append(_closed(said, f"server {server}", UNKNOWN, "known once the server is asked: `--open`"))
    elif said == "*":
        found += [_closed(f"{one}.*", f"server {one}", UNKNOWN, "known once asked: `--open`") for one in workflow.mcp]
    return found


def _workflow_row(said: str, workflow: Workflow) -> Row:
    try:
        child = workflow.child(said)
    except NotFoundError as error:
        return _closed(said, "workflow", "at_least_once", error.message)
    about = str(child.data.get("description") or child.title)
    return _closed(child.identity, "workflow", "at_least_once", about)


def _closed(name: str, source: str, effect: str, description: str) -> Row:
    return Row(name=name, source=source, effect=effect, permission="", description=description)


def opened_rows(
    tools: Iterable[Tool], agent: Mapping[str, JSON], settings: Mapping[str, JSON], servers: Iterable[str]
) -> list[Row]:
    """The same from opened tools: nothing is left unknown."""
    known = set(servers)
    rows = [
        Row(
            name=tool.name,
            source=_source(tool.name, known),
            effect=tool.effect,
            permission="",
            description=tool.spec.description,
            parameters=tool.spec.parameters,
        )
        for tool in tools
    ]
    return [_with_permission(row, agent, settings) for row in rows if _offered(row, agent)]


def _source(name: str, servers: set[str]) -> str:
    from orchestrator.spec.tool_names import built_in, is_function, is_workflow

    if name in built_in():
        return "built in"
    if is_workflow(name):
        return "workflow"
    server = name.partition(".")[0]
    return f"server {server}" if server in servers else "function" if is_function(name) else "tool"


def _offered(row: Row, agent: Mapping[str, JSON]) -> bool:
    from orchestrator.ai.permissions import read_permissions

    return read_permissions(agent.get("permissions")).offered(row.name)


def _with_permission(row: Row, agent: Mapping[str, JSON], settings: Mapping[str, JSON]) -> Row:
    from dataclasses import replace

    return replace(row, permission=_permission(row, agent, settings))


def _permission(row: Row, agent: Mapping[str, JSON], settings: Mapping[str, JSON]) -> str:
    """In the order in which they win: deny, ask, allow, and what the tool needs by itself."""
    from orchestrator.ai.permissions import read_permissions
    from orchestrator.core.tool_patterns import matches

    permissions = read_permissions(agent.get("permissions"))
    if _changes_workers(row.name) and not _named(row.name, permissions.allow):
        return NAMED_ONLY
    said: list[str] = []
    for verdict, patterns in (("denied", permissions.deny), ("asks", permissions.ask), ("runs", permissions.allow)):
        for one in patterns:
            if not matches(one.tool, row.name):
                continue
            if one.argument is None:
                return _joined(said, verdict)
            said.append(f"{verdict} for {one.argument}={one.glob}")
    return _joined([*said, *_configured(row, settings)], _by_itself(row.name, row.effect, row.source))


def _configured(row: Row, settings: Mapping[str, JSON]) -> list[str]:
    allowed = (
        (settings.get(row.name.partition(".")[0]) or {}).get("allow") if row.name in ("shell", "http.get") else None
    )
    return [f"runs for {', '.join(map(str, allowed))}"] if allowed else []


def _by_itself(name: str, effect: str, source: str = "") -> str:
    """What becomes of a call that no pattern fits."""
    if _changes_workers(name):
        return NAMED_ONLY
    if effect == UNKNOWN:
        return "runs if it only reads, else as others"
    free = effect == "pure" or name.startswith(("memory.", "workers.")) or source in ("agent", "hand-off")
    return "runs" if free else "asks at a terminal, else denied"


def _changes_workers(name: str) -> bool:
    from orchestrator.ports.workers import OPERATIONS

    prefix, _, operation = name.partition(".")
    return prefix == "workers" and operation in OPERATIONS and OPERATIONS[operation].changes


def _named(name: str, patterns: Iterable[Pattern]) -> bool:
    """Whether one of them speaks of this tool and not of everything."""
    from orchestrator.core.tool_patterns import matches

    return any(one.tool.startswith("workers.") and matches(one.tool, name) for one in patterns)


def _joined(said: list[str], last: str) -> str:
    return "; ".join([*said, f"else {last}"]) if said else last


def sandbox_words(settings: Mapping[str, JSON], path: str) -> str:
    """What `shell` would run in, as far as that is known without trying it."""
    from orchestrator.tools._sandbox import PROGRAM

    said = (settings.get("shell") or {}).get("sandbox") or "preferred"
    if said == "none":
        return "none, by configuration"
    if shutil.which(PROGRAM, path=path) is not None:
        return "bubblewrap, where the system lets it work (`--open` tries)"
    return "none: bubblewrap is not installed" + (", so `shell` is refused" if said == "required" else "")
