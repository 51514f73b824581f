"""The environment a task starts from: a short list and what the project names, never what happens to be set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

BASE_NAMES: Final = ("PATH", "HOME", "LANG", "TZ", "TERM", "TMPDIR")


def base_environment(source: Mapping[str, str], pass_env: Iterable[str] = ()) -> dict[str, str]:
    """`PATH HOME LANG TZ TERM TMPDIR` and the names in `pass_env`, as far as `source` has them; nothing else passes.

    `PATH` is never missing: without one, the system's default.
    """
    names = (*BASE_NAMES, *pass_env)
    env = {name: source[name] for name in names if name in source}
    env.setdefault("PATH", os.defpath)
    return env
