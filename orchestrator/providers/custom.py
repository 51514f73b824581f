"""`custom/*`: any server that speaks chat completions; its address is the worker's `base_url` or `CUSTOM_BASE_URL`."""

from __future__ import annotations

from orchestrator.providers._openai_chat import OpenAICompatible

PROVIDER = OpenAICompatible(name="custom", key_env="CUSTOM_API_KEY", base_url_env="CUSTOM_BASE_URL", base_url=None)
