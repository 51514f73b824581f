"""Workflows whose agents do everything agents do, and what their models say: each by what it is asked, never by how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crash.model_service import Asked, Say

CONFIG = """\
version: 1
tools:
  shell: {sandbox: none, allow: [sh]}
"""

PYTHON = '''\
import os


def note(text: str) -> str:
    """Note something."""
    with open("witness.log", "a") as witness:
        witness.write(f"again {os.environ['WHISPER_IDEMPOTENCY_KEY']}\\n")
    return text.upper()
'''

SERVER = """\
import json
import os
import signal
import sys
import time


def die(moment):
    try:
        os.rename(f"die-{moment}", f"died-{moment}")
    except OSError:
        return
    os.kill(int(open("driver.pid").read()), signal.SIGKILL)
    time.sleep(60)


def note(what, to):
    with open("witness.log", "a") as witness:
        witness.write(f"{what} {to}\\n")


def answer(method, given):
    if method == "initialize":
        about = {"name": "town", "version": "1"}
        return {"protocolVersion": given["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
        return {"tools": [{"name": "send", "description": "Sends once.", "inputSchema": schema}]}
    to = given["arguments"]["to"]
    die("begin")
    note("once", to)
    die("middle")
    note("done", to)
    die("end")
    return {"content": [{"type": "text", "text": "sent"}]}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        if asked["method"] in ("initialize", "tools/list", "tools/call"):
            said = {"result": answer(asked["method"], asked.get("params"))}
        else:
            said = {"error": {"code": -32601, "message": "no such method"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}), flush=True)
"""

WORKER = """\
  {model}:
    provider: custom
    model_name: {model}
    auth: {{none: true}}
    base_config: {{base_url: '{url}', max_tokens: 20, retries: 3, retry_delay: 50ms}}
    cost_metrics: {{input_per_million: 1000, output_per_million: 10000}}
"""

ONCE = """\
die() { if mv "die-$1" "died-$1" 2>/dev/null; then kill -9 "$(cat driver.pid)"; sleep 60; fi; }
die begin; echo "once $WHISPER_IDEMPOTENCY_KEY" >> witness.log; die middle; echo "done $WHISPER_IDEMPOTENCY_KEY" >> witness.log; die end
"""
"""An effect that may be had but once. A file `die-MOMENT` has it kill the driver at that moment, once."""


@dataclass(frozen=True)
class Scene:
    name: str
    flow: str
    story: Callable[[Asked], Say]
    workers: tuple[str, ...] = ("clerk",)
    budget: str = "cost: $1000"
    inner: str = ""
    """A workflow that is called by the first."""
    answer: str = ""
    """What a person says when asked."""
    priced: bool = True
    """Whether all its models have a price."""
    most: int = 1000
    """Requests that its budget allows, with all that people add."""
    tight: bool = False
    """Its own budget is part of the story, and lost requests may use it up."""


def once() -> tuple[str, dict[str, Any]]:
    return "shell", {"argv": ["sh", "-c", ONCE]}


def clerk(asked: Asked) -> Say:
    """Every effect a tool can have: pure, idempotent, at least once, at most once, alone and side by side."""
    turns: list[list[tuple[str, dict[str, Any]]]] = [
        [("files_write", {"path": "out/a.txt", "content": "hello"}), once()],
        [(_ending(asked, "note"), {"text": "noted"}), ("files_read", {"path": "out/a.txt"})],
        [once()],
    ]
    if asked.turn < len(turns):
        return Say("Let me see.", turns[asked.turn])
    return Say("All is done.")


def _ending(asked: Asked, end: str) -> str:
    return next((name for name in asked.tools if end in name), end)


def flaky(asked: Asked) -> Say:
    """Fails the first time for each request: refused, overloaded, or cut off in the middle."""
    honest = scout(asked) if asked.model == "spare" else Say(status=500)
    if asked.model == "spare" and asked.earlier == 0:
        at = int(asked.mark[:4], 16)
        return [Say(status=429), Say(status=503), Say(honest.text, honest.calls, cut=at)][at % 3]
    return honest


def scout(asked: Asked) -> Say:
    if asked.turn == 0:
        return Say("", [once()])
    return Say("It is so.")


def sender(asked: Asked) -> Say:
    if asked.turn < 2:
        return Say("", [(_ending(asked, "send"), {"to": f"{asked.mark} {at}"}) for at in range(2)])
    return Say("All sent.")


def chief(asked: Asked) -> Say:
    if asked.model == "scout":
        return scout(asked)
    ask = _ending(asked, "ask_scout")
    if asked.turn == 0:
        return Say("", [(ask, {"prompt": "Look to the left."}), (ask, {"prompt": "Look to the right."})])
    if asked.turn == 1:
        return Say("", [(ask, {"prompt": "Look ahead."})])
    return Say("We know.")


def front(asked: Asked) -> Say:
    if asked.model == "back":
        return scout(asked)
    if asked.turn == 0:
        return Say("", [once()])
    return Say("", [(_ending(asked, "transfer_to"), {"message": "Yours."})])


def caller(asked: Asked) -> Say:
    if asked.model == "scout":
        return scout(asked)
    if asked.turn == 0:
        return Say("", [(_ending(asked, "inner"), {"what": "bridges"})])
    return Say("Called.")


def forgetful(asked: Asked) -> Say:
    if asked.instructions.startswith("You sum up"):
        return Say("In short.")
    if len(asked.messages) > 3:
        return Say(status=400, code="context_length_exceeded")
    return Say("Answer.")


def talker(asked: Asked) -> Say:
    if "last turn" in asked.instructions:
        return Say("That is all I have.")
    return Say("", [("files_list", {"path": "workflows" if asked.turn % 2 else "."}), once()])


SHELL = "tools: [shell], permissions: {allow: [shell]}"
SCENES: Final = (
    Scene(
        "tools",
        "agents: {a: {worker: clerk, tools: ['files.*', shell, 'toolbox:note'],"
        " permissions: {allow: [shell, 'files.*', 'toolbox:note']}}}\n"
        "tasks: {t: {agent: a, prompt: Do it all}}\n",
        clerk,
    ),
    Scene(
        "fallback",
        f"agents: {{a: {{worker: clerk, {SHELL}, fallback: [custom/spare], ai_config: {{retries: 3}}}}}}\n"
        "tasks: {t: {agent: a, prompt: Go}}\n",
        flaky,
        budget="turns: 40",
        priced=False,
        most=40,
    ),
    Scene(
        "sub-agents",
        f"agents:\n  a: {{worker: clerk, sub_agents: [scout]}}\n"
        f"  scout: {{worker: scout, description: Looks, {SHELL}}}\n"
        "tasks: {t: {agent: a, prompt: Find out}}\n",
        chief,
        ("clerk", "scout"),
    ),
    Scene(
        "hand-off",
        f"agents:\n  a: {{worker: clerk, handoffs: [back], {SHELL}}}\n"
        f"  back: {{worker: back, description: Knows, {SHELL}}}\n"
        "tasks: {t: {agent: a, prompt: Find out}}\n",
        front,
        ("clerk", "back"),
    ),
    Scene(
        "a workflow as a tool",
        "agents: {a: {worker: clerk, tools: [workflows/inner.yaml], permissions: {allow: ['*']}}}\n"
        "tasks: {t: {agent: a, prompt: Find out}}\n",
        caller,
        inner=f"inputs: {{what: string}}\nagents: {{scout: {{worker: scout, {SHELL}}}}}\n"
        "tasks: {look: {agent: scout, prompt: 'What of ${{ inputs.what }}?'}}\noutputs: {look: '${{ look }}'}\n",
    ),
    Scene(
        "tool server",
        "mcp: {town: {command: python3, args: [town.py]}}\n"
        "agents: {a: {worker: clerk, tools: ['town.*'], permissions: {allow: ['town.*']}}}\n"
        "tasks: {t: {agent: a, prompt: Send it}}\n",
        sender,
    ),
    Scene(
        "overflow",
        "agents: {a: {worker: clerk, ai_config: {on_overflow: summarise}}}\n"
        "tasks:\n  t1: {agent: a, session: talk, prompt: First}\n  t2: {after: t1, agent: a, session: talk, prompt: Second}\n"
        "  t3: {after: t2, agent: a, session: talk, prompt: Third}\n  t: {after: t3, agent: a, session: talk, prompt: Last}\n",
        forgetful,
    ),
    Scene(
        "last turn",
        "agents: {a: {worker: clerk, tools: ['files.list', shell], permissions: {allow: [shell]}}}\n"
        "tasks: {t: {agent: a, prompt: Go on}}\n",
        talker,
        budget="turns: 4, on_exceeded: wrap_up",
        most=4,
        tight=True,
    ),
    Scene(
        "approval",
        "agents: {a: {worker: clerk, tools: [shell], permissions: {ask: [shell]}}}\n"
        "tasks: {t: {agent: a, prompt: Go}}\n",
        scout,
        answer="approve=true",
    ),
    Scene(
        "budget raised",
        f"agents: {{a: {{worker: clerk, {SHELL}}}}}\ntasks: {{t: {{agent: a, prompt: Go}}}}\n",
        scout,
        budget="turns: 1, on_exceeded: ask",
        most=6,
        answer="raise_by=5",
    ),
)


def write(scene: Scene, folder: Path, url: str, budget: str) -> None:
    """The scene as a project in `folder`."""
    (folder / "workflows").mkdir(parents=True)
    (folder / "config").mkdir()
    (folder / "config" / "whisper-flow.yaml").write_text(CONFIG)
    (folder / "toolbox.py").write_text(PYTHON)
    (folder / "town.py").write_text(SERVER)
    workers = "".join(WORKER.format(model=model, url=url) for model in scene.workers)
    text = f"name: crash\nworkers:\n{workers}budget: {{{budget}}}\n{scene.flow}"
    (folder / "workflows" / "crash.yaml").write_text(text)
    if scene.inner:
        workers = WORKER.format(model="scout", url=url)
        (folder / "workflows" / "inner.yaml").write_text(f"name: inner\nworkers:\n{workers}{scene.inner}")
