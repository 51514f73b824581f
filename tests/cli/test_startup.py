"""What is imported for what: start-up time is kept by keeping imports away, and these lists are the guard."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import orchestrator
from tests.cli.conftest import ROOT, Project

HEAVY = ("yaml", "pydantic", "networkx", "httpx", "rich", "apsw", "jsonschema", "pydantic_ai", "asyncio", "openai")
PROBE = """
import json, sys
from orchestrator.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""

HELLO = """
name: hello
inputs: {name: {type: string, default: you}}
tasks:
  greet: {run: 'echo "Hello, ${{ inputs.name }}"'}
  twice: {set: '${{ greet }} ${{ greet }}'}
outputs: {text: '${{ twice }}'}
"""


def modules_after(project: Project, *args: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *args],
        cwd=project.folder,
        env=project.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("args", [["--version"], ["--help"], []])
def test_version_and_help_import_not_even_click(project: Project, args: list[str]) -> None:
    found = modules_after(project, *args)
    assert not found & {*HEAVY, "click", "msgspec"}
    assert len([name for name in found if name.startswith("orchestrator")]) <= 5


def test_the_front_door_imports_nothing_of_the_house(project: Project) -> None:
    probe = (
        "import orchestrator, sys; print([name for name in sys.modules if 'orchestrator' in name or name == 'typing'])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", probe], env=project.environ(), capture_output=True, text=True)
    assert done.stdout.strip() == "['orchestrator']"


def test_every_name_of_the_front_door_leads_somewhere() -> None:
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name) is not None
    assert set(dir(orchestrator)) >= set(orchestrator.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = orchestrator.Nonsense  # type: ignore[attr-defined]


def test_the_version_is_the_packages_own() -> None:
    import tomllib

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == orchestrator.__version__


def test_a_commands_help_imports_click_and_little_else(project: Project) -> None:
    for command in ("run", "show", "validate", "resume"):
        assert not modules_after(project, command, "--help") & set(HEAVY)


def test_validate_asks_neither_models_nor_the_network(project: Project) -> None:
    project.write("hello", HELLO)
    assert not modules_after(project, "validate") & {
        "pydantic_ai",
        "httpx",
        "openai",
        "rich",
        "apsw",
        "networkx",
        "asyncio",
    }


def test_looking_at_agents_with_tools_is_as_cheap(project: Project) -> None:
    agent = "{model: openai/gpt-5-mini, tools: ['*'], memory: true, permissions: {allow: ['files.write:path=a/*']}}"
    project.write("tools", f"name: tools\nagents: {{a: {agent}}}\ntasks: {{a: {{agent: a, prompt: Hi}}}}\n")
    heavy = {"asyncio", "ssl", "httpx", "pydantic_ai", "openai", "mcp", "apsw", "rich", "networkx"}
    found = modules_after(project, "validate")
    assert "orchestrator.tools.files" in found, "the probe really looked at tools"
    assert not found & heavy
    assert not modules_after(project, "tools") & heavy


def test_a_cached_plan_runs_without_reading_yaml(project: Project) -> None:
    (project.folder / "config").mkdir()
    (project.folder / "config" / "whisper-flow.yaml").write_text("limits: {processes: 3}\n")
    file = project.write("hello", HELLO)
    modules_after(project, "run", file, "--progress", "plain")
    found = modules_after(project, "run", file, "--progress", "plain", "-p", "name=me")
    assert not found & (set(HEAVY) - {"asyncio", "apsw", "jsonschema"})
    assert "asyncio" in found, "the probe really ran it"


OF_OTHERS = {
    "pydantic_ai",
    "openai",
    "anthropic",
    "google",
    "httpx",
    "httpx2",
    "mcp",
    "hvac",
    "keyring",
    "genai_prices",
}
PLAYED = """
name: played
agents: {short: {model: embedded/summarizer}}
tasks:
  short: {agent: short, prompt: The sea is wide. The harbour is small.}
outputs: {text: '${{ short }}'}
"""


def test_a_run_without_agents_imports_nothing_of_models_and_tools(project: Project) -> None:
    file = project.write("hello", HELLO)
    modules_after(project, "run", file, "--progress", "plain")
    found = modules_after(project, "run", file, "--progress", "plain")
    assert not found & {*OF_OTHERS, "orchestrator.ports.chat_model", "orchestrator.ports.tool", "orchestrator.ai.loop"}


def test_a_cached_run_on_an_embedded_model_and_its_replay_import_no_sdk(project: Project) -> None:
    file = project.write("played", PLAYED)
    modules_after(project, "run", file, "--progress", "plain", "--record", "t.jsonl")
    recorded = modules_after(project, "run", file, "--progress", "plain")
    replayed = modules_after(project, "run", file, "--progress", "plain", "--replay", "t.jsonl")
    assert "orchestrator.ai.loop" in recorded & replayed, "the probe really asked a model"
    for found in (recorded, replayed):
        assert not found & {*OF_OTHERS, "yaml", "pydantic", "networkx", "jsonschema", "rich", "zoneinfo"}
