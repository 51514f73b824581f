"""Which key a worker's calls go out with: found where its `auth` says, else in its provider's usual variable.

A key is read when a run that may need it starts or goes on, never from a project's `.env`, and never travels but inside a
`Secret`. Whether a key is there can be told without showing it: `key_status`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from orchestrator import registry
from orchestrator.errors import CredentialsError, NotFoundError
from orchestrator.ports.secret_source import KeyStatus, Looked, Place, Secret

PROVIDERS: Final = "orchestrator.providers"


def key_status(definition: Mapping[str, Any], environ: Mapping[str, str], project: Path) -> tuple[KeyStatus, str]:
    """Whether the worker's key is where it should be, and where that is: words for people, never the value.

    May ask a vault or the system's keyring: up to ten seconds, not for an event loop.
    """
    looked = look_for_key(definition, Place(project=project, environ=environ))
    return looked.status, looked.detail


def look_for_key(definition: Mapping[str, Any], place: Place) -> Looked:
    """As `key_status`, with the key itself and the remedy."""
    from orchestrator.host.secret_sources import look_for

    auth, provider = definition.get("auth"), str(definition.get("provider") or "")
    name = f"{provider} key"
    if auth == "none":
        auth = {"none": True}
    try:
        if isinstance(auth, Mapping) and auth:
            return look_for(auth, name, place)
        return _usual(provider, name, place)
    except NotFoundError as error:
        return Looked("Error", error.message, help=error.help)


def _usual(provider: str, name: str, place: Place) -> Looked:
    """A worker without `auth`: the variable that its provider reads."""
    from orchestrator.host.secret_sources import look_for

    found = registry.load(PROVIDERS, provider, "PROVIDER", noun="model provider")
    variables = key_variables(found)
    for variable in variables:
        looked = look_for({"env": variable}, name, place)
        if looked.secret is not None:
            return looked
    if not variables:
        return Looked("Not Configured", "no key is needed")
    missing = f"the variable {variables[0]} is not set"
    if getattr(found, "needs_key", True):
        return Looked("Not Found", missing, help=f"export {variables[0]}=…")
    return Looked("Not Configured", f"{missing}; a key is not always needed")


def key_variables(provider: Any) -> tuple[str, ...]:
    """Names of the variables a provider reads its key from, the first one to recommend; none for a model without keys."""
    return tuple(getattr(provider, "key_envs", ()))


class KeyRing:
    """The keys of an engine's workers. Each is looked for once, and anew with `fresh`: when a run starts."""

    def __init__(self, environ: Mapping[str, str], project: Path) -> None:
        self._place = Place(project=project, environ=environ)
        self._found: dict[str, Looked] = {}
        self._looking = threading.Lock()

    def key(self, definition: Mapping[str, Any], *, fresh: bool = False) -> Secret | None:
        """None where no key is needed, or none is set and the provider may do without.

        Raises CredentialsError that says where was looked. Blocks as long as the source takes, the first time.
        """
        looked = self._looked(definition, fresh=fresh)
        needed = bool(definition.get("auth")) and definition["auth"] not in ("none", {"none": True})
        if looked.secret is None and (needed or looked.status in ("Not Found", "Error")):
            worker = definition.get("definition_id")
            who = f"worker `{worker}`" if worker else definition.get("provider")
            raise CredentialsError(f"the key of {who} is missing: {looked.detail}", help=looked.help)
        return looked.secret

    def at_hand(self, definition: Mapping[str, Any]) -> bool:
        """Whether `key` answers at once."""
        return _place_of(definition) in self._found

    def _looked(self, definition: Mapping[str, Any], *, fresh: bool) -> Looked:
        at = _place_of(definition)
        if not fresh and (known := self._found.get(at)) is not None:
            return known
        with self._looking:
            # Many ask at once for the key of one worker: one of them asks its source.
            if not fresh and (known := self._found.get(at)) is not None:
                return known
            looked = look_for_key(definition, self._place)
            if looked.status == "Error":
                self._found.pop(at, None)  # another try may find the source back
            else:
                self._found[at] = looked
            return looked


def _place_of(definition: Mapping[str, Any]) -> str:
    return json.dumps([definition.get("provider"), definition.get("auth")], sort_keys=True)
