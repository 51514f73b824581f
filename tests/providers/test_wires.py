"""Every provider over the network keeps the promises of all, and those of the network."""

from __future__ import annotations

import asyncio
import gc

import pytest
from providers import vendor_anthropic, vendor_google, vendor_openai_chat, vendor_openai_responses
from providers.conformance import answer
from providers.vendors import Vendor
from providers.wire_conformance import WireConformance, opened, outcome
from providers.wire_server import Reply, wire_server

from orchestrator.ports.chat_model import ChatModelError


class TestOpenAIChat(WireConformance):
    vendor = vendor_openai_chat.VENDORS["openai"]


class TestCustom(WireConformance):
    vendor = vendor_openai_chat.VENDORS["custom"]


class TestOllama(WireConformance):
    vendor = vendor_openai_chat.VENDORS["ollama"]


class TestLocal(WireConformance):
    vendor = vendor_openai_chat.VENDORS["local"]


class TestOpenAIResponses(WireConformance):
    vendor = vendor_openai_responses.VENDOR


class TestAnthropic(WireConformance):
    vendor = vendor_anthropic.VENDOR


class TestGoogle(WireConformance):
    vendor = vendor_google.VENDOR


EVERY = (
    vendor_openai_chat.VENDORS["openai"],
    vendor_openai_responses.VENDOR,
    vendor_anthropic.VENDOR,
    vendor_google.VENDOR,
)


@pytest.mark.parametrize("leaving", EVERY, ids=lambda vendor: f"{vendor.provider} {vendor.settings.get('api', '')}")
async def test_whoever_is_closed_leaves_the_others_their_connections(leaving: Vendor) -> None:
    staying = vendor_openai_chat.VENDORS["custom"]
    async with wire_server(staying.scenes["text"]) as here, wire_server(leaving.scenes["text"]) as there:
        stays = opened(staying, here.url.removesuffix("/v1"))
        assert (await answer(stays)).message.text == "Hello, world."
        leaves = opened(leaving, there.url.removesuffix("/v1"))
        await answer(leaves)
        await leaves.model.close()
        del leaves
        gc.collect()
        await asyncio.sleep(0)
        assert (await answer(stays)).message.text == "Hello, world."
        await stays.model.close()


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("rate_limit_exceeded", "rate_limited"),
        ("server_error", "outage"),
        ("context_length_exceeded", "context_too_long"),
    ],
)
async def test_an_answer_of_responses_that_fails_on_the_way_has_its_word(code: str, word: str) -> None:
    vendor, said = vendor_openai_responses.VENDOR, {"code": code, "message": "it went wrong"}
    failed = {"type": "response.failed", "response": vendor_openai_responses.response("failed", error=said)}
    events = [*vendor_openai_responses.text("Hel", finish=None), *vendor_openai_responses.numbered(failed)]
    async with wire_server(Reply(events=events)) as wire:
        stage = opened(vendor, wire.url.removesuffix("/v1"))
        got = await outcome(stage)
        await stage.model.close()
    assert isinstance(got, ChatModelError)
    assert (got.type, got.charged, "it went wrong" in got.message) == (word, True, True)
