"""Python functions as tools: `module:function` under `tools:`. Its hints are the schema, its docstring the description.

The function runs in a process of its own and is never imported into the engine, not even to look at it. What it does to the
world it says itself, after its definition: `count.effect = "pure"`; without a word, it may be called again after a crash.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools._declared import BuiltTool, seconds
from orchestrator.tools._file_marks import mark_of
from orchestrator.tools._names import wire_name

JSON = Any

REFERENCE: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
LOOK_S: Final = 30.0
CALL_S: Final = 600.0
"""Unless `tools: {python: {timeout}}` or the task's own time says less or more."""
DESCRIPTIONS_MAX: Final = 256
_SIDE: Final = "orchestrator.tools._python_call"


class PythonTools:
    """Found by the form of the name."""

    prefix = ""

    def __init__(self) -> None:
        self._descriptions = Descriptions()

    def known(self, server: str | None = None) -> tuple[str, ...]:
        return ()

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Raises TaskError `tool` for a function that is not there, or cannot be called with JSON."""
        return [await self._tool(context, name) for name in wanted if REFERENCE.fullmatch(name)]

    async def close(self) -> None:
        return None

    async def _tool(self, context: ToolContext, target: str) -> Tool:
        try:
            facts = await self._descriptions.of(context, target)
        except TaskError as error:
            raise TaskError("tool", f"{target} cannot be a tool: {error.message}", help=error.help) from error

        async def run(given: dict[str, JSON], call_id: str) -> JSON:
            key = f"{context.key}:{call_id}".replace("\n", ":")
            limit = seconds((context.settings.get("python") or {}).get("timeout"), CALL_S)
            return await _in_its_process(
                context,
                "call",
                {"target": target, "arguments": given},
                limit=limit,
                more={"WHISPER_IDEMPOTENCY_KEY": key},
            )

        module, _, function = target.partition(":")
        spec = ToolSpec(
            name=wire_name(function),
            description=facts["description"] or f"{function} of {module}.",
            parameters=facts["parameters"],
        )
        return BuiltTool(name=target, spec=spec, effect=facts["effect"], run=run, secrets=context.secrets)


class Descriptions:
    """What functions say of themselves, asked anew when one of the project's files behind them has changed."""

    def __init__(self) -> None:
        self._known: dict[Hashable, JSON] = {}
        self._asking: dict[Hashable, asyncio.Lock] = {}

    async def of(self, context: ToolContext, target: str) -> dict[str, JSON]:
        """{description, parameters, effect}. Raises TaskError."""
        at = (target, context.project, context.cwd, frozenset(context.env.items()))
        # Many attempts begin at once: one of them asks.
        async with self._asking.setdefault(at, asyncio.Lock()):
            known = self._known.get(at)
            if known is None or any(mark_of(path) != mark for path, mark in known["files"].items()):
                if len(self._known) >= DESCRIPTIONS_MAX:
                    self._known.clear()
                asked = {"target": target, "project": str(context.project)}
                known = await _in_its_process(context, "describe_with_files", asked, limit=LOOK_S)
                self._known[at] = known
        facts: dict[str, JSON] = known["facts"]
        return facts


async def _in_its_process(
    context: ToolContext, what: str, arguments: Mapping[str, JSON], *, limit: float, more: Mapping[str, str] = {}
) -> JSON:
    env = {"PATH": os.defpath, **context.env, "WHISPER_RUN_ID": context.run_id, "WHISPER_TASK": context.task, **more}
    try:
        result = await context.services.processes.call_python(
            f"{_SIDE}:{what}",
            json.dumps(arguments).encode(),
            path=context.project,
            env=env,
            cwd=context.cwd,
            timeout=limit,
            keep=64 * 1024,
            secrets=context.secrets,
        )
    except TimeoutError:
        raise TaskError("timeout", f"still running after {limit:g} s") from None
    except OSError as error:
        raise TaskError("tool", f"no process for it: {error.strerror or error}") from None
    if result.reply is None:
        raise TaskError("tool", f"its process ended without an answer (exit code {result.exit_code})")
    answer = json.loads(result.reply)
    if "error" in answer:
        raise TaskError("tool", _without_our_side(answer["message"]))
    return answer["value"]


def _without_our_side(message: str) -> str:
    return message.replace(f"{_SIDE}:describe_with_files returned", "it returned").replace(
        f"{_SIDE}:call returned", "it returned"
    )


TOOLS = PythonTools
