"""Delegates: code of the user's that is told what happens (notifications) and asked what may happen (controls)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.ports.services import Http, Processes

Delegate = Callable[..., Any]
"""A notification delegate: `delegate(sender, event_type, **payload)`, its return value is ignored. A control delegate:
`delegate(sender, control_type, **payload) -> bool | None`; None is no objection. Both may be `async`."""

Where = Mapping[str, Any] | Callable[[Mapping[str, Any]], bool]
"""A filter on the payload: the fields that must be equal, or a function of the whole payload."""

Post = tuple[str, dict[str, Any]]
"""One notification: (event type, payload)."""


class Delegates(Protocol):
    """What a plug-in or a setup function registers on: the DelegateManager, as seen from below."""

    def register(
        self, event_type: str, delegate_callable: Delegate, *, where: Where | None = None, on_error: str | None = None
    ) -> None: ...

    def unregister(self, event_type: str, delegate_callable: Delegate) -> bool: ...


@dataclass(slots=True, kw_only=True, frozen=True)
class DelegateContext:
    """What a built-in delegate may reach: handed to it, never imported by it."""

    project: Path
    """The project's root: relative paths and commands start there."""
    http: Http
    processes: Processes
    environ: Mapping[str, str]
    """The user's environment, for a signing key named by variable and for PATH, HOME and the like."""
    write: Callable[[str], None]
    """Writes one line where people read (standard error)."""


class DelegatePlugin(Protocol):
    """One file in `delegates/builtin/`, an attribute `PLUGIN` of it; found by the file's name."""

    def attach(self, manager: Delegates, options: Mapping[str, Any], context: DelegateContext) -> None:
        """Register what the options ask for. Raises UsageError for an unknown or impossible option."""
        ...

    def options_from_text(self, text: str) -> dict[str, Any]:
        """What stands after the colon in `--delegate name:text`."""
        ...
