"""The stamp of a state folder: "<random id> <its keyed hash>", made with a key that only its user has.

It names no path, so a project may be moved; it cannot be made by whoever sends you a project.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import Final

from orchestrator.errors import StateRefusedError, UsageError

NAME: Final = "stamp"
_APPLICATION: Final = "whisper-flow"


def is_valid(state: Path, key: bytes) -> bool:
    try:
        fd = os.open(state / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with os.fdopen(fd, "rb") as file:
        name, _, signature = file.read(256).strip().partition(b" ")
    return bool(name) and compare_digest(signature, _sign(name, key))


def write(state: Path, key: bytes, *, replace: bool) -> None:
    ignore = state / ".gitignore"
    if not ignore.exists():
        _write_new(ignore, b"*\n")
    name = os.urandom(16).hex().encode()
    _write_whole(state / NAME, name + b" " + _sign(name, key) + b"\n", replace=replace)


def _sign(name: bytes, key: bytes) -> bytes:
    return blake2b(name, key=key, digest_size=32, person=b"wf state stamp").hexdigest().encode()


def user_key(environ: Mapping[str, str] = os.environ) -> bytes:
    """This user's own random key (32 bytes), made on first use in the user's config folder, readable by nobody else."""
    path = config_folder(environ) / "key"
    try:
        existing = existing_key(environ)
        if existing is not None:
            return existing
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_whole(path, os.urandom(32).hex().encode() + b"\n", replace=False)
        return _read_key(path)
    except OSError as error:
        raise UsageError(
            f"no key for this user can be kept in {str(path.parent)!r}: {error.strerror}",
            help="set XDG_CONFIG_HOME to a folder that you can write to",
        ) from error


def existing_key(environ: Mapping[str, str] = os.environ) -> bytes | None:
    """The user's key if there is one yet. StateRefusedError if others can read it or it is damaged."""
    with contextlib.suppress(FileNotFoundError):
        return _read_key(config_folder(environ) / "key")
    return None


def _read_key(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        text = file.read(256).strip()
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise StateRefusedError(
            f"the key {str(path)!r} is open to other users", help="make it yours alone (chmod 600), or delete it"
        )
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise StateRefusedError(
            f"the key {str(path)!r} is damaged", help="delete it, then `whisper-flow doctor --adopt` in your projects"
        )
    return key


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this user's own settings are; it need not exist."""
    given = environ.get("XDG_CONFIG_HOME", "")
    if given.startswith("/"):  # relative ones are invalid, says the XDG specification
        return Path(given) / _APPLICATION
    home = Path(environ.get("HOME") or Path.home())
    return home / ("Library/Application Support" if sys.platform == "darwin" else ".config") / _APPLICATION


def _write_whole(path: Path, data: bytes, *, replace: bool) -> None:
    """Whole or not at all, durable; without `replace`, whoever comes first wins."""
    part = path.with_name(f".{path.name}-{os.urandom(4).hex()}")
    _write_new(part, data)
    try:
        if replace:
            part.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _write_new(path: Path, data: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
