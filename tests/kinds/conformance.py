"""What every kind must hold to, and how tests perform one attempt of it with the real machine below."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.core.plan import Node
from orchestrator.errors import ERROR_TYPES, TaskError
from orchestrator.host.environment import base_environment
from orchestrator.ports.services import AgentAnswer, AgentCall, ChildResult, Http, Processes, Services
from orchestrator.ports.task_kind import Asking, Attempt, Ending, Outcome, Parked, Sleeping, Succeeded, TaskKind
from orchestrator.tools._toolbox import DiscoveredTools

NOW = 1_900_000_000.0
SECRET = "correct-horse-battery"


class NoRuns:
    """Child runs where none may be asked for."""

    async def call(
        self, workflow: str, inputs: dict[str, Any], *, parent_run: str, key: str, detach: bool
    ) -> ChildResult:
        raise AssertionError("this kind calls no workflow")


class NoSessions:
    async def run_turns(self, call: AgentCall) -> AgentAnswer:
        raise AssertionError("this kind calls no agent")

    async def close(self) -> None:
        return None


@dataclass
class World:
    """One attempt's surroundings: real processes and HTTP, folders of its own, and what it published."""

    root: Path
    processes: Processes
    http: Http
    runs: Any = field(default_factory=NoRuns)
    sessions: Any = field(default_factory=NoSessions)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def attempt(self, verb: str, fields: dict[str, Any], **changes: Any) -> Attempt:
        given: dict[str, Any] = {
            "run_id": "r1",
            "task": "t",
            "node": Node(id="t", verb=verb),
            "number": 1,
            "key": "r1:t:1",
            "fields": fields,
            "env": {},
            "secrets": (),
            "project": self.root,
            "cwd": self.root,
            "run_dir": self.root / "run",
            "log_dir": self.root / "logs" / "t.1",
            "output_schema": None,
            "now": NOW,
            "deadline": None,
            "services": Services(
                processes=self.processes,
                http=self.http,
                runs=self.runs,
                sessions=self.sessions,
                tools=DiscoveredTools(),
            ),
            "publish": lambda type, data: self.published.append((type, data)),
        }
        given |= changes
        given["env"] = {**base_environment(os.environ), **given["env"]}
        return Attempt(**given)

    async def perform(self, verb: str, fields: dict[str, Any], **changes: Any) -> Outcome:
        return await kind_of(verb).perform(self.attempt(verb, fields, **changes))

    async def succeed(self, verb: str, fields: dict[str, Any], **changes: Any) -> Succeeded:
        outcome = await self.perform(verb, fields, **changes)
        assert isinstance(outcome, Succeeded)
        return outcome

    async def fail(self, verb: str, fields: dict[str, Any], **changes: Any) -> TaskError:
        with pytest.raises(TaskError) as failure:
            await self.perform(verb, fields, **changes)
        assert failure.value.type in ERROR_TYPES
        json.dumps(failure.value.meta)
        return failure.value

    def logged(self, stream: str = "stdout") -> str:
        return "".join(data["text"] for type, data in self.published if type == "log" and data["stream"] == stream)


def kind_of(verb: str) -> TaskKind:
    kind: TaskKind = registry.load("orchestrator.kinds", verb, "KIND")
    return kind


class KindConformance:
    """Subclass it as `Test…`, give `verb` and `fields` of an attempt that succeeds (or waits) and leaves a mark in no state."""

    verb: str
    fields: dict[str, Any]

    def test_the_file_is_named_like_the_verb(self) -> None:
        assert kind_of(self.verb).verb == self.verb

    def test_it_does_not_wait_iff_it_says_so(self, world: World) -> None:
        kind = kind_of(self.verb)
        attempt = world.attempt(self.verb, self.fields)
        if kind.immediate:
            assert isinstance(kind.perform_now(attempt), Succeeded | Sleeping | Asking | Ending)
        else:
            with pytest.raises(AssertionError):
                kind.perform_now(attempt)

    async def test_its_outcome_is_plain_json(self, world: World) -> None:
        outcome = await world.perform(self.verb, self.fields)
        match outcome:
            case Succeeded(value=value, meta=meta, usage=usage):
                json.dumps([value, meta, usage], allow_nan=False)
            case Asking(schema=schema, show=show, on_expired=on_expired):
                json.dumps([schema, show, on_expired], allow_nan=False)
            case Sleeping(value=value):
                json.dumps(value, allow_nan=False)
            case Parked() | Ending():
                pass

    async def test_performing_it_leaves_fields_and_environment_alone(self, world: World) -> None:
        attempt = world.attempt(self.verb, json.loads(json.dumps(self.fields)), env={"A": "1"})
        await kind_of(self.verb).perform(attempt)
        assert attempt.fields == self.fields
        assert attempt.env == base_environment(os.environ) | {"A": "1"}

    async def test_cancellation_ends_it_and_is_passed_on(self, world: World) -> None:
        task = asyncio.create_task(world.perform(self.verb, self.fields))
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_no_secret_is_in_what_it_gives(self, world: World) -> None:
        """Holds for what goes through the kind; `leaking_fields` of a subclass make it try hard."""
        fields = getattr(self, "leaking_fields", self.fields)
        outcome = await world.perform(self.verb, fields, secrets=(SECRET,), env={"TOKEN": SECRET})
        given = repr(outcome) + repr(world.published)
        for file in world.root.rglob("*.log"):
            given += file.read_text(errors="replace")
        assert SECRET not in given
