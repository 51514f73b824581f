"""How a driver learns at once that another process sent something: it leaves a named pipe in `knock/`, and who sends
writes one byte into every pipe there.

The byte says only "look", so that nothing is lost when a pipe is full or a name is stale: whoever is woken asks the
journal what came. Where a knock cannot arrive, a look every half second finds it, as long as somebody listens.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

log = logging.getLogger(__name__)

LOOK_EVERY_MS: Final = 500


class _Listener(msgspec.Struct, eq=False):
    stream: str
    """"" for every stream."""
    callback: Callable[[str], None]
    mail: int
    """Arrival number of the last message it knows of."""
    lasts: dict[str, int] | None
    """Last event number by stream; None for whoever did not ask about events."""


class _Pipe(msgspec.Struct):
    """Our own pipe. `name` is None where the file system has no named ones."""

    read: int
    write: int
    path: Path | None = None


class _Look:
    """A connection that notices commits of all others."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self._version = -1

    def changed(self) -> bool:
        version = int(self.db.pragma("data_version"))
        changed, self._version = version != self._version, version
        return changed


_Woken = dict[tuple[int, str], _Listener]
"""Whom one look wakes: each listener once for each stream."""


class Knock:
    def __init__(self, root: Path, connect: Callable[[], apsw.Connection]) -> None:
        self._root = root
        self._connect = connect
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []
        self._pipe: _Pipe | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    # Who sends

    def knock(self) -> None:
        """Wake whoever listens, here and in other processes. Never fails: the slow look is behind it."""
        try:
            names = [entry.path for entry in os.scandir(self._root) if not entry.name.startswith(".")]
        except OSError:
            return
        for name in names:
            _knock_at(name)

    # Who listens

    def listen(self, stream: str, callback: Callable[[str], None], *, events: bool) -> Callable[[], None]:
        with contextlib.closing(self._connect()) as db:
            listener = _Listener(stream, callback, _newest_mail(db), _lasts(db, stream) if events else None)
        with self._lock:
            self._listeners.append(listener)
            self._start()

        def end() -> None:
            with self._lock:
                self._listeners = [other for other in self._listeners if other is not listener]

        return end

    def _start(self) -> None:
        if self._pipe is None:
            self._pipe = _open_pipe(self._root)
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, args=(self._pipe,), name="journal knock", daemon=True)
            self._thread.start()
        os.write(self._pipe.write, b"\0")

    def _loop(self, pipe: _Pipe) -> None:
        poll = select.poll()
        poll.register(pipe.read, select.POLLIN)
        look: _Look | None = None
        while not self._closed:
            poll.poll(LOOK_EVERY_MS if self._listeners else None)
            with contextlib.suppress(BlockingIOError):
                os.read(pipe.read, 65536)
            try:
                look = look or _Look(self._connect())
                if look.changed():
                    self._tell(look.db)
            except apsw.Error as error:
                log.warning("listening to the journal failed, trying again: %s", error)
                look = None
        if look is not None:
            look.db.close()

    def _tell(self, db: apsw.Connection) -> None:
        with self._lock:
            listeners = list(self._listeners)
        woken: _Woken = {}
        _look_for_mail(db, listeners, woken)
        for listener in listeners:
            _look_for_events(db, listener, woken)
        for (_, stream), listener in woken.items():
            try:
                listener.callback(stream)
            except Exception:
                log.exception("a listener of the journal failed")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._listeners = []
            pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        os.write(pipe.write, b"\0")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if pipe.path is not None:
            pipe.path.unlink(missing_ok=True)
        os.close(pipe.read)
        os.close(pipe.write)


def _knock_at(name: str) -> None:
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads it any more: its process was killed
            with contextlib.suppress(OSError):
                Path(name).unlink()
        return
    try:
        os.write(fd, b"\0")
    except OSError:
        pass  # full: it is about to be read anyway
    finally:
        os.close(fd)


def _open_pipe(root: Path) -> _Pipe:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        hidden = root / f".{name}"
        os.mkfifo(hidden, 0o600)
        # Our own writing end keeps the pipe from looking closed between two knocks.
        read = os.open(hidden, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        write = os.open(hidden, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Visible only once it can be written to, or a sender would take it for a dead one.
        return _Pipe(read, write, hidden.rename(root / name))
    except OSError:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        return _Pipe(read, write)


def _newest_mail(db: apsw.Connection) -> int:
    return int(db.execute("SELECT ifnull(max(id), 0) FROM inbox").get)


def _lasts(db: apsw.Connection, stream: str) -> dict[str, int]:
    known: list[Any] = db.execute("SELECT name, last FROM streams WHERE ?1 = '' OR name = ?1", (stream,)).fetchall()
    return dict(known)


def _look_for_mail(db: apsw.Connection, listeners: list[_Listener], woken: _Woken) -> None:
    if not listeners:
        return
    oldest = min(listener.mail for listener in listeners)
    arrived: list[Any] = db.execute(
        "SELECT i.id, s.name FROM inbox i JOIN streams s ON s.number = i.stream WHERE i.id > ? ORDER BY i.id", (oldest,)
    ).fetchall()
    if not arrived:
        return
    for listener in listeners:
        for number, stream in arrived:
            if number > listener.mail and listener.stream in ("", stream):
                woken[id(listener), stream] = listener
        listener.mail = max(listener.mail, arrived[-1][0])


def _look_for_events(db: apsw.Connection, listener: _Listener, woken: _Woken) -> None:
    if listener.lasts is None:
        return
    for stream, last in _lasts(db, listener.stream).items():
        if last > listener.lasts.get(stream, 0):
            woken[id(listener), stream] = listener
            listener.lasts[stream] = last
