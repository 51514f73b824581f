"""`local/*`: a model server on this machine (llama.cpp, vLLM, LM Studio), or where `LOCAL_BASE_URL` says."""

from __future__ import annotations

from orchestrator.providers._openai_chat import OpenAICompatible

PROVIDER = OpenAICompatible(
    name="local",
    key_env="LOCAL_API_KEY",
    base_url_env="LOCAL_BASE_URL",
    base_url="http://localhost:8080/v1",
)
