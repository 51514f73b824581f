"""Broken streams by the thousand, through the parsers that are used for real: an answer or a failure with a word, no third way.

A mutation is a few edits of the bytes of an honest stream; its seed names it, so that a failure can be seen again.
"""

from __future__ import annotations

import asyncio
import json
import random
import warnings
from collections import Counter

import msgspec
import pytest
from providers import vendor_anthropic, vendor_google, vendor_openai_chat, vendor_openai_responses
from providers.conformance import ADD, Stage, a_request
from providers.in_memory import Network, network
from providers.vendors import Vendor
from providers.wire_conformance import opened, outcome
from sizes import size

from orchestrator.ai.answer import Answer
from orchestrator.errors import ERROR_TYPES
from orchestrator.ports.chat_model import ChatModelError

VENDORS = {
    "chat": vendor_openai_chat.VENDORS["openai"],
    "responses": vendor_openai_responses.VENDOR,
    "anthropic": vendor_anthropic.VENDOR,
    "google": vendor_google.VENDOR,
}
CALLS = [("c1", "add", ['{"a": 1', ', "b": 2}'])]
SPITE = (
    b"null", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b"true", b"\\ud83d", b"\\u0000", b"\x00", b"\xff\xfe", b"\n\n",
    b"data: ", b"event: error\n", b"data: [DONE]\n\n", b"\r", b": comment\n\n", b'"index":-1', b'"index":99999999999999',
    b"[" * 200, b'{"a":' * 200, b"id: 1\nretry: 0\n", b'"type":"error"', b'{"error":{"code":"x"}}', "☃".encode(),
)  # fmt: skip


def mutated(rng: random.Random, whole: bytes, other: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 2, 8, 64)))
        match rng.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to] * rng.randint(1, 3)
            case 3:
                data[at:at] = rng.choice(SPITE)
            case 4:
                data[at:to] = rng.choice(SPITE)
            case 5:
                del data[at:]
            case 6:
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + rng.choice((16, 256))]
            case 7:
                events = bytes(data).split(b"\n\n")
                rng.shuffle(events)
                data = bytearray(b"\n\n".join(events))
    return bytes(data)


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    cut = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(4)))
    return [data[a:b] for a, b in zip([0, *cut], [*cut, len(data)], strict=True)]


async def ends(net: Network, stage: Stage, sent: list[bytes], *, breaks: bool) -> Answer | ChatModelError:
    net.reply(*sent, breaks=breaks)
    got = await asyncio.wait_for(outcome(stage, tools=(ADD,)), 20)
    assert net.stream.closed or not sent
    return got


@pytest.mark.parametrize("name", VENDORS)
async def test_a_mutated_stream_ends_as_an_answer_or_a_failure(name: str, pytestconfig: pytest.Config) -> None:
    vendor: Vendor = VENDORS[name]
    honest = [b"".join(vendor.text("Hel", "lo ☃ ", "world.")), b"".join(vendor.calls(CALLS))]
    number = size(pytestconfig, here=250, ci=5_000, release=250_000)
    ended: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    async with network() as net:
        stage = opened(vendor, "http://model.test")
        for seed in range(number):
            rng = random.Random(f"{name} {seed}")
            whole = rng.choice(honest)
            data = mutated(rng, whole, rng.choice(honest))
            breaks = rng.random() < 0.2
            got = await ends(net, stage, pieces(rng, data), breaks=breaks)
            ended["answer" if isinstance(got, Answer) else got.type] += 1
            assert isinstance(got, Answer) or (got.type in ERROR_TYPES and got.message), seed
            if isinstance(got, Answer):
                got.message.text.encode()
                assert all(isinstance(count, int) and count >= 0 for count in msgspec.structs.astuple(got.usage)), seed
                assert all(isinstance(json.loads(call.arguments), dict) for call in got.message.tool_calls), seed
            if isinstance(got, Answer) and whole.startswith(data):
                assert len(data) >= vendor.complete_after(whole) - 1, (seed, data)
        assert net.requests == number
    assert ended["outage"] > number // 10
    assert ended["answer"] > number // 100


async def test_a_request_is_as_it_was_after_all_that() -> None:
    async with network() as net:
        for vendor in VENDORS.values():
            stage = opened(vendor, "http://model.test")
            net.reply(b"".join(vendor.text("Hello")))
            got = await outcome(stage)
            assert isinstance(got, Answer)
            assert got.message.text == "Hello"
            assert a_request(stage).number == 1
