"""The tools' side of a tape: which tools an agent was given, and what each call came to.

Implements ports.Toolbox twice, over the real one: recording what it gives, and playing that without opening any. A tool within
whose call models were asked (another workflow) is called anew when its tape is played: those models are played then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from orchestrator.ai.sessions import conversation
from orchestrator.ai.tapes.canonical import key_of
from orchestrator.ai.tapes.nearest import Asked
from orchestrator.ai.tapes.place import Surroundings, conversation_of, inside_tool
from orchestrator.ai.tapes.player import TapePlayer
from orchestrator.ai.tapes.recorder import TapeRecorder
from orchestrator.ai.tapes.virtual_time import pass_time
from orchestrator.core.plan import Effect
from orchestrator.errors import TaskError
from orchestrator.host.redact import Redactor
from orchestrator.ports.chat_model import ToolSpec
from orchestrator.ports.tool import ChildParked, PersonNeeded, Tool, Toolbox, ToolContext

JSON = Any


def taped_tools(real: Toolbox, tape: TapeRecorder | TapePlayer) -> Toolbox:
    if isinstance(tape, TapeRecorder):
        return RecordedTools(real, tape)
    return real if tape.live_tools else PlayedTools(real, tape)


def _who(context: ToolContext, around: Surroundings) -> dict[str, JSON]:
    path, call = around.path_of(context.run_id), context.call
    return {
        **({"run": path} if path else {}),
        "task": context.task,
        "agent": call.agent_id if call is not None else "",
        "conversation": conversation_of(conversation(call)) if call is not None else "",
    }


def _asked(kind: str, who: dict[str, JSON], request: dict[str, JSON], redactor: Redactor) -> Asked:
    clean = redactor.value(request)
    return Asked(redactor.value(who), key_of(clean), clean, kind)


def _entry(asked: Asked, end: str, began: float, **more: JSON) -> dict[str, JSON]:
    ms = round((time.monotonic() - began) * 1000)
    head = {"entry": asked.kind, "key": asked.key, **asked.who, "end": end, "ms": ms}
    return {**head, **more, "request": asked.request}


class RecordedTools:
    """Gives real tools, and writes down what they are and what they answer."""

    def __init__(self, real: Toolbox, tape: TapeRecorder) -> None:
        self._real = real
        self._tape = tape

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        began = time.monotonic()
        tools = await self._real.open(context, wanted)
        redactor = self._tape.secrets.redactor
        asked = _asked("tools", _who(context, self._tape.around), {"wanted": list(wanted)}, redactor)
        given = [{"tool": t.name, "effect": t.effect, **_spec_shown(t.spec)} for t in tools]
        await self._tape.keep_once(_entry(asked, "answered", began, tools=redactor.value(given)))
        return [_RecordedTool(tool, context, self._tape) for tool in tools]

    async def close(self) -> None:
        await self._real.close()


def _spec_shown(spec: ToolSpec) -> dict[str, JSON]:
    return {"name": spec.name, "description": spec.description, "parameters": spec.parameters}


class _RecordedTool:
    """Implements ports.Tool."""

    def __init__(self, tool: Tool, context: ToolContext, tape: TapeRecorder) -> None:
        self.name, self.spec, self.effect = tool.name, tool.spec, tool.effect
        self._tool = tool
        self._context = context
        self._tape = tape

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        tape, began = self._tape, time.monotonic()
        asked = _asked(
            "tool",
            _who(self._context, tape.around),
            {"tool": self.name, "as": self.spec.name, "arguments": arguments},
            tape.secrets.redactor,
        )
        models_asked = [False]
        mark = inside_tool.set(models_asked)
        try:
            value = await self._tool.call(arguments, call_id)
        except (PersonNeeded, ChildParked):
            raise  # nothing happened yet: the call is made again
        except Exception as error:
            await tape.keep(_entry(asked, "failed", began, error=_error_shown(error, tape.secrets.redactor)))
            raise
        finally:
            inside_tool.reset(mark)
        anew = {"anew": True} if models_asked[0] else {}
        await tape.keep(_entry(asked, "answered", began, **anew, result=tape.secrets.redactor.value(value)))
        return value


def _error_shown(error: Exception, redactor: Redactor) -> dict[str, JSON]:
    if isinstance(error, TaskError):
        help = {"help": redactor.text(error.help)} if error.help else {}
        return {"type": error.type, "message": redactor.text(error.message), **help}
    return {"exception": type(error).__name__, "message": redactor.text(str(error))}


class PlayedTools:
    """Gives what the tape says was given; nothing is opened, no server started."""

    def __init__(self, real: Toolbox, tape: TapePlayer) -> None:
        self._real = real
        self._tape = tape

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Raises ReplayMissError where the tape knows nothing of these tools."""
        tape = self._tape
        who = _who(context, tape.around)
        asked = _asked("tools", who, {"wanted": list(wanted)}, tape.secrets.redactor)
        entry = tape.look(asked, context.run_id)
        return [_PlayedTool(said, who, context, self._real, tape) for said in entry.data.get("tools") or ()]

    async def close(self) -> None:
        await self._real.close()


class _PlayedTool:
    """Implements ports.Tool."""

    def __init__(
        self, said: dict[str, JSON], who: dict[str, JSON], context: ToolContext, real: Toolbox, tape: TapePlayer
    ) -> None:
        self.name = str(said["tool"])
        self.effect = cast("Effect", said["effect"])
        self.spec = ToolSpec(name=said["name"], description=said["description"], parameters=said["parameters"])
        self._who = who
        self._context = context
        self._real = real
        self._tape = tape

    async def call(self, arguments: dict[str, JSON], call_id: str) -> JSON:
        request = {"tool": self.name, "as": self.spec.name, "arguments": arguments}
        asked = _asked("tool", self._who, request, self._tape.secrets.redactor)
        entry = self._tape.take(asked, self._context.run_id)
        if entry.data.get("anew"):
            (tool,) = await self._real.open(self._context, [self.name])
            return await tool.call(arguments, call_id)
        pass_time(entry.data.get("ms", 0) / 1000)
        if isinstance(error := entry.data.get("error"), dict):
            raise _error_of(error)
        return entry.data.get("result")


def _error_of(data: dict[str, JSON]) -> Exception:
    message = str(data.get("message", ""))
    if "type" in data:
        return TaskError(data["type"], message, help=data.get("help"))
    # The model is told what kind of mistake a tool made: the name is part of what it answered to.
    kind: type[Exception] = type(str(data.get("exception", "Exception")), (Exception,), {})
    return kind(message)
