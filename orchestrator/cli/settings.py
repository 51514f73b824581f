"""The settings in force and where each comes from: flags > WHISPER_FLOW_* > project > user file > defaults.

The project's file is `config/whisper-flow.yaml`, the user's is `config.yaml` in the user's config folder; both may hold the
same settings. A project's `.env` is not among them: it sets inputs and secrets only, so that a clone cannot redirect a run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.cli.config_file import ConfigFile

ENV_PREFIX: Final = "WHISPER_FLOW_"
_OTHER_VARIABLES: Final = ("WHISPER_FLOW_INPUT_",)


class Setting(NamedTuple):
    name: str
    default: Any
    read: Callable[[Any], Any]
    """The value of what was written; ValueError if it is none."""
    description: str

    @property
    def variable(self) -> str:
        return ENV_PREFIX + self.name.upper().replace(".", "_")


class Resolved(NamedTuple):
    value: Any
    origin: str
    """`--flag`, `environment NAME`, a file with its line, or `default`."""


def _one_of(*words: str) -> Callable[[Any], Any]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return str(value)

    return read


def _at_least_one(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError("expected a whole number from 1")
    return number


def _duration(value: Any) -> str:
    from orchestrator.core.units import UnitError, parse_duration

    try:
        parse_duration(value)
    except UnitError as error:
        raise ValueError(f"{error.message}; {error.help}" if error.help else error.message) from None
    return str(value)


def _path(value: Any) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError("expected a path")
    return str(value)


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("state", ".whisper-flow", _path, "Folder of runs and journal; relative to the project."),
    Setting(
        "synchronous",
        "full",
        _one_of("full", "normal"),
        "`full` survives a power cut, `normal` a crash of the program.",
    ),
    Setting(
        "grace",
        "30s",
        _duration,
        "How long running tasks may go on after a stop.",
    ),
    Setting("progress", "auto", _one_of("auto", "live", "plain", "json", "none"), "How a run is shown."),
    Setting("color", "auto", _one_of("auto", "always", "never"), "When to use colours."),
    Setting("limits.processes", 8, _at_least_one, "Most processes of tasks at the same time."),
    Setting("limits.waiting_calls", 64, _at_least_one, "Most calls that wait for somebody else at the same time."),
)
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


@dataclass(slots=True)
class Settings:
    project: Path
    resolved: dict[str, Resolved]
    notes: list[str] = field(default_factory=list)
    """What looks like a mistake but stops nothing: unknown variables, settings in `.env`."""
    project_values: dict[str, Any] = field(default_factory=dict)
    """The project's whole configuration file."""

    def value(self, name: str) -> Any:
        return self.resolved[name].value

    def for_engine(self) -> dict[str, Any]:
        """What an engine takes of the project's configuration, as plain values."""
        limits = {"processes": self.value("limits.processes"), "calls": self.value("limits.waiting_calls")}
        kept: dict[str, Any] = {
            name: self.project_values[name] for name in ("pass_env", "http", "tools") if name in self.project_values
        }
        return {"limits": limits, **kept}


def resolve(project: Path, flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Every setting with its value and origin. `flags` holds what was given on the command line (None: not given).

    Raises UsageError, naming the origin, for a value that is none.
    """
    from orchestrator.cli.config_file import read_config
    from orchestrator.host.project import config_folder

    own = config_folder(environ) / "config.yaml"
    files = [
        (read_config(project / "config" / "whisper-flow.yaml", environ), "config/whisper-flow.yaml"),
        (read_config(own, environ), str(own)),
    ]
    resolved = {setting.name: _resolve_one(setting, flags, environ, files) for setting in SETTINGS}
    return Settings(project, resolved, _notes(project, environ, files[1]), files[0][0].values)


def _resolve_one(
    setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], files: list[tuple[ConfigFile, str]]
) -> Resolved:
    given = flags.get(setting.name)
    if given is not None:
        return _checked(setting, given, f"--{setting.name}")
    if environ.get(setting.variable):
        return _checked(setting, environ[setting.variable], f"environment {setting.variable}")
    for written, file in files:
        if setting.name in written.values:
            return _checked(setting, written.values[setting.name], f"{file}:{written.lines[setting.name]}")
    return Resolved(setting.default, "default")


def _checked(setting: Setting, value: Any, origin: str) -> Resolved:
    try:
        return Resolved(setting.read(value), origin)
    except ValueError as error:
        raise UsageError(f"`{setting.name}` from {origin} is {str(value)!r}: {error}") from None


def _notes(project: Path, environ: Mapping[str, str], own: tuple[ConfigFile, str]) -> list[str]:
    from orchestrator.host.dotenv import read_dotenv

    known = {setting.variable for setting in SETTINGS}
    notes = []
    strange = [name for name in environ if name.startswith(ENV_PREFIX)]
    for name in sorted(strange):
        if name not in known and not name.startswith(_OTHER_VARIABLES):
            from orchestrator.spec.suggest import did_you_mean

            near = did_you_mean(name, known)
            notes.append(f"the variable {name} sets nothing{f'; {near}' if near else ''}")
    for name in own[0].values:
        if name not in _BY_NAME and name not in ("version", "limits"):
            from orchestrator.spec.suggest import did_you_mean

            near = did_you_mean(name, _BY_NAME)
            notes.append(f"{own[1]}:{own[0].lines[name]}: `{name}` is no setting{f'; {near}' if near else ''}")
    for name in sorted(read_dotenv(project / ".env")):
        if name in known:
            notes.append(f"`.env` sets {name}, which is not read: a project's `.env` gives inputs and secrets only")
    return notes
