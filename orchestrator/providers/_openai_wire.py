"""OpenAI's two wire formats: chat completions, which most servers that run models speak, and responses.

`api: responses` in `ai_config` chooses the second. Nothing is stored there: the conversation's record is ours.
"""

from __future__ import annotations

from typing import Any, Final

from httpx2 import AsyncClient
from openai import AsyncOpenAI
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers import _messages as translate
from orchestrator.providers._live import LiveProvider
from orchestrator.providers._settings import SAMPLING, Draft, Translated, api_of

FILES: Final = frozenset({"application/pdf"})
_CHAT_ONLY: Final = ("seed", "stop", "presence_penalty", "frequency_penalty")


class OpenAIWire:
    """Implements _live.Wire."""

    def __init__(self, provider: LiveProvider, base_url: str, key: str | None, client: AsyncClient) -> None:
        self._provider = provider
        # A server that needs no key still gets a header, and OPENAI_API_KEY must not be what stands in it.
        sdk = AsyncOpenAI(base_url=base_url, api_key=key or "none", http_client=client, max_retries=0)
        self._connection = OpenAIProvider(openai_client=sdk)
        self._models: dict[tuple[str, str], Model[Any]] = {}

    def model(self, request: ChatRequest) -> Model[Any]:
        name, api = request.model, api_of(request.settings)
        if (name, api) not in self._models:
            self._models[name, api] = self._made(name, api)
        return self._models[name, api]

    def _made(self, name: str, api: str) -> Model[Any]:
        if api == "responses":
            return OpenAIResponsesModel(name, provider=self._connection)
        profile = OpenAIModelProfile(
            # Without it a stream that just stops would pass for a whole answer.
            openai_chat_streaming_requires_finish_reason=True,
            openai_chat_supports_max_completion_tokens=self._provider.max_completion_tokens,
        )
        return OpenAIChatModel(name, provider=self._connection, profile=profile)

    def settings(self, request: ChatRequest, model: Model[Any]) -> Translated:
        """Models that reason refuse sampling settings with an error; pydantic-ai would drop them without a word to the user."""
        draft = Draft(request, f"{self._provider.name}/{request.model}")
        effort = draft.effort()
        more: dict[str, Any] = {}
        if effort is not None:
            more["openai_reasoning_effort"] = effort
        if _reasons(effort, model.profile):
            draft.drop(SAMPLING, "reasons and ")
        if api_of(request.settings) == "responses":
            draft.drop(_CHAT_ONLY, "by `api: responses` ")
            more["openai_store"] = False
        if self._provider.needs_key:
            draft.drop(("top_k",))
        elif (top_k := draft.given.pop("top_k", None)) is not None:
            draft.extra.setdefault("top_k", top_k)
        if draft.extra:
            more["extra_body"] = draft.extra
        return draft.translated(**more)

    def parameters(self, request: ChatRequest, model: Model[Any]) -> tuple[ModelRequestParameters, list[str]]:
        return translate.parameters(request), []

    def check_files(self, request: ChatRequest) -> None:
        who = f"{self._provider.name}/{request.model}"
        translate.check_files(request, who, types=FILES, by_address=True)


def _reasons(effort: str | None, profile: Any) -> bool:
    """Whether the model will reason on this request, as its profile says."""
    if not profile.get("openai_supports_reasoning", False):
        return False
    efforts = profile.get("openai_reasoning_efforts")
    can_be_off = (
        "none" in efforts if efforts is not None else profile.get("openai_supports_reasoning_effort_none", False)
    )
    if not can_be_off:
        return True
    return effort != "none" if effort is not None else bool(profile.get("thinking_enabled_by_default", False))


WIRE: Final = OpenAIWire
