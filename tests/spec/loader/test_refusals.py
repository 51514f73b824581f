"""Files that are none, too big, too deep, not text: an error with a place, quickly, without a crash."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError
from orchestrator.spec.loader import load_document


def refused(source: bytes | Path, **options: int) -> Diagnostic:
    with pytest.raises(DiagnosticsError) as caught:
        load_document(source, file="x.yaml", **options)  # type: ignore[arg-type]
    return next(one for one in caught.value.diagnostics if one.severity == "error")


HOSTILE = {
    "ten megabytes of brackets": (b"[" * 10_000_000, "WF116"),
    "sixty thousand closed brackets": (b"[" * 30_000 + b"]" * 30_000, "WF116"),
    "braces": (b"{a: " * 1_000_000, "WF116"),
    "list items in one line": (b"- " * 60_000, "WF116"),
    "question marks": (b"? " * 60_000, "WF116"),
    "nesting by aliases": (
        b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i + 1, i + 1, i) for i in range(200)),
        "WF116",
    ),
    "an alias bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 115)),
        "WF115",
    ),
    "an alias in itself": (b"a: &a {b: *a}\n", "WF114"),
    "a NUL": (b"a: x\0y\n", "WF105"),
    "a bell": (b"a: \x07\n", "WF105"),
    "not UTF-8": (b"a: b\nc: \xff\n", "WF104"),
    "UTF-16": ("a: b".encode("utf-16"), "WF104"),
    "nothing": (b"", "WF110"),
    "only line ends": (b"\n" * 1_000_000, "WF110"),
    "only comments": (b"# x\n" * 300_000, "WF110"),
    "half a million directives": (b"%TAG !a! b\n" * 500_000, "WF121"),
    "YAML 1.1": (b"%YAML 1.1\n---\na: b\n", "WF121"),
    "a quote never closed": (b'a: "' + b"x" * 1_000_000, "WF101"),
    "two documents": (b"a: 1\n---\nb: 2\n", "WF109"),
    "a million values and more": (b"[" + b"a," * 1_000_001 + b"]", "WF117"),
    "a number without end": (b"a: " + b"9" * 1_000_000 + b"\n", "WF119"),
}


@pytest.mark.parametrize(("content", "code"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(20)
def test_hostile_content_is_an_error_with_a_place(content: bytes, code: str) -> None:
    found = refused(content)
    assert found.code == code
    assert found.span.line >= 1
    assert found.span.column >= 1
    assert len(found.message) < 200


def test_the_place_of_a_byte_that_is_not_utf8_is_exact() -> None:
    assert refused("é: b\nc: ".encode() + b"\xff\n").span[:2] == (2, 4)


def test_the_place_of_a_forbidden_character_is_exact() -> None:
    found = refused("é: b\r\nc: x\0".encode())
    assert found.span[:2] == (2, 5)
    assert "NUL" in found.message


def test_a_file_over_the_limit_is_refused_unread() -> None:
    assert refused(b"a" * 101, bytes_max=100).code == "WF103"


def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    found = refused(pipe)
    assert (found.code, "named pipe" in found.message) == ("WF102", True)


def test_a_device_is_refused() -> None:
    found = refused(Path("/dev/zero"))
    assert (found.code, "device" in found.message) == ("WF102", True)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    found = refused(tmp_path)
    assert (found.code, "directory" in found.message) == ("WF102", True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    found = refused(tmp_path / "none.yaml")
    assert (found.code, "no such file" in found.message) == ("WF102", True)


def test_an_unreadable_file_says_so() -> None:
    folder = Path(tempfile.mkdtemp())
    secret = folder / "x.yaml"
    secret.write_text("a: 1\n")
    folder.chmod(0o755)
    secret.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root may read everything
    try:
        found = refused(secret)
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)
    assert (found.code, "permission denied" in found.message) == ("WF102", True)


def test_a_path_with_a_nul_or_too_long_is_refused_like_a_missing_file() -> None:
    assert refused(Path("a\0b")).code == "WF102"
    assert refused(Path("a" * 5000)).code == "WF102"


def test_a_byte_order_mark_is_an_info_and_shifts_nothing() -> None:
    document = load_document(b"\xef\xbb\xbfa: 1\nb: 2\n", file="x")
    assert [one.code for one in document.diagnostics] == ["WF106"]
    assert document.key_span(("a",))[:2] == (1, 1)
