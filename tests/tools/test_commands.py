"""`whisper-flow tools` and `whisper-flow memory`, as a person calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Project

FLOW = """
mcp: {clock: {command: no-such-server}}
agents:
  clerk:
    model: embedded/tool-caller
    tools: [files.read, files.write, shell, 'clock.*', 'made:mark', ./size.yaml]
    sub_agents: [other]
    permissions: {allow: ['files.write:path=docs/*'], ask: [workflows/size.yaml]}
  other: {model: embedded/writer, memory: team}
tasks: {t: {agent: clerk, prompt: Hello}}
"""
SIZE = "description: How long a text is.\ninputs: {text: string}\ntasks: {t: {set: '${{ inputs.text | length }}'}}\n"
MARK = 'open(\'ran\', \'w\')\ndef mark(n: int) -> int:\n    """Marks."""\n    return n\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("flow", FLOW)
    made.write("size", SIZE)
    (tmp_path / "made.py").write_text(MARK)
    return made


def test_all_built_in_tools_are_listed_and_one_in_detail(project: Project) -> None:
    ran = project.call("tools", "--json")
    rows = {row["name"]: row for row in ran.json["tools"]}
    assert {"files.read", "files.edit", "shell", "http.get", "ask_person", "memory.search"} <= set(rows)
    assert (rows["files.read"]["effect"], rows["files.read"]["permission"]) == ("pure", "runs")
    assert rows["shell"]["permission"] == "asks at a terminal, else denied"
    detail = project.call("tools", "files.edit")
    assert detail.code == 0
    assert "old" in detail.out
    assert "Text to put in its place." in detail.out


def test_a_files_agents_show_their_tools_without_starting_anything(project: Project) -> None:
    ran = project.call("tools", "workflows/flow.yaml", "--json")
    assert ran.code == 0, ran.err
    rows = {row["name"]: row for row in ran.json["agents"]["clerk"]}
    told = {name: (row["source"], row["permission"]) for name, row in rows.items()}
    assert told == {
        "files.read": ("built in", "runs"),
        "files.write": ("built in", "runs for path=docs/*; else asks at a terminal, else denied"),
        "shell": ("built in", "asks at a terminal, else denied"),
        "clock.*": ("server clock", "runs if it only reads, else as others"),
        "made:mark": ("function", "asks at a terminal, else denied"),
        "workflows/size.yaml": ("workflow", "asks"),
        "ask_other": ("agent", "runs"),
    }
    assert rows["workflows/size.yaml"]["description"] == "How long a text is."
    assert ran.json["agents"]["other"][0]["name"].startswith("memory.")
    assert not (project.folder / "ran").exists()
    assert not (project.folder / ".whisper-flow").exists()


def test_opening_tells_what_a_function_takes(project: Project) -> None:
    text = FLOW.replace("'clock.*', ", "").replace("mcp: {clock: {command: no-such-server}}", "")
    project.write("flow", text)
    ran = project.call("tools", "workflows/flow.yaml", "--open", "--json")
    assert ran.code == 0, ran.err
    rows = {row["name"]: row for row in ran.json["agents"]["clerk"]}
    assert rows["made:mark"]["parameters"]["required"] == ["n"]
    assert rows["workflows/size.yaml"]["parameters"]["required"] == ["text"]
    assert (project.folder / "ran").exists()


def test_an_agent_of_the_configuration_can_be_looked_at(project: Project) -> None:
    (project.folder / "config").mkdir()
    (project.folder / "config" / "whisper-flow.yaml").write_text(
        "tools: {shell: {allow: [git], sandbox: none}}\nagents: {coder: {model: embedded/writer, tools: [shell]}}\n"
    )
    ran = project.call("tools", "coder")
    assert "runs for git; else asks at a terminal, else denied" in ran.out
    assert "sandbox of shell: none, by configuration" in ran.out
    missing = project.call("tools", "codr", expect=2)
    assert missing.code == 2
    assert "did you mean `coder`?" in missing.err


def test_a_broken_file_is_told_as_everywhere(project: Project) -> None:
    project.write("bad", "tasks: {t: {tool: files.raed}}")
    ran = project.call("tools", "workflows/bad.yaml", expect=3)
    assert ran.code == 3
    assert "WF509" in ran.err + ran.out


def test_memories_are_listed_shown_and_cleared(project: Project) -> None:
    assert "nothing is remembered" in project.call("memory").err
    folder = project.folder / ".whisper-flow" / "memory"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "team.md").write_text("## a\n<!-- now -->\n\n\x1b[31mred\n\n## b\n\ntwo\n")
    listed = project.call("memory", "--json").json["memories"]
    assert [(one["name"], one["entries"]) for one in listed] == [("team", 2)]
    shown = project.call("memory", "show", "team")
    assert "a  (now)\n  ␛[31mred" in shown.out
    assert "\x1b" not in shown.out
    assert project.call("memory", "show", "team", "b", "--json").json["entries"][0]["text"] == "two"
    assert project.call("memory", "show", "teem", expect=2).err
    assert project.call("memory", "clear", "team", "a").code == 0
    assert [one["key"] for one in project.call("memory", "show", "team", "--json").json["entries"]] == ["b"]
    assert "with --yes" in project.call("memory", "clear", "team", expect=2).err
    assert project.call("memory", "clear", "team", "--yes").code == 0
    assert project.call("memory", "--json").json["memories"] == []


def test_a_memory_is_edited_by_hand(project: Project) -> None:
    folder = project.folder / ".whisper-flow" / "memory"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "team.md").write_text("## a\n<!-- now -->\n\none\n")
    editor = project.folder / "editor"
    editor.write_text('#!/bin/sh\nprintf "## b\\n\\ntwo\\n" > "$1"\n')
    editor.chmod(0o755)
    ran = project.call("memory", "edit", "team", env={"VISUAL": str(editor), "EDITOR": str(editor)})
    assert ran.code == 0, ran.err
    assert (folder / "team.md").read_text() == "## b\n<!-- by hand -->\n\ntwo\n"


def test_what_changes_workers_is_shown_as_denied_until_it_is_named(project: Project) -> None:
    rows = {row["name"]: row for row in project.call("tools", "workers.*", "--json").json["tools"]}
    assert rows["workers.add"]["permission"] == "denied, unless `allow` names it"
    assert rows["workers.run"]["permission"] == "runs"
    agent = "boss: {model: embedded/writer, tools: ['workers.*'], permissions: {allow: [workers.add]}}"
    file = project.write("boss", f"name: boss\nagents:\n  {agent}\ntasks: {{a: {{agent: boss, prompt: Hi}}}}\n")
    rows = {row["name"]: row for row in project.call("tools", file, "--json").json["agents"]["boss"]}
    assert [rows[f"workers.{name}"]["permission"] for name in ("add", "remove")] == [
        "runs",
        "denied, unless `allow` names it",
    ]
