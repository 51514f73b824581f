"""The door of the command line. What needs no work (`--version`, `--help`) is answered before anything is imported."""

from __future__ import annotations

import os
import sys

COMPLETION_VARIABLE = "_WHISPER_FLOW_COMPLETE"


def main(argv: list[str] | None = None) -> int:
    """Run the command line on `argv` (without the program's name) and return the exit code."""
    args = sys.argv[1:] if argv is None else argv
    if COMPLETION_VARIABLE not in os.environ and (page := _ready_answer(args)) is not None:
        return _print(page)
    # Looking for plug-ins of pydantic reads the metadata of every installed package, and we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from orchestrator.cli.dispatch import dispatch

    return dispatch(args)


def _ready_answer(args: list[str]) -> str | None:
    if args in (["--version"], ["-V"]):
        from orchestrator import __version__

        return f"whisper-flow {__version__}\n"
    if args in ([], ["--help"], ["-h"], ["help"]):
        from orchestrator import __version__
        from orchestrator.cli.catalogue import overview

        return overview(__version__)
    return None


def _print(page: str) -> int:
    try:
        sys.stdout.write(page)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader left; python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
