"""`shell`: one program with its arguments, no shell in between, shut in where the system can do it.

Configuration: `tools: {shell: {allow: [program], sandbox: required | preferred | none, network, read: [path], env: [NAME],
timeout}}`. Programs in `allow` need no permission; every other call does. An interrupted call is never made again by itself:
the model is told that nobody knows what it did.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.ports.services import ProcessResult
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools._declared import Declaration, DeclaredSource, arguments, seconds, text, whole
from orchestrator.tools._places import state_of
from orchestrator.tools._sandbox import Box, Level, probe

JSON = Any

TIMEOUT_S: Final = 120
TIMEOUT_S_MAX: Final = 3600
OUTPUT_BYTES: Final = 64 * 1024
"""Of each stream that the model sees; the middle is left out of more."""
ENVIRONMENT: Final = ("PATH", "LANG", "TZ", "TERM", "HOME", "TMPDIR")
WORDS_MAX: Final = 1000

DECLARATIONS: Final = (
    Declaration(
        name="shell",
        description=(
            "Run one program in the working folder and see its output. There is no shell: no pipes, globs or variables;"
            ' `["sh", "-c", "…"]` is one.'
        ),
        parameters=arguments(
            ["argv"],
            argv={
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": WORDS_MAX,
                "description": "The program and its arguments, one word each.",
            },
            stdin=text("Text for its standard input."),
            timeout=whole(f"Seconds it may take. Default: {TIMEOUT_S}.", maximum=TIMEOUT_S_MAX),
        ),
        effect="at_most_once",
    ),
)


class ShellTool(DeclaredSource):
    prefix = "shell"
    declarations = DECLARATIONS

    def __init__(self) -> None:
        self._works: bool | None = None

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        settings = context.settings.get("shell") or {}
        box = await self._box(context, settings)
        allowed = frozenset(str(program) for program in settings.get("allow") or ())

        async def run(given: dict[str, JSON], call_id: str) -> JSON:
            return await _run(context, settings, box, given, call_id)

        def free(given: Mapping[str, JSON]) -> bool:
            words = given.get("argv")
            return isinstance(words, list) and bool(words) and words[0] in allowed

        return [one.tool(context, run, note=box.words, free=free) for one in chosen]

    async def _box(self, context: ToolContext, settings: Mapping[str, JSON]) -> Box:
        said = settings.get("sandbox") or "preferred"
        level: Level = "none"
        if said != "none" and await self.works(context):
            level = "bubblewrap"
        if level == "none" and said == "required":
            raise TaskError(
                "tool",
                "`shell` must run in a sandbox here, and bubblewrap does not work",
                help="install bubblewrap, or set `tools: {shell: {sandbox: preferred}}`",
            )
        return _box(context, settings, level)

    async def works(self, context: ToolContext) -> bool:
        """Whether bubblewrap works on this machine; tried once."""
        if self._works is None:
            self._works = await probe(context.services.processes, context.env, context.project)
        return self._works


def _box(context: ToolContext, settings: Mapping[str, JSON], level: Level) -> Box:
    project = context.project.resolve()
    return Box(
        level=level,
        network=bool(settings.get("network")),
        project=project,
        state=state_of(context).resolve(),
        read=tuple((project / Path(path).expanduser()).resolve() for path in settings.get("read") or ()),
        path=context.env.get("PATH", os.defpath),
    )


async def _run(
    context: ToolContext, settings: Mapping[str, JSON], box: Box, given: dict[str, JSON], call_id: str
) -> JSON:
    argv: list[str] = given["argv"]
    if any("\0" in word for word in argv) or not argv[0]:
        raise TaskError("invalid_input", "a word of `argv` holds a zero character, or the program has no name")
    limit = min(seconds(given.get("timeout"), seconds(settings.get("timeout"), TIMEOUT_S)), TIMEOUT_S_MAX)
    cwd = context.cwd.resolve()
    try:
        result = await context.services.processes.run(
            box.command(argv, cwd),
            env=box.environment(_environment(context, settings, call_id)),
            cwd=cwd,
            stdin=(given.get("stdin") or "").encode("utf-8", "replace"),
            timeout=limit,
            keep=4 * OUTPUT_BYTES,
            secrets=context.secrets,
        )
    except TimeoutError as error:
        raise _timed_out(limit, getattr(error, "result", None)) from None
    except OSError as error:
        raise TaskError("tool", f"{argv[0]} cannot be started: {error.strerror or error}") from None
    return _seen(result, box)


def _environment(context: ToolContext, settings: Mapping[str, JSON], call_id: str) -> dict[str, str]:
    """Little: what a task's own environment holds is not a model's to read, unless the project names it."""
    names = (*ENVIRONMENT, *(str(name) for name in settings.get("env") or ()))
    env = {name: context.env[name] for name in names if name in context.env}
    env.setdefault("PATH", os.defpath)
    return {
        **env,
        "WHISPER_RUN_ID": context.run_id,
        "WHISPER_IDEMPOTENCY_KEY": f"{context.key}:{call_id}".replace("\n", ":"),
    }


def _seen(result: ProcessResult, box: Box) -> dict[str, JSON]:
    made: dict[str, JSON] = {"exit_code": result.exit_code, "stdout": _text(result.stdout), "sandbox": box.level}
    if result.stderr:
        made["stderr"] = _text(result.stderr)
    cut = result.stdout_truncated or result.stderr_truncated
    if cut or max(len(result.stdout), len(result.stderr)) > OUTPUT_BYTES:
        made["incomplete"] = True
    return made


def _text(data: bytes) -> str:
    if len(data) <= OUTPUT_BYTES:
        return data.decode("utf-8", "replace")
    half = OUTPUT_BYTES // 2
    shown = b"%b\n[%d bytes left out]\n%b" % (data[:half], len(data) - 2 * half, data[-half:])
    return shown.decode("utf-8", "replace")


def _timed_out(limit: float, result: object) -> TaskError:
    said = ""
    if isinstance(result, ProcessResult):
        said = _text(result.stdout + result.stderr)[-2000:].strip()
    return TaskError("timeout", f"ended after {limit:g} s" + (f"; it had said: {said}" if said else ""))


TOOLS = ShellTool()
