"""`anthropic/*`: Anthropic's Claude models, or a proxy that speaks their messages API (`ANTHROPIC_BASE_URL`)."""

from __future__ import annotations

from orchestrator.providers._live import LiveProvider

PROVIDER = LiveProvider(
    name="anthropic",
    wire="orchestrator.providers._anthropic_wire",
    key_envs=("ANTHROPIC_API_KEY",),
    base_url_env="ANTHROPIC_BASE_URL",
    base_url="https://api.anthropic.com",
    needs_key=True,
    extra="anthropic",
    sdk="anthropic",
)
