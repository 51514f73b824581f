"""What each model provider costs to import, and one request over the transport, in processes of their own.

    python benchmarks/providers.py [--rounds 5]

`import`: the provider's file and its check, as `validate` and `run` do them; then all that the first call needs, SDK
included. Beside each: the bare interpreter in the same rounds. `request`: one short streamed answer from memory, our
provider against its SDK's model asked directly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from measuring import ROOT, in_pairs, ratio, tell

LIVE: Final = ("openai", "anthropic", "google", "ollama", "local", "custom")
OFFLINE: Final = ("embedded", "scripted")
PROBE: Final = """
import json, sys, time
from orchestrator import registry
began = time.perf_counter()
provider = registry.load("orchestrator.providers", {name!r}, "PROVIDER")
found = time.perf_counter() - began
preload = getattr(provider, "preload", lambda: None)
before = len(sys.modules)
began = time.perf_counter()
preload()
print(json.dumps([found, time.perf_counter() - began, len(sys.modules) - before]))
"""
REQUESTS: Final = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    count = parser.parse_args().rounds
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPATH": str(ROOT)
    }
    for name in (*OFFLINE, *LIVE):
        imports(name, count, env)
    asyncio.run(requests(count))


def imports(name: str, count: int, env: dict[str, str]) -> None:
    probe = [sys.executable, "-c", PROBE.format(name=name)]
    subprocess.run(probe, env=env, check=True, capture_output=True)
    inside = [json.loads(subprocess.run(probe, env=env, check=True, capture_output=True).stdout) for _ in range(count)]
    whole, bare = in_pairs(probe, [sys.executable, "-c", "pass"], count, env=env)
    tell(
        "providers",
        case=f"import {name}",
        file_ms=round(statistics.median(one[0] for one in inside) * 1e3, 1),
        first_call_ms=round(statistics.median(one[1] for one in inside) * 1e3, 1),
        first_call_min_ms=round(min(one[1] for one in inside) * 1e3, 1),
        modules=inside[0][2],
        ratio_to_bare=ratio(whole, bare),
    )


async def requests(count: int) -> None:
    """Our port over pydantic-ai's own stream, the network being bytes in memory: what translation and order add."""
    import httpx2
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    from orchestrator.core.messages import user
    from orchestrator.ports.chat_model import ChatRequest, ProviderOptions
    from orchestrator.providers._connections import adopt_client, new_client
    from orchestrator.providers.custom import PROVIDER

    client = new_client(_answering(httpx2))
    adopt_client(client)
    chat = PROVIDER.open(ProviderOptions(base_url="http://model.test/v1"))
    from openai import AsyncOpenAI

    sdk = AsyncOpenAI(base_url="http://model.test/v1", api_key="none", http_client=client, max_retries=0)
    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=sdk))

    async def ours() -> None:
        async for _ in chat.stream(ChatRequest(model="m", messages=(user("Hello"),))):
            pass

    async def theirs() -> None:
        async with model_request_stream(model, [ModelRequest.user_text_prompt("Hello")]) as stream:
            async for _ in stream:
                pass

    mine, bare = [], []
    for number in range(count + 1):
        for work, into in ((ours, mine), (theirs, bare)):
            began = time.process_time()
            for _ in range(REQUESTS):
                await work()
            if number:
                into.append((time.process_time() - began) / REQUESTS)
    tell(
        "providers",
        case="request",
        median_us=round(statistics.median(mine) * 1e6),
        min_us=round(min(mine) * 1e6),
        bare_us=round(statistics.median(bare) * 1e6),
        ratio=ratio(mine, bare),
    )
    await client.aclose()


def _answering(httpx2: Any) -> Any:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return b"data: " + json.dumps({"choices": choices, **said}).encode() + b"\n\n"

    usage = {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}
    body = b"".join(
        [*(chunk({"content": "word "}) for _ in range(20)), chunk({}, "stop"), chunk({}, usage=usage, choices=[])]
    )

    class Stream(httpx2.AsyncByteStream):  # type: ignore[misc, name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield body + b"data: [DONE]\n\n"

        async def aclose(self) -> None:
            pass

    class Memory(httpx2.AsyncBaseTransport):  # type: ignore[misc, name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Stream())

    return Memory()


if __name__ == "__main__":
    main()
