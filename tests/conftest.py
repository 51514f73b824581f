"""What all tests share: sizes, tools that may be missing, and a world of their own to write in."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
UNDER_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

# Programs that tests start (pip, npm, pre-commit) need the environment as it was: proxies, indexes, their own caches.
_AS_IT_WAS = dict(os.environ)

_NEVER_SEEN = ("WHISPER_FLOW_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "OLLAMA_")
"""Prefixes of variables that would change what a test sees, or let it spend money."""

_MEANT_FOR_TESTS = ("WHISPER_FLOW_FIRST_SEED", "WHISPER_FLOW_LITELLM")
"""Where a harness goes on; an environment that has LiteLLM's proxy."""

settings.register_profile("default", deadline=None, max_examples=100)
settings.register_profile(
    "ci", deadline=None, max_examples=200, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("release", deadline=None, max_examples=5_000, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", action="store_true", help="run the sizes of a release: hours, not minutes")
    parser.addoption(
        "--nightly", action="store_true", help="run what installs other people's servers and talks to them"
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("release" if config.getoption("--release") else "ci" if UNDER_CI else "default")
    home = Path(tempfile.mkdtemp(prefix="whisper-flow-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in [n for n in os.environ if n.startswith(_NEVER_SEEN) and n not in _MEANT_FOR_TESTS]:
        del os.environ[name]
    _move_into(home)
    os.environ["GIT_CONFIG_GLOBAL"] = str(home / "gitconfig")
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    (home / "gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.invalid\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n"
    )


def _move_into(home: Path) -> None:
    home.mkdir(exist_ok=True)
    os.environ["HOME"] = str(home)
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for name, what in (("release", "a release size"), ("nightly", "against other people's servers")):
        if config.getoption(f"--{name}"):
            continue
        for item in items:
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"{what}: run with --{name}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_tool"):
        for name in marker.args:
            if shutil.which(name) is None:
                missing(f"`{name}` is not installed")


def missing(reason: str) -> None:
    """Skip with a reason on a user's machine; fail where everything a test needs must be there."""
    if UNDER_CI:
        pytest.fail(f"{reason}, and under CI nothing may be missing", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def own_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a home, a cache and a configuration folder of its own; the user's are never read or written."""
    home = tmp_path_factory.getbasetemp() / "homes" / os.urandom(6).hex()
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    return home


@pytest.fixture(scope="session")
def session_tool_env() -> dict[str, str]:
    """The environment for pip, npm, pre-commit and the like: as it was, without our variables and without keys."""
    return {name: value for name, value in _AS_IT_WAS.items() if not name.startswith(_NEVER_SEEN)}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture
def git_project(tmp_path: Path) -> Path:
    """An empty project in a git repository of its own."""
    import subprocess

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "workflows").mkdir()
    return tmp_path
