"""LiteLLM's proxy, a third party's real server, in a virtual environment of its own: it pins other versions than ours.

It listens on loopback, and a hook in its interpreter refuses and notes every other address. `WHISPER_FLOW_LITELLM` may name
an environment that has it already; else `litellm[proxy]` is installed from the registry, which takes minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

KEY = "sk-canary-proxy-0123456789"
UP_S = 120.0

GUARD = """
import os, sys

def refuse(event, args):
    if event == "socket.connect":
        host = args[1][0] if isinstance(args[1], tuple) else "127.0.0.1"
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in ("127.0.0.1", "localhost", "::1", None):
        with open(os.environ["GUARD_LOG"], "a") as log:
            log.write(f"{event} {host}\\n")
        raise OSError(f"{host} is outside")

sys.addaudithook(refuse)
"""

# It insists on this event loop, which looks up names and connects without asking the interpreter, and so the guard.
PLAIN_LOOP = """
import asyncio
from asyncio import *

Loop, EventLoopPolicy = asyncio.SelectorEventLoop, asyncio.DefaultEventLoopPolicy

def install():
    pass
"""

MOCKED = {
    "mock-text": {"model": "openai/gpt-4.1", "mock_response": "Hello, wide world. This is a mock."},
    "mock-rate": {"model": "openai/gpt-4.1", "mock_response": "litellm.RateLimitError"},
    "mock-long": {"model": "openai/gpt-4.1", "mock_response": "litellm.ContextWindowExceededError"},
    "mock-broken": {"model": "openai/gpt-4.1", "mock_response": "litellm.InternalServerError"},
}
"""Models of the proxy that it answers for by itself."""
PASSED_ON = {"up-openai": "openai/gpt-4.1", "up-vllm": "hosted_vllm/their-model"}
"""Models that it asks our own wire server for, translating between wire formats."""


def environment(folder: Path, tool_env: dict[str, str]) -> Path:
    """The environment that has it."""
    if known := os.environ.get("WHISPER_FLOW_LITELLM"):
        return Path(known)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=tool_env)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "litellm[proxy]"], check=True, env=tool_env)
    return folder


@dataclass(slots=True)
class Proxy:
    url: str
    guard_log: Path

    def outside(self) -> str:
        """What it tried to reach outside; empty if nothing."""
        return self.guard_log.read_text() if self.guard_log.exists() else ""

    async def raw(self, path: str, body: dict[str, object]) -> list[dict[str, object]]:
        """The events of a stream as they came."""
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            answered = await client.post(self.url + path, json=body, headers=headers)
        lines = [line.removeprefix("data: ") for line in answered.text.splitlines() if line.startswith("data: {")]
        return [json.loads(line) for line in lines]


@contextlib.asynccontextmanager
async def proxy(venv: Path, folder: Path, upstream: str) -> AsyncIterator[Proxy]:
    """Running, with `upstream` (`…/v1`) behind the models that are passed on."""
    port = _free_port()
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)
    (folder / "guard" / "uvloop.py").write_text(PLAIN_LOOP)
    (folder / "config.yaml").write_text(json.dumps(_config(upstream)))
    found = Proxy(f"http://127.0.0.1:{port}", folder / "guard.log")
    environ = {
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(folder / "guard"),
        "GUARD_LOG": str(found.guard_log),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1",
    }
    with (folder / "proxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(venv / "bin" / "litellm"),
            *("--host", "127.0.0.1", "--port", str(port), "--config", str(folder / "config.yaml")),
            env=environ,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            await asyncio.wait_for(_until_up(found.url, process), UP_S)
            yield found
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _config(upstream: str) -> dict[str, object]:
    passed = {name: {"model": model, "api_base": upstream} for name, model in PASSED_ON.items()}
    models = [
        {"model_name": name, "litellm_params": {"api_key": "none", **how}} for name, how in {**MOCKED, **passed}.items()
    ]
    return {
        "model_list": models,
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


async def _until_up(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        while process.returncode is None:
            with contextlib.suppress(httpx2.TransportError):
                if (await client.get(f"{url}/health/liveliness")).status_code == 200:
                    return
            # Another program's start: nothing of ours says when it listens.
            await asyncio.sleep(0.2)
    raise RuntimeError(f"the proxy ended with {process.returncode}: see proxy.log")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
