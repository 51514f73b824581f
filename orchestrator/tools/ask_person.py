"""`ask_person`: a model asks the people behind the run. The task parks, and the call is made again with their answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orchestrator.ports.tool import PersonNeeded, Question, Tool, ToolContext
from orchestrator.tools._declared import Declaration, DeclaredSource, arguments, text

JSON = Any

QUESTION_LENGTH_MAX: Final = 4000
CHOICES_MAX: Final = 20

DECLARATIONS: Final = (
    Declaration(
        name="ask_person",
        description="Ask a person who is responsible for this work, and wait for the answer. It may take hours.",
        parameters=arguments(
            ["question"],
            question=text("The question, complete in itself.", minLength=1, maxLength=QUESTION_LENGTH_MAX),
            choices={
                "type": "array",
                "items": text("One possible answer.", minLength=1, maxLength=200),
                "minItems": 2,
                "maxItems": CHOICES_MAX,
                "description": "The answers to choose from. Without them, the answer is free text.",
            },
        ),
        effect="pure",
    ),
)


class AskPerson(DeclaredSource):
    prefix = "ask_person"
    declarations = DECLARATIONS

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        async def ask(given: dict[str, JSON], call_id: str) -> JSON:
            key = f"ask_person:{context.key}:{call_id}"
            if key in context.answers:
                return context.answers[key]["answer"]
            raise PersonNeeded(Question(key=key, question=given["question"], schema=_schema(given.get("choices"))))

        return [one.tool(context, ask) for one in chosen]


def _schema(choices: list[str] | None) -> dict[str, JSON]:
    answer: dict[str, JSON] = {"type": "string"}
    if choices:
        answer["enum"] = list(dict.fromkeys(choices))
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}


TOOLS = AskPerson()
