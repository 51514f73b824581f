"""The options that `run`, `resume` and the like share. Imports only what a help page needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.cli.command import NameType
from orchestrator.errors import UsageError

PROGRESS_CHOICES = ("auto", "live", "plain", "json", "none")

F = TypeVar("F", bound=Callable[..., Any])


class Duration(NameType):
    """`30s`, `5m`: a duration with its unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from orchestrator.core.units import UnitError, parse_duration

        try:
            parse_duration(value)
        except UnitError as error:
            raise UsageError(f"`{value}`: {error.message}", help=error.help) from None
        return str(value)


def driving_options(command: F) -> F:
    """The options of every command that drives a run."""
    options = [
        click.option("--progress", type=click.Choice(PROGRESS_CHOICES), help="How to show the run.  [default: auto]"),
        click.option(
            "--json", "as_json", is_flag=True, help="The same as `--progress json`: every event as a line of JSON."
        ),
        click.option("-v", "--verbose", is_flag=True, help="Show what commands write, too."),
        click.option("--no-ask", is_flag=True, help="Ask nothing here: a run that needs an answer parks, exit code 5."),
        click.option(
            "--delegate",
            "delegates",
            multiple=True,
            metavar="MODULE:FUNCTION",
            help="A delegate to hear the run's events.",
        ),
        click.option("--grace", type=Duration(), help="What running tasks get after Ctrl-C.  [default: 30s]"),
        click.option(
            "--synchronous", type=click.Choice(["full", "normal"]), help="`full` survives a power cut.  [default: full]"
        ),
    ]
    options.append(click.option("--ready-fd", type=int, hidden=True))
    for option in reversed(options):
        command = option(command)
    return command
