"""Three agents on three services in one run, asked at once: each request carries its own agent's config, nobody else's."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from providers import vendor_anthropic, vendor_google
from providers.wire_server import Received, Reply, text_reply, wire_server

WORKFLOW = """\
name: three
agents:
  red:
    model: openai/gpt-4.1
    ai_config: {temperature: 0.11, max_tokens: 1111, top_p: 0.91, seed: 7}
    instructions: You are red and write like a poet.
    tools: [files.read]
  green:
    model: anthropic:claude-sonnet-4-5
    ai_config: {temperature: 0.22, max_tokens: 2222, top_k: 22}
    instructions: You are green and write like a lawyer.
    tools: [files.write]
  blue:
    model: google/gemini-2.5-flash
    ai_config: {temperature: 0.33, max_tokens: 3333, stop: [BLUE]}
    instructions: You are blue and write like a doctor.
    tools: [files.list]
tasks:
  one: {agent: red, prompt: Say what red says.}
  two: {agent: green, prompt: Say what green says.}
  three: {agent: blue, prompt: Say what blue says.}
outputs: {all: '${{ one }} ${{ two }} ${{ three }}'}
"""
KEYS = {
    "OPENAI_API_KEY": "sk-canary-openai-01234567",
    "ANTHROPIC_API_KEY": "sk-canary-anthropic-0123",
    "GEMINI_API_KEY": "sk-canary-google-01234567",
}
OF_RED = ("gpt-4.1", "poet", "red says", "1111", "0.11", "files_read", "0.91")
OF_GREEN = ("claude", "lawyer", "green says", "2222", "0.22", "files_write")
OF_BLUE = ("gemini", "doctor", "blue says", "3333", "0.33", "files_list", "BLUE")


class Meeting:
    """Nobody is answered before all have asked: so the three really were out at once."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.all_here = asyncio.Event()

    def reply(self, events: list[bytes]) -> Any:
        def arrived(_: Received) -> Reply:
            self.left -= 1
            if self.left == 0:
                self.all_here.set()
            return Reply(events=events, gate=self.all_here)

        return arrived


async def run(project: Path, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "orchestrator.cli", "run", "workflows/three.yaml"),
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "127.0.0.1", **KEYS, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def whole(received: Received) -> str:
    return received.path + json.dumps(received.headers) + json.dumps(received.body)


async def test_three_agents_on_three_services_at_once_share_nothing(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "three.yaml").write_text(WORKFLOW)
    met = Meeting(3)
    async with (
        wire_server(met.reply(text_reply("Red.").events or [])) as openai,
        wire_server(met.reply(vendor_anthropic.text("Green."))) as anthropic,
        wire_server(met.reply(vendor_google.text("Blue."))) as google,
    ):
        code, out, err = await run(
            tmp_path,
            OPENAI_BASE_URL=openai.url,
            ANTHROPIC_BASE_URL=anthropic.url.removesuffix("/v1"),
            GOOGLE_GEMINI_BASE_URL=google.url.removesuffix("/v1"),
        )
    assert code == 0, err
    assert json.loads(out) == {"all": "Red. Green. Blue."}
    (red,), (green,), (blue,) = openai.received, anthropic.received, google.received
    _is_reds(red.body)
    _is_greens(green.body)
    _is_blues(blue)
    for received, own, key in (
        (red, OF_RED, "OPENAI_API_KEY"),
        (green, OF_GREEN, "ANTHROPIC_API_KEY"),
        (blue, OF_BLUE, "GEMINI_API_KEY"),
    ):
        said = whole(received)
        assert KEYS[key] in json.dumps(received.headers)
        strange = [word for word in {*OF_RED, *OF_GREEN, *OF_BLUE} - {*own} if word in said]
        strange += [name for name, value in KEYS.items() if name != key and value in said]
        assert strange == []
    assert not [value for value in KEYS.values() if value in out + err]


def _is_reds(body: dict[str, Any]) -> None:
    assert body["model"] == "gpt-4.1"
    assert (body["temperature"], body["max_completion_tokens"], body["top_p"], body["seed"]) == (0.11, 1111, 0.91, 7)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["files_read"]
    assert body["messages"] == [
        {"role": "system", "content": "You are red and write like a poet."},
        {"role": "user", "content": "Say what red says."},
    ]
    known = {"model", "messages", "temperature", "max_completion_tokens", "top_p", "seed", "tools", "tool_choice"}
    assert set(body) == known | {"stream", "stream_options"}


def _is_greens(body: dict[str, Any]) -> None:
    assert body["model"] == "claude-sonnet-4-5"
    assert (body["temperature"], body["max_tokens"], body["top_k"]) == (0.22, 2222, 22)
    assert [tool["name"] for tool in body["tools"]] == ["files_write"]
    assert body["system"] == [{"type": "text", "text": "You are green and write like a lawyer."}]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say what green says."}]}]
    known = {"model", "messages", "system", "temperature", "max_tokens", "top_k", "tools", "tool_choice"}
    assert set(body) == known | {"stream"}


def _is_blues(received: Received) -> None:
    body = received.body
    assert "/models/gemini-2.5-flash:" in received.path
    assert body["generationConfig"] == {
        "temperature": 0.33,
        "maxOutputTokens": 3333,
        "stopSequences": ["BLUE"],
        "responseModalities": ["TEXT"],
    }
    assert [tool["name"] for tool in body["tools"][0]["functionDeclarations"]] == ["files_list"]
    assert body["systemInstruction"]["parts"] == [{"text": "You are blue and write like a doctor."}]
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Say what blue says."}]}]
    assert set(body) == {"contents", "generationConfig", "tools", "toolConfig", "systemInstruction"}
