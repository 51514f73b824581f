"""From a path to text: everything that can be wrong before YAML is read, found without ever blocking."""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from orchestrator.spec.diagnostics import FILE_START, Diagnostic, DiagnosticsError
from orchestrator.spec.positions import LineIndex

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
_CHUNK: Final = 1 << 20

# What YAML forbids (libyaml refuses it without a useful place); NEL, LS and PS are allowed.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_OTHER_ENCODINGS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def read_bytes(path: str | os.PathLike[str], *, file: str, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """The content of a regular file; raises DiagnosticsError (WF102, WF103) for anything else."""
    try:
        # Opening a FIFO would wait for a writer; O_NONBLOCK does not, and fstat then tells what was opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _unreadable(file, _reason(error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _unreadable(file, f"is {_kind(status.st_mode)}, not a file")
        return _read_all(descriptor, file, bytes_max)
    except OSError as error:
        raise _unreadable(file, _reason(error)) from None
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, file: str, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := os.read(descriptor, _CHUNK):
        size += len(chunk)
        if size > bytes_max:
            raise too_big(file, bytes_max)
        chunks.append(chunk)
    return b"".join(chunks)


def decode(content: bytes, *, file: str) -> tuple[str, list[Diagnostic]]:
    """(text without a byte order mark, findings that do not stop the reading); raises DiagnosticsError (WF104, WF105)."""
    for mark, name in _OTHER_ENCODINGS:
        if content.startswith(mark):
            raise DiagnosticsError([_error("WF104", file, f"the file is {name}, not UTF-8", help="save it as UTF-8")])
    findings: list[Diagnostic] = []
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        findings.append(_byte_order_mark(file))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(content, error, file) from None
    if bad := _FORBIDDEN.search(text):
        raise _forbidden(text, bad.start(), file)
    if "\r" in text:
        findings.append(_carriage_returns(text, file))
    return text, findings


def too_big(file: str, bytes_max: int) -> DiagnosticsError:
    size = f"{bytes_max // (1024 * 1024)} MiB" if bytes_max >= 1024 * 1024 else f"{bytes_max} bytes"
    message = f"the file is larger than {size}"
    return DiagnosticsError(
        [_error("WF103", file, message, help="split it into sub-workflows, and keep data in files of its own")]
    )


def _unreadable(file: str, reason: str) -> DiagnosticsError:
    return DiagnosticsError([_error("WF102", file, f"cannot read `{file}`: {reason}", help=_READ_HELP.get(reason))])


_READ_HELP: Final = {
    "no such file": "check the path; `whisper-flow validate` without a path looks at every workflow of the project",
    "permission denied": "allow this user to read it: chmod u+r",
    "is a directory, not a file": "name a file in it",
}


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "not a path"


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _byte_order_mark(file: str) -> Diagnostic:
    return Diagnostic(
        code="WF106",
        severity="info",
        file=file,
        message="the file begins with a byte order mark",
        help="save it as plain UTF-8",
    )


def _carriage_returns(text: str, file: str) -> Diagnostic:
    lines = LineIndex(text)
    at = text.index("\r")
    lone = text.count("\r") != text.count("\r\n")
    kind = "a lone carriage return" if lone else "a carriage return and a line feed"
    return Diagnostic(
        code="WF107",
        severity="info",
        file=file,
        span=lines.span(at, at),
        message=f"lines end in {kind}",
        label="here first",
        help="YAML reads them as line feeds; save the file with LF to keep tools and diffs calm",
    )


def _not_utf8(content: bytes, error: UnicodeDecodeError, file: str) -> DiagnosticsError:
    before = content[: error.start].decode("utf-8")
    lines = LineIndex(before)
    line, column = lines.place(len(before))
    finding = _error(
        "WF104",
        file,
        f"the byte 0x{content[error.start]:02x} is not UTF-8",
        help="save the file as UTF-8",
    )
    return DiagnosticsError([_at(finding, line, column)])


def _forbidden(text: str, at: int, file: str) -> DiagnosticsError:
    line, column = LineIndex(text).place(at)
    code_point = ord(text[at])
    name = "a NUL" if code_point == 0 else f"the control character U+{code_point:04X}"
    remedy = f'remove it; inside double quotes it can be written as "\\u{code_point:04x}"'
    return DiagnosticsError([_at(_error("WF105", file, f"{name} is not allowed in YAML", help=remedy), line, column)])


def _error(code: str, file: str, message: str, *, help: str | None) -> Diagnostic:
    return Diagnostic(code=code, severity="error", file=file, message=message, span=FILE_START, help=help)


def _at(finding: Diagnostic, line: int, column: int) -> Diagnostic:
    from dataclasses import replace

    from orchestrator.spec.diagnostics import Span

    return replace(finding, span=Span(line, column, line, column + 1))
