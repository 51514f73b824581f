"""`vault: PATH` or `{path, key}`: a field of a secret in HashiCorp Vault's key-value store (extra `vault`).

`VAULT_ADDR` says where it is, `VAULT_TOKEN` (or the file `~/.vault-token`, as its own command leaves it) who asks;
`VAULT_NAMESPACE` and `VAULT_CACERT` count as well. The path is the one people type after `vault kv get`; which version of the
store it lies in is asked of Vault, or tried where the token may not ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from orchestrator.host.secret_sources.file import SOURCE as FILE
from orchestrator.ports.secret_source import LOOKING_S, Looked, Place, Secret

if TYPE_CHECKING:
    from hvac.adapters import JSONAdapter  # type: ignore[import-untyped]

TOTAL_S: Final = LOOKING_S
REQUEST_S: Final = LOOKING_S / 2
"""Until the next byte of an answer. A look makes two requests, three where the token may not ask for the version."""
_HELP: Final = "see `vault kv get PATH` with the same VAULT_ADDR and VAULT_TOKEN"


class Refused(Exception):  # noqa: N818 - carried within this file
    def __init__(self, looked: Looked) -> None:
        super().__init__(looked.detail)
        self.looked = looked


class Vault:
    name = "vault"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        path, key = (said["path"], said.get("key", "value")) if isinstance(said, dict) else (said, "value")
        try:
            adapter = _connect(place)
            fields = _in_time(lambda: _read(adapter, str(path).strip("/")), TOTAL_S)
        except Refused as refused:
            return refused.looked
        value = fields.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value:
            return Looked("Found", f"`{key}` of {path} in Vault", Secret(name, value))
        has = ", ".join(sorted(map(str, fields))[:10]) or "none"
        return Looked("Not Found", f"{path} in Vault has no text in field `{key}`", help=f"its fields: {has}")


def _in_time(read: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What `read` gives, or Refused when the time is over: one that sends a byte now and then never lets a read time out."""
    came: SimpleQueue[dict[str, Any] | Exception] = SimpleQueue()

    def work() -> None:
        try:
            came.put(read())
        except Exception as error:  # noqa: BLE001 - raised below, where somebody waits for it
            came.put(error)

    threading.Thread(target=work, name="vault", daemon=True).start()
    try:
        found = came.get(timeout=seconds)
    except Empty:
        raise Refused(Looked("Error", f"Vault did not answer in full within {seconds:g} s")) from None
    if isinstance(found, Exception):
        raise found
    return found


def _connect(place: Place) -> JSONAdapter:
    address = place.environ.get("VAULT_ADDR")
    if not address:
        raise Refused(Looked("Not Configured", "VAULT_ADDR is not set", help="export VAULT_ADDR=https://…:8200"))
    token = place.environ.get("VAULT_TOKEN")
    if not token:
        kept = FILE.look("~/.vault-token", "token", place)
        if kept.secret is None:
            help = "export VAULT_TOKEN=…, or log in: `vault login`"
            raise Refused(Looked("Not Configured", "VAULT_TOKEN is not set", help=help))
        token = kept.secret.reveal()
    try:
        from hvac.adapters import JSONAdapter
        from requests import Session
    except ImportError:
        help = "pip install 'whisper-flow[vault]'"
        raise Refused(Looked("Not Configured", "Vault needs the extra `vault`", help=help)) from None
    session = Session()
    # A `.netrc` or a proxy variable would send the token where nobody said it should go.
    session.trust_env = False
    return JSONAdapter(
        base_uri=address,
        token=token,
        namespace=place.environ.get("VAULT_NAMESPACE"),
        verify=place.environ.get("VAULT_CACERT") or True,
        timeout=REQUEST_S,
        allow_redirects=False,
        session=session,
    )


def _read(adapter: JSONAdapter, path: str) -> dict[str, Any]:
    """The fields of the secret. Raises Refused."""
    mount, version = _mount_of(adapter, path)
    rest = path[len(mount) :].strip("/")
    answer = None
    if version != 1:
        answer = _get(adapter, f"/v1/{mount}/data/{rest}", lenient=version is None)
    if answer is None:
        answer = _get(adapter, f"/v1/{path}")
        return _fields(answer, "data")
    return _fields(answer, "data", "data")


def _fields(answer: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, dict):
        raise Refused(Looked("Error", "what answers at VAULT_ADDR is no key-value store of Vault"))
    return answer


def _mount_of(adapter: JSONAdapter, path: str) -> tuple[str, int | None]:
    """Where the store is mounted and its version; the path's first part and None if the token may not ask."""
    answer = _get(adapter, f"/v1/sys/internal/ui/mounts/{path}", lenient=True)
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("path"), str):
        return path.split("/")[0], None
    version = (data.get("options") or {}).get("version")
    return data["path"].strip("/"), 2 if str(version) == "2" else 1


def _get(adapter: JSONAdapter, url: str, *, lenient: bool = False) -> Any:
    """The JSON answer; with `lenient`, None for what is not there or not allowed. No word of an answer gets into a message."""
    import requests
    from hvac import exceptions  # type: ignore[import-untyped]

    path = url.removeprefix("/v1/")
    try:
        answer = adapter.get(url)
    except exceptions.VaultError as error:
        if lenient and isinstance(error, (exceptions.InvalidPath, exceptions.Forbidden)):
            return None
        raise Refused(_refusal(error, path)) from None
    except requests.exceptions.Timeout:
        raise Refused(Looked("Error", f"Vault did not answer within {REQUEST_S:g} s")) from None
    except requests.exceptions.SSLError:
        help = "VAULT_CACERT names the file of its authority"
        raise Refused(Looked("Error", "Vault's certificate cannot be trusted", help=help)) from None
    except (requests.exceptions.RequestException, ValueError) as error:
        help = "is VAULT_ADDR right, and is it running?"
        raise Refused(Looked("Error", f"Vault cannot be reached ({type(error).__name__})", help=help)) from None
    if not isinstance(answer, dict):
        raise Refused(Looked("Error", f"Vault gave no JSON for {path} (HTTP {getattr(answer, 'status_code', '?')})"))
    return answer


def _refusal(error: Exception, path: str) -> Looked:
    from hvac import exceptions

    match error:
        case exceptions.InvalidPath():
            return Looked("Not Found", f"Vault has nothing at {path}", help=_HELP)
        case exceptions.Forbidden() | exceptions.Unauthorized():
            help = "the token has expired, or its policy does not allow `read` there"
            return Looked("Error", f"Vault refuses {path} (403)", help=help)
        case exceptions.VaultDown():
            return Looked("Error", "Vault is sealed or down (503)", help="unseal it: `vault operator unseal`")
        case exceptions.VaultNotInitialized():
            return Looked("Error", "Vault is not initialised (501)")
        case exceptions.RateLimitExceeded():
            return Looked("Error", "Vault limits the rate of requests (429)", help="try again later")
    return Looked("Error", f"Vault failed for {path} ({type(error).__name__})")


SOURCE = Vault()
