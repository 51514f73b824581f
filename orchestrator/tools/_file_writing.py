"""`files.write`, `files.edit`, `files.delete`: whole or not at all, and the same when an interrupted call is made again."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.host.whole_files import replace_file
from orchestrator.tools._file_reading import bytes_of, text_of
from orchestrator.tools._places import Places

JSON = Any

WRITE_BYTES: Final = 8 * 1024 * 1024


def write(places: Places, path: str, content: str, *, replace: bool) -> dict[str, JSON]:
    real = places.find(path, write=True)
    data = _encoded(content)
    before = _status(real, path)
    if before is not None and not replace:
        raise TaskError("tool", f"{path!r} is there already")
    _replace(real, path, data, before)
    return {"path": places.shown(real), "bytes": len(data), "created": before is None}


def edit(places: Places, path: str, old: str, new: str, *, every: bool, notes: Path, mark: str) -> dict[str, JSON]:
    """Replace a text that stands in the file exactly once, or everywhere if `every`.

    An edit is not the same twice. So what the file was and shall be is noted in `notes` under `mark` before it is changed:
    made again after a crash, the call sees whether it happened.
    """
    real = places.find(path, write=True)
    note = notes / f"{hashlib.sha256(mark.encode()).hexdigest()[:32]}.json"
    told = _done_before(note, bytes_of(real, path), path)
    if told is not None:
        return told
    text = text_of(real, path, exact=True)
    count = text.count(old) if old else 0
    if not count:
        raise TaskError("tool", f"the text to replace is not in {path!r}", help=_near_text(text, old))
    if count > 1 and not every:
        raise TaskError(
            "tool", f"the text to replace stands {count} times in {path!r}", help="give more of it, or `all: true`"
        )
    data = _encoded(text.replace(old, new))
    line = text.count("\n", 0, text.index(old)) + 1
    made = {"path": places.shown(real), "replaced": count, "line": line}
    _note(note, {"before": _hash(text.encode()), "after": _hash(data), "result": made})
    _replace(real, path, data, _status(real, path))
    return made


def delete(places: Places, path: str) -> dict[str, JSON]:
    # The entry itself goes, not what a link leads to: so its folder is resolved, its name is not.
    name = Path(path).name
    if name in ("", ".", ".."):
        raise TaskError("tool", f"{path!r} is a folder; only files can be deleted")
    places.find(path, write=True)
    folder = places.find(str(Path(path).parent), write=True)
    entry = folder / name
    root = places.root_of(folder)
    if root is None or places.is_hidden(entry, root):
        raise TaskError("denied", f"{path!r} is closed to these tools")
    shown = {"path": places.shown(entry)}
    try:
        if stat.S_ISDIR(entry.lstat().st_mode):
            raise TaskError("tool", f"{path!r} is a folder; only files can be deleted")
        entry.unlink()
    except FileNotFoundError:
        return {**shown, "deleted": False}
    except OSError as error:
        raise TaskError("tool", f"{path!r} cannot be deleted: {error.strerror}") from None
    return {**shown, "deleted": True}


def _done_before(note: Path, now: bytes, path: str) -> dict[str, JSON] | None:
    """What an interrupted edit gave, if it had happened; None if it is still to be made."""
    try:
        known = json.loads(note.read_bytes())
    except FileNotFoundError:
        return None
    if _hash(now) == known["after"]:
        result: dict[str, JSON] = known["result"]
        return result
    if _hash(now) == known["before"]:
        return None
    raise TaskError("tool", f"this edit of {path!r} was interrupted, and the file has changed since: read it again")


def _note(note: Path, said: dict[str, JSON]) -> None:
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(note, json.dumps(said).encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _near_text(text: str, old: str) -> str | None:
    if not old:
        return "`old` is empty: `files.write` makes a whole file"
    if " ".join(old.split()) in " ".join(text.split()):
        return "it is there with other spaces or line breaks: copy it from `files.read`"
    return None


def _encoded(content: str) -> bytes:
    data = content.encode("utf-8", "replace")
    if len(data) > WRITE_BYTES:
        raise TaskError("tool", f"{len(data) >> 20} MiB is more than a file may get ({WRITE_BYTES >> 20} MiB)")
    return data


def _status(real: Path, said: str) -> os.stat_result | None:
    try:
        info = real.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TaskError("tool", f"{said!r} cannot be written: {error.strerror}") from None
    if not stat.S_ISREG(info.st_mode):
        raise TaskError(
            "tool", f"{said!r} is a folder" if stat.S_ISDIR(info.st_mode) else f"{said!r} is no ordinary file"
        )
    return info


def _replace(real: Path, said: str, data: bytes, before: os.stat_result | None) -> None:
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        replace_file(real, data, mode=0o666 & ~_umask() if before is None else stat.S_IMODE(before.st_mode))
    except OSError as error:
        raise TaskError("tool", f"{said!r} cannot be written: {error.strerror}") from None


def _umask() -> int:
    # There is no way to ask without setting; nobody else in this process sets it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
