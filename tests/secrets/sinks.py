"""Where a secret could come out: to add one, write a function that yields (name, bytes) and put it into SINKS."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus


@dataclass
class Scene:
    """What one run left: its project, its state and caches, what its commands printed, and what processes were seen."""

    project: Path
    state: Path
    home: Path
    printed: dict[str, bytes] = field(default_factory=dict)
    """Name of a stream → all that came out of it."""
    commands: set[bytes] = field(default_factory=set)
    """Every command line that was seen while it ran."""
    sent_to_models: list[bytes] = field(default_factory=list)
    sent_to_hooks: list[bytes] = field(default_factory=list)


Sink = Callable[[Scene], Iterator[tuple[str, bytes]]]


def printed(scene: Scene) -> Iterator[tuple[str, bytes]]:
    yield from scene.printed.items()


def command_lines(scene: Scene) -> Iterator[tuple[str, bytes]]:
    assert scene.commands
    yield "ps", b"\n".join(sorted(scene.commands))


def requests_to_models(scene: Scene) -> Iterator[tuple[str, bytes]]:
    for number, body in enumerate(scene.sent_to_models):
        yield f"request {number}", body


def webhooks(scene: Scene) -> Iterator[tuple[str, bytes]]:
    for number, body in enumerate(scene.sent_to_hooks):
        yield f"webhook {number}", body


def state_files(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Journal, write-ahead log, blobs, logs, artifacts, tapes: every byte on disk, and the names of the files."""
    yield from _files(scene.state)


def project_files(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """What a run writes into the project itself: tapes, the lock file of tool lists, what delegates wrote."""
    yield from _files(scene.project, without=("workflows", "keys", "servers", ".env"))


def caches(scene: Scene) -> Iterator[tuple[str, bytes]]:
    yield from _files(scene.home)


def _files(folder: Path, without: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if relative.parts[0] in without or not path.is_file():
            continue
        yield str(relative), str(relative).encode() + b"\n" + path.read_bytes()


SINKS: tuple[Sink, ...] = (
    printed, command_lines, requests_to_models, webhooks, state_files, project_files, caches
)  # fmt: skip


def needles(value: str) -> list[bytes]:
    """Spellings to look for, made without the code under test."""
    data = value.encode()
    found = {
        data,
        data.hex().encode(),
        data.hex().upper().encode(),
        quote(value, safe="").encode(),
        quote_plus(value).encode(),
    }
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + data).rstrip(b"=")
        core = encoded[(0, 2, 3)[shift] : -2]
        found |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return sorted(found)


def hits(scene: Scene, *values: str) -> list[str]:
    """Every place where any spelling of any of the values came out, whole or with a break in it."""
    found = []
    wanted = [needle for value in values for needle in needles(value)]
    for sink in SINKS:
        for name, data in sink(scene):
            # Colours, line breaks and the quotes of JSON may stand between two halves.
            plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\s", b"", data)
            found += [f"{sink.__name__}: {name}: {needle!r}" for needle in wanted if needle in data or needle in plain]
    return found


class CommandLines:
    """Looks at every command line of the machine, again and again, while its body runs."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            for entry in os.listdir("/proc"):  # noqa: PTH208
                if entry.isdigit():
                    try:
                        self._scene.commands.add(Path(f"/proc/{entry}/cmdline").read_bytes())
                    except OSError:
                        continue
