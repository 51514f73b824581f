"""`keyring: SERVICE` or `{service, username}`: an entry of the system's keyring (extra `keyring`). Default user name: the secret's name."""

from __future__ import annotations

from typing import Any

from orchestrator.ports.secret_source import Looked, Place, Secret


class SystemKeyring:
    name = "keyring"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        entry = said if isinstance(said, dict) else {"service": said}
        service, username = str(entry["service"]), str(entry.get("username") or name)
        try:
            import keyring
            import keyring.errors
        except ImportError:
            help = "pip install 'whisper-flow[keyring]'"
            return Looked("Not Configured", "the system's keyring needs the extra `keyring`", help=help)
        try:
            value = keyring.get_password(service, username)
        except keyring.errors.NoKeyringError:
            return Looked("Not Configured", "this system has no keyring", help="name another place, for example `env`")
        except keyring.errors.KeyringLocked:
            return Looked("Error", "the keyring is locked", help="unlock it, then try again")
        except Exception as error:  # noqa: BLE001 - backends raise what they like; the type is all that is surely no secret
            return Looked("Error", f"the keyring cannot be read ({type(error).__name__})")
        if not value:
            help = f"keyring set {service} {username}"
            return Looked("Not Found", f"the keyring has no `{username}` for service `{service}`", help=help)
        return Looked("Found", f"`{username}` of `{service}` in the keyring", Secret(name, value))


SOURCE = SystemKeyring()
