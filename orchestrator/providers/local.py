"""`local/*`: a model server on this machine (llama.cpp, vLLM, LM Studio), or where `LOCAL_BASE_URL` says."""

from __future__ import annotations

from orchestrator.providers._live import LiveProvider

PROVIDER = LiveProvider(
    name="local",
    wire="orchestrator.providers._openai_wire",
    key_envs=("LOCAL_API_KEY",),
    base_url_env="LOCAL_BASE_URL",
    base_url="http://localhost:8080/v1",
)
