"""A task's environment starts from a short list."""

from __future__ import annotations

import os

from orchestrator.host.environment import base_environment


def test_only_the_short_list_and_what_is_named_pass() -> None:
    source = {
        name: name.lower()
        for name in ("PATH", "HOME", "LANG", "TZ", "TERM", "TMPDIR", "USER", "OPENAI_API_KEY", "MINE")
    }
    assert set(base_environment(source)) == {"PATH", "HOME", "LANG", "TZ", "TERM", "TMPDIR"}
    assert set(base_environment(source, ["MINE", "NOT_SET"])) == {
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "TERM",
        "TMPDIR",
        "MINE",
    }


def test_there_is_always_a_path() -> None:
    assert base_environment({}) == {"PATH": os.defpath}
