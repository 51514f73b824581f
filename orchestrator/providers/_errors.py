"""What went wrong, in our words: which of them another try can mend, and which may have been paid for."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelTimeoutError,
    UserError,
)

from orchestrator.errors import ErrorType
from orchestrator.host.redact import MASK, Redactor
from orchestrator.ports.chat_model import ChatModelError

MESSAGE_MAX: Final = 1000
RETRY_AFTER_MAX: Final = 7 * 24 * 3600.0
"""A week; whoever asks for more did not mean it."""

_BEFORE_SENT: Final = ("connect", "pool")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TOO_LONG: Final = (
    "contextwindowexceeded",
    "context window",
    "context length",
    "context size",
    "exceed_context_size",
    "context_length_exceeded",
    "prompt is too long",
)
_FILTERED: Final = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})


def chat_model_error(error: Exception, key: str | None, base_url: str) -> ChatModelError:
    """The error in our words. The key never stands in its message, whatever the other side sends back."""
    message = _clean(_message(error, base_url), key)
    type_, retryable = _type(error)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None and not 0 <= retry_after <= RETRY_AFTER_MAX:
        retry_after = None
    return ChatModelError(
        type_, message, retry_after=retry_after, retryable=retryable, charged=_charged(error), help=_help(type_, error)
    )


def _type(error: Exception) -> tuple[ErrorType, bool | None]:
    """(our word, whether to try again; None: as the word says)."""
    match error:
        case ModelQuotaExceededError():
            return "rate_limited", False
        case ModelRateLimitError():
            return "rate_limited", None
        case ModelOverloadedError():
            return "overloaded", None
        case ModelAuthenticationError():
            return "auth", None
        case ModelContextWindowExceededError() | ModelHTTPError(status_code=413):
            return "context_too_long", None
        case ModelHTTPError(status_code=400) if _too_long(error):
            return "context_too_long", None
        case ModelNotFoundError():
            return "invalid_input", None
        case ModelRequestRejectedError():
            return ("refused" if _filtered(error) else "invalid_input"), None
        case ModelTimeoutError() | httpx2.TimeoutException():
            return "timeout", None
        case UserError() | UnicodeError():
            return "invalid_input", None
        case ModelHTTPError(status_code=status) if 400 <= status < 500 and status not in (408, 409, 425):
            return "invalid_input", None
        case ModelAPIError() | httpx2.HTTPError():
            return "outage", None
    # A body nobody can parse, a chunk of the wrong shape: the other side's fault, and likely to pass.
    return "outage", None


def _too_long(error: ModelHTTPError) -> bool:
    """Servers that stand between, or run models at home, word it in their own ways."""
    said = str(error.body).lower()
    return any(phrase in said for phrase in _TOO_LONG)


def _filtered(error: ModelAPIError) -> bool:
    body: Any = error.body
    said = {error.provider_error_code, error.provider_error_type}
    if isinstance(body, dict):
        said |= {body.get("code"), body.get("type")}
    return bool(said & _FILTERED)


def _charged(error: Exception) -> bool:
    """False only if no model can have worked: the request was answered by an error, or never arrived."""
    if isinstance(error, UserError | UnicodeError):
        return False
    if isinstance(error, ModelConnectionError | httpx2.TransportError):
        return _phase(error) not in _BEFORE_SENT
    if isinstance(error, ModelHTTPError | ModelRequestRejectedError):
        return bool(error.in_stream)
    return True


def _message(error: Exception, base_url: str) -> str:
    if isinstance(error, ModelHTTPError):
        said = _said(error.body)
        return f"HTTP {error.status_code}: {said}" if said else f"HTTP {error.status_code}"
    if isinstance(error, ModelConnectionError | httpx2.TransportError):
        way = "no connection to" if _phase(error) in _BEFORE_SENT else "the connection broke to"
        return f"{way} {host_of(base_url)}: {_innermost(error)}"
    if isinstance(error, ModelAPIError | UserError | UnicodeError):
        return str(getattr(error, "message", None) or error) or type(error).__name__
    return f"the answer of {host_of(base_url)} cannot be read ({type(error).__name__}: {error})"


def _said(body: Any) -> Any:
    """The sentence in an error's body, wherever the service puts it."""
    for _ in range(2):
        if isinstance(body, list) and body:
            body = body[0]
        if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
            body = body["error"]
    return body.get("message") if isinstance(body, dict) else body


def _phase(error: Exception) -> str | None:
    if isinstance(error, ModelConnectionError):
        return error.phase
    return "connect" if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) else None


def _innermost(error: BaseException) -> str:
    """What the HTTP library said; the layers above it say only that there was an error."""
    said = str(getattr(error, "message", None) or error)
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, httpx2.HTTPError) and str(seen):
            said = str(seen)
        seen = seen.__cause__
    return said or type(error).__name__


def host_of(base_url: str) -> str:
    """`host:port` of an address: no name, password or path, which may be secrets."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "?"
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port or (80 if parts.scheme == 'http' else 443)}"


def _clean(message: str, key: str | None) -> str:
    if key:
        message = Redactor([key]).text(message).replace(key, MASK)
    message = _CONTROL.sub(" ", message)
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"


def _help(type_: ErrorType, error: Exception) -> str | None:
    if isinstance(error, ModelQuotaExceededError):
        return "the account's quota or credit is used up; waiting does not help"
    if isinstance(error, ModelNotFoundError):
        suggested = getattr(error, "suggested_model_id", None)
        if "v1/responses" in str(_said(error.body)):
            return "set `api: responses` in the agent's `ai_config`"
        return f"did you mean `{suggested}`?" if suggested else "check the model's name"
    if type_ == "auth":
        return "the provider does not accept the key"
    if type_ == "context_too_long":
        return "send less: shorten the prompt or its files, or choose a model with a larger context"
    return None
