from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from providers.conformance import ADD, ProviderConformance, Scene, Stage, a_request, answer

from orchestrator import registry
from orchestrator.core.messages import Message, ToolCall, ToolResult, user
from orchestrator.errors import NotFoundError
from orchestrator.ports.chat_model import ChatModelError, ChatRequest, ProviderOptions, TextDelta
from orchestrator.providers import embedded
from orchestrator.providers.embedded_models import _judge

OPTIONS = ProviderOptions()
NAMES = registry.names(embedded.MODELS)


def reply(model: str, prompt: str, **changes: Any) -> str:
    stage = Stage(embedded.PROVIDER.open(OPTIONS), model, {})
    return _run(answer(stage, a_request(stage, prompt, **changes))).message.text


def _run(coroutine: Any) -> Any:
    import asyncio

    return asyncio.run(coroutine)


class TestEmbedded(ProviderConformance):
    # It always reports usage, never sends bytes, and waits only for as long as `pace` says.
    missing = frozenset({"no_usage", "malformed", "slow", "timeout"})

    @asynccontextmanager
    async def set_scene(self, scene: Scene) -> AsyncIterator[Stage]:
        model = "tool-caller" if scene == "tool_calls" else "summarizer"
        told = {"early_end": "cut", "busy": "overloaded"}.get(scene, scene)
        settings: dict[str, Any] = {"fail": told} if told in embedded.FAILURES else {}
        if scene == "rate_limited":
            settings["retry_after"] = 7.0
        chat = embedded.PROVIDER.open(OPTIONS)
        yield Stage(chat, model, settings)
        await chat.close()


def test_ordinary_settings_are_taken_so_that_going_live_is_a_change_of_the_model_alone() -> None:
    from orchestrator.providers._settings import SETTINGS

    assert set(SETTINGS) <= embedded.PROVIDER.settings


def test_the_models_are_the_files() -> None:
    assert NAMES == ("classifier", "critic", "summarizer", "tool-caller", "writer")


def test_an_unknown_model_is_refused_with_a_suggestion() -> None:
    with pytest.raises(NotFoundError, match="there is no model embedded/writter") as caught:
        embedded.PROVIDER.check("writter", OPTIONS)
    assert caught.value.help == "did you mean `writer`?"


def test_a_failure_told_for_two_requests_is_over_at_the_third() -> None:
    chat = embedded.PROVIDER.open(OPTIONS)
    stage = Stage(chat, "writer", {"fail": "overloaded", "fail_times": 2})
    for number in (1, 2):
        with pytest.raises(ChatModelError, match="told to fail"):
            _run(answer(stage, a_request(stage, number=number)))
    assert _run(answer(stage, a_request(stage, number=3))).message.text


def test_a_failure_can_be_told_for_some_prompts_only() -> None:
    stage = Stage(embedded.PROVIDER.open(OPTIONS), "writer", {"fail": "outage", "fail_when": "Rome"})
    assert _run(answer(stage, a_request(stage, "A page about Paris"))).message.text
    with pytest.raises(ChatModelError):
        _run(answer(stage, a_request(stage, "A page about Rome")))


def test_a_failure_nobody_knows_is_named() -> None:
    stage = Stage(embedded.PROVIDER.open(OPTIONS), "writer", {"fail": "flood"})
    with pytest.raises(ChatModelError, match="flood") as caught:
        _run(answer(stage))
    assert "outage" in str(caught.value.help)


def test_pieces_put_together_are_the_text() -> None:
    text = "One two  three\nfour. Five\n\n- six\n- seven " * 7
    assert "".join(embedded._pieces(text)) == text
    assert len(embedded._pieces(text)) > 10


@pytest.mark.parametrize("model", NAMES)
def test_the_same_request_gets_the_same_reply(model: str) -> None:
    prompt = "Write a note:\n- The build is red since Monday.\n- Two people are ill.\n- The release is on Friday."
    assert reply(model, prompt) == reply(model, prompt) != ""


def test_a_summary_is_made_of_the_texts_own_sentences() -> None:
    text = (
        "The council met on Tuesday. It was raining. The council voted to close the old bridge to cars from May. "
        "Somebody coughed. Cyclists and walkers may still use the bridge. The mayor thanked everybody."
    )
    said = reply("summarizer", f"Summarise:\n{text}")
    assert all(sentence.strip() in text for sentence in said.split(". ") if sentence)
    assert "bridge" in said
    assert len(said) < len(text)


def test_a_list_is_summarised_as_a_list() -> None:
    said = reply(
        "summarizer", "Summarise:\n- add json output\n- fix json crash\n- json docs\n- rename a file\n- drop tests"
    )
    assert said.startswith("- ")
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "team"),
    [
        ("I cannot login since the update, it shows an error", "support"),
        ("Could you send a quote for twenty seats of the bigger plan?", "sales"),
        ("You are the lucky winner! Click to claim your prize", "spam"),
    ],
)
def test_the_classifier_picks_the_alternative_the_words_speak_for(text: str, team: str) -> None:
    schema = {
        "type": "object",
        "properties": {"team": {"enum": ["support", "sales", "spam"]}, "confidence": {"type": "number", "maximum": 1}},
        "required": ["team", "confidence"],
    }
    value = json.loads(reply("classifier", text, output_schema=schema))
    assert value["team"] == team
    assert 0.5 < value["confidence"] <= 1


def test_the_classifier_takes_its_words_from_the_instructions() -> None:
    rules = "kitchen: oven, pan, recipe\ngarden: spade, seed, lawn"
    assert reply("classifier", "Where is my spade?", instructions=rules) == "garden"


def test_the_writer_sorts_commits_into_release_notes() -> None:
    log = "3f2a1bc Add streaming\n9c8d7e6 Fix a crash on empty files\n1a2b3c4 docs: explain retries"
    notes = reply("writer", f"Write release notes from these commits:\n{log}")
    assert notes.startswith("# Release notes")
    assert "## New\n\n- Add streaming" in notes
    assert "## Fixed\n\n- Fix a crash on empty files" in notes
    assert "## Changed\n\n- Explain retries" in notes


def test_writer_and_critic_get_better_round_by_round_until_the_critic_is_content() -> None:
    schema = {
        "type": "object",
        "properties": {"points": {"type": "number", "minimum": 0, "maximum": 10}, "critique": {"type": "string"}},
        "required": ["points", "critique"],
    }
    draft, critique, marks = "", "", []
    for _ in range(6):
        draft = reply("writer", f"A pitch for a bicycle courier in Rome\n{draft}\n{critique}")
        score = json.loads(reply("critic", draft, output_schema=schema))
        marks.append(score["points"])
        critique = score["critique"]
    assert marks == sorted(marks)
    assert marks[0] < 8
    assert marks[-1] == 10
    assert critique == _judge.CONTENT


def test_a_critic_without_a_schema_says_it_in_words() -> None:
    assert reply("critic", "Too short.").startswith("Score: ")


def test_the_tool_caller_reports_what_the_tools_returned() -> None:
    stage = Stage(embedded.PROVIDER.open(OPTIONS), "tool-caller", {})
    said = (
        user("Please add a: 1\nb: 2"),
        Message("assistant", (ToolCall("c1", "add", '{"a":1,"b":2}'),)),
        Message("tool", (ToolResult("c1", "add", "3"),)),
    )
    got = _run(answer(stage, a_request(stage, messages=said, tools=(ADD,))))
    assert got.message.text == "add: 3"
    assert not got.message.tool_calls


# A schema of the kind `output:` compiles to; patterns are left out, since no small program can meet them.
_leaves = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.sampled_from(["date", "email", "uri", "date-time", "time"]).map(lambda f: {"type": "string", "format": f}),
    st.tuples(st.integers(0, 30), st.integers(30, 300)).map(
        lambda b: {"type": "string", "minLength": b[0], "maxLength": b[1]}
    ),
    st.tuples(st.integers(-50, 0), st.integers(0, 50)).map(
        lambda b: {"type": "number", "minimum": b[0], "maximum": b[1]}
    ),
    st.tuples(st.integers(-50, 0), st.integers(0, 50)).map(
        lambda b: {"type": "integer", "minimum": b[0], "maximum": b[1]}
    ),
    st.lists(st.sampled_from(["support", "sales", "other", "x"]), min_size=1, unique=True).map(lambda e: {"enum": e}),
)
_names = st.sampled_from(["title", "score", "id", "tags", "reason", "team", "when", "count", "ok", "items", "x y"])


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(_names, inner, min_size=1, max_size=5).map(
        lambda p: {"type": "object", "properties": p, "required": list(p), "additionalProperties": False}
    )


_schemas = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        _objects(inner),
        st.tuples(inner, st.integers(0, 3)).map(lambda t: {"type": "array", "items": t[0], "minItems": t[1]}),
        st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices}),
    ),
    max_leaves=8,
)


@given(_objects(_schemas), st.text(max_size=400), st.sampled_from(NAMES))
def test_whatever_the_text_the_object_fits_the_schema(schema: dict[str, Any], text: str, model: str) -> None:
    request = ChatRequest(model=model, messages=(user(text),), output_schema=schema)
    said = registry.load(embedded.MODELS, model, "MODEL").reply(request)
    problems = [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(said.text))]
    assert problems == []


@given(st.text(max_size=2000), st.sampled_from(NAMES))
def test_no_text_breaks_an_embedded_model(text: str, model: str) -> None:
    registry.load(embedded.MODELS, model, "MODEL").reply(ChatRequest(model=model, messages=(user(text),)))


async def test_text_streams_in_several_pieces() -> None:
    stage = Stage(embedded.PROVIDER.open(OPTIONS), "summarizer", {})
    request = a_request(stage, "A sentence of a good many words, so that it does not come in one piece.")
    pieces = [event async for event in stage.model.stream(request) if isinstance(event, TextDelta)]
    assert len(pieces) > 3


def test_asking_an_embedded_model_imports_nothing_heavy() -> None:
    code = """
import asyncio, sys
from orchestrator.ai.factory import AILoopFactory
schema = {"type": "object", "properties": {"team": {"enum": ["support", "sales"]}}, "required": ["team"]}
async def main():
    loop = AILoopFactory(environ={}).create("a", {"model": "embedded/classifier"})
    assert (await loop.ask("my login is broken", output_schema=schema)).value == {"team": "support"}
asyncio.run(main())
heavy = {"pydantic", "pydantic_ai", "openai", "httpx", "httpx2", "jsonschema", "yaml", "networkx", "genai_prices"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
