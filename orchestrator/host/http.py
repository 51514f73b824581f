"""HTTP for tasks and webhooks: `ports.services.Http` on httpx, with the rules for where a request may go.

A name is resolved once, every address it has is checked, and the connection goes to a checked address, with the name in TLS and
in `Host`: no second look-up can give another answer. Redirects are followed only if asked, each checked like the first. No
proxy, netrc or cookie of the environment takes part, and no connection is shared between requests.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from orchestrator.errors import TaskError
from orchestrator.host.addresses import AddressRules
from orchestrator.host.http_body import BodyReader
from orchestrator.ports.services import HttpResponse

if TYPE_CHECKING:
    import httpx

JSON = Any

TIMEOUT_S: Final = 300.0
"""For a whole request, redirects included, if nothing else is said."""
CONNECT_S: Final = 10.0
SILENCE_S: Final = 60.0
"""Between two pieces of an answer."""
REDIRECTS: Final = 10
BODY_BYTES: Final = 32 * 1024 * 1024
HEADER_BYTES: Final = 64 * 1024

_REDIRECT: Final = frozenset({301, 302, 303, 307, 308})
_TRAVELS: Final = frozenset({"accept", "accept-language", "content-type", "user-agent", "idempotency-key"})
"""Headers that may follow a redirect to another origin; any other may be a credential."""
_OF_BODY: Final = frozenset({"content-type", "content-length", "content-encoding"})
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?")
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class _Asked:
    """One request on its way, after the rules of the language and before those of the network."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes | None

    @property
    def origin(self) -> tuple[str, str, int | None]:
        return self.url.scheme, self.url.host, self.url.port


class HttpxHttp:
    """`allow_private`: networks, addresses and host names that may be private. `tls` replaces the system's trust (tests)."""

    def __init__(self, *, allow_private: Iterable[str] = (), tls: ssl.SSLContext | None = None) -> None:
        self._rules = AddressRules(allow_private)
        self._tls = tls
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        query: Mapping[str, JSON] = {},
        content: bytes | None = None,
        timeout: float | None = None,
        follow: bool | int = False,
        max_bytes: int = BODY_BYTES,
    ) -> HttpResponse:
        """One request, redirects included. Raises TaskError: `denied` (address), `outage` (no connection, broken answer),
        `timeout`, `refused` (certificate, redirects), `invalid_input` (request), `invalid_output` (body too large or unreadable).
        """
        asked = _asked(method, url, headers, query, content)
        limit = TIMEOUT_S if timeout is None else timeout
        try:
            async with asyncio.timeout(limit):
                return await self._follow(asked, REDIRECTS if follow is True else int(follow), max_bytes)
        except TimeoutError:
            raise TaskError("timeout", f"{asked.url.host} gave no whole answer within {limit:g} s") from None

    async def close(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            await transport.aclose()

    async def _follow(self, asked: _Asked, redirects: int, max_bytes: int) -> HttpResponse:
        left = redirects
        while True:
            response = await self._send(asked, max_bytes)
            target = response.headers.get("location")
            if response.status not in _REDIRECT or not redirects or target is None:
                return response
            if not left:
                raise TaskError("refused", f"more than {redirects} redirects, the last to {target[:200]!r}")
            left -= 1
            asked = _redirected(asked, response.status, target)

    async def _send(self, asked: _Asked, max_bytes: int) -> HttpResponse:
        import httpx

        last: httpx.HTTPError | None = None
        for address in await self._addresses(asked.url):
            request = _addressed(asked, address)
            try:
                response = await self._open_transport().handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
                continue
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise _failure(asked, error) from error
            return await _received(asked, response, max_bytes)
        assert last is not None
        raise _failure(asked, last) from last

    async def _addresses(self, url: httpx.URL) -> list[str]:
        """Where the host's name leads, each checked."""
        host = url.raw_host.decode("ascii")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise TaskError("outage", f"{url.host} cannot be found: {getattr(error, 'strerror', error)}") from None
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        self._rules.check(url.host, addresses)
        return addresses

    def _open_transport(self) -> httpx.AsyncHTTPTransport:
        if self._transport is None:
            import httpx

            # Kept-alive connections are found again by address alone: another name's request must not get one.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            self._transport = httpx.AsyncHTTPTransport(verify=self._tls or _trust(), trust_env=False, limits=limits)
        return self._transport


def _trust() -> ssl.SSLContext:
    """The usual authorities and the system's own (a company's, `SSL_CERT_FILE`)."""
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def _asked(
    method: str, url: str, headers: Mapping[str, str], query: Mapping[str, JSON], content: bytes | None
) -> _Asked:
    method = method.upper()
    if method not in _METHODS:
        raise TaskError("invalid_input", f"{method!r} is no HTTP method", help="one of " + ", ".join(sorted(_METHODS)))
    parsed = _parsed(url)
    lower = {name.lower(): value for name, value in headers.items()}
    for name, value in lower.items():
        if not name.isascii() or not name or any(char in name + value for char in "\r\n\0"):
            raise TaskError("invalid_input", f"header {name!r} holds a line break or is no header name")
        if not value.isascii():
            raise TaskError("invalid_input", f"header {name!r} holds letters outside ASCII")
    if sum(len(name) + len(value) for name, value in lower.items()) > HEADER_BYTES:
        raise TaskError("invalid_input", f"the headers are larger than {HEADER_BYTES // 1024} KiB")
    if parsed.userinfo and "authorization" not in lower:
        name, _, password = parsed.userinfo.decode("ascii").partition(":")
        lower["authorization"] = basic_auth(unquote(name), unquote(password))
    if query:
        parsed = parsed.copy_merge_params(dict(query))
    return _Asked(method, parsed.copy_with(userinfo=b"", fragment=None), lower, content)


def basic_auth(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _parsed(url: str) -> httpx.URL:
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise TaskError("invalid_input", f"{url[:200]!r} is no address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise TaskError("invalid_input", f"{url[:200]!r} is no http or https address")
    if not _HOST.fullmatch(parsed.raw_host.decode("ascii")) or not 0 < (parsed.port or 80) < 65536:
        raise TaskError("invalid_input", f"{url[:200]!r} has no usable host and port")
    return parsed


def _addressed(asked: _Asked, address: str) -> httpx.Request:
    """The request to a checked address, under the name it was asked for."""
    import httpx

    url, host = asked.url, asked.url.raw_host.decode("ascii")
    named = host != address and ":" not in host
    extensions: dict[str, Any] = {
        "timeout": {"connect": CONNECT_S, "read": SILENCE_S, "write": SILENCE_S, "pool": None},
    }
    if url.scheme == "https" and named:
        extensions["sni_hostname"] = host.rstrip(".")
    headers = {
        "user-agent": "whisper-flow",
        "accept": "*/*",
        **asked.headers,
        "host": url.netloc.decode("ascii"),
        "accept-encoding": "gzip, deflate",
        "connection": "close",
    }
    return httpx.Request(
        asked.method, url.copy_with(host=address), headers=headers, content=asked.content, extensions=extensions
    )


async def _received(asked: _Asked, response: httpx.Response, max_bytes: int) -> HttpResponse:
    import httpx

    body = BodyReader(response.headers.get("content-encoding", ""), max_bytes)
    try:
        # Undecoded: httpx would unpack a whole piece at once, whatever it grows to.
        async for chunk in response.aiter_raw():
            body.feed(chunk)
        data = b"" if asked.method == "HEAD" else body.finished()
    except httpx.HTTPError as error:
        raise _failure(asked, error) from error
    finally:
        await response.aclose()
    return HttpResponse(status=response.status_code, headers=dict(response.headers), body=data, url=str(asked.url))


def _redirected(asked: _Asked, status: int, target: str) -> _Asked:
    import httpx

    try:
        url = _parsed(str(asked.url.join(target)))
    except httpx.InvalidURL as error:
        raise TaskError("refused", f"{asked.url.host} redirects to {target[:200]!r}, which is no address") from error
    if asked.url.scheme == "https" and url.scheme != "https":
        raise TaskError("denied", f"{asked.url.host} redirects from https to http ({url.host})")
    there = replace(asked, url=url.copy_with(userinfo=b"", fragment=None))
    if there.origin != asked.origin:
        there = replace(there, headers={name: v for name, v in there.headers.items() if name in _TRAVELS})
    if (status == 303 and asked.method != "HEAD") or (status in (301, 302) and asked.method == "POST"):
        kept = {name: value for name, value in there.headers.items() if name not in _OF_BODY}
        there = replace(there, method="GET", content=None, headers=kept)
    return there


def _failure(asked: _Asked, error: Exception) -> TaskError:
    import httpx

    host, said = asked.url.host, str(error) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return TaskError("refused", f"{host}: no secure connection: {getattr(cause, 'verify_message', '') or said}")
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.TimeoutException():
            return TaskError("timeout", f"{host} said nothing for too long")
        case httpx.LocalProtocolError() | httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return TaskError("invalid_input", f"this request cannot be sent: {said}")
        case httpx.RemoteProtocolError():
            return TaskError("outage", f"{host} broke off or did not speak HTTP: {said}")
    return TaskError("outage", f"{host} cannot be reached: {said}")
