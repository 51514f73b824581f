"""Secrets: values that cannot be printed, and the redactor that every way out passes through.

A secret is found as it is, in base64 (any alignment, both alphabets, wrapped lines), hex, URL and JSON escapes, and across
the borders of chunks. Secrets shorter than 8 characters are not looked for: they would blot out ordinary text.
"""

from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

from orchestrator.ports.secret_source import Secret as Secret

MASK: Final = "***"
SECRET_LENGTH_MIN: Final = 8
_LINE_LENGTH_MIN: Final = 16
"""Lines of a secret of several lines (a private key) are looked for alone from this length on."""
_WRAP: Final = 56
"""Base64 longer than this may come with line breaks inside."""

JSON = Any


class Redactor:
    """Replaces every form of the given secrets by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms, self._wrapped = _forms_of(tuple(sorted({s for s in secrets if len(s) >= SECRET_LENGTH_MIN})))
        self._pattern = _pattern_of(self._forms, self._wrapped)

    def __bool__(self) -> bool:
        """False if there is nothing to look for."""
        return self._pattern is not None

    def bytes(self, data: bytes) -> bytes:
        return data if self._pattern is None else self._pattern.sub(MASK.encode(), data)

    def text(self, text: str) -> str:
        if self._pattern is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        clean = self._pattern.sub(MASK.encode(), data)
        return text if clean == data else clean.decode("utf-8", "surrogatepass")

    def value(self, value: JSON) -> JSON:
        """The same JSON with every text in it, keys too, made safe."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value

    def stream(self) -> StreamRedactor:
        return StreamRedactor(self._pattern, self._forms, self._wrapped)


def harmless(error: BaseException, redactor: Redactor) -> bool:
    """Whether an exception may be logged with all that led to it: no words of its traceback hold a secret."""
    if not redactor:
        return True
    told = "".join(traceback.format_exception(error))
    return redactor.text(told) == told


class StreamRedactor:
    """Feeds through chunks; keeps back only what may be the beginning of a secret."""

    def __init__(self, pattern: re.Pattern[bytes] | None, forms: tuple[bytes, ...], wrapped: frozenset[bytes]) -> None:
        self._pattern = pattern
        self._forms = forms
        self._wrapped = wrapped
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        if self._pattern is None:
            return chunk
        data = self._held + chunk
        hold = self._hold_from(data, 0)
        out: list[bytes] = []
        position = 0
        for match in self._pattern.finditer(data):
            if match.start() >= hold:
                break
            out += (data[position : match.start()], MASK.encode())
            position = match.end()
            if position > hold:
                hold = self._hold_from(data, position)
        out.append(data[position:hold])
        self._held = data[hold:]
        return b"".join(out)

    def flush(self) -> bytes:
        held, self._held = self._held, b""
        return held if self._pattern is None else self._pattern.sub(MASK.encode(), held)

    def feed_text(self, text: str) -> str:
        return self.feed(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def flush_text(self) -> str:
        return self.flush().decode("utf-8", "surrogatepass")

    def _hold_from(self, data: bytes, start: int) -> int:
        """Where the longest tail of `data[start:]` begins that could still grow into a secret; the end if there is none."""
        best = len(data)
        for form in self._forms:
            wraps = form in self._wrapped
            at = max(start, len(data) - len(form) * (2 if wraps else 1) + (0 if wraps else 1))
            while (at := data.find(form[:1], at, best)) != -1:
                tail = data[at:].translate(None, b"\r\n") if wraps else data[at:]
                if len(tail) < len(form) and form.startswith(tail):
                    best = at
                    break
                at += 1
        return best


@lru_cache(maxsize=64)
def _forms_of(secrets: tuple[str, ...]) -> tuple[tuple[bytes, ...], frozenset[bytes]]:
    """Every spelling, longest first, and those of them in which line breaks are passed over."""
    forms: set[bytes] = set()
    wrapped: set[bytes] = set()
    for secret in secrets:
        plain = secret.encode("utf-8", "surrogatepass")
        forms |= _spellings(secret, plain)
        for encoded in _base64_forms(plain):
            forms.add(encoded)
            if len(encoded) > _WRAP:
                wrapped.add(encoded)
        stripped = plain.rstrip(b"\r\n")
        if stripped != plain and len(stripped) >= SECRET_LENGTH_MIN:
            forms |= _spellings(stripped.decode("utf-8", "surrogatepass"), stripped)
        lines = [line.strip() for line in plain.splitlines()]
        if len(lines) > 1:
            forms |= {line for line in lines if len(line) >= _LINE_LENGTH_MIN and not line.startswith(b"-----")}
    return tuple(sorted(forms, key=lambda form: (-len(form), form))), frozenset(wrapped)


def _spellings(secret: str, plain: bytes) -> set[bytes]:
    forms = {plain, plain.hex().encode(), plain.hex().upper().encode()}
    for quoted in (quote(plain, safe=""), quote(plain), quote_plus(plain)):
        forms |= {quoted.encode(), re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), quoted).encode()}
    for ascii_only in (True, False):
        forms.add(json.dumps(secret, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass"))
    forms.add(repr(secret)[1:-1].encode("utf-8", "surrogatepass"))
    return forms


def _base64_forms(plain: bytes) -> set[bytes]:
    """At each of the three places a secret may begin within a base64 text: only the characters that it alone decides."""
    forms: set[bytes] = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + plain)
        core = encoded[(0, 2, 3)[shift] : (shift + len(plain)) * 8 // 6]
        forms |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


@lru_cache(maxsize=64)
def _pattern_of(forms: tuple[bytes, ...], wrapped: frozenset[bytes]) -> re.Pattern[bytes] | None:
    if not forms:
        return None
    return re.compile(b"|".join(_wrappable(form) if form in wrapped else re.escape(form) for form in forms))


def _wrappable(form: bytes) -> bytes:
    return rb"[\r\n]*".join(re.escape(form[i : i + 1]) for i in range(len(form)))
