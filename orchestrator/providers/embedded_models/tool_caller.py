"""`embedded/tool-caller`: calls the tools whose names and descriptions speak of what is asked, then reports what they said."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from orchestrator.ports.chat_model import ChatRequest, ToolSpec
from orchestrator.providers.embedded_models import _objects, _text
from orchestrator.providers.embedded_models._reply import Reply, prompt_of, tool_results

CALLS_MAX: Final = 4


class ToolCaller:
    def reply(self, request: ChatRequest) -> Reply:
        prompt = prompt_of(request)
        results = tool_results(request)
        if not results and (chosen := chosen_tools(prompt, request.tools)):
            return Reply(tool_calls=tuple((tool.name, arguments(tool, prompt)) for tool in chosen))
        said = "\n".join(result.content for result in results)
        if request.output_schema is not None:
            source = _objects.Source(said or prompt, prompt)
            return Reply(_objects.as_json(request.output_schema, source))
        if not results:
            return Reply("No tool was needed or offered.\n" + " ".join(_text.best(_text.sentences(prompt), 2)))
        return Reply("\n".join(f"{r.name}{' failed' if r.is_error else ''}: {_shown(r.content)}" for r in results))


def chosen_tools(prompt: str, tools: tuple[ToolSpec, ...]) -> list[ToolSpec]:
    """Tools whose name stands in the prompt; else those that share words with it; else the only one there is."""
    named = [tool for tool in tools if tool.name.lower() in prompt.lower()]
    if named:
        return named[:CALLS_MAX]
    asked = set(_text.telling_words(prompt))
    shared = [(len(asked & set(_text.telling_words(f"{_spoken(t.name)} {t.description}"))), t) for t in tools]
    top = max((count for count, _ in shared), default=0)
    if top:
        return [tool for count, tool in shared if count == top][:CALLS_MAX]
    return list(tools) if len(tools) == 1 else []


def _spoken(name: str) -> str:
    return re.sub(r"[._-]+", " ", name)


def arguments(tool: ToolSpec, prompt: str) -> dict[str, Any]:
    """What the tool must be given, from the prompt: what it says after `name:`, what it quotes, numbers, then the rest."""
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    required = set(tool.parameters.get("required", ()))
    quoted = re.findall(r"[\"“'`]([^\"”'`\n]{1,2000})[\"”'`]", prompt)
    filled: dict[str, Any] = {}
    for name, schema in properties.items():
        stated = _objects.labelled(prompt, name) is not None
        if name not in required and not stated:
            continue
        if not stated and quoted and schema.get("type") == "string" and "enum" not in schema:
            filled[name] = quoted.pop(0)
        else:
            filled[name] = _objects.fill(schema, _objects.Source(prompt, prompt, root=tool.parameters), name)
    return filled


def _shown(content: str) -> str:
    try:
        value = json.loads(content)
    except ValueError:
        return _text.clipped(content, 1000)
    return _text.clipped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 1000)


MODEL = ToolCaller()
