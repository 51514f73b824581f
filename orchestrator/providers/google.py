"""`google/*`: Gemini models by Google's Gemini API, or a proxy to it (`GOOGLE_GEMINI_BASE_URL`)."""

from __future__ import annotations

from orchestrator.providers._live import LiveProvider

PROVIDER = LiveProvider(
    name="google",
    wire="orchestrator.providers._google_wire",
    # The second may be a key for something else of Google's.
    key_envs=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    base_url_env="GOOGLE_GEMINI_BASE_URL",
    base_url="https://generativelanguage.googleapis.com",
    needs_key=True,
    extra="google",
    sdk="google.genai",
)
