"""`http.get`: the text of a public page. Through `services.http`, so private addresses and odd redirects are refused there.

What a model asks for may carry what it has read out into the world, in the address alone. So this counts as no reading: it
needs permission, but for the hosts in `tools: {http: {allow: [host or glob]}}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.message import Message
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from orchestrator.errors import TaskError
from orchestrator.ports.services import HttpResponse
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools._declared import Declaration, DeclaredSource, arguments, text

JSON = Any

TIMEOUT_S: Final = 60.0
FETCHED_BYTES: Final = 8 * 1024 * 1024
TEXT_CHARACTERS: Final = 200_000
_TEXTUAL: Final = ("json", "xml", "javascript", "yaml", "x-www-form-urlencoded", "toml", "csv")

DECLARATIONS: Final = (
    Declaration(
        name="http.get",
        description="Get a page or another text over HTTP. Addresses of private networks are refused.",
        parameters=arguments(
            ["url"],
            url=text("Whole address, http or https.", minLength=1),
            accept=text("Media type to ask for, such as `application/json`."),
        ),
        effect="idempotent",
    ),
)


class HttpTools(DeclaredSource):
    prefix = "http"
    declarations = DECLARATIONS

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        hosts = [str(host).casefold() for host in (context.settings.get("http") or {}).get("allow") or ()]

        async def get(given: dict[str, JSON], call_id: str) -> JSON:
            return await _get(context, given)

        def free(given: Mapping[str, JSON]) -> bool:
            host = _host(str(given.get("url", "")))
            return host is not None and any(fnmatchcase(host, allowed) for allowed in hosts)

        return [one.tool(context, get, free=free) for one in chosen]


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.hostname.casefold() if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


async def _get(context: ToolContext, given: dict[str, JSON]) -> JSON:
    url = given["url"]
    parts = urlsplit(url) if _host(url) else None
    if parts is not None and (parts.username is not None or parts.password is not None):
        raise TaskError("denied", "an address with a user name in it is not asked")
    response = await context.services.http.request(
        "GET",
        url,
        headers={"accept": given.get("accept") or "text/*, application/json;q=0.9, */*;q=0.1"},
        timeout=TIMEOUT_S,
        # A redirect may lead where nobody allowed anything: it is told to the model, which may ask for it.
        follow=False,
        max_bytes=FETCHED_BYTES,
    )
    made: dict[str, JSON] = {"status": response.status, "url": response.url}
    if 300 <= response.status < 400 and "location" in response.headers:
        return {**made, "redirects_to": response.headers["location"][:2000]}
    content, charset = _media(response)
    body = _text(response, content, charset)
    made |= {"type": content, "text": body[:TEXT_CHARACTERS]}
    return {**made, "incomplete": True} if len(body) > TEXT_CHARACTERS else made


def _media(response: HttpResponse) -> tuple[str, str]:
    media = Message()
    media["content-type"] = response.headers.get("content-type", "text/plain")
    return media.get_content_type(), media.get_content_charset() or "utf-8"


def _text(response: HttpResponse, content: str, charset: str) -> str:
    if not content.startswith("text/") and not any(word in content for word in _TEXTUAL):
        raise TaskError("tool", f"the answer is no text: {content}, {len(response.body)} bytes")
    try:
        return response.body.decode(charset, "replace")
    except LookupError:
        return response.body.decode("utf-8", "replace")


TOOLS = HttpTools()
