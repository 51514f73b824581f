"""What a task's fields become, with everything around the task that they need: the file's text, agents, called workflows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from orchestrator.core.expressions import field_schema, has_marks, type_schema
from orchestrator.core.plan import Plan, agents_behind
from orchestrator.spec import compile_later, compile_values
from orchestrator.spec.compile_graph import Site
from orchestrator.spec.load import Workflow
from orchestrator.spec.tool_names import workflow_tools

_MARKS = re.compile(r"\$*(?:\$\{\{|\{%)")


class SiteLowering:
    """Makes the parts of a Plan that come from single tasks; gathers agents, children and what is not there yet."""

    def __init__(self, workflow: Workflow, plan_of: Callable[[Workflow], Plan]) -> None:
        self._workflow = workflow
        self._plan_of = plan_of
        self._later: dict[str, None] = {}
        self._used_agents: set[str] = set()
        self.agents = {name: compile_values.agent(agent) for name, agent in workflow.agents.items()}
        self.children: dict[str, Plan] = {}
        self._called = {one.said: self.called(one.said) for one in workflow_tools(workflow)}
        """Workflows that agents may call, as the file says them → their identity."""
        for agent in self.agents.values():
            self._name_workflows(agent)

    def fields(self, site: Site) -> dict[str, Any]:
        made = site.verb.fields(site.task, _TaskLowering(self, site))
        if site.verb.name == "agent":
            self._use_agent(made["agent"])
        return made

    def _use_agent(self, who: str) -> None:
        self._used_agents.update(self.agents if "${{" in who else agents_behind([who], self.agents))

    def env(self, site: Site) -> dict[str, str]:
        env = site.task.get("env")
        return {name: self.typed(site, value, "env", name) for name, value in env.items()} if env else {}

    def top_env(self) -> dict[str, str]:
        env = self._workflow.data.get("env") or {}
        return {name: self._typed_at(value, [("env", name)]) for name, value in env.items()}

    def typed(self, site: Site, value: Any, *path: str | int) -> str:
        if isinstance(value, str):
            return value
        places: list[tuple[str | int, ...]] = []
        at: Site | None = site
        while at is not None:
            places.append((*at.path, *path))
            at = at.scope.owner
        places += [("defaults", site.verb.name, *path), ("defaults", "tasks", *path)]
        return self._typed_at(value, places)

    def _typed_at(self, value: Any, places: list[tuple[str | int, ...]]) -> str:
        if isinstance(value, str):
            return value
        for place in places:
            raw = self._workflow.document.raw(place)
            if raw is not None:
                return "" if value is None else raw
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def output(self, site: Site) -> dict[str, Any] | None:
        if site.task.get("output_schema") is not None:
            schema: dict[str, Any] = site.task["output_schema"]
            return schema
        said = site.task.get("output")
        return None if said is None else type_schema(said)

    def line(self, site: Site) -> int:
        return self._workflow.document.line(site.path)

    def behind(self, site: Site, fields: dict[str, Any]) -> Any:
        """What decides a task's result besides its own fields; part of its digest."""
        name = site.verb.name
        if name in ("run", "python"):
            return self._workflow.data.get("env")
        if name == "workflow":
            return self.children[fields["path"]].digest
        if name == "tool":
            child = self.children.get(fields["name"])
            return child.digest if child is not None else self._workflow.mcp.get(fields["name"].partition(".")[0])
        if name == "agent":
            who = fields["agent"]
            return [self.agents, self._workflow.workers] if "${{" in who else self._agent_with_worker(who)
        return None

    def _agent_with_worker(self, name: str) -> Any:
        """The agent with its worker; then those that it may ask or hand over to, each with its own."""
        names = agents_behind([name], self.agents) or (name,)
        known = [self.agents.get(one, {}) for one in names]
        pairs = [[agent, self._workflow.workers.get(agent.get("worker", ""))] for agent in known]
        behind: Any = pairs[0] if len(pairs) == 1 else pairs
        tools = dict.fromkeys(tool for agent in known for tool in agent.get("tools") or ())
        called = [self.children[tool].digest for tool in tools if tool in self.children]
        return [behind, called] if called else behind

    def _name_workflows(self, agent: dict[str, Any]) -> None:
        """In an agent's `tools`, the paths of workflows become their identities."""
        if agent.get("tools"):
            agent["tools"] = [self._called.get(tool, tool) for tool in agent["tools"]]

    def called(self, said: str) -> str:
        """The identity of a workflow that is called by its path; its plan becomes one of the children."""
        workflow = self._workflow.child(said)
        if workflow.identity not in self.children:
            self.children[workflow.identity] = self._plan_of(workflow)
        return workflow.identity

    def inline_agent(self, site: Site, said: dict[str, Any]) -> str:
        ids = [site.id]
        at = site.scope.owner
        while at is not None:
            ids.append(at.id)
            at = at.scope.owner
        name = ".".join(("task", *reversed(ids)))
        self.agents[name] = compile_values.agent(self._workflow.with_agent_defaults(said))
        self._name_workflows(self.agents[name])
        return name

    def later(self, what: str, path: tuple[str | int, ...]) -> None:
        self._later[f"{what} ({self._workflow.identity}:{self._workflow.document.line(path)})"] = None

    def not_yet(self) -> tuple[str, ...]:
        """One line for each thing that the file uses and this version cannot run."""
        used = {name: self.agents[name] for name in sorted(self._used_agents) if name in self.agents}
        for what, path in compile_later.of_agents(used):
            self.later(what, path)
        theirs = [line for child in self.children.values() for line in child.not_yet]
        return tuple(dict.fromkeys([*self._later, *theirs]))


class _TaskLowering:
    """What a verb sees of all this (`verbs/_verb.py:Lowering`)."""

    __slots__ = ("_around", "_site")

    def __init__(self, around: SiteLowering, site: Site) -> None:
        self._around = around
        self._site = site

    def typed(self, value: Any, *path: str | int) -> str:
        return self._around.typed(self._site, value, *path)

    def agent(self, inline: dict[str, Any]) -> str:
        return self._around.inline_agent(self._site, inline)

    def child(self, path: str) -> str:
        return self._around.called(path)

    def shell(self, text: str) -> tuple[str, dict[str, str]]:
        if not has_marks(text):
            return text, {}
        from orchestrator.spec.shell_text import rewrite

        script, values = rewrite(text)
        return as_template(script), {name: "${{ " + expression + " }}" for name, expression in values.items()}

    def schema(self, type_value: Any, *path: str | int) -> dict[str, Any]:
        return dict(field_schema(type_value))

    def later(self, what: str, *path: str | int) -> None:
        self._around.later(what, (*self._site.path, *path))


def input_schemas(data: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """name → schema of a file's inputs, and the names without which no run starts."""
    schemas: dict[str, dict[str, Any]] = {}
    required = []
    for name, said in (data.get("inputs") or {}).items():
        schema = dict(field_schema(said))
        optional = schema.pop("optional", False)
        schemas[name] = schema
        if "default" not in schema and not optional:
            required.append(name)
    return schemas, tuple(required)


def as_template(text: str) -> str:
    """The template that gives exactly this text: what would be read as an expression or a tag is quoted in one."""
    return _MARKS.sub(lambda found: "${{ '" + found.group() + "' }}", text) if has_marks(text) else text
