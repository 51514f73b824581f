"""A scripted model keeps the promises of a provider: what it stands in for behaves the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.conformance import ProviderConformance, Scene, Stage

from orchestrator.ports.chat_model import ChatModelError, ProviderOptions
from orchestrator.providers.scripted import Scripted, ScriptedModel, ScriptedProvider, Turn

SCENES: dict[Scene, Scripted] = {
    "text": Turn(text="Hello, world.", chunk=4),
    "tool_calls": Turn(tool_calls=[("add", {"a": 1, "b": 2})]),
    "structured": '{"ok": true, "reason": "fine"}',
    "length": Turn(text="Hello wor", finish="length"),
    "rate_limited": ChatModelError("rate_limited", "slow down", retry_after=7, charged=False),
    "overloaded": ChatModelError("overloaded", "overloaded"),
    "busy": ChatModelError("overloaded", "overloaded"),
    "outage": ChatModelError("outage", "no connection"),
    "auth": ChatModelError("auth", "wrong key"),
    "context_too_long": ChatModelError("context_too_long", "too long"),
    "refused": Turn(text="No.", finish="refused"),
    "cut": Turn(text="Hel", error=ChatModelError("outage", "the connection broke")),
    "early_end": Turn(text="Hel", ends_early=True),
    "empty": Turn(),
    "no_usage": Turn(text="Hello.", usage=None),
}


class TestScripted(ProviderConformance):
    # It sends no bytes that could be broken.
    missing = frozenset({"malformed"})

    @asynccontextmanager
    async def set_scene(self, scene: Scene) -> AsyncIterator[Stage]:
        model = ScriptedModel(SCENES[scene], repeat_last=True)
        yield Stage(ScriptedProvider({"m": model}).open(ProviderOptions()), "m", {})
