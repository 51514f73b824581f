"""Every provider over the network keeps the promises of all, and those of the network."""

from __future__ import annotations

from providers import vendor_anthropic, vendor_google, vendor_openai_chat, vendor_openai_responses
from providers.wire_conformance import WireConformance


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
