"""`http:` makes one request. Fields: `{method, url, query, headers, json | body | form, auth, follow, expect}`.

The value is the body: JSON where the answer says it is or `output` asks for it, else text; None where it is empty.
"""

from __future__ import annotations

from email.message import Message
from typing import Any, Final
from urllib.parse import quote, urlencode

from orchestrator.errors import ErrorType, TaskError
from orchestrator.host.redact import Redactor
from orchestrator.host.terminal_text import clean_terminal
from orchestrator.kinds._kind import WaitingKind
from orchestrator.kinds._output import json_value
from orchestrator.kinds._processes import seconds_left
from orchestrator.kinds._words import word_of
from orchestrator.ports.services import HttpResponse
from orchestrator.ports.task_kind import Attempt, Succeeded

JSON = Any
_KEY_SAFE: Final = "!#$&'()*+-./:<=>?@[]^_`|~"
_EXCERPT: Final = 200


class HttpKind(WaitingKind):
    verb = "http"

    async def perform(self, attempt: Attempt) -> Succeeded:
        fields = attempt.fields
        headers, content = _headers_and_content(attempt)
        response = await attempt.services.http.request(
            fields.get("method") or "GET",
            word_of(fields["url"]),
            headers=headers,
            query=_pairs(fields.get("query") or {}),
            content=content,
            timeout=seconds_left(attempt),
            follow=fields.get("follow") or False,
        )
        redactor = Redactor(attempt.secrets)
        meta = {
            "response": redactor.value({"status": response.status, "headers": response.headers, "url": response.url})
        }
        if not _expected(response.status, fields.get("expect") or ["2xx"]):
            raise _unexpected(response, redactor, meta)
        try:
            value = _value(response, attempt.output_schema)
        except TaskError as error:
            error.meta = meta
            raise
        return Succeeded(value=redactor.value(value), meta=meta)


def _headers_and_content(attempt: Attempt) -> tuple[dict[str, str], bytes | None]:
    fields = attempt.fields
    headers = {name.lower(): word_of(value) for name, value in (fields.get("headers") or {}).items()}
    headers.setdefault("idempotency-key", quote(attempt.key, safe=_KEY_SAFE))
    authorization = _authorization(fields.get("auth") or {})
    if authorization is not None:
        headers["authorization"] = authorization
    type, content = _content(fields)
    if type is not None:
        headers.setdefault("content-type", type)
    return headers, content


def _authorization(auth: dict[str, JSON]) -> str | None:
    if auth.get("bearer") is not None:
        return "Bearer " + word_of(auth["bearer"])
    if auth.get("username") is not None:
        from orchestrator.host.http import basic_auth

        return basic_auth(word_of(auth["username"]), word_of(auth.get("password") or ""))
    return None


def _content(fields: dict[str, JSON]) -> tuple[str | None, bytes | None]:
    """The body's media type and bytes."""
    if "json" in fields:
        import json

        return "application/json", json.dumps(fields["json"], ensure_ascii=False).encode("utf-8", "replace")
    if fields.get("form") is not None:
        return "application/x-www-form-urlencoded", urlencode(_pairs(fields["form"]), doseq=True).encode()
    if fields.get("body") is not None:
        kind = "text/plain; charset=utf-8" if isinstance(fields["body"], str) else "application/json"
        return kind, word_of(fields["body"]).encode("utf-8", "replace")
    return None, None


def _pairs(values: dict[str, JSON]) -> dict[str, str | list[str]]:
    """A list repeats its name; a null is left out."""
    return {
        name: [word_of(item) for item in value] if isinstance(value, list) else word_of(value)
        for name, value in values.items()
        if value is not None
    }


def _expected(status: int, expect: list[JSON]) -> bool:
    return any(str(status) == str(one) or str(one).lower() == f"{status // 100}xx" for one in expect)


def _unexpected(response: HttpResponse, redactor: Redactor, meta: dict[str, JSON]) -> TaskError:
    status = response.status
    body = response.body[: 4 * _EXCERPT].decode("utf-8", "replace")
    text = " ".join(clean_terminal(redactor.text(body)).split())[:_EXCERPT]
    help = None
    if 300 <= status < 400 and "location" in response.headers:
        help = (
            f"it redirects to {clean_terminal(response.headers['location'])[:_EXCERPT]}: `follow: true` would go there"
        )
    after = response.headers.get("retry-after", "")
    if after.isascii() and after.isdigit():
        meta = {**meta, "retry_after": float(after[:9])}
    return TaskError(_type_of(status), f"status {status}" + (f": {text}" if text else ""), help=help, meta=meta)


def _type_of(status: int) -> ErrorType:
    if status in (401, 403, 407):
        return "auth"
    if status in (408, 504):
        return "timeout"
    if status == 429:
        return "rate_limited"
    if status in (503, 529):
        return "overloaded"
    return "outage" if status >= 500 else "refused"


def _value(response: HttpResponse, schema: dict[str, JSON] | None) -> JSON:
    if not response.body:
        return None
    media = Message()
    media["content-type"] = response.headers.get("content-type", "")
    kind = media.get_content_type() if response.headers.get("content-type") else ""
    text = _text(response.body, media.get_content_charset() or "utf-8", kind)
    if kind.endswith(("/json", "+json")):
        return json_value(text, "the answer", None)
    if schema is not None:
        return json_value(text, "the answer", schema)
    return text


def _text(body: bytes, charset: str, kind: str) -> str:
    try:
        return body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        if kind.startswith("text/"):
            return body.decode("utf-8", "replace")
        raise TaskError(
            "invalid_output",
            f"the answer is no text ({kind or 'no type given'}, {len(body)} bytes)",
            help='fetch files with `run`, for example `curl -o "$WHISPER_RUN_DIR/artifacts/name"`',
        ) from None


KIND = HttpKind()
