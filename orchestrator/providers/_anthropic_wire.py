"""Anthropic's messages wire format."""

from __future__ import annotations

from typing import Any, Final

from anthropic import AsyncAnthropic
from httpx2 import AsyncClient
from pydantic_ai.exceptions import ModelRequestRejectedError, UserError
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.profiles.anthropic import ANTHROPIC_THINKING_BUDGET_MAP
from pydantic_ai.providers.anthropic import AnthropicProvider

from orchestrator.core.messages import ToolResult
from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers import _messages as translate
from orchestrator.providers._live import LiveProvider
from orchestrator.providers._settings import SAMPLING, Draft, Translated

FILES: Final = frozenset({"application/pdf"})
MAX_TOKENS: Final = 16_384
"""Sent where `max_tokens` is not set, since the service requires it; as much as an agent under a budget gets."""
BUDGET_MIN: Final = 1_024
"""Fewest thinking tokens the service takes, where it takes their number."""
_NEVER: Final = ("seed", "presence_penalty", "frequency_penalty", "api")


class AnthropicWire:
    """Implements _live.Wire."""

    def __init__(self, provider: LiveProvider, base_url: str, key: str | None, client: AsyncClient) -> None:
        self._name = provider.name
        sdk = AsyncAnthropic(base_url=base_url, api_key=key or "none", http_client=client, max_retries=0)
        self._connection = AnthropicProvider(anthropic_client=sdk)
        self._models: dict[str, AnthropicModel] = {}

    def model(self, request: ChatRequest) -> AnthropicModel:
        if request.model not in self._models:
            self._models[request.model] = AnthropicModel(request.model, provider=self._connection)
        return self._models[request.model]

    def settings(self, request: ChatRequest, model: Model[Any]) -> Translated:
        profile: Any = model.profile
        draft = Draft(request, self._who(request))
        draft.drop(_NEVER)
        if profile.get("anthropic_disallows_sampling_settings", False):
            draft.drop(SAMPLING)
        if draft.max_tokens is None:
            draft.max_tokens = min(MAX_TOKENS, profile.get("anthropic_max_output_tokens") or MAX_TOKENS)
            draft.notices.append(f"{draft.who} requires `max_tokens`: {draft.max_tokens} is sent")
        more = self._thinking(request, draft, profile)
        if draft.extra:
            more["extra_body"] = draft.extra
        return draft.translated(**more)

    def _thinking(self, request: ChatRequest, draft: Draft, profile: Any) -> dict[str, Any]:
        """`reasoning_effort` as the model takes it: as an effort, or as a number of tokens out of `max_tokens`."""
        effort = draft.effort()
        if effort is None or (effort == "none" and not profile.get("supports_thinking", False)):
            return {}
        if effort == "none":
            return {"thinking": False}
        if not profile.get("supports_thinking", False):
            draft.notices.append(f"{draft.who} takes no reasoning_effort: left out")
            return {}
        if profile.get("anthropic_supports_adaptive_thinking", False):
            draft.drop(SAMPLING, "reasons and ")
            return {"thinking": effort}
        return self._budget(request, draft, effort)

    def _budget(self, request: ChatRequest, draft: Draft, effort: str) -> dict[str, Any]:
        assert draft.max_tokens is not None
        if any(isinstance(part, ToolResult) for part in request.messages[-1].parts):
            # Such a model must be shown its own signed thoughts again, which a conversation on record does not keep.
            draft.notices.append(f"{draft.who} reasons before its first tool call only")
            return {}
        budget = min(ANTHROPIC_THINKING_BUDGET_MAP[effort], draft.max_tokens * 3 // 4)  # type: ignore[index]
        if budget < BUDGET_MIN:
            draft.notices.append(
                f"{draft.who} cannot reason within {draft.max_tokens} max_tokens: reasoning_effort left out"
            )
            return {}
        draft.drop(SAMPLING, "reasons and ")
        return {"anthropic_thinking": {"type": "enabled", "budget_tokens": budget}}

    def parameters(self, request: ChatRequest, model: Model[Any]) -> tuple[ModelRequestParameters, list[str]]:
        if request.output_schema is None:
            return translate.parameters(request), []
        if not model.profile.get("supports_json_schema_output", False):
            notice = translate.unenforced(self._who(request), "on this model")
            return translate.parameters(request, native=False), [notice]
        native = translate.parameters(request)
        try:
            model.prepare_request(None, native)
        except (
            ModelRequestRejectedError,
            UserError,
        ):  # more optional fields, or alternatives, than the service compiles
            notice = translate.unenforced(self._who(request), "as large as this one")
            return translate.parameters(request, native=False), [notice]
        return native, []

    def check_files(self, request: ChatRequest) -> None:
        translate.check_files(request, self._who(request), types=FILES, by_address=True)

    def _who(self, request: ChatRequest) -> str:
        return f"{self._name}/{request.model}"


WIRE: Final = AnthropicWire
