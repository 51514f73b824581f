"""A configuration file as plain values with the lines of its keys, read through a cache.

Every command comes through here, also the start of a workflow whose plan is cached, where importing a YAML reader would cost more
than the rest. So what was read is kept as JSON in the user's cache folder, by the hash of the file's bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator import __version__

SIZE_MAX: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class ConfigFile:
    """`values` and `lines` have one entry for each key, inner ones with a dot: `limits.processes`."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read_config(path: Path, environ: Mapping[str, str] = os.environ) -> ConfigFile:
    """Empty if there is no such file, or if it is broken: `validate` says what is wrong with it, and a run refuses it."""
    from orchestrator.host.project import cache_folder

    try:
        data = path.read_bytes()[:SIZE_MAX]
    except OSError:
        return ConfigFile()
    kept = cache_folder(environ) / "config" / f"{hashlib.sha256(__version__.encode() + data).hexdigest()}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(kept.read_bytes())
        return ConfigFile(found["values"], found["lines"])
    read = _load(data, path)
    with suppress(OSError, TypeError, ValueError):
        _keep(kept, read)
    return read


def _load(data: bytes, path: Path) -> ConfigFile:
    from orchestrator.spec.diagnostics import DiagnosticsError
    from orchestrator.spec.loader import load_document

    try:
        document = load_document(data, file=path.name, tolerant=True)
    except DiagnosticsError:
        return ConfigFile()
    found = ConfigFile()
    for key, value in (document.data if isinstance(document.data, dict) else {}).items():
        found.values[str(key)] = value
        found.lines[str(key)] = document.line((key,))
        for inner, part in value.items() if isinstance(value, dict) else ():
            found.values[f"{key}.{inner}"] = part
            found.lines[f"{key}.{inner}"] = document.line((key, inner))
    return found


def _keep(kept: Path, read: ConfigFile) -> None:
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps({"values": read.values, "lines": read.lines}), encoding="utf-8")
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)
