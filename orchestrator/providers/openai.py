"""`openai/*`: OpenAI's chat completions, or a transparent proxy to them (`OPENAI_BASE_URL`). Key: `OPENAI_API_KEY`."""

from __future__ import annotations

from orchestrator.providers._openai_chat import OpenAICompatible

PROVIDER = OpenAICompatible(
    name="openai",
    key_env="OPENAI_API_KEY",
    base_url_env="OPENAI_BASE_URL",
    base_url="https://api.openai.com/v1",
    needs_key=True,
    max_completion_tokens=True,
)
