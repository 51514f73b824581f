"""Between our port and pydantic-ai's messages. Imported on the first live call."""

from __future__ import annotations

from typing import Any, cast

from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModelSettings
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.tools import ToolDefinition

from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult
from orchestrator.ports.chat_model import ChatEvent, ChatRequest, ReasoningDelta, TextDelta, ToolCallDelta
from orchestrator.providers._openai_chat import _SAMPLING, SETTINGS

OUTPUT_NAME = "answer"


def messages(request: ChatRequest) -> list[ModelMessage]:
    translated = [_message(message) for message in request.messages]
    if request.instructions:
        for message in reversed(translated):
            if isinstance(message, ModelRequest):
                message.instructions = request.instructions
                break
    return translated


def _message(message: Message) -> ModelMessage:
    if message.role == "assistant":
        parts: list[TextPart | ToolCallPart] = []
        for part in message.parts:
            if isinstance(part, Text):
                parts.append(TextPart(part.text))
            elif isinstance(part, ToolCall):
                parts.append(ToolCallPart(part.name, part.arguments, tool_call_id=part.id))
        return ModelResponse(parts=parts)
    request: list[ModelRequestPart] = []
    said: list[UserContent] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            content = f"Error: {part.content}" if part.is_error else part.content
            request.append(ToolReturnPart(part.name, content, tool_call_id=part.call_id))
        else:
            said += _content(part)
    if said:
        request.append(UserPromptPart(said[0] if len(said) == 1 and isinstance(said[0], str) else said))
    return ModelRequest(parts=request)


def _content(part: Any) -> list[UserContent]:
    match part:
        case Text(text):
            return [text]
        case Image(url=url) if url:
            return [ImageUrl(url)]
        case Image(media_type=media_type, data=data):
            return [BinaryContent(data, media_type=media_type)]
        case File(name=name, media_type=media_type, data=data) if _is_text(media_type):
            return [f"File {name}:\n{data.decode('utf-8', 'replace')}"]
        case File(name=name, media_type=media_type, data=data):
            return [f"File {name}:", BinaryContent(data, media_type=media_type)]
    raise AssertionError(f"{type(part).__name__} in a user's message")


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type.endswith(("json", "yaml", "xml", "javascript"))


def settings(request: ChatRequest, profile: OpenAIModelProfile) -> tuple[OpenAIChatModelSettings, list[str]]:
    """Exactly what the request sets, in pydantic-ai's names, and what had to be left out.

    Models that reason refuse sampling settings with an error. pydantic-ai would drop them behind a Python warning; here the
    user is told.
    """
    given = {name: value for name, value in request.settings.items() if name in SETTINGS}
    if request.temperature is not None:
        given["temperature"] = request.temperature
    dropped = [name for name in _SAMPLING if name in given] if _reasons(given, profile) else []
    translated: dict[str, Any] = {SETTINGS.get(k, k): v for k, v in given.items() if k not in dropped}
    if isinstance(translated.get("stop_sequences"), str):
        translated["stop_sequences"] = [translated["stop_sequences"]]
    if request.max_tokens is not None:
        translated["max_tokens"] = request.max_tokens
    if extra := request.settings.get("extra"):
        translated["extra_body"] = dict(extra)
    return cast("OpenAIChatModelSettings", translated), list(dropped)


def _reasons(given: dict[str, Any], profile: OpenAIModelProfile) -> bool:
    """Whether the model will reason on this request, as its profile says."""
    if not profile.get("openai_supports_reasoning", False):
        return False
    efforts = profile.get("openai_reasoning_efforts")
    can_be_off = (
        "none" in efforts if efforts is not None else profile.get("openai_supports_reasoning_effort_none", False)
    )
    if not can_be_off:
        return True
    effort = given.get("reasoning_effort")
    return effort != "none" if effort is not None else bool(profile.get("thinking_enabled_by_default", False))


def parameters(request: ChatRequest) -> ModelRequestParameters:
    tools = [
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
        for tool in request.tools
    ]
    if request.output_schema is None:
        return ModelRequestParameters(function_tools=tools)
    wanted = OutputObjectDefinition(json_schema=request.output_schema, name=OUTPUT_NAME)
    return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=wanted)


def event(given: ModelResponseStreamEvent) -> ChatEvent | None:
    """One of ours; None for what only repeats. The first text of a part is in its start."""
    match given:
        case PartStartEvent(index=index, part=ToolCallPart() as part):
            return ToolCallDelta(index, part.args_as_json_str() if part.args else "", part.tool_call_id, part.tool_name)
        case PartStartEvent(part=TextPart(content=text)) if text:
            return TextDelta(text)
        case PartStartEvent(part=ThinkingPart(content=text)) if text:
            return ReasoningDelta(text)
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return TextDelta(text)
        case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text)) if text:
            return ReasoningDelta(text)
        case PartDeltaEvent(index=index, delta=ToolCallPartDelta() as delta):
            arguments = delta.args_delta if isinstance(delta.args_delta, str) else ""
            return ToolCallDelta(index, arguments, delta.tool_call_id or "", "")
    return None
