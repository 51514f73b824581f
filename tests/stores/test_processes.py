"""Several processes on one state folder: nobody is told that something is locked, nobody loses anything."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from stores.conformance import Heard, append, batch
from stores.processes import others

from orchestrator.errors import RunBusyError
from orchestrator.stores.sqlite import SqliteJournal, verify

WRITERS = 8
ROUNDS = 40

WRITER = f"""
synchronous = "FULL" if number % 2 else "NORMAL"
say("ready")
hear()
try:
    journal = SqliteJournal(state, synchronous=synchronous)
    mine, shared = 0, 0
    for turn in range({ROUNDS}):
        error = append(journal, f"own {{number}}", turn)
        if error is not None:
            raise error
        journal.send("shared", f"{{number}} {{turn}}", b"m")
        journal.send("shared", f"same {{turn}}", b"m")
        while True:
            row = journal.row("shared")
            error = append(journal, "shared", row.last if row else 0, payload=str(number).encode())
            if error is None:
                break
            if not isinstance(error, JournalConflictError):
                raise error
        journal.rows(limit=5)
    journal.close()
    say("done")
except BaseException as error:
    say(repr(error))
"""


def test_eight_processes_write_at_once_and_none_is_locked_out(tmp_path: Path) -> None:
    with others(tmp_path, WRITER, WRITERS) as writers:
        assert [writer.line() for writer in writers] == ["ready"] * WRITERS
        for writer in writers:
            writer.tell("go")  # they also make the journal at once
        assert [writer.line() for writer in writers] == ["done"] * WRITERS
    journal = SqliteJournal(tmp_path)
    for number in range(WRITERS):
        assert len(list(journal.read(f"own {number}"))) == ROUNDS
    shared = [stored.payload for stored in journal.read("shared")]
    assert sorted(shared) == sorted(str(number).encode() for number in range(WRITERS) for _ in range(ROUNDS))
    row = journal.row("shared")
    assert row is not None
    assert row.inbox == len(journal.inbox("shared")) == WRITERS * ROUNDS + ROUNDS
    journal.close()
    assert [finding for finding in verify(tmp_path) if finding.about != "folder"] == []


def test_a_process_that_is_killed_loses_nothing_it_was_promised(tmp_path: Path) -> None:
    script = """
    journal = SqliteJournal(state)
    for turn in range(100000):
        append(journal, f"r{number}", turn)
        say(turn + 1)
    """.replace("\n    ", "\n")
    with others(tmp_path, script, 3) as writers:
        promised = []
        for writer in writers:
            for _ in range(50):
                last = writer.line()
            promised.append(int(last))
        for writer in writers:
            writer.process.kill()
    journal = SqliteJournal(tmp_path)
    for number, least in enumerate(promised):
        assert len(list(journal.read(f"r{number}"))) >= least
    append(journal, batch("r", 0))
    journal.close()
    assert [finding for finding in verify(tmp_path) if finding.about != "folder"] == []


CLAIMER = """
journal = SqliteJournal(state)
with journal.claim("r"):
    say("claimed")
    hear()
say("released")
hear()
"""


def test_a_claim_names_its_holder_and_ends_with_its_process(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    with others(tmp_path, CLAIMER) as (other,):
        assert other.line() == "claimed"
        with pytest.raises(RunBusyError, match=f"pid {other.process.pid} on "), journal.claim("r"):
            pass
        assert (journal.holder("r") or "").startswith(f"pid {other.process.pid} on ")
        other.process.send_signal(signal.SIGKILL)
        other.process.wait()
        assert (tmp_path / "claims" / "r").exists()
        assert journal.holder("r") is None
        with journal.claim("r"):
            pass
        assert not (tmp_path / "claims" / "r").exists()
    journal.close()


def test_a_released_claim_is_free_for_others(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    with others(tmp_path, CLAIMER) as (other,):
        assert other.line() == "claimed"
        other.tell("release")
        assert other.line() == "released"
        with journal.claim("r"):
            pass
    journal.close()


def test_a_forked_child_does_not_keep_its_parents_claims(tmp_path: Path) -> None:
    script = """
    journal = SqliteJournal(state)
    claim = journal.claim("r")
    claim.__enter__()
    waiting, _ = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            journal.row("r")
        except JournalError as error:
            say(error)
        signal.pause()
    say(child)
    hear()
    """.replace("\n    ", "\n")
    journal = SqliteJournal(tmp_path)
    with others(tmp_path, script) as (other,):
        said = sorted([other.line(), other.line()])
        assert said[0].isdigit()
        assert said[1] == "a forked process must open the journal anew"
        assert journal.holder("r") is not None
        other.process.kill()
        other.process.wait()
        with journal.claim("r"):  # though the child still lives
            os.kill(int(said[0]), 0)
    journal.close()


def test_only_one_of_many_wins_a_claim(tmp_path: Path) -> None:
    script = """
    journal = SqliteJournal(state)
    wins = 0
    say("ready")
    hear()
    for turn in range(150):
        try:
            with journal.claim("r"):
                wins += 1
                alone = os.open(state / "alone", os.O_CREAT | os.O_EXCL)
                os.close(alone)
                os.unlink(state / "alone")
        except RunBusyError as error:
            journal.holder("r")
    say("done")
    """.replace("\n    ", "\n")
    with others(tmp_path, script, 4) as claimers:
        assert [claimer.line() for claimer in claimers] == ["ready"] * 4
        for claimer in claimers:
            claimer.tell("go")
        assert [claimer.line() for claimer in claimers] == ["done"] * 4


def test_a_message_from_another_process_is_heard(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    heard = Heard()
    end = journal.listen("r", heard)
    with others(tmp_path, 'SqliteJournal(state).send("r", "k", b"m"); say("sent"); hear()') as (other,):
        heard.wait_for("r")
        assert [message.key for message in journal.inbox("r")] == ["k"]
        assert other.line() == "sent"
    end()
    journal.close()


def test_a_listener_that_was_killed_disturbs_no_sender(tmp_path: Path) -> None:
    script = 'journal = SqliteJournal(state); journal.listen("r", lambda s: None); say("listening"); hear()'
    journal = SqliteJournal(tmp_path)
    with others(tmp_path, script, 2) as listeners:
        assert [listener.line() for listener in listeners] == ["listening"] * 2
        assert len(list((tmp_path / "knock").iterdir())) == 2
        listeners[0].process.kill()
        listeners[0].process.wait()
        assert journal.send("r", "k", b"m")
        assert len(list((tmp_path / "knock").iterdir())) == 1
    journal.close()


def test_what_no_knock_announces_is_found_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.stores._knock import Knock

    monkeypatch.setattr(Knock, "knock", lambda self: None)
    journal = SqliteJournal(tmp_path)
    heard = Heard()
    journal.listen("r", heard)
    journal.send("r", "k", b"m")
    heard.wait_for("r")
    journal.close()
