"""`embedded/classifier`: picks one of several words by the words of the text.

The alternatives come from the `output` schema, from `labels`, or from instructions like `billing: invoice, refund`; words
that speak for each from `keywords`, from those instructions, and from a small built-in list.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers.embedded_models import _choice, _objects
from orchestrator.providers.embedded_models._reply import Reply, prompt_of


class Classifier:
    def reply(self, request: ChatRequest) -> Reply:
        material = prompt_of(request)
        hints = _choice.hints(request.instructions, request.settings.get("keywords"))
        if request.output_schema is not None:
            source = _objects.Source(material, hints=hints)
            return Reply(_objects.as_json(request.output_schema, source))
        labels = _labels(request, hints)
        return Reply(_choice.choose(labels, material, hints).label)


def _labels(request: ChatRequest, hints: dict[str, list[str]]) -> list[str]:
    given: Any = request.settings.get("labels")
    if given:
        return [str(label) for label in given]
    if hints:
        return list(hints)
    named = re.search(r"\b(?:one of|either)\b:?\s*([^.\n]+)", request.instructions + "\n" + prompt_of(request))
    if named:
        found = [word.strip(" '\"`") for word in re.split(r",|\bor\b|\||/", named[1])]
        return [word for word in found if word]
    return ["positive", "negative", "neutral"]


MODEL = Classifier()
