"""Finds the source of every tool an agent names; each source is imported when somebody first wants a tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator import registry
from orchestrator.errors import TaskError
from orchestrator.tools._names import is_glob, wants, with_unique_wire_names

if TYPE_CHECKING:  # every engine has a toolbox, few open it
    from orchestrator.ports.tool import Tool, ToolContext, ToolSource

PACKAGE = "orchestrator.tools"


class DiscoveredTools:
    """Implements ports.Toolbox over the files of `tools/`."""

    def __init__(self) -> None:
        self._sources: dict[str, ToolSource] = {}

    def source(self, name: str) -> ToolSource:
        if name not in self._sources:
            found = registry.load(PACKAGE, name, "TOOLS", noun="tool source")
            # A class: a source that keeps something open has one object per engine.
            self._sources[name] = found() if isinstance(found, type) else found
        return self._sources[name]

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Tools for these names and globs, each once. Raises TaskError `tool` for a name nobody has."""
        wanted = list(dict.fromkeys(wanted))
        found: dict[str, Tool] = {}
        for name in registry.names(PACKAGE):
            source = self.source(name)
            concerned = [word for word in wanted if may_have(source, word)]
            for tool in await source.open(context, concerned) if concerned else ():
                found.setdefault(tool.name, tool)
        for word in wanted:
            if not any(wants([word], name) for name in found):
                raise self._unknown(word, found, context)
        return with_unique_wire_names(list(found.values()))

    def _unknown(self, word: str, found: Iterable[str], context: ToolContext) -> TaskError:
        from orchestrator.spec.suggest import did_you_mean

        known = list(dict.fromkeys([*self.known(), *found, *(f"{server}.*" for server in context.mcp)]))
        message = f"no tool fits {word!r}" if is_glob(word) else f"there is no tool {word!r}"
        return TaskError("tool", message, help=did_you_mean(word, known) or f"there are {', '.join(known[:12])}")

    def known(self) -> tuple[str, ...]:
        """The names of all tools that are there without opening anything."""
        return tuple(tool for name in registry.names(PACKAGE) for tool in self.source(name).known())

    async def close(self) -> None:
        """Release what the sources share. Idempotent."""
        sources, self._sources = list(self._sources.values()), {}
        for source in sources:
            await source.close()


def may_have(source: ToolSource, word: str) -> bool:
    """Whether to ask a source for a name or glob: what stands before the first dot, or glob sign, is its prefix."""
    prefix = source.prefix
    if not prefix or word == prefix or word.startswith(f"{prefix}."):
        return True
    if not is_glob(word):
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, word) for name in source.known())
