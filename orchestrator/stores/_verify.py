"""Whether a state folder holds together: what `doctor` asks. Looks only; runs beside living writers."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import apsw
import msgspec

from orchestrator.errors import JournalError, JournalVersionError, WhisperFlowError
from orchestrator.host.project import stamp_is_valid
from orchestrator.stores._blobs import Blobs
from orchestrator.stores._claims import read_holder
from orchestrator.stores._connections import FILE_NAME, SCHEMA_VERSION, connect, version_of
from orchestrator.stores._writes import NUMBER_BITS, checksum

References = Callable[[str, bytes], Iterable[str]]
"""Digests of the blobs that a batch of that stream names. Whatever it raises means that the batch cannot be understood."""

_DIGEST_TEXT: Final = re.compile(rb"[0-9a-f]{64}")
_WAL_BYTES: Final = 256 * 1024 * 1024
_MOST_OF_A_KIND: Final = 50


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    level: Literal["error", "warning", "info"]
    """An error means that something recorded is lost or cannot be trusted."""
    about: Literal["folder", "journal", "stream", "blob", "claim"]
    message: str
    help: str | None = None


def verify(state_dir: Path, *, references: References | None = None, now: float | None = None) -> list[Finding]:
    """Everything that is wrong with a state folder, worst first; [] is a clean bill. Never raises for what it finds."""
    moment = time.time() if now is None else now
    findings: list[Finding] = []
    try:
        findings += _folder(state_dir)
        if state_dir.is_dir():
            findings += _journal(state_dir, references, moment)
            findings += _claims(state_dir / "claims")
    except OSError as error:
        findings.append(_error("folder", f"the state folder cannot be read: {error}"))
    order = ("error", "warning", "info")
    return sorted(_shortened(findings), key=lambda finding: order.index(finding.level))


def _error(about: Literal["folder", "journal", "stream", "blob", "claim"], message: str) -> Finding:
    return Finding(level="error", about=about, message=message, help="restore a backup, or keep the file for a report")


def _shortened(findings: list[Finding]) -> list[Finding]:
    seen: dict[tuple[str, str], int] = {}
    kept: list[Finding] = []
    for finding in findings:
        kind = (finding.level, finding.about)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _MOST_OF_A_KIND:
            kept.append(finding)
    for (level, about), count in seen.items():
        if count > _MOST_OF_A_KIND:
            last = next(finding for finding in reversed(kept) if (finding.level, finding.about) == (level, about))
            more = f"and {count - _MOST_OF_A_KIND} more like this"
            kept.append(msgspec.structs.replace(last, message=more, help=None))
    return kept


# The folder


def _folder(state_dir: Path) -> list[Finding]:
    if not state_dir.is_dir():
        return [Finding(level="info", about="folder", message="there is no state folder yet")]
    findings: list[Finding] = []
    try:
        stamped = stamp_is_valid(state_dir)
    except WhisperFlowError as error:
        findings.append(Finding(level="error", about="folder", message=str(error), help=error.help))
    else:
        if not stamped:
            findings.append(
                Finding(
                    level="error",
                    about="folder",
                    message="the state folder bears no stamp of yours",
                    help="if you trust what is in it, run `whisper-flow doctor --adopt`",
                )
            )
    for path in (state_dir, *sorted(state_dir.iterdir()), *sorted((state_dir / "blobs").glob("*"))):
        findings += _rights(path)
    return findings


def _rights(path: Path) -> list[Finding]:
    with contextlib.suppress(FileNotFoundError):
        facts = path.lstat()
        if facts.st_uid != os.geteuid():
            return [Finding(level="error", about="folder", message=f"{path.name} belongs to another user")]
        if facts.st_mode & 0o077 and not stat.S_ISLNK(facts.st_mode) and path.name != ".gitignore":
            shown = f"{stat.S_IMODE(facts.st_mode):o}"
            return [
                Finding(
                    level="warning",
                    about="folder",
                    message=f"other users may reach {path.name} (mode {shown})",
                    help=f"chmod go= {path.name}",
                )
            ]
    return []


# The journal


def _journal(state_dir: Path, references: References | None, now: float) -> Iterator[Finding]:
    path = state_dir / FILE_NAME
    if not path.exists():
        yield Finding(level="info", about="journal", message="there is no journal yet")
        return
    try:
        with contextlib.closing(connect(path, readonly=True)) as db:
            version = version_of(db)
            if version < SCHEMA_VERSION:
                text = f"the journal has version {version} and becomes {SCHEMA_VERSION} when it is next opened"
                yield Finding(level="info", about="journal", message=text)
                return
            db.execute("BEGIN")  # one moment for all that follows, whatever is written meanwhile
            yield from _file(db, path)
            named: dict[str, str] = {}
            yield from _streams(db, references, named)
            yield from _inbox(db)
            yield from _blobs(db, Blobs(state_dir / "blobs"), named, now)
    except JournalVersionError as error:
        yield Finding(level="error", about="journal", message=str(error), help=error.help)
    except (apsw.Error, JournalError) as error:
        yield _error("journal", f"the journal cannot be read: {error}")


def _file(db: apsw.Connection, path: Path) -> Iterator[Finding]:
    lines: list[Any] = db.execute("PRAGMA integrity_check(100)").fetchall()
    for (line,) in lines:
        if line != "ok":
            yield _error("journal", f"SQLite finds the file damaged: {line}")
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size > _WAL_BYTES:
        size = wal.stat().st_size // 2**20
        yield Finding(
            level="warning",
            about="journal",
            message=f"the WAL has {size} MiB: some reader keeps it from being moved into the journal",
            help="close database shells that stand on the state folder",
        )


def _streams(db: apsw.Connection, references: References | None, named: dict[str, str]) -> Iterator[Finding]:
    """Numbers without gaps (I6), payloads as written. Fills `named`: digest to the stream that names it first."""
    rows: list[Any] = db.execute("SELECT number, name, last FROM streams").fetchall()
    names = {number: (name, last) for number, name, last in rows}
    reached: dict[int, int] = {}
    batches: Any = db.execute("SELECT id, count, checksum, payload FROM batches ORDER BY id")
    for id_, count, crc, payload in batches:
        number, first = id_ >> NUMBER_BITS, id_ & ((1 << NUMBER_BITS) - 1)
        if number not in names:
            yield _error("stream", f"events {first} to {first + count - 1} belong to no run")
            continue
        name = names[number][0]
        if first != reached.get(number, 0) + 1:
            yield _error("stream", f"run {name}: after event {reached.get(number, 0)} comes event {first}")
        reached[number] = first + count - 1
        if checksum(name, first, count, payload) != crc:
            yield _error("stream", f"run {name}: events {first} to {first + count - 1} are not what was written")
        elif references is not None:
            try:
                for digest in references(name, payload):
                    named.setdefault(digest, name)
            except Exception as error:  # noqa: BLE001 - whatever it is, the finding says so
                yield _error(
                    "stream", f"run {name}: events {first} to {first + count - 1} cannot be understood: {error}"
                )
    for number, (name, last) in names.items():
        if reached.get(number, 0) != last:
            yield _error("stream", f"run {name}: {reached.get(number, 0)} events are kept, {last} were counted")


def _inbox(db: apsw.Connection) -> Iterator[Finding]:
    wrong: list[Any] = db.execute(
        "SELECT s.name, s.inbox, count(i.id) FROM streams s LEFT JOIN inbox i ON i.stream = s.number "
        "GROUP BY s.number HAVING s.inbox <> count(i.id)"
    ).fetchall()
    for name, counted, kept in wrong:
        yield _error("stream", f"run {name}: {kept} messages are kept, {counted} were counted")
    lost = db.execute("SELECT count(*) FROM inbox WHERE stream NOT IN (SELECT number FROM streams)").get
    if lost:
        yield _error("stream", f"{lost} messages belong to no run")


def _blobs(db: apsw.Connection, blobs: Blobs, named: dict[str, str], now: float) -> Iterator[Finding]:
    here = set(blobs.digests())
    for digest, name in named.items():
        if digest not in here:
            yield _error("blob", f"run {name}: blob {digest} is missing")
    for digest in sorted(here):
        try:
            blobs.get(digest)
        except JournalError as error:
            yield _error("blob", str(error))
    orphans = here - set(named) - set(_mentioned(db))
    if orphans:
        # Stored before the event that would name it was refused, or its process died in between.
        yield Finding(level="info", about="blob", message=f"{len(orphans)} blobs are named by nothing; they do no harm")
    left = blobs.left_over(now)
    if left:
        yield Finding(level="info", about="blob", message=f"{len(left)} unfinished blobs wait to be removed")


def _mentioned(db: apsw.Connection) -> Iterator[str]:
    """Whatever looks like a digest anywhere in the journal: enough to say that a blob is perhaps needed."""
    for table, column in (("batches", "payload"), ("inbox", "payload"), ("cache", "value"), ("streams", "summary")):
        values: Any = db.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608 - our names
        for (value,) in values:
            yield from (found.decode() for found in _DIGEST_TEXT.findall(value))


# Claims


def _claims(root: Path) -> list[Finding]:
    if not root.is_dir():
        return []
    stale = [path.name for path in root.iterdir() if read_holder(path) is None]
    if not stale:
        return []
    text = f"{len(stale)} claims were left behind by processes that are gone; they bind nobody"
    return [Finding(level="info", about="claim", message=text)]
