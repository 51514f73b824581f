"""What every source of tools must hold to, and a world to call its tools in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
from jsonschema import Draft202012Validator

from orchestrator.core.plan import Effect
from orchestrator.errors import ERROR_TYPES, TaskError
from orchestrator.host.environment import base_environment
from orchestrator.ports.services import AgentCall, ChildResult, Http, Processes, Services, WorkflowFace
from orchestrator.ports.tool import PersonNeeded, Tool, ToolContext, ToolSource
from orchestrator.tools._toolbox import DiscoveredTools

SECRET = "correct-horse-battery"
WIRE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass
class ScriptedRuns:
    """Child runs that end as the test says; remembers how they were called."""

    faces: dict[str, WorkflowFace] = field(default_factory=dict)
    result: ChildResult = field(default_factory=lambda: ChildResult(run_id="c1", status="succeeded", outputs={"x": 1}))
    calls: list[dict[str, Any]] = field(default_factory=list)

    def face(self, workflow: str, *, parent_run: str) -> WorkflowFace:
        if workflow not in self.faces:
            raise TaskError("tool", f"the running plan does not hold the workflow {workflow!r}")
        return self.faces[workflow]

    async def call(
        self, workflow: str, inputs: dict[str, Any], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult:
        self.calls.append({"workflow": workflow, "inputs": inputs, "parent_run": parent_run, "key": key})
        return self.result


class NoSessions:
    async def run_turns(self, call: AgentCall) -> Any:
        raise AssertionError("tools call no agent here")

    async def close(self) -> None:
        return None


@dataclass
class ToolWorld:
    """A project, real processes and HTTP, and scripted child runs."""

    project: Path
    processes: Processes
    http: Http
    runs: ScriptedRuns = field(default_factory=ScriptedRuns)

    def context(self, **changes: Any) -> ToolContext:
        services = Services(
            processes=self.processes, http=self.http, runs=self.runs, sessions=NoSessions(), tools=DiscoveredTools()
        )
        given: dict[str, Any] = {
            "run_id": "r1",
            "task": "t",
            "key": "r1:t",
            "project": self.project,
            "cwd": self.project,
            "run_dir": self.project / ".whisper-flow" / "runs" / "r1",
            "env": base_environment(os.environ),
            "services": services,
        }
        return ToolContext(**(given | changes))

    async def open(self, *wanted: str, **changes: Any) -> list[Tool]:
        return await DiscoveredTools().open(self.context(**changes), wanted)

    async def tool(self, name: str, **changes: Any) -> Tool:
        (tool,) = await self.open(name, **changes)
        return tool

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None = None, call_id: str = "c", **changes: Any
    ) -> Any:
        tool = await self.tool(name, **changes)
        given = dict(arguments or {})
        Draft202012Validator(tool.spec.parameters).validate(given)
        return await tool.call(given, call_id)

    async def fail(self, name: str, arguments: Mapping[str, Any], call_id: str = "c", **changes: Any) -> TaskError:
        with pytest.raises(TaskError) as failure:
            await self.call(name, arguments, call_id, **changes)
        assert failure.value.type in ERROR_TYPES
        return failure.value

    def file(self, path: str, content: str | bytes = "") -> Path:
        made = self.project / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(content.encode() if isinstance(content, str) else content)
        return made


class SourceConformance:
    """Subclass it as `Test…`; give the `source`, what `wanted` opens, and one call that succeeds or asks a person.

    `prepare(world)` makes what the call needs; `changes` go to the context.
    """

    source: ClassVar[ToolSource]
    wanted: ClassVar[tuple[str, ...]]
    name: ClassVar[str]
    arguments: ClassVar[dict[str, Any]]
    changes: ClassVar[dict[str, Any]] = {}

    def prepare(self, world: ToolWorld) -> None:
        """Files and scripts that the call needs."""

    async def opened(self, world: ToolWorld, *wanted: str, **changes: Any) -> list[Tool]:
        self.prepare(world)
        return list(await self.source.open(world.context(**{**self.changes, **changes}), wanted or self.wanted))

    async def one(self, world: ToolWorld, **changes: Any) -> Tool:
        (tool,) = [tool for tool in await self.opened(world, **changes) if tool.name == self.name]
        return tool

    async def test_what_is_known_beforehand_is_what_opens(self, world: ToolWorld) -> None:
        known = self.source.known()
        assert all(not self.source.prefix or name.split(".")[0] == self.source.prefix for name in known)
        opened = [tool.name for tool in await self.opened(world)]
        assert len(set(opened)) == len(opened)
        assert not known or set(opened) <= set(known)

    async def test_only_what_is_wanted_opens(self, world: ToolWorld) -> None:
        assert await self.opened(world, "nobody.has.this") == []
        assert [tool.name for tool in await self.opened(world, self.name)] == [self.name]

    async def test_models_see_names_that_every_provider_takes(self, world: ToolWorld) -> None:
        for tool in await self.opened(world):
            assert WIRE.fullmatch(tool.spec.name)
            assert tool.spec.description.strip()
            assert tool.effect in get_args(Effect)

    async def test_its_schemas_are_json_schemas_of_objects(self, world: ToolWorld) -> None:
        for tool in await self.opened(world):
            Draft202012Validator.check_schema(tool.spec.parameters)
            assert tool.spec.parameters["type"] == "object"
            json.dumps(tool.spec.parameters)

    async def test_opening_twice_gives_the_same(self, world: ToolWorld) -> None:
        first = [(tool.name, tool.spec, tool.effect) for tool in await self.opened(world)]
        assert [(tool.name, tool.spec, tool.effect) for tool in await self.opened(world)] == first

    async def test_its_result_is_plain_json_and_its_arguments_stay_as_they_are(self, world: ToolWorld) -> None:
        tool = await self.one(world)
        given = json.loads(json.dumps(self.arguments))
        try:
            json.dumps(await tool.call(given, "c1"), allow_nan=False)
        except PersonNeeded as asked:
            json.dumps(asked.question.schema)
        assert given == self.arguments

    async def test_no_secret_comes_out_of_it(self, world: ToolWorld) -> None:
        """`leaking` of a subclass are arguments that make it try hard."""
        tool = await self.one(world, secrets=(SECRET,))
        try:
            said = repr(await tool.call(dict(getattr(self, "leaking", self.arguments)), "c1"))
        except TaskError as error:
            said = repr((error.message, error.meta))
        except PersonNeeded:
            return
        assert SECRET not in said

    async def test_closing_twice_is_fine(self, world: ToolWorld) -> None:
        await self.opened(world)
        await self.source.close()
        await self.source.close()
