"""`embedded/critic`: marks a text and names one thing to change.

Without a schema it answers `Score: 6 of 10` and the advice; with one, numbers become marks within their range.
"""

from __future__ import annotations

from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers.embedded_models import _judge, _objects
from orchestrator.providers.embedded_models._reply import Reply, prompt_of


class Critic:
    def reply(self, request: ChatRequest) -> Reply:
        text = prompt_of(request).strip()
        if request.output_schema is not None:
            return Reply(_objects.as_json(request.output_schema, _objects.Source(text)))
        judgement = _judge.judge(text)
        return Reply(f"Score: {round(judgement.score * 10)} of 10\n{judgement.advice}")


MODEL = Critic()
