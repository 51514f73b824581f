"""A declared tool server, told apart by all that makes its process or its requests: equal ones share a connection."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.environment import BASE_NAMES
from orchestrator.ports.tool import ToolContext

JSON = Any
MISSING_EXTRA: Final = "pip install 'whisper-flow[mcp]'"


@dataclass(slots=True, frozen=True, kw_only=True)
class Server:
    id: str
    argv: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its whole environment."""
    cwd: Path
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def program(self) -> str:
        """What is started, without the arguments: they may be nobody's business."""
        return self.argv[0] if self.argv else ""

    @property
    def identity(self) -> str:
        """Equal for equal servers; says nothing of what is in it."""
        facts = [self.id, self.argv, sorted(self.env.items()), str(self.cwd), self.url, sorted(self.headers.items())]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def declared_server(id: str, said: Mapping[str, JSON], context: ToolContext) -> Server:
    """The server as `mcp:` declares it, templates rendered. Raises TaskError `invalid_input`."""
    cwd = _inside(context.project, str(said.get("cwd") or "."), id)
    if said.get("url"):
        headers = {str(name): _text(value) for name, value in (said.get("headers") or {}).items()}
        return Server(id=id, cwd=cwd, url=_http_url(str(said["url"]), id), headers=headers)
    command = said.get("command")
    argv = shlex.split(command) if isinstance(command, str) else [_text(word) for word in command or ()]
    if not argv:
        raise TaskError("invalid_input", f"MCP server `{id}` names neither a command nor a url")
    base = {name: context.env[name] for name in BASE_NAMES if name in context.env}
    own = {str(name): _text(value) for name, value in (said.get("env") or {}).items()}
    args = [_text(word) for word in said.get("args") or ()]
    return Server(id=id, argv=(*argv, *args), env={**base, **own}, cwd=cwd)


def _inside(project: Path, said: str, id: str) -> Path:
    root = project.resolve()
    found = (root / said).resolve()
    if found != root and root not in found.parents:
        raise TaskError("invalid_input", f"`cwd` of MCP server `{id}` leads out of the project")
    return found


def _http_url(url: str, id: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise TaskError("invalid_input", f"`url` of MCP server `{id}` must begin with http:// or https://")
    return url


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value)
