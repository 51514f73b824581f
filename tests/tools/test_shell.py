"""`shell`: what a program sees of the machine, and what becomes of its output, its time and its permission."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.tools import shell as module
from orchestrator.tools._sandbox import Box
from tests.tools.conformance import SECRET, ToolWorld

BOXED = shutil.which("bwrap") is not None
PYTHON = Path(sys.executable).resolve()


def argv(*words: str) -> dict[str, Any]:
    return {"argv": list(words)}


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that has not tried the sandbox yet."""
    monkeypatch.setattr(module.TOOLS, "_works", None)


class TestOutside:
    """Without a sandbox: the same everywhere."""

    changes: dict[str, Any] = {"settings": {"shell": {"sandbox": "none", "allow": ["git", "make"]}}}  # noqa: RUF012

    async def test_output_and_code_come_back(self, world: ToolWorld) -> None:
        given = await world.call("shell", argv("sh", "-c", "echo out; echo err >&2; exit 3"), **self.changes)
        assert given == {"exit_code": 3, "stdout": "out\n", "stderr": "err\n", "sandbox": "none"}

    async def test_words_are_never_read_by_a_shell(self, world: ToolWorld) -> None:
        given = await world.call("shell", argv("echo", "$HOME; `id` > x", "*"), **self.changes)
        assert given["stdout"] == "$HOME; `id` > x *\n"

    async def test_it_works_in_the_tasks_folder_and_reads_what_it_is_given(self, world: ToolWorld) -> None:
        world.file("sub/a.txt")
        where = await world.call("shell", argv("ls"), cwd=world.project / "sub", **self.changes)
        assert where["stdout"] == "a.txt\n"
        assert (await world.call("shell", {"argv": ["cat"], "stdin": "ä"}, **self.changes))["stdout"] == "ä"

    async def test_secrets_are_masked(self, world: ToolWorld) -> None:
        given = await world.call("shell", argv("echo", SECRET), secrets=(SECRET,), **self.changes)
        assert given["stdout"] == "***\n"

    async def test_a_tasks_environment_is_not_a_models_to_read(self, world: ToolWorld) -> None:
        env = {**world.context().env, "TOKEN": "treasure", "NAMED": "seen"}
        settings = {"shell": {"sandbox": "none", "env": ["NAMED"]}}
        said = (await world.call("shell", argv("env"), env=env, settings=settings))["stdout"]
        assert "treasure" not in said
        assert "NAMED=seen" in said
        assert "WHISPER_IDEMPOTENCY_KEY=r1:t:c" in said

    async def test_much_output_is_cut_in_the_middle_and_it_is_said(self, world: ToolWorld) -> None:
        code = "print('a' * 200000 + 'z')"
        given = await world.call("shell", argv(sys.executable, "-c", code), **self.changes)
        assert given["incomplete"]
        assert len(given["stdout"]) < module.OUTPUT_BYTES + 100
        assert given["stdout"].endswith("z\n")
        assert "bytes left out" in given["stdout"]

    async def test_a_program_that_takes_too_long_is_ended_and_its_last_words_are_told(self, world: ToolWorld) -> None:
        call = {"argv": ["sh", "-c", "echo begun; sleep 60"], "timeout": 1}
        error = await world.fail("shell", call, **self.changes)
        assert error.type == "timeout"
        assert error.message == "ended after 1 s; it had said: begun"

    async def test_a_program_that_is_not_there_is_named(self, world: ToolWorld) -> None:
        assert (
            "no-such-program cannot be started"
            in (await world.fail("shell", argv("no-such-program"), **self.changes)).message
        )
        assert (await world.fail("shell", argv("echo", "\0"), **self.changes)).type == "invalid_input"

    async def test_only_programs_that_are_listed_need_no_permission(self, world: ToolWorld) -> None:
        tool: Any = await world.tool("shell", **self.changes)
        assert tool.needs_no_permission(argv("git", "status"))
        for words in (["sh", "-c", "git"], ["/usr/bin/git"], ["./git"], ["git "], [], "git"):
            assert not tool.needs_no_permission({"argv": words})
        assert not tool.needs_no_permission({})
        assert tool.effect == "at_most_once"

    async def test_the_description_says_that_there_is_no_sandbox(self, world: ToolWorld) -> None:
        assert "No sandbox" in (await world.tool("shell", **self.changes)).spec.description


@pytest.mark.skipif(not BOXED, reason="bubblewrap is not installed")
@pytest.mark.usefixtures("anew")
class TestInside:
    async def call(self, world: ToolWorld, *words: str, **shell: Any) -> dict[str, Any]:
        given: dict[str, Any] = await world.call("shell", argv(*words), settings={"shell": shell})
        if given["sandbox"] != "bubblewrap":
            pytest.skip("this system forbids bubblewrap")
        return given

    async def test_the_project_can_be_changed_and_nothing_else(self, world: ToolWorld, tmp_path: Path) -> None:
        (tmp_path / "outside.txt").write_text("treasure")
        assert (await self.call(world, "sh", "-c", "echo x > made.txt"))["exit_code"] == 0
        assert (world.project / "made.txt").read_text() == "x\n"
        seen = await self.call(world, "cat", str(tmp_path / "outside.txt"))
        assert seen["exit_code"] != 0
        assert "treasure" not in seen["stdout"]
        assert (await self.call(world, "sh", "-c", "echo x > /usr/made"))["exit_code"] != 0

    async def test_the_home_folder_is_not_there(self, world: ToolWorld, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / "key").write_text("treasure")
        env = {**world.context().env, "HOME": str(home)}
        given = await world.call("shell", argv("sh", "-c", f"echo $HOME; ls {home}; ls -A $HOME"), env=env)
        assert given["stdout"] == "/tmp/home\n"

    async def test_what_is_closed_to_file_tools_is_empty_inside(self, world: ToolWorld) -> None:
        for name in (".env", ".env.local", "a/b/.env.test", ".whisper-flow/runs/r1/x"):
            world.file(name, "treasure")
        given = await self.call(world, "sh", "-c", "cat .env .env.local a/b/.env.test; ls -A .whisper-flow")
        assert given["stdout"] == ""
        assert (world.project / ".env").read_text() == "treasure"

    async def test_nothing_of_git_can_be_changed(self, world: ToolWorld) -> None:
        for name in (".git/hooks/x", ".git/config", ".git/HEAD"):
            world.file(name, "old")
        given = await self.call(
            world,
            "sh",
            "-c",
            "echo new > .git/hooks/x; echo new > .git/config; echo new > .git/hooks/post; echo new > .git/HEAD",
        )
        assert (world.project / ".git/hooks/x").read_text() == "old", given
        assert (world.project / ".git/config").read_text() == "old"
        assert not (world.project / ".git/hooks/post").exists()
        assert (world.project / ".git/HEAD").read_text() == "old"

    @pytest.mark.parametrize(
        "way",
        [
            "mv .git aside; cp -r aside .git; echo new > .git/hooks/x",
            "echo ../other > .git/commondir; mkdir -p other/hooks",
            "rm -rf .git; mkdir -p .git/hooks; echo new > .git/hooks/x",
        ],
    )
    async def test_no_other_repository_can_be_put_in_its_place(self, world: ToolWorld, way: str) -> None:
        for name in (".git/hooks/x", ".git/config", ".git/HEAD"):
            world.file(name, "old")
        await self.call(world, "sh", "-c", way)
        assert (world.project / ".git/hooks/x").read_text() == "old"
        assert not (world.project / ".git/commondir").exists()

    async def test_a_worktrees_pointer_cannot_be_replaced_either(self, world: ToolWorld) -> None:
        world.file(".git", "gitdir: elsewhere")
        await self.call(world, "sh", "-c", "rm -f .git; mkdir -p .git/hooks")
        assert (world.project / ".git").read_text() == "gitdir: elsewhere"

    async def test_there_is_no_network_unless_it_is_allowed(self, world: ToolWorld) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        world.file("ask.py", f"import socket; socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}), 3)")
        read = {"read": [sys.prefix, sys.base_prefix, str(PYTHON.parents[1])]}
        python = str(PYTHON)
        with listener:
            assert (await self.call(world, python, "ask.py", **read))["exit_code"] == 1
            assert (await self.call(world, python, "ask.py", network=True, **read))["exit_code"] == 0

    async def test_it_sees_no_other_process(self, world: ToolWorld) -> None:
        given = await self.call(world, "sh", "-c", f"kill -0 {os.getpid()} || echo alone")
        assert given["stdout"] == "alone\n"

    async def test_the_description_says_what_it_runs_in(self, world: ToolWorld) -> None:
        description = (await world.tool("shell")).spec.description
        assert "Sandbox: bubblewrap, without network" in description or "No sandbox" in description

    async def test_a_box_that_times_out_leaves_nothing_behind(self, world: ToolWorld) -> None:
        error = await world.fail("shell", {"argv": ["sh", "-c", "setsid sleep 61 & sleep 61"], "timeout": 1})
        assert error.type == "timeout"


async def test_a_required_sandbox_that_does_not_work_refuses_the_tool(
    world: ToolWorld, anew: None, tmp_path: Path
) -> None:
    bare: dict[str, Any] = {"env": {"PATH": str(tmp_path)}}
    error = await world.fail("shell", argv("true"), settings={"shell": {"sandbox": "required"}}, **bare)
    assert error.type == "tool"
    assert "bubblewrap" in error.message


def test_a_box_of_no_level_leaves_the_command_alone(tmp_path: Path) -> None:
    box = Box(level="none", network=False, project=tmp_path, state=tmp_path / "s")
    assert box.command(["a", "b"], tmp_path) == ["a", "b"]
    assert box.environment({"HOME": "/h"}) == {"HOME": "/h"}


def test_secret_files_are_looked_for_in_the_folders_nearest_the_top_and_no_further(tmp_path: Path) -> None:
    for folder in ("a/b", "node_modules/x", "deep/" + "/".join(map(str, range(600)))):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".env").write_text("treasure")
    (tmp_path / "a" / ".env.example").write_text("nothing")
    (tmp_path / "away").symlink_to(tmp_path / "a")
    box = Box(level="bubblewrap", network=False, project=tmp_path, state=tmp_path / ".whisper-flow")
    command = box.command(["true"], tmp_path)
    hidden = [command[at + 2] for at, word in enumerate(command) if command[at : at + 2] == ["--ro-bind", os.devnull]]
    assert hidden == [str(tmp_path / "a" / "b" / ".env")]
