"""`custom/*`: any server that speaks chat completions; its address is the worker's `base_url` or `CUSTOM_BASE_URL`."""

from __future__ import annotations

from orchestrator.providers._live import LiveProvider

PROVIDER = LiveProvider(
    name="custom",
    wire="orchestrator.providers._openai_wire",
    key_envs=("CUSTOM_API_KEY",),
    base_url_env="CUSTOM_BASE_URL",
    base_url=None,
)
