"""Click, with our manners: the same options on every command, suggestions for mistyped names, `-1` as the name of a run."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.catalogue import COMMANDS, LATER, overview
from orchestrator.cli.session import Session
from orchestrator.errors import UsageError

_COUNT_BACK: Final = re.compile(r"-\d+")
_HELP: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


if TYPE_CHECKING:
    NameType = click.ParamType[str]
else:
    NameType = click.ParamType


class RunName(NameType):
    """A run: a unique prefix of its id, `@last`, or `-1` (the last one), `-2`, …"""

    name = "run"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).removeprefix(_ESCAPE)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from orchestrator.cli.complete import run_names

        return run_names(ctx, incomplete)


class TaskName(NameType):
    """A task of the run that is named before it."""

    name = "task"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from orchestrator.cli.complete import task_names

        return task_names(ctx, incomplete)


_ESCAPE: Final = "\0"
"""Stands before `-1` while click parses, so that it is not taken for an option."""

RUN: Final = RunName()
TASK: Final = TaskName()


class Command(click.Command):
    """A command with the options that all share; their values land in the `Session`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings = {**_HELP, **self.context_settings}
        self.shared = _shared_options()
        self.params = [*self.params, *self.shared]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(isinstance(param.type, RunName) for param in self.params):
            args = _escape_counts(args, self._options_with_value())
        return super().parse_args(ctx, args)

    def _options_with_value(self) -> set[str]:
        options = [
            param for param in self.params if isinstance(param, click.Option) and not param.is_flag and not param.count
        ]
        return {name for option in options for name in option.opts}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                everywhere = param in self.shared or bool({*param.opts} & {*ctx.help_option_names})
                (shared if everywhere else own).append(record)
        for title, records in (("Options", own), ("Everywhere", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _escape_counts(args: list[str], takes_value: set[str]) -> list[str]:
    """`-1` becomes an argument, unless it is the value of the option before it."""
    escaped = []
    for position, arg in enumerate(args):
        is_value = position > 0 and args[position - 1] in takes_value
        escaped.append(_ESCAPE + arg if _COUNT_BACK.fullmatch(arg) and not is_value else arg)
    return escaped


class Group(click.Group):
    """A group whose mistyped command gets a suggestion; without a command it runs `default`, if it has one."""

    command_class = Command

    def __init__(self, *args: Any, default: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings = {**_HELP, **self.context_settings}
        self.default = default
        self.no_args_is_help = default is None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_help = args and args[0] in ("-h", "--help")
        if self.default is not None and not asks_help and (not args or args[0].startswith("-")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            self.refuse(ctx, name)
        return super().resolve_command(ctx, args)

    def refuse(self, ctx: click.Context, name: str) -> None:
        from orchestrator.spec.suggest import did_you_mean

        known = self.list_commands(ctx)
        raise UsageError(
            f"unknown command `{ctx.command_path} {name}`",
            help=did_you_mean(name, known) or f"see `{ctx.command_path} --help`",
        )


class Root(Group):
    """`whisper-flow` itself: commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(f"orchestrator.cli.commands.{entry.module}").command
        return command

    def refuse(self, ctx: click.Context, name: str) -> None:
        if name in LATER:
            raise UsageError(
                f"`{name}` ({LATER[name]}) is not in this version yet", help="see `whisper-flow --help` for what is"
            )
        from orchestrator.spec.suggest import did_you_mean

        near = did_you_mean(name, COMMANDS) or "see `whisper-flow --help`"
        file = Path(name)
        if file.suffix in (".yaml", ".yml") and file.exists():
            near = f"to run it: `whisper-flow run {name}`"
        raise UsageError(f"unknown command `{name}`", help=near)

    def get_help(self, ctx: click.Context) -> str:
        from orchestrator import __version__

        return overview(__version__).rstrip("\n")


def _keep(name: str) -> Any:
    """A callback that stores an option's value in the session."""

    def store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(ctx.ensure_object(Session), name, value)

    return store


def _shared_options() -> list[click.Option]:
    folder = click.Path(path_type=Path, file_okay=False)
    return [
        click.Option(
            ["-C", "--project"],
            type=folder,
            expose_value=False,
            callback=_keep("project_option"),
            help="The project's folder.  [default: found upwards from here]",
        ),
        click.Option(
            ["--state"],
            type=folder,
            expose_value=False,
            callback=_keep("state_option"),
            help="The folder of runs and journal.  [default: .whisper-flow in the project]",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_keep("color"),
            help="When to use colours.  [default: auto]",
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=_keep("debug"), help="Show tracebacks of errors."
        ),
    ]


def root() -> Root:
    """The whole command line."""
    from orchestrator import __version__

    group = Root(name="whisper-flow", context_settings={"obj": Session()})
    group.params.append(
        click.Option(
            ["-V", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version(__version__),
            help="Print the version.",
        )
    )
    group.params.extend(_shared_options())
    return group


def _version(version: str) -> Any:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(f"whisper-flow {version}")
            ctx.exit()

    return show
