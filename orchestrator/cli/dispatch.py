"""Calls the command that was named, and turns every way it can end into an exit code and, where due, a message on stderr."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Final

import click

from orchestrator.cli.command import root
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.main import COMPLETION_VARIABLE
from orchestrator.cli.session import Session
from orchestrator.cli.terminal import Screen, clean
from orchestrator.errors import InvalidInputsError, WhisperFlowError

REPORT_TO: Final = "please report it with what `--debug` prints (its paths and values may be private)"


def dispatch(args: list[str]) -> int:
    """The exit code of the command line `args`."""
    session = Session()
    # Starting up makes many objects that stay: a collector that looks as often as usual only costs time.
    gc.set_threshold(50_000, 20, 20)
    try:
        code = _invoke(args, session)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return ExitCode.OK
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        session.err.line()
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: a message and a code for everything
        return _explain(error, session)
    return code


def _invoke(args: list[str], session: Session) -> int:
    group = root()
    if COMPLETION_VARIABLE in os.environ:
        group.main(args, prog_name="whisper-flow", complete_var=COMPLETION_VARIABLE)
    # Not `main`, which would take a closed pipe for an error.
    with group.make_context("whisper-flow", list(args), obj=session) as context:
        result = group.invoke(context)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _explain(error: Exception, session: Session) -> int:
    """Tell what went wrong, and what to do; the exit code."""
    if session.debug or "--debug" in sys.argv:
        import traceback

        traceback.print_exception(error)
    with suppress(BrokenPipeError):
        return _say(error, session.err)
    return ExitCode.INTERNAL


def _say(error: Exception, err: Screen) -> int:
    if isinstance(error, click.UsageError):
        message, hint = _usage(error)
        complain(err, message, hint)
        return ExitCode.USAGE
    if isinstance(error, click.ClickException):
        complain(err, _lower(error.format_message()), None)
        return ExitCode.USAGE
    if isinstance(error, WhisperFlowError):
        if hasattr(error, "diagnostics"):
            from orchestrator.cli.findings import show_findings

            show_findings(err, error.diagnostics)
        else:
            complain(err, error.message, error.help or _inputs_help(error))
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        complain(err, f"{where}{error.strerror.lower()}", None)
        return ExitCode.BAD
    complain(err, f"whisper-flow met an error of its own: {type(error).__name__}: {error}", REPORT_TO)
    return ExitCode.INTERNAL


def _inputs_help(error: WhisperFlowError) -> str | None:
    return "give inputs with `-p NAME=VALUE` or `--params-file`" if isinstance(error, InvalidInputsError) else None


def complain(err: Screen, message: str, remedy: str | None) -> None:
    """`error: …` and `help: …`, the way every failure is told."""
    err.line(f"{err.style('error', 'red', 'bold')}: {clean(message)}")
    if remedy:
        err.line(f"{err.style('help', 'cyan')}: {clean(remedy)}")


def _usage(error: click.UsageError) -> tuple[str, str | None]:
    from orchestrator.spec.suggest import did_you_mean

    path = error.ctx.command_path if error.ctx is not None else "whisper-flow"
    see = f"see `{path} --help`"
    if isinstance(error, click.NoSuchOption):
        known = [name for param in error.ctx.command.params for name in param.opts] if error.ctx is not None else []
        return f"unknown option `{error.option_name}`", did_you_mean(error.option_name, known) or see
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return (
            f"missing {error.param.param_type_name} {error.param.make_metavar(error.ctx) if error.ctx else ''}".rstrip(),
            see,
        )
    return _lower(error.format_message()), see


def _lower(message: str) -> str:
    """Click begins with a capital and ends with a stop; our messages do neither."""
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _forget_stdout() -> None:
    """The reader of our output left: whatever is still buffered goes nowhere, without a complaint at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
