"""`--delegate webhook:URL`: every event as a JSON POST, signed if there is a key.

Options: `url`, `secret_env` (name of the variable that holds the signing key; default `WHISPER_FLOW_WEBHOOK_SECRET`,
which may be missing), `headers`, `timeout` (seconds, default 10), `events` (default: every notification but streamed
chunks).

Headers of each request: `X-Whisper-Flow-Event`, `X-Whisper-Flow-Delivery` (unique), `X-Whisper-Flow-Timestamp` (epoch
seconds) and, with a key, `X-Whisper-Flow-Signature: sha256=HEX`, the HMAC-SHA256 of `TIMESTAMP.BODY`. An answer other
than 2xx is a failure of the delegate; nothing is sent twice.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.delegates.catalogue import CHUNK_RECEIVED
from orchestrator.delegates.envelope import check_options, chosen_events, envelope
from orchestrator.errors import CredentialsError, UsageError, WhisperFlowError
from orchestrator.ports.delegate import DelegateContext, Delegates

DEFAULT_SECRET_ENV: Final = "WHISPER_FLOW_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
DEFAULT_TIMEOUT: Final = 10.0
ANSWER_MAX: Final = 64 * 1024
"""Bytes of an answer that are read; nothing is done with them."""


class WebhookDelegate:
    def attach(self, manager: Delegates, options: Mapping[str, Any], context: DelegateContext) -> None:
        check_options("webhook", options, ("url", "secret_env", "headers", "timeout"))
        url = str(options.get("url") or "")
        if not url.startswith(("https://", "http://")):
            raise UsageError(
                f"delegate `webhook` needs an http address, got {url!r}", help="--delegate webhook:https://…"
            )
        key = signing_key(options, context.environ)
        extra = {str(k): str(v) for k, v in dict(options.get("headers") or {}).items()}
        limit = float(options.get("timeout") or DEFAULT_TIMEOUT)

        async def webhook(sender: Any, event: str, /, **payload: Any) -> None:
            body = envelope(event, payload)
            headers = {**extra, **delivery_headers(event, body, key, now=time.time())}
            answer = await context.http.request(
                "POST", url, headers=headers, content=body, timeout=limit, max_bytes=ANSWER_MAX
            )
            if not 200 <= answer.status < 300:
                raise WhisperFlowError(f"the webhook answered {answer.status}")

        named = bool(options.get("events"))
        for name in chosen_events(options):
            if named or name != CHUNK_RECEIVED:
                manager.register(name, webhook)

    def options_from_text(self, text: str) -> dict[str, Any]:
        return {"url": text}


def signing_key(options: Mapping[str, Any], environ: Mapping[str, str]) -> bytes | None:
    """The key, or None where no variable was named and the default one is not set. Raises CredentialsError if a named
    one is.
    """
    named = options.get("secret_env")
    value = environ.get(str(named or DEFAULT_SECRET_ENV))
    if named and not value:
        raise CredentialsError(f"the webhook's signing key is not set: {named}", help=f"export {named}=…")
    return value.encode() if value else None


def delivery_headers(event: str, body: bytes, key: bytes | None, *, now: float) -> dict[str, str]:
    stamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "X-Whisper-Flow-Event": event,
        "X-Whisper-Flow-Delivery": str(uuid.uuid4()),
        "X-Whisper-Flow-Timestamp": stamp,
    }
    if key is not None:
        digest = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers["X-Whisper-Flow-Signature"] = f"sha256={digest}"
    return headers


PLUGIN = WebhookDelegate()
