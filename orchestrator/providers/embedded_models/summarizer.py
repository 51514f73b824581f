"""`embedded/summarizer`: picks the sentences, or the lines of a list, that say most. It writes nothing of its own."""

from __future__ import annotations

from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers.embedded_models import _objects, _text
from orchestrator.providers.embedded_models._reply import Reply, files_of, prompt_of, tool_results

SENTENCES = 3


class Summarizer:
    def reply(self, request: ChatRequest) -> Reply:
        wish, material = _text.instruction_and_material(prompt_of(request))
        asked = wish or request.instructions
        more = [files_of(request), *(result.content for result in tool_results(request))]
        material = "\n\n".join([material, *(text for text in more if text)])
        if request.output_schema is not None:
            return Reply(_objects.as_json(request.output_schema, _objects.Source(material, asked)))
        return Reply(summary(material, asked, int(request.settings.get("sentences", SENTENCES))))


def summary(material: str, asked: str, count: int) -> str:
    """Sentences run on; lines of a list stay a list."""
    if _text.is_list(material):
        found = _text.lines(material)
        return "\n".join(f"- {line}" for line in _text.best(found, count, asked))
    return " ".join(_text.best(_text.sentences(material), count, asked))


MODEL = Summarizer()
