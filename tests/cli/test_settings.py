"""Where settings come from, and which one wins."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator.cli import config_file
from orchestrator.cli.settings import resolve
from orchestrator.errors import UsageError
from orchestrator.host.dotenv import read_dotenv
from orchestrator.host.project import config_folder


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_flags_win_over_variables_over_project_over_user_over_defaults(tmp_path: Path) -> None:
    write(tmp_path, "config/whisper-flow.yaml", "# ours\nprogress: plain\ngrace: 1m\nlimits:\n  processes: 3\n")
    write(config_folder(), "config.yaml", "color: never\nprogress: json\nsynchronous: normal\n")
    environ = {"WHISPER_FLOW_GRACE": "2m", "WHISPER_FLOW_COLOR": "always"}
    settings = resolve(tmp_path, {"color": "auto", "state": None}, {**os.environ, **environ})
    found = {
        name: (one.value, one.origin.replace(str(config_folder()), "~")) for name, one in settings.resolved.items()
    }
    assert found == {
        "state": (".whisper-flow", "default"),
        "synchronous": ("normal", "~/config.yaml:3"),
        "grace": ("2m", "environment WHISPER_FLOW_GRACE"),
        "progress": ("plain", "config/whisper-flow.yaml:2"),
        "color": ("auto", "--color"),
        "limits.processes": (3, "config/whisper-flow.yaml:5"),
        "limits.waiting_calls": (64, "default"),
    }


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"WHISPER_FLOW_PROGRESS": "loud"},
            "`progress` from environment WHISPER_FLOW_PROGRESS is 'loud': expected auto, live",
        ),
        ({"WHISPER_FLOW_GRACE": "30"}, "a duration needs its unit; did you mean `30s`"),
        ({"WHISPER_FLOW_LIMITS_PROCESSES": "0"}, "expected a whole number from 1"),
    ],
)
def test_a_value_that_is_none_names_its_origin(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(tmp_path, {}, environ)
    assert message in caught.value.message


def test_what_looks_like_a_mistake_is_noted(tmp_path: Path) -> None:
    write(tmp_path, ".env", "WHISPER_FLOW_STATE=/elsewhere\nWHISPER_FLOW_INPUT_NAME=x\n")
    write(config_folder(), "config.yaml", "colour: never\nversion: 1\n")
    environ = {**os.environ, "WHISPER_FLOW_STAET": "x", "WHISPER_FLOW_INPUT_A": "1"}
    settings = resolve(tmp_path, {}, environ)
    assert settings.value("state") == ".whisper-flow"
    assert [note.partition(";")[0] for note in settings.notes] == [
        "the variable WHISPER_FLOW_STAET sets nothing",
        f"{config_folder()}/config.yaml:1: `colour` is no setting",
        "`.env` sets WHISPER_FLOW_STATE, which is not read: a project's `.env` gives inputs and secrets only",
    ]


def test_the_engine_gets_lists_and_limits_as_plain_values(tmp_path: Path) -> None:
    write(tmp_path, "config/whisper-flow.yaml", "pass_env: [LANGUAGE]\nlimits: {processes: 2}\n")
    assert resolve(tmp_path, {}, {}).for_engine() == {
        "limits": {"processes": 2, "calls": 64},
        "pass_env": ["LANGUAGE"],
    }


def test_a_file_read_once_needs_no_yaml_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "config/whisper-flow.yaml", "progress: plain\n")
    path = tmp_path / "config" / "whisper-flow.yaml"
    first = config_file.read_config(path)
    monkeypatch.setitem(sys.modules, "orchestrator.spec.loader", None)  # importing it would fail now
    assert config_file.read_config(path) == first
    path.write_text("progress: json\n")
    with pytest.raises(ImportError):
        config_file.read_config(path)


def test_a_broken_file_sets_nothing(tmp_path: Path) -> None:
    write(tmp_path, "config/whisper-flow.yaml", "progress: [plain\n")
    assert resolve(tmp_path, {}, {}).value("progress") == "auto"


def test_lines_of_a_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        '# a comment\nA=1\nexport B = two words # and why\nC=\'$raw # kept\'\nD="line\\nnext \\"q\\""\nnot a line\nE=\n#F=1\n'
    )
    assert read_dotenv(tmp_path / ".env") == {
        "A": "1",
        "B": "two words",
        "C": "$raw # kept",
        "D": 'line\nnext "q"',
        "E": "",
    }
    assert read_dotenv(tmp_path / "none") == {}


def test_every_setting_may_stand_in_the_project_file(tmp_path: Path) -> None:
    from orchestrator import validate
    from orchestrator.cli.settings import SETTINGS

    lines = [f"{setting.name}: {setting.default}\n" for setting in SETTINGS if "." not in setting.name]
    nested = "".join(
        f"  {setting.name.partition('.')[2]}: {setting.default}\n" for setting in SETTINGS if "." in setting.name
    )
    write(
        tmp_path,
        "config/whisper-flow.yaml",
        "".join(lines) + f"limits:\n{nested}http: {{allow_private: [127.0.0.1]}}\n",
    )
    write(tmp_path, "workflows/a.yaml", "name: a\ntasks:\n  a: {set: 1}\n")
    assert validate(tmp_path / "workflows" / "a.yaml") == []
    settings = resolve(tmp_path, {}, {})
    assert all(one.origin.startswith("config/whisper-flow.yaml:") for one in settings.resolved.values())
    assert settings.for_engine()["http"] == {"allow_private": ["127.0.0.1"]}
