"""A key and a declared secret go through a whole run that tries to give them away: they come out nowhere.

The model server repeats the key it is asked with, the tool server prints and returns the token it was given, tasks fail with
both in their last words; then everything that was printed, written, sent or visible in the process table is searched.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.secret_sources.vault_server import TOKEN as VAULT_TOKEN
from tests.host.secret_sources.vault_server import FakeVault, vault_server
from tests.secrets.echoing_server import Echo, echoing_server, spelt
from tests.secrets.sinks import CommandLines, Scene, hits, needles

KEY = "sk-cAnary/7f+Q=?w3&z9%Lm-0123"
TOKEN = "tOken/9x+R=?v8&y1%Kn-4567"
SERVER = Path(__file__).parents[1] / "tools" / "mcp" / "scripted_server.py"

WORKFLOW = """
name: canary
secrets: {TOKEN: {env: CANARY_TOKEN}}
workers:
  w:
    provider: custom
    model_name: echo
    auth: %(auth)s
    base_config: {base_url: '%(url)s', retries: 0}
mcp:
  play:
    command: '%(python)s'
    args: ['%(server)s', '%(script)s']
    env: {TOKEN: '${{ secrets.TOKEN }}'}
agents:
  talker:
    worker: w
    instructions: Say it.
    tools: ['play.*']
    permissions: {allow: ['play.*']}
tasks:
  talk: {agent: talker, prompt: Tell me., on_error: continue}
  say:
    run: |
      echo "$T"; echo "$T" >&2
      printf '%%s' "$T" | base64; printf '%%s' "$T" | od -An -tx1 | tr -d ' \\n'
    env: {T: '${{ secrets.TOKEN }}'}
  half:
    run: 'printf "%%s" "${T%%??????????}"; sleep 0.2; printf "%%s" "${T#"${T%%??????????}"}"'
    shell: bash
    env: {T: '${{ secrets.TOKEN }}'}
  raises:
    python: tasks:raises
    env: {T: '${{ secrets.TOKEN }}'}
    on_error: continue
  returns:
    python: tasks:returns
    env: {T: '${{ secrets.TOKEN }}'}
  asks:
    http: {url: '%(url)s/echo', headers: {X-Token: '${{ secrets.TOKEN }}'}}
    on_error: continue
  fails:
    after: [talk, raises]
    run: 'echo "could not log in with $T" >&2; exit 3'
    env: {T: '${{ secrets.TOKEN }}'}
    on_error: continue
outputs:
  all: ['${{ talk | default("") }}', '${{ say }}', '${{ half }}', '${{ returns }}', '${{ tasks.fails.error }}']
"""
TASKS = """
import base64, os
def spelt():
    value = os.environ["T"]
    return [value, base64.b64encode(value.encode()).decode(), value.encode().hex(), repr(value)]
def raises():
    raise RuntimeError("lost: " + " ".join(spelt()))
def returns():
    print(*spelt())
    return {"values": spelt(), os.environ["T"]: 1}
"""


SEVERAL = """
import json, sys
from orchestrator.cli.main import main
for words in json.loads(sys.argv[1]):
    main(words)
"""
"""Each command of a list, in one process: most of a command's time is its start."""


class World:
    """A project whose every part gives secrets away, and the command run in it."""

    def __init__(self, folder: Path, echo: Echo, url: str) -> None:
        self.echo = echo
        self.folder = folder / "project"
        (self.folder / "workflows").mkdir(parents=True)
        (self.folder / "config").mkdir()
        (self.folder / "config" / "whisper-flow.yaml").write_text("http: {allow_private: [127.0.0.1]}\n")
        (self.folder / "tasks.py").write_text(TASKS)
        self.script = folder / "script.json"
        self.script_tools()
        self.url = url
        self.scene = Scene(project=self.folder, state=folder / "state", home=folder / "home")
        self.scene.home.mkdir()
        self.more: dict[str, str] = {}
        """Of the environment."""

    def script_tools(self) -> None:
        names = ("complain", "environment", "echo")
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        tools = [{"name": name, "description": f"Holds {TOKEN}.", "inputSchema": schema} for name in names]
        self.script.write_text(json.dumps({"tools": tools}))

    def write(self, auth: str) -> None:
        values = {"auth": auth, "url": self.url, "python": sys.executable, "server": SERVER, "script": self.script}
        (self.folder / "workflows" / "canary.yaml").write_text(WORKFLOW % values)

    def environ(self) -> dict[str, str]:
        caches = {
            f"XDG_{name}_HOME": str(self.scene.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE")
        }
        keys = {"CANARY_TOKEN": TOKEN, "CANARY_KEY": KEY}
        return {
            **os.environ,
            **caches,
            **keys,
            **self.more,
            "HOME": str(self.scene.home),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def flow(self, name: str, *words: str) -> int:
        """Run the command and keep what it printed under `name`."""
        return self._ran(name, ["-m", "orchestrator.cli", "--state", str(self.scene.state), *words])

    def flows(self, name: str, *commands: list[str]) -> None:
        """Run several one after the other."""
        whole = [["--state", str(self.scene.state), *words] for words in commands]
        assert self._ran(name, ["-c", SEVERAL, json.dumps(whole)]) == 0, self.scene.printed[f"{name}: stderr"]

    def _ran(self, name: str, command: list[str]) -> int:
        with CommandLines(self.scene):
            ran = subprocess.run(
                [sys.executable, *command], cwd=self.folder, env=self.environ(), capture_output=True, timeout=100
            )
        self.scene.printed |= {f"{name}: stdout": ran.stdout, f"{name}: stderr": ran.stderr}
        self._sent()
        return ran.returncode

    def _sent(self) -> None:
        self.scene.sent_to_models, self.scene.sent_to_hooks = self.echo.bodies, self.echo.hooks

    def watched(self) -> list[str]:
        """The options that hand every event to each delegate of the house."""
        several = "task_execution_completed,ai_response_received,ai_request_prepared,ai_processing_step"
        delegates = [
            "log",
            "trace:traced.ndjson",
            f"webhook:{self.url}/hook",
            f"{several}=command:tee -a commanded.ndjson",
        ]
        return [word for delegate in delegates for word in ("--delegate", delegate)]

    def on_a_terminal(self, name: str, *words: str) -> int:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "orchestrator.cli", "--state", str(self.scene.state), *words]
        with CommandLines(self.scene):
            process = subprocess.Popen(command, cwd=self.folder, env=self.environ() | {"TERM": "xterm"},
                                       stdin=theirs, stdout=theirs, stderr=theirs)  # fmt: skip
            os.close(theirs)
            chunks: list[bytes] = []
            reader = threading.Thread(target=_read_to_end, args=(ours, chunks))
            reader.start()
            process.wait(100)
            reader.join()
        os.close(ours)
        self.scene.printed[f"{name}: stdout"] = b"".join(chunks)
        self._sent()
        return process.returncode

    def look(self) -> None:
        """Everything that reads a run prints it once."""
        self.flows(
            "looks",
            ["runs", "--json"], ["show", "@last"], ["show", "@last", "--json"], ["logs", "@last"], ["logs", "@last", "--json"],
            ["show", "@last", "talk"], ["show", "@last", "fails", "--json"], ["why", "@last", "fails"],
            ["workers"], ["workers", "--json"], ["costs", "--by", "agent"],
        )  # fmt: skip


def _read_to_end(descriptor: int, chunks: list[bytes]) -> None:
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:
            return
        if not data:
            return
        chunks.append(data)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    echo = Echo()
    with echoing_server(echo) as url:
        yield World(tmp_path, echo, url)


def auth_of(world: World, method: str) -> str:
    if method == "config_path":
        kept = world.folder / "keys" / "key"
        kept.parent.mkdir()
        kept.write_text(KEY)
        kept.chmod(0o600)
        return "{config_path: keys/key}"
    if method == "vault":
        return "{vault: {path: secret/ai/echo, key: key}}"
    return {"env_var": "{env_var: CANARY_KEY}", "inline": f"{{inline: '{KEY}'}}"}[method]


@pytest.mark.parametrize(
    ("method", "shown"), [("env_var", "json"), ("config_path", "plain"), ("inline", "live"), ("vault", "json")]
)
def test_a_run_that_gives_everything_away_shows_nothing(world: World, method: str, shown: str) -> None:
    world.write(auth_of(world, method))
    store = FakeVault(secrets={"secret/ai/echo": {"key": KEY}})
    with vault_server(store) as address:
        world.more = {"VAULT_ADDR": address, "VAULT_TOKEN": VAULT_TOKEN}
        code = run_recorded(world, shown)
    assert bool(store.requests) == (method == "vault")
    assert code == 0, world.scene.printed
    # The trap was sprung: the key went out, the tools were called, and something was masked.
    assert set(world.echo.keys) == {KEY}
    assert len(world.echo.bodies) == 4
    assert world.scene.printed["run: stdout"].count(b"***") >= (10 if shown == "json" else 1)
    assert b"***" in (world.folder / "traced.ndjson").read_bytes()
    assert b"***" in (world.folder / "commanded.ndjson").read_bytes()
    assert any(b"***" in hook for hook in world.scene.sent_to_hooks)
    assert b"ai_response_received" in b"".join(world.scene.printed.values())
    if method == "env_var":
        world.look()
    assert hits(world.scene, KEY, TOKEN, VAULT_TOKEN) == []


def run_recorded(world: World, shown: str) -> int:
    run = world.on_a_terminal if shown == "live" else world.flow
    words = ("--progress", shown, "--record", "tapes/canary.jsonl", *world.watched())
    return run("run", "--debug", "run", "workflows/canary.yaml", *words)


@pytest.mark.parametrize(
    ("auth", "where"),
    [
        ("{env_var: NOT_SET}", "the variable NOT_SET is not set"),
        ("{config_path: keys/none}", "there is no file keys/none"),
        ("{vault: secret/x}", "VAULT_ADDR is not set"),
    ],
)
def test_a_missing_key_starts_nothing_and_says_where_it_was_looked_for(world: World, auth: str, where: str) -> None:
    world.write(auth)
    assert world.flow("missing", "run", "workflows/canary.yaml", "--progress", "plain") == 4
    assert where in world.scene.printed["missing: stderr"].decode()
    assert world.echo.keys == []


def test_a_secret_given_as_an_input_shows_nowhere_but_where_it_was_typed(world: World) -> None:
    world.write(auth_of(world, "env_var"))
    path = world.folder / "workflows" / "canary.yaml"
    path.write_text(path.read_text().replace("secrets:", "inputs: {said: string, more: [string]}\nsecrets:"))
    given = world.folder / "keys" / "inputs.json"
    given.parent.mkdir(exist_ok=True)
    given.write_text(json.dumps({"said": f"the token {TOKEN}.", "more": [KEY, "plain"]}))
    words = ("--progress", "json", "--params-file", str(given))
    assert world.flow("run", "run", "workflows/canary.yaml", *words) == 0, world.scene.printed
    assert b"input `said` holds a secret, and is masked" in world.scene.printed["run: stderr"]
    world.flows("shown", ["show", "@last", "--json"])
    shown = json.loads(world.scene.printed["shown: stdout"])
    assert shown["inputs"] == {"said": "the token ***.", "more": ["***", "plain"]}
    assert hits(world.scene, KEY, TOKEN) == []


def test_a_refusal_that_quotes_the_key_shows_nothing(world: World) -> None:
    world.echo.refuse = True
    world.write(auth_of(world, "env_var"))
    world.flow("refused", "--debug", "run", "workflows/canary.yaml", "--progress", "plain")
    assert set(world.echo.keys) == {KEY}
    world.look()
    assert hits(world.scene, KEY, TOKEN) == []


def test_findings_about_a_key_in_a_file_do_not_print_it(world: World) -> None:
    world.write(auth_of(world, "inline"))
    forms = ("text", "concise", "json", "github", "sarif", "junit")
    world.flows("validate", *(["validate", "workflows/canary.yaml", "--format", form] for form in forms))
    assert b"".join(world.scene.printed.values()).count(b"WF703") >= len(forms)
    assert hits(world.scene, KEY, TOKEN) == []


def test_the_search_itself_finds_every_spelling(world: World) -> None:
    """A search that cannot find would call anything safe."""
    with CommandLines(world.scene):
        subprocess.run(["sleep", "0.2"], check=True)
    for value in (KEY, TOKEN):
        for text in spelt(value):
            data = f"before {text[:9]}\n{text[9:]} after".encode()
            world.scene.printed = {"planted": data}
            assert hits(world.scene, value) != [], text
        assert len(needles(value)) >= 8
    world.scene.printed = {}
    assert hits(world.scene, KEY, TOKEN) == []
