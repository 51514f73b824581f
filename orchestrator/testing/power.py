"""A disk whose power can be cut: what a database leaves behind if the machine stops at any moment.

`PowerDisk` is an SQLite VFS that works on real files and remembers, for each of them, what is certain to be on the disk
(everything before its last sync) and what was only written since. A *power image* keeps the certain part and, of the
rest, whatever the seed says: nothing, all, some, in any order, torn at sectors of 512 bytes. A *kill image* keeps
everything: only the process died. The same place injects a full disk and input/output errors.

    disk = PowerDisk(seed=1)
    journal = SqliteJournal(folder, vfs=disk.name, threaded=False)
    disk.before_each = lambda operation: ...      # take images here, or raise what the disk should answer
    disk.power_image(Random(7)).write_to(other_folder)

It sees the database and its WAL; the `-shm` file is shared memory that SQLite rebuilds, so an image has none, garbage, or
the one of the moment. Use one `PowerDisk` from one thread at a time: then the same seed makes the same images.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Literal, NamedTuple

import apsw

SECTOR: Final = 512
"""Bytes that reach the disk together or not at all."""

Verb = Literal["open", "write", "truncate", "sync", "delete"]
_numbers = itertools.count(1)


class Operation(NamedTuple):
    """Something the database is about to do."""

    number: int
    """From 1, over all files of the disk."""
    verb: Verb
    file: str
    """The file's name, without its folder."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Truncate(NamedTuple):
    size: int


class _Delete(NamedTuple):
    pass


_Change = _Write | _Truncate | _Delete


@dataclass(slots=True)
class _File:
    certain: bytes | None
    """Its content at the last sync; None if it was not there."""
    since: list[_Change] = field(default_factory=list)

    def now(self) -> bytes | None:
        return _apply(self.certain, self.since)

    def synced(self) -> None:
        self.certain, self.since = self.now(), []


@dataclass(frozen=True, slots=True)
class Image:
    """The files of one folder after the machine stopped."""

    files: dict[str, bytes]

    def write_to(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


class PowerDisk:
    """Register it by making it, give its `name` to whoever opens the database, `close` it at the end."""

    def __init__(self, *, seed: int = 0) -> None:
        self.name = f"power-{next(_numbers)}"
        self.before_each: Callable[[Operation], None] = lambda operation: None
        """Called before each operation takes effect. What it raises is what the disk answers; see `refusals`."""
        self.operations = 0
        self._files: dict[str, _File] = {}
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self._vfs = _Vfs(self)

    def close(self) -> None:
        self._vfs.unregister()

    # Images

    def kill_image(self) -> Image:
        """All that was written: the process died, the machine lives."""
        return Image({Path(name).name: data for name, file in self._files.items() if (data := file.now()) is not None})

    def power_image(self, random: Random) -> Image:
        """What the disk may hold if the power fails now."""
        files: dict[str, bytes] = {}
        for name, file in sorted(self._files.items()):
            data = _survivors(file, random)
            if data is not None:
                files[Path(name).name] = data
                shared = _shared_memory(name, random)
                if shared is not None:
                    files[Path(name).name + "-shm"] = shared
        return Image(files)

    def unsynced(self) -> int:
        """Changes that a power cut may lose."""
        return sum(len(file.since) for file in self._files.values())

    # What the VFS tells us

    def _happens(self, verb: Verb, name: str) -> None:
        self.operations += 1
        self.before_each(Operation(self.operations, verb, Path(name).name))

    def _file(self, name: str) -> _File:
        if name not in self._files:
            path = Path(name)
            self._files[name] = _File(path.read_bytes() if path.exists() else None)
        return self._files[name]


class _Vfs(apsw.VFS):
    def __init__(self, disk: PowerDisk) -> None:
        self._disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is None:
            return apsw.VFSFile("", name, flags)
        plain = name.filename() if isinstance(name, apsw.URIFilename) else name
        file = self._disk._file(plain)  # noqa: SLF001 - the VFS is the disk's other half
        if flags[0] & apsw.SQLITE_OPEN_CREATE and file.now() is None:
            self._disk._happens("open", plain)  # noqa: SLF001
            file.since.append(_Write(0, b""))
        return _VfsFile(self._disk, plain, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        disk = self._disk
        disk._happens("delete", filename)  # noqa: SLF001
        file = disk._file(filename)  # noqa: SLF001
        super().xDelete(filename, syncdir)
        file.since.append(_Delete())
        if syncdir:
            file.synced()

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802
        return self._disk._random.randbytes(numbytes)  # noqa: SLF001


class _VfsFile(apsw.VFSFile):
    def __init__(self, disk: PowerDisk, plain: str, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._disk = disk
        self._name = plain
        super().__init__("", name, flags)

    def _changes(self) -> list[_Change]:
        return self._disk._file(self._name).since  # noqa: SLF001

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk._happens("write", self._name)  # noqa: SLF001
        super().xWrite(data, offset)
        self._changes().append(_Write(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk._happens("truncate", self._name)  # noqa: SLF001
        super().xTruncate(newsize)
        self._changes().append(_Truncate(newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk._happens("sync", self._name)  # noqa: SLF001
        # The real sync would only cost time: power is cut in our books, not at the wall.
        self._disk._file(self._name).synced()  # noqa: SLF001


# What survives


def _apply(data: bytes | None, changes: Iterable[_Change]) -> bytes | None:
    content = None if data is None else bytearray(data)
    for change in changes:
        content = _changed(content, change)
    return None if content is None else bytes(content)


def _changed(content: bytearray | None, change: _Change) -> bytearray | None:
    match change:
        case _Delete():
            return None
        case _Truncate(size):
            content = bytearray() if content is None else content
            del content[size:]
            content.extend(bytes(max(0, size - len(content))))
        case _Write(offset, data):
            content = bytearray() if content is None else content
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
    return content


def _survivors(file: _File, random: Random) -> bytes | None:
    if not file.since:
        return file.certain
    match random.choice(("lost", "kept", "prefix", "torn", "any")):
        case "lost":
            return file.certain
        case "kept":
            return file.now()
        case "prefix":
            return _apply(file.certain, file.since[: random.randrange(len(file.since) + 1)])
        case "torn":
            whole = random.randrange(len(file.since))
            return _apply(file.certain, [*file.since[:whole], *_torn(file.since[whole], random)])
        case _:
            kept = [part for change in file.since for part in _torn(change, random)]
            return _padded(_apply(file.certain, kept), file, random)


def _torn(change: _Change, random: Random) -> Iterator[_Change]:
    """Each sector of a write arrives or does not; other changes happen or do not."""
    if not isinstance(change, _Write) or not change.data:
        if random.random() < 0.5:
            yield change
        return
    end = change.offset + len(change.data)
    for sector in range(change.offset // SECTOR, (end - 1) // SECTOR + 1):
        if random.random() < 0.5:
            first = max(change.offset, sector * SECTOR)
            last = min(end, (sector + 1) * SECTOR)
            yield _Write(first, change.data[first - change.offset : last - change.offset])


def _padded(data: bytes | None, file: _File, random: Random) -> bytes | None:
    """The file may have got its new length without its new content: zeros there, or what the disk held before."""
    now = file.now()
    if data is None or now is None or len(now) <= len(data) or random.random() < 0.5:
        return data
    missing = len(now) - len(data)
    return data + (random.randbytes(missing) if random.random() < 0.5 else bytes(missing))


def _shared_memory(name: str, random: Random) -> bytes | None:
    shared = Path(name + "-shm")
    if not shared.exists():
        return None
    match random.choice(("none", "garbage", "kept")):
        case "none":
            return None
        case "garbage":
            return random.randbytes(32768)
        case _:
            return shared.read_bytes()


# What a disk may answer


def refusals() -> dict[str, Callable[[], Exception]]:
    """Errors to raise from `before_each`, by name: no space, a failed write, a failed sync."""
    codes = {"full": apsw.SQLITE_FULL, "write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC}
    return {name: functools.partial(apsw.exception_for, code) for name, code in codes.items()}
