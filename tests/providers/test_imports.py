"""Which commands import which SDK: none, until a request really goes out."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from providers.wire_server import text_reply, wire_server

ROOT = Path(__file__).parents[2]
SDKS = {"pydantic_ai", "openai", "anthropic", "google.genai", "google.auth", "httpx2", "httpx", "genai_prices", "mcp"}
PROBE = """
import json, sys
from orchestrator.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""
LIVE = """\
name: live
agents:
  red: {model: openai/gpt-4.1, ai_config: {api: responses, max_tokens: 9}}
  green: {model: anthropic/claude-sonnet-4-5, ai_config: {max_tokens: 9}}
  blue: {model: google:gemini-2.5-flash, ai_config: {max_tokens: 9}}
tasks:
  one: {agent: red, prompt: One.}
  two: {agent: green, prompt: Two.}
  three: {agent: blue, prompt: Three.}
"""


def command(folder: Path, *args: str, **environ: str) -> tuple[int, set[str], str]:
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *args],
        cwd=folder,
        env={**env, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules), done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "live.yaml").write_text(LIVE)
    shutil.copy(ROOT / "workflows" / "quickstart.yaml", tmp_path / "workflows")
    return tmp_path


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["run", "--help"],
        ["validate", "workflows/live.yaml"],
        ["run", "workflows/quickstart.yaml", "--progress", "plain"],
    ],
    ids=" ".join,
)
def test_no_sdk_is_imported_where_no_live_model_is_asked(project: Path, args: list[str]) -> None:
    code, modules, said = command(project, *args)
    assert code == 0, said
    assert not modules & SDKS


async def test_a_replayed_run_imports_no_sdk_and_needs_no_key(project: Path) -> None:
    (project / "workflows" / "one.yaml").write_text(
        "name: one\nagents: {a: {model: openai/gpt-4.1, ai_config: {max_tokens: 9}}}\n"
        "tasks: {one: {agent: a, prompt: One.}}\noutputs: {one: '${{ one }}'}\n"
    )
    async with wire_server(text_reply("Hello")) as wire:
        live = {"OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": wire.url, "NO_PROXY": "127.0.0.1"}
        run = ("run", "workflows/one.yaml", "--record", "one.tape")
        code, modules, said = await asyncio.to_thread(lambda: command(project, *run, **live))
        assert code == 0, said
        assert modules & SDKS, "the probe really asked"
    code, modules, said = command(project, "run", "workflows/one.yaml", "--replay", "one.tape")
    assert code == 0, said
    assert not modules & SDKS


def test_missing_keys_of_three_services_are_named_at_once_without_any_sdk(project: Path) -> None:
    code, modules, said = command(project, "run", "workflows/live.yaml")
    assert code == 4
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        assert variable in said
    assert not modules & SDKS


def test_a_missing_package_stops_the_run_before_it_starts_and_says_what_to_install(project: Path) -> None:
    (project / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'anthropic' else find(name, package)\n"
    )
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "sk-0123456789")
    path = os.pathsep.join([str(project), str(ROOT)])
    code, modules, said = command(project, "run", "workflows/live.yaml", PYTHONPATH=path, **keys)
    assert code == 2
    assert "anthropic/claude-sonnet-4-5 needs a package that is not installed" in said
    assert "pip install 'whisper-flow[anthropic]'" in said
    assert not modules & SDKS


@pytest.mark.parametrize("name", ["openai", "anthropic", "google", "ollama", "local", "custom", "embedded", "scripted"])
def test_checking_and_opening_import_no_sdk(name: str) -> None:
    code = f"""
import sys
from orchestrator import registry
from orchestrator.ports.chat_model import ProviderOptions
keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
options = ProviderOptions(environ=dict.fromkeys(keys, "k"), base_url="http://127.0.0.1:1")
provider = registry.load("orchestrator.providers", {name!r}, "PROVIDER")
if {name!r} != "scripted":
    provider.check("writer", options)
provider.open(options)
found = {SDKS!r} & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(("name", "others"), [("openai", {"anthropic", "google.genai"}), ("google", {"anthropic"})])
def test_a_first_call_imports_its_own_sdk_and_no_others(name: str, others: set[str]) -> None:
    code = f"""
import sys
from orchestrator import registry
registry.load("orchestrator.providers", {name!r}, "PROVIDER").preload()
found = {others!r} & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
