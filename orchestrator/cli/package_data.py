"""Files that come with the program: schemas, examples, default configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import orchestrator
from orchestrator.errors import NotFoundError

Kind = Literal["schemas", "workflows", "config"]


def data_folder(kind: Kind) -> Path:
    """In an installed package below it; in a checkout beside it."""
    package = Path(orchestrator.__file__).parent
    for folder in (package / "data" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise NotFoundError(f"this installation has no {kind}", help="install whisper-flow again")
