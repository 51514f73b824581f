"""What stands in the state folder, and what happens when something else stands there."""

from __future__ import annotations

import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import apsw
import pytest
from stores.conformance import append, batch, begin, row

from orchestrator.errors import JournalError, JournalVersionError
from orchestrator.ports.journal import Batch
from orchestrator.stores import _connections
from orchestrator.stores._writes import Append
from orchestrator.stores.sqlite import SqliteJournal
from orchestrator.testing.power import Operation, PowerDisk


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(state)
    yield journal
    journal.close()


def test_only_the_user_can_reach_the_files(journal: SqliteJournal, state: Path) -> None:
    journal.listen("r", lambda _: None)
    journal.put_blob(b"x")
    append(journal, batch("r", 0))
    with journal.claim("r"):
        for path in (state, *state.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_closing_leaves_nothing_but_the_journal(journal: SqliteJournal, state: Path) -> None:
    journal.listen("r", lambda _: None)
    with journal.claim("r"):
        append(journal, batch("r", 0))
    journal.close()
    files = sorted(path.name for path in state.rglob("*") if not path.is_dir())
    assert files == ["journal.db", "journal.db-shm", "journal.db-wal", "journal.lock"]


def test_another_process_goes_on_where_this_one_ended(state: Path) -> None:
    first = SqliteJournal(state)
    append(first, batch("r", 0, 3))
    first.send("r", "k", b"m")
    first.close()
    second = SqliteJournal(state)
    append(second, batch("r", 3, consumed=("k",)))
    assert not second.send("r", "k", b"m")
    assert [stored.first for stored in second.read("r")] == [1, 4]
    second.close()


def test_two_journals_of_one_folder_see_each_other_at_once(state: Path) -> None:
    first, second = SqliteJournal(state), SqliteJournal(state, synchronous="NORMAL")
    for number in range(0, 40, 2):
        append(first, batch("r", number))
        append(second, batch("r", number + 1))
    assert len(list(first.read("r"))) == len(list(second.read("r"))) == 40
    first.close()
    second.close()


def test_a_full_commit_is_one_sync_for_all_that_wait(state: Path) -> None:
    disk = PowerDisk()
    journal = SqliteJournal(state, vfs=disk.name)
    append(journal, batch("r", 0))
    operations: list[Operation] = []
    disk.before_each = operations.append
    with journal._writer._committing:  # the writer is held up, as by a slow disk
        verdicts = [begin(journal, batch("r", number)) for number in range(1, 200)]
    assert [verdict.wait() for verdict in verdicts] == [None] * 199
    journal.close()
    disk.close()
    # The writer may have taken the first alone before it was held up.
    assert 1 <= len([operation for operation in operations if operation.verb == "sync"]) <= 2


def test_reading_does_not_wait_for_a_commit(journal: SqliteJournal) -> None:
    append(journal, batch("r", 0))
    with journal._writer._committing:
        held = begin(journal, batch("r", 1))
        assert len(list(journal.read("r"))) == 1
        assert journal.row("r") is not None
        assert journal.rows()
        assert not held.told.is_set()
    assert held.wait() is None


def test_reading_does_not_wait_for_another_programs_transaction(journal: SqliteJournal, state: Path) -> None:
    append(journal, batch("r", 0))
    other = apsw.Connection(str(state / "journal.db"))
    other.execute("BEGIN IMMEDIATE; UPDATE streams SET status = 'gone'")
    found = journal.row("r")
    assert found is not None
    assert found.status == "running"
    other.execute("ROLLBACK")
    other.close()


def test_a_lock_that_is_never_given_back_becomes_a_clear_error(state: Path) -> None:
    journal = SqliteJournal(state, busy_timeout=0.1)
    other = apsw.Connection(str(state / "journal.db"))
    other.execute("BEGIN IMMEDIATE")
    error = begin(journal, batch("r", 0)).wait()
    assert isinstance(error, JournalError)
    assert "locked for too long" in str(error)
    other.execute("ROLLBACK")
    append(journal, batch("r", 0))
    other.close()
    journal.close()


def test_a_caller_that_fails_to_take_its_answer_harms_nobody(journal: SqliteJournal) -> None:
    def careless(error: BaseException | None) -> None:
        raise RuntimeError("not listening")

    journal.append(batch("r", 0), careless)
    append(journal, batch("r", 1))


def test_normal_commits_on_the_calling_thread(state: Path) -> None:
    journal = SqliteJournal(state, synchronous="NORMAL")
    threads: list[threading.Thread] = []
    journal.append(batch("r", 0), lambda error: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]
    inner = []
    journal.append(batch("r", 1), lambda error: inner.append(begin(journal, batch("r", 2)).wait()))
    assert inner == [None]
    journal.close()


def test_the_wal_stays_bounded(journal: SqliteJournal, state: Path) -> None:
    payload = b"x" * 40_000
    for number in range(600):
        append(journal, batch("r", number, payload=payload))
    assert (state / "journal.db-wal").stat().st_size < 12_000_000 < 600 * len(payload)


def test_many_short_lives_leave_a_bounded_wal(state: Path) -> None:
    payload = b"x" * 80_000
    for number in range(150):
        journal = SqliteJournal(state, synchronous="NORMAL")
        append(journal, batch("r", number, payload=payload))
        journal.close()
    assert (state / "journal.db-wal").stat().st_size < 5_000_000 < 150 * len(payload)


def test_a_stale_memory_of_a_row_is_noticed(state: Path) -> None:
    first, second = SqliteJournal(state), SqliteJournal(state)
    append(first, batch("r", 0))
    append(second, batch("r", 1, 0, row=row("r", "paused")))
    append(first, batch("r", 1))
    found = second.row("r")
    assert found is not None
    assert (found.status, found.last) == ("running", 2)
    first.close()
    second.close()


def test_every_connection_has_its_settings(state: Path) -> None:
    journal = SqliteJournal(state, synchronous="NORMAL")
    names = ("synchronous", "wal_autocheckpoint", "temp_store", "query_only", "journal_mode")
    with journal._connect() as writing, journal._reader() as first, journal._connect_reader() as reading:
        assert [writing.pragma(name) for name in names] == [1, 0, 2, 0, "wal"]
        assert [first.pragma(name) for name in names[1:]] == [0, 2, 1, "wal"]
        assert [reading.pragma(name) for name in names[1:]] == [0, 2, 1, "wal"]
    journal.close()


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(state: Path, synchronous: Literal["FULL", "NORMAL"]) -> None:
    journal = SqliteJournal(state, synchronous=synchronous)
    append(journal, batch("r", 0))
    state.rename(state.with_name("elsewhere"))
    assert "removed or replaced" in str(begin(journal, batch("r", 1)).wait())
    other = SqliteJournal(state)
    assert "removed or replaced" in str(begin(journal, batch("r", 1)).wait())
    with pytest.raises(JournalError, match="removed"):
        journal.send("r", "k", b"m")
    assert other.row("r") is None
    other.close()
    journal.close()


# Versions


def test_a_newer_journal_is_refused_and_left_alone(journal: SqliteJournal, state: Path) -> None:
    append(journal, batch("r", 0))
    journal.close()
    db = apsw.Connection(str(state / "journal.db"))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(JournalVersionError, match="99"):
        SqliteJournal(state)
    db = apsw.Connection(str(state / "journal.db"))
    assert db.pragma("user_version") == 99
    db.close()


def test_the_version_is_the_number_of_the_last_migration() -> None:
    numbers = [number for number, _ in _connections.migrations()]
    assert numbers == list(range(1, _connections.SCHEMA_VERSION + 1))


@pytest.fixture
def second_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A later engine, whose migration adds a column."""
    folder = tmp_path / "migrations"
    shutil.copytree(_connections.MIGRATIONS, folder)
    later = folder / f"{_connections.SCHEMA_VERSION + 1:03}_later.sql"
    later.write_text("SELECT 'a row that nobody wants'; ALTER TABLE streams ADD COLUMN later TEXT;")
    monkeypatch.setattr(_connections, "MIGRATIONS", folder)
    monkeypatch.setattr(_connections, "SCHEMA_VERSION", _connections.SCHEMA_VERSION + 1)
    return later


def old_journal(state: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteJournal:
    with monkeypatch.context() as before:
        before.setattr(_connections, "SCHEMA_VERSION", _connections.SCHEMA_VERSION - 1)
        journal = SqliteJournal(state)
        append(journal, batch("r", 0, 2))
        journal.send("r", "k", b"m")
    return journal


def test_a_migration_copies_the_journal_first(
    state: Path, second_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_journal(state, monkeypatch).close()
    journal = SqliteJournal(state)
    assert [stored.first for stored in journal.read("r")] == [1]
    append(journal, batch("r", 2, consumed=("k",)))
    journal.close()
    old = _connections.SCHEMA_VERSION - 1
    with apsw.Connection(str(state / "journal.db")) as db:
        assert "later" in [column[1] for column in db.execute("PRAGMA table_info(streams)")]
    copy = state / f"journal.db.v{old}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    db = apsw.Connection(str(copy))
    assert db.pragma("user_version") == old
    assert db.execute("SELECT last FROM streams").get == 2
    db.close()


def test_a_migration_that_fails_leaves_the_older_journal(
    state: Path, second_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_journal(state, monkeypatch).close()
    second_version.write_text("CREATE TABLE half (x); SELECT no_such_function();")
    with pytest.raises(JournalError):
        SqliteJournal(state)
    db = apsw.Connection(str(state / "journal.db"))
    assert db.pragma("user_version") == _connections.SCHEMA_VERSION - 1
    assert db.table_exists("main", "half") is False
    db.close()
    second_version.write_text("CREATE TABLE whole (x);")
    SqliteJournal(state).close()


def test_a_migration_waits_until_nobody_has_the_journal_open(
    state: Path, second_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_journal(state, monkeypatch)
    monkeypatch.setattr(_connections, "_PATIENCE_FOR_THE_LOCK", 0.05)
    with pytest.raises(JournalError, match="another process"):
        SqliteJournal(state)
    append(old, batch("r", 2))
    old.close()
    SqliteJournal(state).close()


# Damage and strangers


def test_a_file_of_another_program_is_refused_and_left_alone(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "journal.db").write_bytes(b"my precious notes" * 100)
    with pytest.raises(JournalError):
        SqliteJournal(state)
    assert (state / "journal.db").read_bytes() == b"my precious notes" * 100


def test_another_programs_database_is_refused_and_left_alone(state: Path) -> None:
    state.mkdir(mode=0o700)
    db = apsw.Connection(str(state / "journal.db"))
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(JournalError, match="another program"):
        SqliteJournal(state)
    db = apsw.Connection(str(state / "journal.db"))
    assert db.table_exists("main", "theirs")
    assert not db.table_exists("main", "streams")
    db.close()


def test_a_payload_that_changed_on_the_disk_is_not_believed(journal: SqliteJournal, state: Path) -> None:
    append(journal, batch("r", 0, payload=b"as written"))
    db = apsw.Connection(str(state / "journal.db"))
    db.execute("UPDATE batches SET payload = ?", (b"as chanced",))
    db.close()
    with pytest.raises(JournalError, match="damaged"):
        list(journal.read("r"))


def test_a_state_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError):
        SqliteJournal(tmp_path / "file" / "state")


def test_one_bad_write_in_a_group_fails_alone(journal: SqliteJournal) -> None:
    def write(item: Batch) -> Append:
        return Append(item, b"{}", lambda error: None)

    bad = batch("b", 0, row=row("b", workflow="\udcff"))
    verdicts = journal._writer.commit([write(batch("a", 0)), write(bad), write(batch("c", 0)), write(batch("a", 0))])
    assert verdicts[0] is None
    assert isinstance(verdicts[1], JournalError)
    assert verdicts[2] is None
    assert "is at event 1" in str(verdicts[3])
    assert journal.row("b") is None
