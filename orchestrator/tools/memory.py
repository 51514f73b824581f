"""`memory.*`: what an agent keeps between conversations and runs (`memory: NAME`, `true` or `{path, max_size}` of an agent).

Whoever declares the memory means it to be used, so writing to it needs no further permission. What is in it was written by
models: it is given back as text, never as an instruction.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools._declared import Declaration, DeclaredSource, Run, arguments, text, whole
from orchestrator.tools._memory_places import memory_of
from orchestrator.tools._memory_store import KEY_LENGTH_MAX, MemoryStore, clean_key, found, origin
from orchestrator.tools._places import state_of

JSON = Any

FOUND_MAX: Final = 20
SNIPPET: Final = 500
_KEY: Final = text("Name of the entry, one line.", minLength=1, maxLength=KEY_LENGTH_MAX)

DECLARATIONS: Final = (
    Declaration(
        name="memory.search",
        description="Search what was remembered in earlier conversations, by words.",
        parameters=arguments(
            ["query"],
            query=text("Words to look for.", minLength=1),
            most=whole("Most entries to give. Default: 5.", maximum=FOUND_MAX),
        ),
        effect="pure",
    ),
    Declaration(
        name="memory.read",
        description="Read one remembered entry by its key; without a key, list all keys.",
        parameters=arguments(key=_KEY),
        effect="pure",
    ),
    Declaration(
        name="memory.write",
        description="Remember something for later conversations; an entry with the same key is replaced. Never write secrets.",
        parameters=arguments(["key", "text"], key=_KEY, text=text("What to remember.", minLength=1)),
        effect="idempotent",
    ),
    Declaration(
        name="memory.forget",
        description="Forget one entry.",
        parameters=arguments(["key"], key=_KEY),
        effect="idempotent",
    ),
)


class MemoryTools(DeclaredSource):
    prefix = "memory"
    declarations = DECLARATIONS

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        # A glob over all tools (`*`) gives a memory only to whom one was declared.
        if _said(context) is None and not any(word.startswith("memory.") for word in wanted):
            return []
        return await super().open(context, wanted)

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        said = _said(context)
        if said is None or context.call is None:
            raise TaskError(
                "tool", "only an agent with a `memory` can use these tools", help="give the agent `memory: true`"
            )
        store = memory_of(said, context.call.agent_id, project=context.project, state=state_of(context))
        return [one.tool(context, _run_of(one.name, store, context), free=_declared) for one in chosen]


def _said(context: ToolContext) -> JSON:
    return (context.call.agent.get("memory") or None) if context.call is not None else None


def _declared(given: Mapping[str, JSON]) -> bool:
    return True


def _run_of(name: str, store: MemoryStore, context: ToolContext) -> Run:
    async def run(given: dict[str, JSON], call_id: str) -> JSON:
        import asyncio  # whoever only looks at what is declared needs none of it

        return await asyncio.to_thread(_called, name, store, given, context)

    return run


def _called(name: str, store: MemoryStore, given: dict[str, JSON], context: ToolContext) -> JSON:
    match name.partition(".")[2]:
        case "search":
            entries = found(store.read(), given["query"], given.get("most") or 5)
            return [{"key": one.key, "text": one.text[:SNIPPET], "written": one.origin} for one in entries]
        case "read":
            return _read(store, given.get("key"))
        case "write":
            return {"key": given["key"], "new": _write(store, given, context)}
        case _:
            return {"key": given["key"], "forgotten": store.forget(given["key"])}


def _read(store: MemoryStore, key: str | None) -> JSON:
    entries = store.read().entries
    if key is None:
        return {"keys": list(entries)}
    entry = entries.get(clean_key(key))
    if entry is None:
        from orchestrator.spec.suggest import did_you_mean

        raise TaskError("tool", f"nothing is remembered as {key!r}", help=did_you_mean(key, entries))
    return entry.text


def _write(store: MemoryStore, given: dict[str, JSON], context: ToolContext) -> bool:
    from orchestrator.host.redact import Redactor

    redactor = Redactor(context.secrets)
    return store.write(redactor.text(given["key"]), redactor.text(given["text"]), origin(time.time(), context.run_id))


TOOLS = MemoryTools()
