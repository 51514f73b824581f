from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stores.meters_conformance import MINUTE, NOW, MetersConformance, draw, place

from orchestrator.errors import JournalError
from orchestrator.ports.meters import Draw, MeterRefusal, Meters
from orchestrator.stores._meters_sqlite import SqliteMeters

OTHER = """
import sys
from pathlib import Path
from orchestrator.ports.meters import Draw, MeterRefusal
from orchestrator.stores._meters_sqlite import SqliteMeters

meters = SqliteMeters(Path(sys.argv[1]))
print("open", flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == "hold":
        meters.reserve([Draw(meter="places", amount=1, limit=1, place=True)], 1_000_000.0)
        meters.reserve([Draw(meter="m", amount=6, limit=10, window=60.0)], 1_000_000.0)
        print("held", flush=True)
    elif word == "draw":
        got = 0
        for number in range(int(rest[0])):
            try:
                ticket = meters.reserve([Draw(meter="m", amount=3, limit=int(rest[1]), window=60.0)], 1_000_000.0)
            except MeterRefusal as refusal:
                assert refusal.drawn <= int(rest[1])
                continue
            if number % 2:
                meters.settle(ticket, {"m": 1})
            got += 1 if number % 2 else 3
        print(got, flush=True)
"""


class TestSqliteMeters(MetersConformance):
    @pytest.fixture
    def meters(self, tmp_path: Path) -> Iterator[Meters]:
        found = SqliteMeters(tmp_path)
        yield found
        found.close()


@contextmanager
def others(state: Path, count: int = 1) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    try:
        for process in started:
            assert heard(process) == "open"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_draw_at_once_never_exceed_a_limit_and_the_sum_is_exact(tmp_path: Path) -> None:
    with others(tmp_path, 8) as processes:
        for process in processes:
            say(process, "draw 40 100")
        kept = sum(int(heard(process)) for process in processes)
        mine = SqliteMeters(tmp_path)
        assert 90 < mine.drawn("m", NOW) == kept <= 100
        mine.close()


def test_a_killed_process_frees_its_places_and_what_it_reserved_stays_drawn(tmp_path: Path) -> None:
    with others(tmp_path) as (process,):
        say(process, "hold")
        assert heard(process) == "held"
        mine = SqliteMeters(tmp_path)
        with pytest.raises(MeterRefusal) as living:
            mine.reserve([draw(5)], NOW)
        with pytest.raises(MeterRefusal):
            mine.reserve([place(1)], NOW)
        process.send_signal(signal.SIGKILL)
        process.wait()
        mine.reserve([place(1)], NOW)
        with pytest.raises(MeterRefusal) as dead:
            mine.reserve([draw(5)], NOW)
        assert (living.value.reserved, dead.value.reserved) == (6, 0)
        assert dead.value.drawn == 6
        mine.close()


def test_windows_survive_the_process(tmp_path: Path) -> None:
    first = SqliteMeters(tmp_path)
    first.settle(first.reserve([draw(10)], NOW), {"m": 8})
    first.close()
    second = SqliteMeters(tmp_path)
    with pytest.raises(MeterRefusal):
        second.reserve([draw(3)], NOW + MINUTE / 2)
    second.reserve([draw(3)], NOW + 2 * MINUTE)
    second.close()


def test_what_is_over_is_forgotten_and_so_are_dead_owners(tmp_path: Path) -> None:
    first = SqliteMeters(tmp_path)
    day = Draw(meter="day", amount=5, limit=9, expires=NOW + 100)
    first.settle(first.reserve([day, draw(1, meter="old")], NOW), {})
    first.close()
    with others(tmp_path) as (process,):
        say(process, "hold")
        heard(process)
    assert len(list((tmp_path / "meters").iterdir())) == 1
    second = SqliteMeters(tmp_path)
    second.reserve([draw(1, meter="new")], NOW + 200)
    assert second.drawn("day", NOW + 200) == second.drawn("old", NOW + 200) == 0
    assert [path.name for path in (tmp_path / "meters").iterdir()] == [second._owner]
    second.close()


def test_a_long_window_stays_small_however_much_is_drawn(tmp_path: Path) -> None:
    meters = SqliteMeters(tmp_path)
    for second in range(0, 86_400, 60):
        meters.settle(meters.reserve([draw(1, None, window=86_400.0)], NOW + second), {})
    rows = meters._db.execute("SELECT count(*) FROM drawn").get
    assert meters.drawn("m", NOW + 86_399) == 1440
    assert rows <= 520
    meters.close()


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    meters = SqliteMeters(tmp_path / "state")
    meters.reserve([draw(1)], NOW)
    assert stat.S_IMODE((tmp_path / "state" / "meters.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state" / "meters").stat().st_mode) == 0o700
    meters.close()


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "meters.db").write_text("not a database " * 1000)
    with pytest.raises(JournalError):
        SqliteMeters(tmp_path)


def test_closed_or_in_a_forked_child_it_refuses(tmp_path: Path) -> None:
    meters = SqliteMeters(tmp_path)
    child = os.fork()
    if not child:
        try:
            meters.drawn("m", NOW)
        except JournalError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    meters.close()
    meters.close()
    with pytest.raises(JournalError, match="closed"):
        meters.reserve([draw(1)], NOW)
