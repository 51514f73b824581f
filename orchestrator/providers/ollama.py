"""`ollama/*`: models run by Ollama on this machine, or where `OLLAMA_BASE_URL` says. No key is needed."""

from __future__ import annotations

from orchestrator.providers._live import LiveProvider

PROVIDER = LiveProvider(
    name="ollama",
    wire="orchestrator.providers._openai_wire",
    key_envs=("OLLAMA_API_KEY",),
    base_url_env="OLLAMA_BASE_URL",
    base_url="http://localhost:11434/v1",
)
