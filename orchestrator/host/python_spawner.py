"""The engine's end of the warm Python (`python_worker`) that forks a worker for every `python` attempt."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from orchestrator.host.environment import base_environment
from orchestrator.host.reaper_link import ReaperLink
from orchestrator.host.supervisor import frame


class PythonSpawner:
    """The engine's end of the warm Python that forks a worker for every `python` attempt. It runs below the reaper."""

    def __init__(self, control: socket.socket, channel: socket.socket) -> None:
        self.control = control
        self._channel = channel

    @classmethod
    def start(cls, link: ReaperLink) -> PythonSpawner:
        control, theirs = socket.socketpair()
        channel, far = socket.socketpair()
        root = str(Path(__file__).resolve().parent.parent.parent)
        argv = [sys.executable, "-P", "-c", _BOOT, root]
        request = {"argv": argv, "env": base_environment(os.environ), "cwd": "/", "due": None, "grace": 1.0}
        null = os.open(os.devnull, os.O_RDWR)
        try:
            link.request([far.fileno(), theirs.fileno(), null, null])
            channel.sendall(frame(request))
        finally:
            far.close()
            theirs.close()
            os.close(null)
        return cls(control, channel)

    def request(self, descriptors: list[int]) -> None:
        socket.send_fds(self.control, [b"."], descriptors)

    def close(self) -> None:
        """It ends its workers and itself; its supervisor sees to it that it does."""
        self.control.close()
        self._channel.close()


_BOOT = "import sys;sys.path.append(sys.argv[1]);from orchestrator.host.python_worker import main;sys.path.pop();main()"
