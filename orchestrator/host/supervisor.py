"""One task's supervisor: a fork of the reaper that starts the command and outlives everything the command leaves behind.

It is a subreaper, so every orphan below it becomes its child; "all gone" is then exact: `waitpid` knows no child.

    running ──main process ended──▶ lingering ──▶ terminating ──▶ killing ──▶ (no child left) ended
       └──timeout, cancel, engine or reaper gone──▶ terminating

Runs inside the reaper (`python -I -S`): standard library only.

The channel (a stream socket to the engine) carries, towards us, one framed request and then single letters (`T` terminate,
`K` kill); from us one framed answer: ("failed", stage, errno) or ("ended", status, timed out, pids left). The request's
`due` is on the monotonic clock, which all processes of a machine share: the time until we got to it counts as well.

A `body` turns the forked child into the task, given the request and [stdin, stdout, stderr, …]; it never returns.
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import signal
import socket
import struct
import time

from orchestrator.host import descendants as tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    # `typing` alone would cost the reaper a third of its start.
    from collections.abc import Callable
    from typing import Any, NoReturn

    Request = dict[str, Any]
    Body = Callable[[Request, list[int]], NoReturn]

LINGER_S = 0.2
"""What the main process left behind may end by itself for this long: `> >(tee log)` is still writing."""
LEFTOVER_GRACE_S = 1.0
"""From SIGTERM to SIGKILL for what outlived the main process."""
ORPHANED_GRACE_S = 0.5
"""The same when the engine is gone: somebody waits to start again."""
KILL_EVERY_S = 0.02
KILL_LIMIT_S = 10.0
"""A process that survives SIGKILL so long hangs in the kernel or is not ours: the engine is told, we stay."""

RUNNING, LINGERING, TERMINATING, KILLING = range(4)

_ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_restored = (*_ignored, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGQUIT)


def ignore_signals() -> None:
    """Reaper and supervisors end when a socket closes, never by a signal meant for others (Ctrl-C, a shutdown)."""
    for number in _ignored:
        signal.signal(number, signal.SIG_IGN)


def restore_signals() -> None:
    """What a program expects at its start; Python itself ignores some."""
    signal.set_wakeup_fd(-1)
    for number in _restored:
        signal.signal(number, signal.SIG_DFL)


def child_alarm() -> int:
    """A descriptor that becomes readable when a child ends."""
    receiver, sender = os.pipe()
    os.set_blocking(receiver, False)
    os.set_blocking(sender, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    return receiver


def drain(descriptor: int) -> bytes:
    """What can be read now; empty at the end of the stream or if there is nothing."""
    try:
        return os.read(descriptor, 4096)
    except (BlockingIOError, ConnectionResetError):
        return b""


def frame(message: Any) -> bytes:
    data = marshal.dumps(message)
    return struct.pack("!I", len(data)) + data


def read_frame(channel: socket.socket) -> Any | None:
    """The next framed message; None if the other side closed first."""
    header = channel.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        return None
    size = struct.unpack("!I", header)[0]
    data = channel.recv(size, socket.MSG_WAITALL)
    return marshal.loads(data) if len(data) == size else None  # noqa: S302 - both ends are ours


def execute(request: Request, descriptors: list[int]) -> NoReturn:
    """The ordinary body: become the command `argv` with exactly `env` in `cwd`."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    restore_signals()
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        refuse(request["report"], "cwd", error)
    try:
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606
    except (OSError, ValueError) as error:
        refuse(request["report"], "exec", error)


def refuse(report: int, stage: str, error: OSError | ValueError) -> NoReturn:
    number = error.errno if isinstance(error, OSError) else None
    os.write(report, marshal.dumps((stage, number or errno.EINVAL)))
    os._exit(127)


def supervise(channel: socket.socket, descriptors: list[int], life: int, body: Body) -> NoReturn:
    """Start what the channel asks for and answer when it and all below it are gone. `life` reads EOF when the reaper dies."""
    request = read_frame(channel)
    if request is None:
        os._exit(0)
    subreaper = tree.become_subreaper()
    alarm = child_alarm()
    report, request["report"] = os.pipe()
    main = os.fork()
    if main == 0:
        os.setsid()
        body(request, descriptors)
    for descriptor in (*descriptors, request["report"]):
        os.close(descriptor)
    watch = _Watch(channel, life, alarm, main, request, group=None if subreaper else main)
    watch.until_alone()
    refusal = os.read(report, 64)
    if refusal:
        watch.answer(("failed", *marshal.loads(refusal)))  # noqa: S302
    else:
        watch.answer(("ended", watch.status, watch.timed_out, []))
    os._exit(0)


class _Watch:
    def __init__(
        self, channel: socket.socket, life: int, alarm: int, main: int, request: Request, group: int | None
    ) -> None:
        self.channel = channel
        self.alarm = alarm
        self.main = main
        self.group = group
        self.grace: float = request["grace"]
        self.status: int | None = None
        self.timed_out = False
        self.answered = False
        self.phase = RUNNING
        self.due: float | None = request["due"]
        self.killing_since = 0.0
        self.poll = select.poll()
        for descriptor in (channel.fileno(), life, alarm):
            self.poll.register(descriptor, select.POLLIN)

    def until_alone(self) -> None:
        while not self.alone():
            if self.phase == RUNNING and self.status is not None:
                self.phase, self.due = LINGERING, time.monotonic() + LINGER_S
            if self.due is not None and time.monotonic() >= self.due:
                self.overdue()
            self.wait()

    def alone(self) -> bool:
        """Reap what ended; True once nothing below us lives."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return False
                if pid == self.main:
                    self.status = _exit_code(status)
        except ChildProcessError:
            return self.group is None or not tree.group_alive(self.group)

    def overdue(self) -> None:
        if self.phase == RUNNING:
            self.timed_out = True
            self.terminate(self.grace)
        elif self.phase == LINGERING:
            self.terminate(min(self.grace, LEFTOVER_GRACE_S))
        else:
            self.kill()

    def terminate(self, grace: float) -> None:
        due = time.monotonic() + grace
        if self.phase >= TERMINATING:
            self.due = due if self.due is None else min(self.due, due)
            return
        self.phase, self.due = TERMINATING, due
        self.send(signal.SIGTERM)
        # A stopped process would keep the request for ever.
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        now = time.monotonic()
        if self.phase != KILLING:
            self.phase, self.killing_since = KILLING, now
        self.send(signal.SIGKILL)
        self.due = now + KILL_EVERY_S
        if now - self.killing_since > KILL_LIMIT_S:
            self.due = now + 1.0
            if not self.answered:
                self.answer(("ended", self.status, self.timed_out, tree.descendants(os.getpid())))

    def send(self, number: int) -> None:
        tree.signal_all(tree.descendants(os.getpid()), number)
        if self.group is not None:
            tree.signal_group(self.group, number)

    def wait(self) -> None:
        left = None if self.due is None else max(0.0, self.due - time.monotonic()) * 1000
        for descriptor, _ in self.poll.poll(left):
            if descriptor == self.alarm:
                drain(descriptor)
            else:
                self.obey(descriptor)

    def obey(self, descriptor: int) -> None:
        orders = drain(descriptor)
        if not orders:
            self.poll.unregister(descriptor)
            self.terminate(min(self.grace, ORPHANED_GRACE_S))
        if b"T" in orders:
            self.terminate(self.grace)
        if b"K" in orders and self.phase != KILLING:
            self.kill()

    def answer(self, message: tuple[Any, ...]) -> None:
        if not self.answered:
            self.answered = True
            try:
                self.channel.sendall(frame(message))
            except OSError:  # the engine is gone: nobody waits for the answer
                return


def _exit_code(status: int) -> int:
    """As the shell counts: 128 + n for a signal."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code
