"""Who sits here: the name that stands in the journal beside answers, holds and cancellations."""

from __future__ import annotations

import os


def whoami() -> str:
    """The user's login name; `uid 1000` where there is none."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
