"""What every provider over the network promises besides, against a server on loopback that speaks its vendor's wire format."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import gzip
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Any, ClassVar

import pytest
from providers.conformance import ADD, ProviderConformance, Scene, Stage, a_request, answer
from providers.in_memory import in_use, network
from providers.vendors import Vendor, body
from providers.wire_server import Reply, WireServer, wire_server
from sizes import size

from orchestrator import registry
from orchestrator.ai.answer import Answer
from orchestrator.core.messages import Usage
from orchestrator.ports.chat_model import ChatModelError, ProviderOptions, ToolSpec
from orchestrator.providers import _bounds, _connections

KEY = "sk-canary-0123456789abcdef"
MUL = ToolSpec(name="mul", description="", parameters={"type": "object", "properties": {}})


def opened(vendor: Vendor, url: str) -> Stage:
    provider = registry.load("orchestrator.providers", vendor.provider, "PROVIDER")
    options = ProviderOptions(environ={vendor.key_env: KEY}, base_url=vendor.base_url(url))
    provider.check(vendor.model, options)
    return Stage(provider.open(options), vendor.model, vendor.settings)


async def outcome(stage: Stage, **changes: Any) -> Answer | ChatModelError:
    try:
        return await answer(stage, a_request(stage, **changes))
    except ChatModelError as error:
        return error


def connections_in_use() -> int:
    shared = _connections._clients.get(asyncio.get_running_loop())
    return 0 if shared is None else in_use(shared.client)


@cache
def a_bomb() -> bytes:
    bomb = gzip.compress(bytes(100 * 1024 * 1024), 1)
    assert len(bomb) > _bounds.PACKED_MAX
    return bomb


class WireConformance(ProviderConformance):
    vendor: ClassVar[Vendor]

    @asynccontextmanager
    async def served(self, *replies: Any) -> AsyncIterator[tuple[Stage, WireServer]]:
        async with wire_server(*replies) as wire:
            stage = opened(self.vendor, wire.url.removesuffix("/v1"))
            yield stage, wire
            assert connections_in_use() == 0, "a connection was not given back"
            await stage.model.close()

    @asynccontextmanager
    async def set_scene(self, scene: Scene) -> AsyncIterator[Stage]:
        async with self.served(self.vendor.scenes[scene]) as (stage, _):
            yield stage

    # Answers

    async def test_usage_counts_cached_and_reasoning_tokens(self) -> None:
        async with self.set_scene("text") as stage:
            assert (await answer(stage)).usage == Usage(21, 7, 4, 3)

    async def test_parallel_tool_calls_are_told_apart(self) -> None:
        calls = [("c1", "add", ['{"a": 1', ', "b": 2}']), ("c2", "mul", ['{"x"', ": 3}"]), ("c3", "add", ["{}"])]
        async with self.served(Reply(events=self.vendor.calls(calls))) as (stage, _):
            got = await answer(stage, a_request(stage, tools=(ADD, MUL)))
        assert [(c.id, c.name, c.arguments.replace(" ", "")) for c in got.message.tool_calls] == [
            ("c1", "add", '{"a":1,"b":2}'),
            ("c2", "mul", '{"x":3}'),
            ("c3", "add", "{}"),
        ]

    async def test_halves_of_characters_and_nuls_come_out_sound(self) -> None:
        async with self.served(Reply(events=self.vendor.raw_text(b"a\\ud83d\\ude00b\\u0000\\udc00c"))) as (stage, _):
            got = await outcome(stage)
        if isinstance(got, Answer):
            assert got.message.text in ("a😀b\x00\ufffdc", "a😀b\x00\ufffd\ufffd\ufffdc")
            got.message.text.encode()
        else:  # a parser may refuse half a character, but then it must say so
            assert got.type == "outage"

    # Errors

    @pytest.mark.parametrize(
        ("header", "expected"),
        [("3", 3.0), ("0", 0.0), ("-5", None), ("soon", None), ("99999999999", None), ("date", 20.0), ("past", 0.0)],
    )
    async def test_retry_after_is_read_in_seconds_and_as_a_date(self, header: str, expected: float | None) -> None:
        dated = {"date": time.time() + 20, "past": time.time() - 100}
        value = email.utils.formatdate(dated[header], usegmt=True) if header in dated else header
        async with self.served(body(429, {"error": {"message": "slow down"}}, retry_after=value)) as (stage, _):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert got.type == "rate_limited"
        assert got.retry_after == (expected if expected is None else pytest.approx(expected, abs=2))

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 429, 408])
    async def test_nothing_below_us_repeats_a_request(self, status: int) -> None:
        async with self.served(body(status, {"error": {"message": "no", "type": "x"}})) as (stage, wire):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert got.retryable
        assert len(wire.received) == 1

    @pytest.mark.parametrize("said", [b"<html>Bad gateway</html>", b"", b"\xff\xfe", b"null", b"[]", b'"no"'])
    async def test_an_answer_that_is_no_stream_at_all_is_an_outage(self, said: bytes) -> None:
        async with self.served(Reply(body=said)) as (stage, wire):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert got.type == "outage"
        assert got.retryable
        assert len(wire.received) == 1

    @pytest.mark.parametrize("said", [b"<html>Bad gateway</html>", b"", b"\xff\xfe", b"null", b"[]", b'"no"'])
    async def test_an_error_with_a_strange_body_keeps_its_word(self, said: bytes) -> None:
        async with self.served(body(401, said)) as (stage, _):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert got.type == "auth"

    async def test_nobody_listening_names_the_address_and_cost_nothing(self) -> None:
        async with wire_server(self.vendor.scenes["text"]) as wire:
            url = wire.url.removesuffix("/v1")
        host = url.removeprefix("http://")
        secret_url = url.replace("http://", "http://someone:" + KEY + "@") + "/a-secret-path"
        provider = registry.load("orchestrator.providers", self.vendor.provider, "PROVIDER")
        chat = provider.open(ProviderOptions(environ={self.vendor.key_env: KEY}, base_url=secret_url))
        got = await outcome(Stage(chat, self.vendor.model, self.vendor.settings))
        assert isinstance(got, ChatModelError)
        assert (got.type, got.charged, got.retryable) == ("outage", False, True)
        assert f"no connection to {host}" in got.message
        assert "secret" not in got.message
        assert "someone" not in got.message
        await chat.close()

    async def test_a_connection_that_breaks_names_the_address_and_may_have_cost(self) -> None:
        async with self.served(self.vendor.scenes["cut"]) as (stage, wire):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert got.charged
        assert wire.url.removeprefix("http://").removesuffix("/v1") in got.message

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
    async def test_a_key_that_comes_back_in_an_error_goes_no_further(
        self, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        forms = [KEY, base64.b64encode(KEY.encode()).decode(), KEY.encode().hex()]
        said = {"error": {"message": f"Bad: {' '.join(forms)}\x1b[31m", "type": "x", "code": forms[0]}}
        async with self.served(body(status, said)) as (stage, _):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        told = "".join(traceback.format_exception(got)) + repr(got) + str(got.help) + repr(got.meta)
        logged = caplog.text + "".join(repr(record.args) for record in caplog.records)
        for form in forms:
            assert form not in told
            assert form not in logged
        assert "\x1b" not in told
        assert "***" in got.message
        assert got.__cause__ is None
        assert got.__context__ is None

    # Time and connections

    async def test_hanging_up_before_the_first_byte_ends_the_request_on_the_wire(self) -> None:
        slow = Reply(events=self.vendor.text("Hello"), gate=asyncio.Event())
        async with self.served(slow) as (stage, wire):
            stream = stage.model.stream(a_request(stage))
            waiting = asyncio.ensure_future(_first_of_the_model(stream))
            await asyncio.wait_for(wire.arrived.wait(), 10)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            async with aclosing(stream):  # type: ignore[type-var]
                pass
            await asyncio.wait_for(wire.hung_up.wait(), 5)

    async def test_a_slow_first_byte_is_waited_for(self) -> None:
        gate = asyncio.Event()
        async with self.served(Reply(events=self.vendor.text("Hello"), gate=gate)) as (stage, wire):
            asking = asyncio.ensure_future(answer(stage))
            await asyncio.wait_for(wire.arrived.wait(), 10)
            assert not asking.done()
            gate.set()
            assert (await asking).message.text == "Hello"

    async def test_an_endless_stream_is_ended_and_its_connection_closed(self) -> None:
        events = self.vendor.text("x" * 65_536, finish=None)
        at = next(at for at, event in enumerate(events) if len(event) > 65_536)
        async with self.served(Reply(events=events[: at + 1], endless=events[at])) as (stage, wire):
            got = await outcome(stage)
            assert isinstance(got, ChatModelError)
            assert (got.type, "longer than" in got.message) == ("invalid_output", True)
            await asyncio.wait_for(wire.hung_up.wait(), 5)

    async def test_a_line_without_an_end_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_bounds, "LINE_MAX", 300_000)
        async with self.served(Reply(events=[b"data: {"], endless=b"x" * 65_536)) as (stage, wire):
            got = await outcome(stage)
            assert isinstance(got, ChatModelError)
            assert (got.type, "larger than" in got.message) == ("outage", True)
            await asyncio.wait_for(wire.hung_up.wait(), 5)

    @pytest.mark.parametrize("status", [200, 500])
    async def test_what_unpacks_to_far_too_much_is_not_unpacked(self, status: int) -> None:
        reply = Reply(status=status, body=a_bomb(), headers={"content-encoding": "gzip"})
        async with self.served(reply) as (stage, wire):
            got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert got.type == "outage"
        assert wire.received[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_neither_key_nor_prompt_follows_a_redirect(self, status: int) -> None:
        async with wire_server(self.vendor.scenes["text"]) as elsewhere:
            there = Reply(status=status, headers={"location": elsewhere.url + "/elsewhere"})
            async with self.served(there) as (stage, wire):
                got = await outcome(stage)
        assert isinstance(got, ChatModelError)
        assert (got.type, "redirect" in got.message) == ("outage", True)
        assert len(wire.received) == 1
        assert elsewhere.received == []

    async def test_the_key_is_in_no_log_of_an_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with self.set_scene("text") as stage:
            await answer(stage)
        assert KEY not in caplog.text + "".join(repr(record.args) for record in caplog.records)

    # Every byte

    @pytest.mark.parametrize("breaks", [True, False], ids=["connection broken", "clean early end"])
    async def test_a_stream_cut_anywhere_is_whole_or_no_answer(self, breaks: bool, pytestconfig: pytest.Config) -> None:
        whole = b"".join(self.vendor.text("Hel", "lo ☃ ", "world."))
        enough = self.vendor.complete_after(whole)
        step = size(pytestconfig, here=29, ci=7, release=1)
        async with network() as net:
            stage = opened(self.vendor, "http://model.test")
            for at in {*range(0, len(whole), step), *range(max(0, enough - 3), len(whole))}:
                net.reply(whole[:at], breaks=breaks)
                got = await outcome(stage)
                assert net.stream.closed or at == 0, at
                if isinstance(got, Answer):
                    assert got.message.text == "Hello ☃ world.", at
                    assert got.usage == Usage(21, 7, 4, 3), at
                    assert at >= enough - 1, at
                else:
                    assert got.type == "outage" or (not breaks and "usage" in got.message), (at, got)
                    assert (got.retryable, got.charged) == (True, True), (at, got)
            net.reply(whole)
            assert isinstance(await outcome(stage), Answer)

    async def test_tool_calls_cut_anywhere_are_whole_or_no_answer(self, pytestconfig: pytest.Config) -> None:
        calls = [("c1", "add", ['{"a": 1', ', "b": 2}']), ("c2", "mul", ['{"x"', ": 3}"])]
        whole = b"".join(self.vendor.calls(calls))
        step = size(pytestconfig, here=41, ci=11, release=1)
        async with network() as net:
            stage = opened(self.vendor, "http://model.test")
            for at in range(0, len(whole), step):
                net.reply(whole[:at])
                got = await outcome(stage, tools=(ADD, MUL))
                if isinstance(got, Answer):
                    made = {call.name: json.loads(call.arguments) for call in got.message.tool_calls}
                    assert made == {"add": {"a": 1, "b": 2}, "mul": {"x": 3}}, at
                    assert at >= self.vendor.complete_after(whole) - 1, at
                else:
                    assert got.retryable, (at, got)

    async def test_pieces_may_be_as_small_as_one_byte(self) -> None:
        whole = b"".join(self.vendor.text("Hel", "lo ☃ ", "world."))
        async with network() as net:
            stage = opened(self.vendor, "http://model.test")
            net.reply(*(whole[at : at + 1] for at in range(len(whole))))
            assert (await answer(stage)).message.text == "Hello ☃ world."


async def _first_of_the_model(stream: AsyncIterator[Any]) -> Any:
    """Notices come before the request goes out."""
    async for event in stream:
        if type(event).__name__ != "Notice":
            return event
    raise AssertionError("the stream ended")
