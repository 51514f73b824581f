"""Finds the source of every tool an agent names; each source is imported when somebody first wants a tool of it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import registry
from orchestrator.ports.tool import Tool, ToolContext, ToolSource

PACKAGE = "orchestrator.tools"


class DiscoveredTools:
    """Implements ports.Toolbox over the files of `tools/`."""

    def __init__(self) -> None:
        self._sources: dict[str, ToolSource] = {}

    def source(self, name: str) -> ToolSource:
        if name not in self._sources:
            self._sources[name] = registry.load(PACKAGE, name, "TOOLS", noun="tool source")
        return self._sources[name]

    async def open(self, context: ToolContext, wanted: Sequence[str]) -> list[Tool]:
        """Tools for these names and globs, each once. Raises TaskError `tool` for a name nobody has."""
        found: dict[str, Tool] = {}
        for name in registry.names(PACKAGE):
            for tool in await self.source(name).open(context, wanted):
                found.setdefault(tool.name, tool)
        return list(found.values())

    async def close(self) -> None:
        """Release what the sources share. Idempotent."""
        sources, self._sources = list(self._sources.values()), {}
        for source in sources:
            await source.close()
