"""Between our port and pydantic-ai's messages and events. Imported on the first live call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

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
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, Usage
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModelError,
    ChatRequest,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)

OUTPUT_NAME: Final = "answer"
TOKENS_MAX: Final = 2**40
"""No request uses more; whoever reports it is wrong."""

_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "refused",
}
_BROKEN_CALLS: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"})
"""How Google says that its model wrote a call it could not read itself."""


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


def as_settings(translated: dict[str, Any]) -> ModelSettings:
    return cast("ModelSettings", translated)


def parameters(request: ChatRequest, *, native: bool = True) -> ModelRequestParameters:
    """`native`: the service enforces the schema; else it stands in the instructions."""
    tools = [
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
        for tool in request.tools
    ]
    if request.output_schema is None:
        return ModelRequestParameters(function_tools=tools)
    wanted = OutputObjectDefinition(json_schema=request.output_schema, name=OUTPUT_NAME)
    mode: Literal["native", "prompted"] = "native" if native else "prompted"
    return ModelRequestParameters(function_tools=tools, output_mode=mode, output_object=wanted)


def unenforced(who: str, because: str) -> str:
    return f"{who} enforces no schema {because}: it is asked for in words, and checked here"


def check_files(request: ChatRequest, who: str, *, types: frozenset[str], by_address: bool) -> None:
    """Raises ChatModelError for an image or file that the service cannot take; text files go out as text."""
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Image) and part.url and not by_address:
                raise _no_file(f"{who} takes no image by its address", "give the image itself")
            if isinstance(part, File) and not _is_text(part.media_type) and part.media_type not in types:
                raise _no_file(f"{who} cannot read {part.name!r} ({part.media_type})", _readable(types))


def _no_file(message: str, help: str) -> ChatModelError:
    return ChatModelError("invalid_input", message, charged=False, help=help)


def _readable(types: frozenset[str]) -> str:
    return f"it reads images, text and {', '.join(sorted(types))}" if types else "it reads images and text"


def event(given: ModelResponseStreamEvent) -> ChatEvent | None:
    """One of ours; None for what only repeats. The first text of a part is in its start. Raises ChatModelError."""
    match given:
        case PartStartEvent(index=index, part=ToolCallPart() as part):
            # Word for word: it may be the first piece only, which the library would wrap as broken JSON.
            arguments = json.dumps(part.args) if isinstance(part.args, dict) and part.args else part.args or ""
            return ToolCallDelta(index, _sound(arguments), _sound(part.tool_call_id), _sound(part.tool_name))
        case PartStartEvent(part=TextPart(content=text)) if text:
            return TextDelta(_sound(text))
        case PartStartEvent(part=ThinkingPart(content=text)) if text:
            return ReasoningDelta(_sound(text))
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return TextDelta(_sound(text))
        case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text)) if text:
            return ReasoningDelta(_sound(text))
        case PartDeltaEvent(index=index, delta=ToolCallPartDelta() as delta):
            said = delta.args_delta
            arguments = json.dumps(said) if isinstance(said, dict) else said or ""
            return ToolCallDelta(index, _sound(arguments), _sound(delta.tool_call_id or ""), "")
    return None


def _sound(text: object) -> str:
    """SDKs take what comes over the wire at its word: a text may be anything."""
    if not isinstance(text, str):
        raise ChatModelError("outage", f"the provider sent {type(text).__name__} where a text belongs")
    return text


def is_call(event: ChatEvent) -> bool:
    return isinstance(event, ToolCallDelta)


def ending(response: StreamedResponse, *, called: bool) -> list[ChatEvent]:
    """Usage and reason, once the stream is over. Raises ChatModelError for an end without a reason."""
    details: Mapping[str, Any] = response.provider_details or {}
    reason = _FINISH.get(response.finish_reason or "")
    if reason is None:
        raise _unexplained(details.get("finish_reason") or response.finish_reason)
    if reason == "stop" and called:
        reason = "tool_calls"
    events: list[ChatEvent] = []
    usage = _usage(response.usage)
    if usage is not None:
        events.append(UsageReported(usage))
    said = details.get("refusal") or details.get("block_reason_message") or details.get("block_reason")
    events.append(Finished(reason, response.model_name, str(said or "") if reason == "refused" else ""))
    return events


def _unexplained(raw: Any) -> ChatModelError:
    if raw in _BROKEN_CALLS:
        return ChatModelError("invalid_output", f"the model's tool call was broken ({raw})", retryable=True)
    return ChatModelError("outage", f"the provider ended its answer with {raw!r}")


def _usage(used: RequestUsage) -> Usage | None:
    """None if nothing was reported, or nonsense. Cached and reasoning tokens are parts of input and output."""
    if used.unmeasured_requests or not (used.input_tokens or used.output_tokens):
        return None
    details = used.details
    reasoning = used.output_reasoning_tokens or details.get("reasoning_tokens", 0) or details.get("thoughts_tokens", 0)
    counts = (used.input_tokens, used.output_tokens, used.cache_read_tokens, reasoning)
    if not all(isinstance(count, int) and 0 <= count <= TOKENS_MAX for count in counts):
        return None
    return Usage(*counts)
