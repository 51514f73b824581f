"""Which values may not stand on a tape: the secrets of the runs, and every key in the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.host.redact import Redactor, StreamRedactor

_KEY_LIKE: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)

SECRET_LIKE: Final = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAKIA[0-9A-Z]{16}\b|\bAIza[A-Za-z0-9_-]{30,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""What the keys of well-known services look like."""


def keys_in(environ: Mapping[str, str]) -> set[str]:
    """Values of the variables whose names say that they are keys."""
    return {value for name, value in environ.items() if _KEY_LIKE.search(name) and value}


class KnownSecrets:
    """Grows as runs begin; whatever it knows is replaced in all that is written from then on."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = keys_in(environ)
        self.redactor = Redactor(self._values)

    def add(self, values: Iterable[str]) -> None:
        new = {value for value in values if value} - self._values
        if new:
            self._values |= new
            self.redactor = Redactor(self._values)


class Channel:
    """One stream of text, made safe piece by piece: a secret that came in two pieces is replaced as well."""

    def __init__(self, redactor: Redactor) -> None:
        self._stream: StreamRedactor = redactor.stream()

    def feed(self, text: str) -> str:
        return self._decode(self._stream.feed(text.encode("utf-8", "surrogatepass")))

    def flush(self) -> str:
        return self._decode(self._stream.flush())

    @staticmethod
    def _decode(data: bytes) -> str:
        return data.decode("utf-8", "surrogatepass")
