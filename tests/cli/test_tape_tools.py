"""Tools on tapes: called once when recorded, not at all when played, unless one asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from providers.wire_server import error_reply, text_reply, tool_reply

from tests.cli.conftest import Project
from tests.cli.test_tape import Loopback, live

TOOLS = """\
import pathlib

def count(word: str) -> int:
    '''Counts.'''
    with pathlib.Path("called").open("a") as calls:
        calls.write(word + "\\n")
    if word == "bad":
        raise LookupError("no such word")
    return len(word)
"""

AGENT = """\
name: words
agents:
  counter:
    model: openai/gpt-4.1
    ai_config: {max_tokens: 50}
    tools: ['words:count']
    permissions: {allow: ['words:count']}
tasks:
  ask: {agent: counter, prompt: How long are they?}
  plain: {after: ask, tool: 'words:count', args: {word: alone}}
outputs: {said: '${{ ask }}', plain: '${{ plain }}'}
"""


def calls(project: Project) -> list[str]:
    path = project.folder / "called"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def recorded(project: Project) -> tuple[Project, Any]:
    (project.folder / "words.py").write_text(TOOLS)
    file = project.write("words", AGENT)
    names = [("c1", json.dumps({"word": "apple"})), ("c2", json.dumps({"word": "bad"}))]
    asked = tool_reply([(id_, "count", [arguments]) for id_, arguments in names])
    with Loopback(asked, text_reply("Five, and none.")) as wire:
        ran = project.call("run", file, "--record", "t.jsonl", env=live(wire))
        told = wire.received[1].body["messages"]
    assert "no such word" in json.dumps(told), "the failure went back to the model"
    assert sorted(calls(project)) == ["alone", "apple", "bad"]
    return project, ran


def test_tools_are_played_and_not_called(recorded: tuple[Project, Any]) -> None:
    project, live_run = recorded
    (project.folder / "called").unlink()
    (project.folder / "words.py").unlink()
    replayed = project.call("run", "workflows/words.yaml", "--replay", "t.jsonl", "--strict-replay")
    assert replayed.out == live_run.out
    assert calls(project) == []
    listed = project.call("tape", "ls", "t.jsonl").out
    assert "LookupError: no such word" in listed or "no such word" in listed
    project.call("tape", "verify", "t.jsonl")


def test_tools_are_called_on_request(recorded: tuple[Project, Any]) -> None:
    project, live_run = recorded
    (project.folder / "called").unlink()
    replayed = project.call("run", "workflows/words.yaml", "--replay", "t.jsonl", "--live-tools")
    assert replayed.out == live_run.out
    assert sorted(calls(project)) == ["alone", "apple", "bad"]


def test_a_tool_called_with_something_else_misses(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    file = project.write("words", AGENT.replace("word: alone", "word: other"))
    missed = project.call("run", file, "--replay", "t.jsonl", expect=9)
    assert "no answer to tool `words:count` in task `plain`" in missed.err
    assert "`arguments`" in missed.err


def test_an_agent_with_other_tools_misses_before_anything_is_opened(recorded: tuple[Project, Any]) -> None:
    project, _ = recorded
    file = project.write("words", AGENT.replace("tools: ['words:count']", "tools: ['words:count', files.read]"))
    missed = project.call("run", file, "--replay", "t.jsonl", expect=9)
    assert "the tools of agent `counter` in task `ask`" in missed.err


def test_a_workflow_as_a_tool_is_run_anew_and_its_models_are_played(project: Project) -> None:
    project.write(
        "inner",
        "name: inner\ninputs: {n: integer}\nagents: {a: {model: openai/gpt-4.1-mini, ai_config: {max_tokens: 9}}}\n"
        "tasks: {say: {agent: a, prompt: 'Number ${{ inputs.n }}.'}}\noutputs: {said: '${{ say }}'}\n",
    )
    file = project.write(
        "outer",
        "name: outer\ntasks: {call: {tool: 'workflows/inner.yaml', args: {n: 3}}}\noutputs: {all: '${{ call }}'}\n",
    )
    with Loopback(text_reply("Three.")) as wire:
        first = project.call("run", file, "--record", "t.jsonl", env=live(wire))
    entries = [json.loads(line) for line in (project.folder / "t.jsonl").read_text().splitlines()[1:]]
    assert [(e["entry"], e.get("anew", False)) for e in entries] == [("tools", False), ("model", False), ("tool", True)]
    again = project.call("run", file, "--replay", "t.jsonl", "--strict-replay")
    assert again.out == first.out
    assert len(project.call("runs", "--children", "--json").json["runs"]) == 4


FALLBACK = """\
name: fallback
agents:
  writer:
    model: openai/gpt-4.1
    ai_config: {max_tokens: 50, retries: 0}
    fallback: {models: [openai/gpt-4.1-mini], cooldown: 10m}
tasks:
  one: {agent: writer, prompt: One.}
  two: {after: one, agent: writer, prompt: Two.}
outputs: {one: '${{ one }}', two: '${{ two }}'}
"""


def test_a_fallback_is_taken_again_and_the_model_that_failed_is_left_alone_again(project: Project) -> None:
    file = project.write("fallback", FALLBACK)
    with Loopback(error_reply(500, "server_error", "broken"), text_reply("One.")) as wire:
        first = project.call("run", file, "--record", "t.jsonl", env=live(wire))
        models = [received.body["model"] for received in wire.received]
    assert models == ["gpt-4.1", "gpt-4.1-mini", "gpt-4.1-mini"]
    assert project.call("run", file, "--replay", "t.jsonl", "--strict-replay").out == first.out


AGENTS = """\
name: agents
agents:
  chief: {model: openai/gpt-4.1, ai_config: {max_tokens: 50}, sub_agents: [clerk]}
  clerk: {model: openai/gpt-4.1-mini, ai_config: {max_tokens: 50}, description: Counts.}
tasks: {ask: {agent: chief, prompt: How many?}}
outputs: {said: '${{ ask }}'}
"""


def test_agents_asked_by_agents_are_replayed(project: Project) -> None:
    file = project.write("agents", AGENTS)

    def chief_or_clerk(received: Any) -> Any:
        if received.body["model"] == "gpt-4.1-mini":
            return text_reply("Three.")
        if len(received.body["messages"]) > 1:
            return text_reply("There are three.")
        name = received.body["tools"][0]["function"]["name"]
        properties = received.body["tools"][0]["function"]["parameters"]["required"]
        arguments = json.dumps(dict.fromkeys(properties, "Count them."))
        return tool_reply([("c1", name, [arguments]), ("c2", name, [arguments])])

    with Loopback(chief_or_clerk) as wire:
        first = project.call("run", file, "--record", "t.jsonl", env=live(wire))
        assert len(wire.received) == 4
    assert first.json == {"said": "There are three."}
    replayed = project.call("run", file, "--replay", "t.jsonl", "--strict-replay")
    assert replayed.out == first.out
    entries = project.call("tape", "ls", "t.jsonl", "--json").json["entries"]
    assert sorted(entry["agent"] for entry in entries) == ["chief", "chief", "clerk", "clerk"]
