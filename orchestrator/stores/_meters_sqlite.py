"""Meters in a SQLite file of their own (`meters.db` in the state folder), shared by all processes of a project.

Each reservation is one immediate transaction: among all processes one after the other. A process that has drawn holds
the lock on a file of its own in `meters/`; the lock ends with the process, whatever kills it, so that its places come free.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import apsw

from orchestrator.errors import JournalError, JournalVersionError
from orchestrator.ports.meters import Draw, MeterRefusal
from orchestrator.stores._claims import Claims
from orchestrator.stores._connections import connect, translated
from orchestrator.stores._meter_slots import EVER, leaves_at, slot_of, window_start

FILE_NAME: Final = "meters.db"
OWNERS: Final = "meters"
VERSION: Final = 1
PATIENCE_S: Final = 15.0
_AUTOCHECKPOINT_PAGES: Final = 1000

_SCHEMA: Final = """
CREATE TABLE drawn(meter TEXT, slot INTEGER, amount INTEGER NOT NULL, expires REAL,
                   PRIMARY KEY(meter, slot)) WITHOUT ROWID;
CREATE TABLE reserved(ticket TEXT, meter TEXT, slot INTEGER NOT NULL, amount INTEGER NOT NULL, place INTEGER NOT NULL,
                      owner TEXT NOT NULL, PRIMARY KEY(ticket, meter)) WITHOUT ROWID;
CREATE INDEX reserved_by_meter ON reserved(meter, owner);
"""


class SqliteMeters:
    """Implements `Meters` in `state_dir`. Raises JournalError if the file cannot be used, JournalVersionError if a newer
    program made it."""

    def __init__(self, state_dir: Path, *, patience: float = PATIENCE_S) -> None:
        self._path = state_dir / FILE_NAME
        self._owners = Claims(state_dir / OWNERS)
        self._owners_folder = state_dir / OWNERS
        self._owner = uuid4().hex
        self._held = ExitStack()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._tickets = 0
        self._synchronous = ""
        self._db = _open(self._path, patience)
        self._tidied = False

    # The port

    def reserve(self, draws: Iterable[Draw], now: float) -> str:
        draws = tuple(draws)
        with self._use():
            self._begin_owning()
            # A day's money must survive a power cut; a window of minutes need not.
            self._sync(any(draw.window is None and not draw.place for draw in draws))
            with self._transaction():
                if not self._tidied:
                    self._forget(now)
                for draw in draws:
                    self._check(draw, now)
                self._tickets += 1
                ticket = f"{self._owner}.{self._tickets}"
                for draw in draws:
                    self._draw(ticket, draw, now)
            self._tidied = True
            return ticket

    def settle(self, ticket: str, amounts: Mapping[str, int]) -> None:
        self._close_ticket(ticket, amounts, withdrawn=False)

    def withdraw(self, ticket: str) -> None:
        self._close_ticket(ticket, {}, withdrawn=True)

    def drawn(self, meter: str, now: float, window: float | None = None) -> int:
        with self._use():
            return self._sum(meter, window_start(now, window))

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if os.getpid() == self._pid:
                self._db.close()
                self._held.close()

    # Inside a transaction

    def _check(self, draw: Draw, now: float) -> None:
        """Raises MeterRefusal if it does not fit, once dead owners' places are free."""
        self._tidy(draw, now)
        if self._fits(draw) or (self._bury_the_dead(draw.meter) and self._fits(draw)):
            return
        drawn = self._sum(draw.meter, -1)
        query = "SELECT coalesce(sum(amount), 0) FROM reserved WHERE meter = ?"
        reserved = self._rows(query, draw.meter)[0][0]
        raise MeterRefusal(draw, drawn, min(reserved, drawn), self._free_at(draw, drawn))

    def _fits(self, draw: Draw) -> bool:
        return draw.limit is None or self._sum(draw.meter, -1) + draw.amount <= draw.limit

    def _sum(self, meter: str, after: int) -> int:
        query = "SELECT coalesce(sum(amount), 0) FROM drawn WHERE meter = ? AND slot > ?"
        return int(self._rows(query, meter, after)[0][0])

    def _draw(self, ticket: str, draw: Draw, now: float) -> None:
        slot = slot_of(now, draw.window)
        expires = draw.expires if draw.window is None else leaves_at(slot, draw.window)
        self._db.execute(
            "INSERT INTO drawn VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (draw.meter, slot, draw.amount, expires),
        )
        self._db.execute(
            "INSERT INTO reserved VALUES(?, ?, ?, ?, ?, ?)",
            (ticket, draw.meter, slot, draw.amount, draw.place, self._owner),
        )

    def _tidy(self, draw: Draw, now: float) -> None:
        """Forget what left the window; what lies in the future, after a step of the clock, counts as drawn now."""
        if draw.window is None:
            return
        here = slot_of(now, draw.window)
        self._db.execute(
            "DELETE FROM drawn WHERE meter = ? AND slot <= ?", (draw.meter, window_start(now, draw.window))
        )
        ahead = self._rows("DELETE FROM drawn WHERE meter = ? AND slot > ? RETURNING amount", draw.meter, here)
        if amount := sum(row[0] for row in ahead):
            self._db.execute(
                "INSERT INTO drawn VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                (draw.meter, here, amount, leaves_at(here, draw.window)),
            )

    def _free_at(self, draw: Draw, drawn: int) -> float | None:
        if draw.window is None or draw.limit is None or draw.amount > draw.limit:
            return None
        query = "SELECT slot, amount FROM drawn WHERE meter = ? ORDER BY slot"
        for slot, amount in self._rows(query, draw.meter):
            drawn -= amount
            if slot != EVER and drawn + draw.amount <= draw.limit:
                return leaves_at(slot, draw.window)
        return None

    def _bury_the_dead(self, meter: str) -> bool:
        """Let go of what dead owners held; what they had reserved stays drawn. True if something came free."""
        query = "SELECT DISTINCT owner FROM reserved WHERE meter = ? AND owner <> ?"
        owners = [row[0] for row in self._rows(query, meter, self._owner)]
        dead = [owner for owner in owners if self._owners.holder(owner) is None]
        for owner in dead:
            self._bury(owner)
        return bool(dead)

    def _bury(self, owner: str) -> None:
        held = "SELECT meter, slot, amount FROM reserved WHERE owner = ? AND place"
        for meter, slot, amount in self._rows(held, owner):
            self._db.execute("UPDATE drawn SET amount = amount - ? WHERE meter = ? AND slot = ?", (amount, meter, slot))
        self._db.execute("DELETE FROM reserved WHERE owner = ?", (owner,))

    def _forget(self, now: float) -> None:
        """Once in a process: meters whose time is over, and owners that are dead."""
        self._db.execute("DELETE FROM drawn WHERE expires <= ?", (now,))
        for (owner,) in self._rows("SELECT DISTINCT owner FROM reserved"):
            if owner != self._owner and self._owners.holder(owner) is None:
                self._bury(owner)
        for left in self._owners_folder.iterdir():
            if left.name != self._owner and self._owners.holder(left.name) is None:
                self._remove_if_old(left)

    def _remove_if_old(self, left: Path) -> None:
        # A lock file that is just being made is not locked yet.
        try:
            if left.stat().st_size:
                left.unlink()
        except FileNotFoundError:
            pass

    def _close_ticket(self, ticket: str, amounts: Mapping[str, int], *, withdrawn: bool) -> None:
        with self._use():
            self._sync(False)  # lost in a power cut, the bound stays drawn: on the safe side
            with self._transaction():
                query = "DELETE FROM reserved WHERE ticket = ? RETURNING meter, slot, amount, place"
                for meter, slot, amount, place in self._rows(query, ticket):
                    used = 0 if withdrawn or place else amounts.get(meter, amount)
                    self._db.execute(
                        "UPDATE drawn SET amount = amount + ? WHERE meter = ? AND slot = ?",
                        (used - amount, meter, slot),
                    )

    # The connection

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise JournalError("the meters are closed")
            if os.getpid() != self._pid:
                raise JournalError("meters cannot be used in a forked process")
            with translated(self._db):
                yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except MeterRefusal:
            # Nothing was drawn yet; that the meters were tidied stays.
            self._db.execute("COMMIT")
            raise
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        return list(self._db.execute(query, values))

    def _sync(self, durable: bool) -> None:
        wanted = "FULL" if durable else "NORMAL"
        if wanted != self._synchronous:
            self._db.pragma("synchronous", wanted)
            self._synchronous = wanted

    def _begin_owning(self) -> None:
        if not self._tidied:
            self._held.close()
            self._held.enter_context(self._owners.claim(self._owner))


def _open(path: Path, patience: float) -> apsw.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise JournalError(f"the meters' file could not be opened: {error.strerror}") from error
    with translated():
        db = connect(path, synchronous="NORMAL", patience=patience)
        try:
            db.pragma("wal_autocheckpoint", _AUTOCHECKPOINT_PAGES)
            _create(db)
        except BaseException:
            db.close()
            raise
    return db


def _create(db: apsw.Connection) -> None:
    version = int(db.pragma("user_version"))
    if version > VERSION:
        raise JournalVersionError("the meters' file is a newer program's", help="use the newer whisper-flow")
    if version == VERSION:
        return
    db.pragma("journal_mode", "wal")
    db.execute("BEGIN IMMEDIATE")
    try:
        if int(db.pragma("user_version")) < VERSION:
            db.execute(_SCHEMA).fetchall()
            db.pragma("user_version", VERSION)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
