"""`openai/*`: OpenAI's chat completions or responses, or a transparent proxy to them (`OPENAI_BASE_URL`)."""

from __future__ import annotations

from orchestrator.providers._live import LiveProvider

PROVIDER = LiveProvider(
    name="openai",
    wire="orchestrator.providers._openai_wire",
    key_envs=("OPENAI_API_KEY",),
    base_url_env="OPENAI_BASE_URL",
    base_url="https://api.openai.com/v1",
    needs_key=True,
    max_completion_tokens=True,
)
