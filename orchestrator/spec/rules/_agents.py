"""Who is named where: agents, workers and addresses of a workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestrator.spec.compile_graph import Site
from orchestrator.spec.compile_references import Path
from orchestrator.spec.diagnostics import Label
from orchestrator.spec.rules._context import RuleContext


class Mention(NamedTuple):
    name: str
    path: Path
    site: Site | None


def agent_mentions(context: RuleContext) -> Iterator[Mention]:
    """Every place of the file that names an agent by its id."""
    for site in context.sites:
        who = context.said(site).get("agent")
        if site.verb.name != "agent":
            continue
        path = (*site.path, "agent")
        if isinstance(who, str) and "${{" not in who:
            yield Mention(who, path, site)
        elif isinstance(who, dict):
            yield from _others(who, path)
    for name, agent in declared(context, "agents").items():
        yield from _others(agent, ("agents", name))


def _others(agent: dict[str, Any], path: Path) -> Iterator[Mention]:
    for key in ("sub_agents", "handoffs"):
        names = agent.get(key)
        for index, name in enumerate(names if isinstance(names, list) else ()):
            yield Mention(str(name), (*path, key, index), None)


def declared(context: RuleContext, section: str) -> dict[str, dict[str, Any]]:
    """The maps that the file itself declares."""
    found = context.data.get(section)
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def all_agents(context: RuleContext) -> Iterator[tuple[str, dict[str, Any], Path]]:
    """Agents that stand in this file, inline ones too, with defaults: (shown name, agent, path)."""
    for name in declared(context, "agents"):
        yield f"agent `{name}`", context.workflow.agents[name], ("agents", name)
    for site in context.sites:
        who = context.said(site).get("agent")
        if site.verb.name == "agent" and isinstance(who, dict):
            yield f"the agent of task `{site.id}`", context.workflow.with_agent_defaults(who), (*site.path, "agent")


def config_agents(context: RuleContext) -> Iterator[tuple[str, dict[str, Any], Mention, Label]]:
    """Agents of `config/` that this file uses: (shown name, agent with defaults, first mention, where it is declared)."""
    seen = set(declared(context, "agents"))
    for mention in agent_mentions(context):
        origin = context.workflow.config.origins.get(("agents", mention.name))
        if mention.name not in seen and origin is not None:
            seen.add(mention.name)
            label = Label(origin.document.key_span(origin.path), "declared here", origin.document.file)
            yield f"agent `{mention.name}`", context.workflow.agents[mention.name], mention, label


def any_agent_computed(context: RuleContext) -> bool:
    """Whether some task finds its agent by an expression: then every agent may be used."""
    return any(site.verb.name == "agent" and "${{" in str(context.said(site).get("agent")) for site in context.sites)


def addresses(context: RuleContext) -> Iterator[Mention]:
    """Every mail address: `send: {mail}`, and `mail:` of matchers."""
    for site in context.sites:
        said = context.said(site)
        if site.verb.name == "send":
            yield from _address(said.get("send"), (*site.path, "send"), site)
        elif site.verb.name == "wait":
            entries = said.get("wait")
            for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
                yield from _address(
                    entry, (*site.path, "wait", index) if isinstance(entries, list) else (*site.path, "wait"), site
                )
    triggers = context.data.get("wake_on")
    for index, entry in enumerate(triggers if isinstance(triggers, list) else ()):
        yield from _address(entry, ("wake_on", index), None)
    for name, agent in declared(context, "agents").items():
        resident = agent.get("resident")
        entries = resident.get("wake_on") if isinstance(resident, dict) else None
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            yield from _address(entry, ("agents", name, "resident", "wake_on", index), None)


def _address(entry: Any, path: Path, site: Site | None) -> Iterator[Mention]:
    if isinstance(entry, dict) and isinstance(entry.get("mail"), str) and "${{" not in entry["mail"]:
        yield Mention(entry["mail"], (*path, "mail"), site)
