"""The reaper: the one small process below an engine that starts every process and ends all of them.

It forks one supervisor for each request and knows nothing of what runs. Three ways to its end, all the same to it: the
engine closed the control socket, the engine died (kill -9 included), or it was told so by its own parent's death. It then
lets go of the life pipe; every supervisor sees that and ends its tree; what a killed supervisor left behind is ours by
now and is killed here. The lock it inherited is free only when the last of them is gone.

Started by `reaper_link.start_reaper` as `python -I -S`: standard library only, no site, so that it stands in 15 ms.
Descriptors at its start: 0 the control socket, 1 and 2 the lock file (a traceback lands there), argv: engine's pid.

A request is one byte on the control socket with these descriptors: channel, stdin, stdout, stderr, and what else the
body takes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

from orchestrator.host import descendants as tree
from orchestrator.host.supervisor import (
    KILL_EVERY_S,
    KILL_LIMIT_S,
    child_alarm,
    drain,
    execute,
    frame,
    ignore_signals,
    supervise,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.host.supervisor import Body

DESCRIPTORS_MAX = 8


def main() -> None:
    os.chdir("/")
    # Whatever the engine's own starter left open is nobody's business below us.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    control = socket.socket(fileno=os.dup(0))
    # The lock stays with us and our forks, never with a command.
    os.dup(1)
    report = os.open("/dev/null", os.O_RDWR)
    os.dup2(report, 0)
    os.dup2(report, 1)
    engine = int(sys.argv[2])
    serve(control, engine=engine, body=execute)
    os._exit(0)


def serve(control: socket.socket, *, engine: int | None, body: Body) -> None:
    """Fork a supervisor for every request until the engine is gone; return when nothing below us lives."""
    ignore_signals()
    tree.become_subreaper()
    Reaper(control, engine, body).until_engine_gone()


class Reaper:
    def __init__(self, control: socket.socket, engine: int | None, body: Body) -> None:
        self.control = control
        self.body = body
        self.alarm = child_alarm()
        self.life, self.life_held = os.pipe()
        self.channels: dict[int, int] = {}
        """Supervisor's pid → our copy of its channel, to answer for it if it is killed."""
        self.poll = select.poll()
        self.poll.register(self.alarm, select.POLLIN)
        self.poll.register(control.fileno(), select.POLLIN)
        self.engine = _process_handle(engine)
        if self.engine is not None:
            self.poll.register(self.engine, select.POLLIN)

    def until_engine_gone(self) -> None:
        alive = True
        while alive:
            ready = dict(self.poll.poll())
            if self.alarm in ready:
                drain(self.alarm)
                self.bury()
            if self.engine is not None and self.engine in ready:
                break
            if self.control.fileno() in ready:
                alive = self.accept()
        self.end_all()

    def accept(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self.control, 1, DESCRIPTORS_MAX)
        except ConnectionResetError:
            return False
        if not data:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        try:
            pid = os.fork()
        except OSError as error:
            channel = socket.socket(fileno=descriptors.pop(0))
            channel.sendall(frame(("failed", "fork", error.errno)))
            channel.close()
            pid = -1
        if pid == 0:
            self.become_supervisor(descriptors)
        if pid > 0:
            self.channels[pid] = descriptors.pop(0)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def become_supervisor(self, descriptors: list[int]) -> None:
        try:
            signal.set_wakeup_fd(-1)
            self.control.close()
            for descriptor in (self.life_held, self.alarm, *self.channels.values()):
                os.close(descriptor)
            if self.engine is not None:
                os.close(self.engine)
            channel = socket.socket(fileno=descriptors[0])
            supervise(channel, descriptors[1:], self.life, self.body)
        except BaseException:  # noqa: BLE001 - said in the lock file, then ended: never back into the reaper's loop
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    def bury(self) -> bool:
        """Reap children; False if there are none. After a supervisor that was killed, kill what it watched over."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                channel = self.channels.pop(pid, None)
                if channel is None:
                    continue
                if status != 0:
                    self.kill_strays()
                    _answer_lost(channel)
                os.close(channel)
        except ChildProcessError:
            return False

    def kill_strays(self) -> None:
        """Children of ours that are no supervisors were handed to us by the death of one."""
        limit = time.monotonic() + KILL_LIMIT_S
        while time.monotonic() < limit:
            strays = [pid for pid in tree.children(os.getpid()) if pid not in self.channels]
            if not strays:
                return
            for pid in strays:
                tree.signal_all([*tree.descendants(pid), pid], signal.SIGKILL)
            self.poll_children(strays)

    def poll_children(self, pids: list[int]) -> None:
        for pid in pids:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
        select.select([self.alarm], [], [], KILL_EVERY_S)
        drain(self.alarm)

    def end_all(self) -> None:
        """The control socket stays open to the very end: that it closes tells a living engine that all is gone."""
        os.close(self.life_held)
        while self.bury():
            self.kill_strays()
            select.select([self.alarm], [], [], KILL_EVERY_S)
            drain(self.alarm)


def _answer_lost(channel: int) -> None:
    try:
        os.write(channel, frame(("lost",)))
    except OSError:  # the engine stopped listening: nobody waits for the answer
        return


def _process_handle(pid: int | None) -> int | None:
    """Readable when that process is dead. The socket alone would not tell while a fork of the engine holds its end."""
    if pid is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
