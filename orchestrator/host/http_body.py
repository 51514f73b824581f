"""The body of an answer, read up to a limit: as it came, and unpacked. A small body that unpacks to a huge one stops there."""

from __future__ import annotations

import zlib
from typing import Final

from orchestrator.errors import TaskError

_STEP: Final = 256 * 1024
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS


class BodyReader:
    """Raises TaskError `invalid_output` when the body is larger than `max_bytes`, or packed in a way nobody asked for."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._max = max_bytes
        self._body = bytearray()
        self._raw = 0
        word = encoding.strip().lower()
        if word not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise TaskError("invalid_output", f"the answer is packed as {encoding[:40]!r}, which was not asked for")
        self._unpack = None if word in ("", "identity") else zlib.decompressobj(_GZIP_OR_ZLIB)
        self._may_be_raw = word == "deflate"

    def feed(self, chunk: bytes) -> None:
        self._raw += len(chunk)
        if self._raw > self._max:
            raise self._too_large()
        if self._unpack is None:
            self._add(chunk)
        else:
            self._feed_packed(chunk)

    def finished(self) -> bytes:
        if self._unpack is not None and self._raw and not self._unpack.eof:
            raise TaskError("outage", "the packed answer ends before its end")
        return bytes(self._body)

    def _feed_packed(self, chunk: bytes) -> None:
        while chunk:
            assert self._unpack is not None
            if self._unpack.eof:
                # Several packed parts in a row are one body.
                self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
            self._add(self._step(chunk))
            chunk = self._unpack.unconsumed_tail or self._unpack.unused_data

    def _step(self, chunk: bytes) -> bytes:
        assert self._unpack is not None
        try:
            return self._unpack.decompress(chunk, _STEP)
        except zlib.error as error:
            if self._may_be_raw and not self._body:
                # Some servers mean the bare stream by `deflate`.
                self._may_be_raw = False
                self._unpack = zlib.decompressobj(_RAW_DEFLATE)
                return self._step(chunk)
            raise TaskError("invalid_output", f"the packed answer cannot be unpacked: {error}") from None

    def _add(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._max:
            raise self._too_large()
        self._body += data

    def _too_large(self) -> TaskError:
        size = f"{self._max >> 20} MiB" if self._max >= 1 << 20 else f"{self._max} bytes"
        return TaskError("invalid_output", f"the answer is larger than {size}")
