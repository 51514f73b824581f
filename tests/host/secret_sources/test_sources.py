"""Each place a secret may come from says in four words what it found, and never the value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from orchestrator.errors import NotFoundError
from orchestrator.host.secret_sources import PACKAGE, look_for
from orchestrator.ports.secret_source import Looked, Place
from orchestrator.registry import load, names

VALUE = "correct-horse-battery"


def place(project: Path, environ: dict[str, str] | None = None, dotenv: dict[str, str] | None = None) -> Place:
    return Place(project=project, environ=environ or {}, dotenv=dotenv or {})


def kept(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def told(looked: Looked) -> tuple[str, str | None]:
    return looked.status, looked.secret.reveal() if looked.secret else None


def test_every_file_of_the_folder_is_a_source_of_its_name() -> None:
    assert set(names(PACKAGE)) == {"dotenv", "env", "file", "inline", "keyring", "none", "vault"}
    for name in names(PACKAGE):
        assert load(PACKAGE, name, "SOURCE").name == name


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(NotFoundError, match="secret source 'valt'"):
        look_for({"valt": "x"}, "S", place(Path()))


def test_a_variable_wins_over_the_projects_env_file(tmp_path: Path) -> None:
    assert told(look_for({"env": "K"}, "S", place(tmp_path, {"K": VALUE}, {"K": "other"}))) == ("Found", VALUE)
    assert told(look_for({"env": "K"}, "S", place(tmp_path, {}, {"K": VALUE}))) == ("Found", VALUE)
    assert told(look_for({"env_var": "K"}, "S", place(tmp_path, {"K": ""}))) == ("Not Found", None)


def test_a_line_of_a_file_of_lines(tmp_path: Path) -> None:
    (tmp_path / "keys.env").write_text(f"A={VALUE}\n")
    assert told(look_for({"dotenv": "keys.env", "key": "A"}, "S", place(tmp_path))) == ("Found", VALUE)
    assert told(look_for({"dotenv": "keys.env"}, "A", place(tmp_path))) == ("Found", VALUE)
    assert told(look_for({"dotenv": "keys.env"}, "S", place(tmp_path))) == ("Not Found", None)


@pytest.mark.parametrize("word", ["file", "config_path"])
def test_a_file_that_only_its_owner_reads(tmp_path: Path, word: str) -> None:
    kept(tmp_path / "key", f"{VALUE}\n")
    assert told(look_for({word: "key"}, "S", place(tmp_path))) == ("Found", VALUE)
    assert told(look_for({word: "~/key"}, "S", place(Path("/"), {"HOME": str(tmp_path)}))) == ("Found", VALUE)
    assert look_for({word: "lost"}, "S", place(tmp_path)).status == "Not Found"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_touch_is_refused_unread(tmp_path: Path, mode: int) -> None:
    kept(tmp_path / "key", VALUE, mode)
    looked = look_for({"file": "key"}, "S", place(tmp_path))
    assert (looked.status, looked.help) == ("Error", "chmod 600 key")
    assert f"{mode:04o}" in looked.detail


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 100_000, b"", b"\n"])
def test_a_file_that_holds_no_value_is_said(tmp_path: Path, content: bytes) -> None:
    kept(tmp_path / "key", content)
    assert look_for({"file": "key"}, "S", place(tmp_path)).status in ("Error", "Not Found")


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder", "a\0b", "/dev/zero"):
        assert look_for({"file": name}, "S", place(tmp_path)).status == "Error"


def test_a_key_in_the_file_itself_is_read_again_from_where_it_stood(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(f"workers: {{w: {{auth: {{inline: {VALUE}}}}}}}")
    said: dict[str, Any] = {"inline": {"file": "w.yaml", "path": ["workers", "w", "auth", "inline"]}}
    assert told(look_for(said, "S", place(tmp_path))) == ("Found", VALUE)
    (tmp_path / "w.yaml").write_text("workers: {w: {auth: none}}")
    assert look_for(said, "S", place(tmp_path)).status == "Not Found"
    assert told(look_for({"inline": VALUE}, "S", place(tmp_path))) == ("Found", VALUE)


def test_no_key_is_no_configuration() -> None:
    assert look_for({"none": True}, "S", place(Path())).status == "Not Configured"


class FileKeyring(KeyringBackend):
    """A keyring in memory, as a desktop's would be asked."""

    priority = 1  # type: ignore[assignment]
    locked = False

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked(f"{VALUE} is locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def system_keyring(monkeypatch: pytest.MonkeyPatch) -> FileKeyring:
    made = FileKeyring()
    monkeypatch.setattr("keyring.core._keyring_backend", made)
    return made


def test_an_entry_of_the_keyring(system_keyring: FileKeyring) -> None:
    keyring.set_password("whisper", "S", VALUE)
    keyring.set_password("whisper", "me", VALUE + "2")
    assert told(look_for({"keyring": "whisper"}, "S", place(Path()))) == ("Found", VALUE)
    both = {"keyring": {"service": "whisper", "username": "me"}}
    assert told(look_for(both, "S", place(Path()))) == ("Found", VALUE + "2")
    looked = look_for({"keyring": "other"}, "S", place(Path()))
    assert (looked.status, looked.help) == ("Not Found", "keyring set other S")


def test_a_locked_and_a_missing_keyring_are_told_apart(
    system_keyring: FileKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_keyring.locked = True
    looked = look_for({"keyring": "whisper"}, "S", place(Path()))
    assert (looked.status, looked.detail) == ("Error", "the keyring is locked")
    monkeypatch.setattr("keyring.core._keyring_backend", NoKeyring())
    assert look_for({"keyring": "whisper"}, "S", place(Path())).status == "Not Configured"
