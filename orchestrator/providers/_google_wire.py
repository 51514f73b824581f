"""The wire format of Google's Gemini API."""

from __future__ import annotations

from typing import Any, Final

from google.genai import Client
from google.genai.types import HttpOptions, HttpRetryOptions
from httpx2 import AsyncClient
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers import _messages as translate
from orchestrator.providers._live import LiveProvider
from orchestrator.providers._settings import Draft, Translated

FILES: Final = frozenset({"application/pdf", "audio/mpeg", "audio/wav", "audio/x-wav", "video/mp4", "video/webm"})
_NEVER: Final = ("parallel_tool_calls", "api")


class OneRequest(GoogleModel):
    """The SDK would send further requests on its own, to go on with a stream that broke; ours are on record, one by one."""

    async def _build_content_and_config(self, *args: Any, **kwargs: Any) -> Any:
        contents, config = await super()._build_content_and_config(*args, **kwargs)
        config["automatic_continuation"] = False
        settings = args[1] if len(args) > 1 else kwargs["model_settings"]
        if extra := settings.get("google_extra_body"):
            config["http_options"] = {**(config.get("http_options") or {}), "extra_body": extra}
        return contents, config


class GoogleWire:
    """Implements _live.Wire."""

    def __init__(self, provider: LiveProvider, base_url: str, key: str | None, client: AsyncClient) -> None:
        self._name = provider.name
        options = HttpOptions(base_url=base_url, httpx_async_client=client, retry_options=HttpRetryOptions(attempts=1))
        sdk = Client(vertexai=False, api_key=key or "none", http_options=options)
        self._connection = GoogleProvider(client=sdk)
        self._models: dict[str, GoogleModel] = {}

    def model(self, request: ChatRequest) -> GoogleModel:
        if request.model not in self._models:
            self._models[request.model] = OneRequest(request.model, provider=self._connection)
        return self._models[request.model]

    def settings(self, request: ChatRequest, model: Model[Any]) -> Translated:
        draft = Draft(request, self._who(request))
        draft.drop(_NEVER)
        effort = draft.effort()
        more: dict[str, Any] = {}
        if effort is not None and model.profile.get("supports_thinking", False):
            more["thinking"] = False if effort == "none" else effort
        elif effort not in (None, "none"):
            draft.notices.append(f"{draft.who} takes no reasoning_effort: left out")
        if draft.extra:
            more["google_extra_body"] = draft.extra
        return draft.translated(**more)

    def parameters(self, request: ChatRequest, model: Model[Any]) -> tuple[ModelRequestParameters, list[str]]:
        if request.output_schema is None:
            return translate.parameters(request), []
        profile: Any = model.profile
        who, notices = self._who(request), []
        native = bool(profile.get("supports_json_schema_output", False))
        if not native:
            notices.append(translate.unenforced(who, "on this model"))
        elif request.tools and not profile.get("google_supports_tool_combination", False):
            native = False
            notices.append(translate.unenforced(who, "beside tools on this model"))
        return translate.parameters(request, native=native), notices

    def check_files(self, request: ChatRequest) -> None:
        translate.check_files(request, self._who(request), types=FILES, by_address=False)

    def _who(self, request: ChatRequest) -> str:
        return f"{self._name}/{request.model}"


WIRE: Final = GoogleWire
