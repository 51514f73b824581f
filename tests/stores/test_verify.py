from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from stores.conformance import append, batch

from orchestrator.errors import UsageError
from orchestrator.host.project import Project, open_state
from orchestrator.stores.sqlite import SqliteJournal, backup, verify


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A sound state folder: two runs, mail, a blob that the first run names."""
    (tmp_path / "project").mkdir()
    state = open_state(Project(tmp_path / "project", declared=True), environ=dict(os.environ))
    journal = SqliteJournal(state)
    digest = journal.put_blob(b"large")
    append(journal, batch("a", 0, 3, payload=digest.encode()))
    append(journal, batch("a", 3, 2))
    append(journal, batch("b", 0))
    journal.send("a", "k", b"m")
    yield state
    journal.close()


def names(stream: str, payload: bytes) -> list[str]:
    return [payload.decode()] if len(payload) == 64 else []


def said(state: Path) -> list[str]:
    return [f"{finding.level} {finding.about}: {finding.message}" for finding in verify(state, references=names)]


def change(state: Path, sql: str) -> None:
    db = apsw.Connection(str(state / "journal.db"))
    db.execute(sql)
    db.close()


def test_a_sound_folder_has_no_findings(state: Path) -> None:
    assert said(state) == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM batches WHERE id = (SELECT max(id) FROM batches WHERE count = 2)", "3 events are kept, 5 were"),
        ("DELETE FROM batches WHERE count = 3", "after event 0 comes event 4"),
        ("UPDATE batches SET id = id + 1 WHERE count = 2", "after event 3 comes event 5"),
        ("UPDATE batches SET count = 1 WHERE count = 3", "after event 1 comes event 4"),
        ("UPDATE batches SET payload = X'00' WHERE count = 2", "events 4 to 5 are not what was written"),
        ("UPDATE batches SET id = id + (77 << 40) WHERE count = 2", "events 4 to 5 belong to no run"),
        ("UPDATE streams SET inbox = 5 WHERE name = 'a'", "1 messages are kept, 5 were counted"),
        ("DELETE FROM inbox", "0 messages are kept, 1 were counted"),
        ("UPDATE inbox SET stream = 99", "1 messages belong to no run"),
        ("PRAGMA user_version = 77", "newer than"),
    ],
)
def test_damage_in_the_journal_is_found(state: Path, damage: str, finding: str) -> None:
    change(state, damage)
    found = said(state)
    assert any(finding in line and line.startswith("error") for line in found), found


def test_a_torn_page_is_found(state: Path) -> None:
    change(state, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = (state / "journal.db").stat().st_size
    with (state / "journal.db").open("r+b") as file:
        file.seek(size - 4096)
        file.write(os.urandom(4096))
    assert any("error journal" in line or "error stream" in line for line in said(state))


def test_a_missing_blob_is_found(state: Path) -> None:
    next(path for path in (state / "blobs").glob("??/*")).unlink()
    assert [line for line in said(state) if "run a: blob" in line and "is missing" in line]


def test_a_damaged_blob_is_found(state: Path) -> None:
    next(path for path in (state / "blobs").glob("??/*")).write_bytes(b"changed")
    assert [line for line in said(state) if line.startswith("error blob") and "damaged" in line]


def test_a_payload_that_cannot_be_understood_is_found(state: Path) -> None:
    def refuse(stream: str, payload: bytes) -> list[str]:
        raise ValueError("what is this")

    found = verify(state, references=refuse)
    assert {finding.message for finding in found if "what is this" in finding.message}


def test_leftovers_are_told_but_are_no_harm(state: Path) -> None:
    journal = SqliteJournal(state)
    journal.put_blob(b"never named")
    journal.close()
    (state / "claims").mkdir(mode=0o700)
    (state / "claims" / "gone").write_text("{}")
    found = said(state)
    assert len(found) == 2
    assert all(line.startswith("info") for line in found)
    assert any("1 blobs are named by nothing" in line for line in found)
    assert any("1 claims were left behind" in line for line in found)


def test_rights_of_others_are_told(state: Path) -> None:
    (state / "journal.db").chmod(0o644)
    assert [line for line in said(state) if line.startswith("warning folder") and "journal.db" in line]


def test_a_missing_stamp_is_told(state: Path) -> None:
    (state / "stamp").unlink()
    assert [line for line in said(state) if line.startswith("error folder") and "stamp" in line]


def test_where_nothing_is_nothing_is_wrong(tmp_path: Path, state: Path) -> None:
    assert said(tmp_path / "nowhere") == ["info folder: there is no state folder yet"]


def test_verifying_does_not_disturb_a_writer(state: Path) -> None:
    journal = SqliteJournal(state)
    for number in range(1, 30):
        append(journal, batch("b", number))
        assert said(state) == []
    journal.close()


def test_many_findings_of_a_kind_are_counted(state: Path) -> None:
    journal = SqliteJournal(state)
    for number in range(70):
        append(journal, batch(f"r{number}", 0))
    journal.close()
    change(state, "UPDATE streams SET last = 9 WHERE name LIKE 'r%'")
    found = said(state)
    assert len(found) == 51
    assert "20 more" in found[-1]


def test_a_backup_is_a_state_folder_of_its_own(state: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy" / "of state"
    backup(state, target)
    assert said(target) == []
    original, copy = SqliteJournal(state), SqliteJournal(target)
    for stream in ("a", "b"):
        assert list(copy.read(stream)) == list(original.read(stream))
        assert copy.row(stream) == original.row(stream)
        assert copy.inbox(stream) == original.inbox(stream)
    append(copy, batch("b", 1))
    assert len(list(original.read("b"))) == 1
    original.close()
    copy.close()
    assert open_state(Project(tmp_path, declared=True), target) == target


def test_a_backup_overwrites_nothing(state: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        backup(state, tmp_path / "full")
    assert (tmp_path / "full" / "file").read_text() == "mine"
