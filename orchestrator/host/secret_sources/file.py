"""`file: PATH` (for workers `config_path: PATH`): a file that holds only the value.

Nobody but its owner may read it: what others can read, others have. Files that a container's manager puts below `/run/secrets`
are read as they are; their mode is not ours to choose.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final

from orchestrator.ports.secret_source import Looked, Place, Secret

SIZE_MAX: Final = 64 * 1024
_MOUNTED: Final = (Path("/run/secrets"), Path("/var/run/secrets"))


class SecretFile:
    name = "file"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        shown, path = str(said), path_of(str(said), place)
        try:
            # Without O_NONBLOCK a pipe in the file's place would hold us for ever.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                if trouble := _refused(os.fstat(file.fileno()), path, shown):
                    return trouble
                data = file.read(SIZE_MAX + 1)
        except FileNotFoundError:
            return Looked("Not Found", f"there is no file {shown}", help=f"write the value into {shown}, mode 0600")
        except (OSError, ValueError) as error:
            return Looked("Error", f"{shown} cannot be read ({getattr(error, 'strerror', None) or 'no such path'})")
        return _value(data, shown, name)


def _value(data: bytes, shown: str, name: str) -> Looked:
    if len(data) > SIZE_MAX:
        return Looked("Error", f"{shown} is larger than {SIZE_MAX // 1024} KiB: it should hold only the value")
    try:
        value = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return Looked("Error", f"{shown} is not UTF-8 text")
    if not value:
        return Looked("Not Found", f"{shown} is empty")
    return Looked("Found", f"the file {shown}", Secret(name, value))


def path_of(said: str, place: Place) -> Path:
    """From the project's folder, unless it starts at the root or with `~` (the home that `place` knows)."""
    if said == "~" or said.startswith("~/"):
        return Path(place.environ.get("HOME") or "/", said[2:])
    return place.project / said


def _refused(found: os.stat_result, path: Path, shown: str) -> Looked | None:
    if not stat.S_ISREG(found.st_mode):
        return Looked("Error", f"{shown} is not a file")
    if any(path.is_relative_to(folder) for folder in _MOUNTED):
        return None
    if found.st_mode & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        return Looked("Error", f"others may read or write {shown} (mode {mode})", help=f"chmod 600 {shown}")
    if found.st_uid not in (os.getuid(), 0):
        return Looked("Error", f"{shown} belongs to another user", help="it should be yours")
    return None


SOURCE = SecretFile()
