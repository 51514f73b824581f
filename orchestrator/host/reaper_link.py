"""The engine's end of the reaper: starting it, asking it for a process, waiting until an old one is gone.

A lock pair per reaper lies in the state folder: `<id>.engine`, a record lock of the engine's process (not shared with its
forks), and `<id>.reaper`, taken before the reaper starts and inherited by it and its supervisors, so there is no moment in
which work may begin unlocked. An engine lock that is free beside a reaper lock that is held is an engine that died while
its processes have not ended yet: recovery waits for it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parent.parent)

_BOOT = (
    # A bare package object instead of ours: the reaper must not pay for, or break on, what the front door imports.
    "import sys;p=type(sys)('orchestrator');p.__path__=[sys.argv[1]];sys.modules['orchestrator']=p;"
    "from orchestrator.host.reaper import main;main()"
)

_POLL_S = 0.005
_PF_EXITING = 0x4

_ours: set[str] = set()
"""Reapers of this process: closing any descriptor of their engine lock would drop it, so they are never probed."""


@dataclass(slots=True)
class ReaperLink:
    id: str
    pid: int
    control: socket.socket
    engine_lock: int
    folder: Path

    def request(self, descriptors: list[int]) -> None:
        """Raises BrokenPipeError or ConnectionResetError if the reaper is gone."""
        socket.send_fds(self.control, [b"."], descriptors)

    def alive(self) -> bool:
        """False once it closed its end of the control socket, which is the last thing it does."""
        try:
            return self.control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def trouble(self) -> str:
        """What the reaper wrote before it died, if anything."""
        with suppress(OSError):
            return (self.folder / f"{self.id}.reaper").read_text(errors="replace")[-2000:].strip()
        return ""

    def hang_up(self) -> None:
        """Tell it to end everything. Its end closes the control socket."""
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)

    def bury(self) -> None:
        """After its end: reap it, let go of the locks, remove their files."""
        self.control.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        for kind in ("reaper", "engine"):
            (self.folder / f"{self.id}.{kind}").unlink(missing_ok=True)
        os.close(self.engine_lock)
        _ours.discard(self.id)


def start_reaper(state_dir: Path) -> ReaperLink:
    """Start a reaper for this process; it holds its lock in `state_dir/reapers` as long as anything below it lives."""
    folder = state_dir / "reapers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    id = os.urandom(6).hex()
    _ours.add(id)
    engine_lock = _open(folder / f"{id}.engine")
    fcntl.lockf(engine_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(engine_lock, str(os.getpid()).encode())
    reaper_lock = _open(folder / f"{id}.reaper")
    fcntl.flock(reaper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    ours, theirs = socket.socketpair()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _BOOT, _PACKAGE, str(os.getpid())],
            {"PATH": os.defpath},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, reaper_lock, 1),
                (os.POSIX_SPAWN_DUP2, reaper_lock, 2),
            ],
            # Out of the terminal's group: a Ctrl-C there is for the engine, which drains first.
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGPIPE),
        )
    finally:
        theirs.close()
        os.close(reaper_lock)
    return ReaperLink(id, pid, ours, engine_lock, folder)


def wait_old_reapers(state_dir: Path, timeout: float) -> list[str]:
    """Wait until everything that dead engines of this state folder had started is gone; blocks at most `timeout` seconds.

    Returns the ids of reapers that still hold on, empty when all is well. Reapers of living engines do not count.
    Takes no time at all where no engine died.
    """
    left = _old_reapers(state_dir / "reapers")
    limit = time.monotonic() + timeout
    pause = threading.Event()
    while left and time.monotonic() < limit:
        pause.wait(_POLL_S)
        left = [id for id in left if not _remove_if_gone(state_dir / "reapers", id)]
    return left


def _old_reapers(folder: Path) -> list[str]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except FileNotFoundError:
        return []
    ids = [name.removesuffix(".reaper") for name in names if name.endswith(".reaper")]
    dead = [id for id in ids if id not in _ours and not _engine_lives(folder, id)]
    return [id for id in dead if not _remove_if_gone(folder, id)]


def _engine_lives(folder: Path, id: str) -> bool:
    try:
        probe = os.open(folder / f"{id}.engine", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return not _dying(os.read(probe, 32))
    finally:
        os.close(probe)
    return False


def _dying(pid: bytes) -> bool:
    """A killed process lets go of its locks one by one: who already has its claim on a run may still see this one held."""
    try:
        fields = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return False
    return bool(int(fields[6]) & _PF_EXITING)


def _remove_if_gone(folder: Path, id: str) -> bool:
    try:
        probe = os.open(folder / f"{id}.reaper", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        for kind in ("reaper", "engine"):
            (folder / f"{id}.{kind}").unlink(missing_ok=True)
        return True
    finally:
        os.close(probe)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
