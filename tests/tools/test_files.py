"""`files.*`: what they give, what they refuse, and that nothing outside the roots is ever reached."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import TaskError
from orchestrator.ports.tool import ToolContext
from orchestrator.tools import _file_reading, _file_searching, _file_writing
from orchestrator.tools._places import Places, Root, is_hidden_name, places_of
from tests.tools.conformance import ToolWorld

ROOTS = {"roots": ["docs", {"path": "vendor", "write": False}]}


class TestReading:
    async def test_a_whole_file_comes_as_it_is(self, world: ToolWorld) -> None:
        world.file("a.txt", "one\r\ntwo\n\nfour")
        assert await world.call("files.read", {"path": "a.txt"}) == "one\r\ntwo\n\nfour"

    async def test_some_lines_say_where_they_stand_and_how_to_go_on(self, world: ToolWorld) -> None:
        world.file("a.txt", "".join(f"line {n}\n" for n in range(1, 11)))
        text = await world.call("files.read", {"path": "a.txt", "start": 2, "end": 3})
        assert text == "line 2\nline 3\n[lines 2 to 3 of 10; go on with start: 4]"
        last = await world.call("files.read", {"path": "a.txt", "start": 10})
        assert last == "line 10\n[lines 10 to 10 of 10]"

    async def test_a_long_file_is_cut_at_a_line_and_says_so(self, world: ToolWorld) -> None:
        world.file("long.txt", "x" * 999 + "\n" + ("y" * 999 + "\n") * 500)
        text = await world.call("files.read", {"path": "long.txt"})
        assert len(text) < _file_reading.RESULT_BYTES + 100
        assert text.endswith("of 501; go on with start: 263]")

    async def test_reading_on_gives_every_line_once(self, world: ToolWorld) -> None:
        lines = [f"{n} " + "z" * (n % 3000) + "\n" for n in range(1000)]
        world.file("long.txt", "".join(lines))
        got, start = "", 1
        while True:
            text = await world.call("files.read", {"path": "long.txt", "start": start})
            body, _, note = text.rpartition("[lines ")
            got += body
            if "go on with start: " not in note:
                break
            start = int(note.removesuffix("]").rpartition(": ")[2])
        assert got == "".join(lines)

    @pytest.mark.parametrize(
        ("path", "content", "word"),
        [
            ("a.bin", b"\x00\x01\x02", "binary file of 3 bytes"),
            ("gone.txt", None, "there is no file"),
            (".", None, "is a folder"),
        ],
    )
    async def test_what_is_no_text_file_is_refused_plainly(
        self, world: ToolWorld, path: str, content: bytes | None, word: str
    ) -> None:
        if content is not None:
            world.file(path, content)
        assert word in (await world.fail("files.read", {"path": path})).message

    async def test_a_pipe_holds_nobody_up(self, world: ToolWorld) -> None:
        os.mkfifo(world.project / "pipe")
        assert "no ordinary file" in (await world.fail("files.read", {"path": "pipe"})).message

    async def test_a_mistyped_name_gets_a_suggestion(self, world: ToolWorld) -> None:
        world.file("README.md")
        assert (await world.fail("files.read", {"path": "REDME.md"})).help == "did you mean `README.md`?"

    async def test_lines_that_are_not_there_are_said(self, world: ToolWorld) -> None:
        world.file("a.txt", "one\n")
        assert "has 1 lines" in (await world.fail("files.read", {"path": "a.txt", "start": 5})).message
        world.file("b.txt", "one\ntwo\n")
        assert "is before" in (await world.fail("files.read", {"path": "b.txt", "start": 2, "end": 1})).message


class TestListingAndSearching:
    async def test_a_folder_shows_what_may_be_seen(self, world: ToolWorld) -> None:
        for name in ("b.txt", "a/c.py", ".git/config", ".env", ".env.example", ".whisper-flow/runs/x"):
            world.file(name)
        (world.project / "link").symlink_to("b.txt")
        given = await world.call("files.list")
        assert given == {"path": ".", "entries": [".env.example", "a/", "b.txt", "link@"]}

    async def test_a_glob_looks_into_folders_below(self, world: ToolWorld) -> None:
        for name in ("a.py", "src/b.py", "src/deep/c.py", "src/d.txt"):
            world.file(name)
        deep = await world.call("files.list", {"pattern": "*.py", "recursive": True})
        assert deep["entries"] == ["a.py", "src/b.py", "src/deep/c.py"]
        below = await world.call("files.list", {"pattern": "src/**"})
        assert below["entries"] == ["src/b.py", "src/d.txt", "src/deep/", "src/deep/c.py"]
        assert (await world.call("files.list", {"pattern": "**/*.py"}))["entries"] == deep["entries"]

    async def test_links_are_not_followed_out_of_a_listing(self, world: ToolWorld, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret.txt").write_text("treasure")
        (world.project / "out").symlink_to(outside)
        assert (await world.call("files.list", {"recursive": True}))["entries"] == ["out@"]
        assert (await world.call("files.search", {"text": "treasure"}))["matches"] == []

    async def test_many_entries_are_bounded_and_it_is_said(
        self, world: ToolWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_file_reading, "ENTRIES_MAX", 3)
        for n in range(5):
            world.file(f"{n}.txt")
        given = await world.call("files.list")
        assert given["entries"] == ["0.txt", "1.txt", "2.txt"]
        assert given["incomplete"]

    async def test_a_text_is_found_with_its_line(self, world: ToolWorld) -> None:
        world.file("a.py", "import os\nprint(os.sep)\n")
        world.file("b.bin", b"\x00print")
        assert await world.call("files.search", {"text": "print"}) == {
            "matches": [{"path": "a.py", "line": 2, "text": "print(os.sep)"}]
        }
        assert (await world.call("files.search", {"text": "PRINT"}))["matches"] == []
        found = await world.call("files.search", {"text": "PRINT", "ignore_case": True})
        assert len(found["matches"]) == 1

    async def test_a_pattern_is_found_within_lines(self, world: ToolWorld) -> None:
        world.file("a.py", "def one():\ndef two():\n")
        found = await world.call("files.search", {"pattern": r"^def \w+\(", "glob": "*.py", "most": 1})
        assert [one["line"] for one in found["matches"]] == [1]
        assert found["incomplete"]

    async def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time(self, world: ToolWorld) -> None:
        world.file("a.txt", "a" * 20_000 + "b\n")
        assert (await world.call("files.search", {"pattern": "(a+)+$"}))["matches"] == []

    async def test_what_is_no_pattern_is_said(self, world: ToolWorld) -> None:
        assert "cannot be read" in (await world.fail("files.search", {"pattern": "(a"})).message
        assert "either" in (await world.fail("files.search", {})).message
        assert "either" in (await world.fail("files.search", {"text": "a", "pattern": "a"})).message

    async def test_a_search_ends_at_its_bound_of_text(self, world: ToolWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_file_searching, "SEARCHED_BYTES", 10)
        world.file("a.txt", "x" * 20)
        world.file("b.txt", "needle")
        assert await world.call("files.search", {"text": "needle"}) == {"matches": [], "incomplete": True}


class TestWriting:
    async def test_a_file_is_made_with_its_folders_and_then_replaced(self, world: ToolWorld) -> None:
        made = await world.call("files.write", {"path": "new/a.txt", "content": "ä\n"})
        assert made == {"path": "new/a.txt", "bytes": 3, "created": True}
        assert not (await world.call("files.write", {"path": "new/a.txt", "content": "b"}))["created"]
        assert (world.project / "new/a.txt").read_text() == "b"
        assert (
            "there already"
            in (await world.fail("files.write", {"path": "new/a.txt", "content": "c", "replace": False})).message
        )

    async def test_a_script_stays_one(self, world: ToolWorld) -> None:
        world.file("run.sh", "old").chmod(0o755)
        await world.call("files.write", {"path": "run.sh", "content": "new"})
        assert (world.project / "run.sh").stat().st_mode & 0o777 == 0o755

    async def test_writing_through_a_link_changes_what_it_leads_to(self, world: ToolWorld) -> None:
        world.file("real.txt", "old")
        (world.project / "link.txt").symlink_to("real.txt")
        await world.call("files.write", {"path": "link.txt", "content": "new"})
        assert (world.project / "link.txt").is_symlink()
        assert (world.project / "real.txt").read_text() == "new"

    async def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
        self, world: ToolWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.file("a.txt", "old")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        assert "No space left" in (await world.fail("files.write", {"path": "a.txt", "content": "new"})).message
        assert [file.name for file in world.project.iterdir()] == ["a.txt"]
        assert (world.project / "a.txt").read_text() == "old"

    async def test_a_text_that_stands_once_is_replaced(self, world: ToolWorld) -> None:
        world.file("a.py", "one\ntwo\nthree\n")
        made = await world.call("files.edit", {"path": "a.py", "old": "two", "new": "2"})
        assert made == {"path": "a.py", "replaced": 1, "line": 2}
        assert (world.project / "a.py").read_text() == "one\n2\nthree\n"

    async def test_line_ends_stay_as_they_were(self, world: ToolWorld) -> None:
        world.file("a.txt", b"one\r\ntwo\r\n")
        await world.call("files.edit", {"path": "a.txt", "old": "two", "new": "2"})
        assert (world.project / "a.txt").read_bytes() == b"one\r\n2\r\n"

    @pytest.mark.parametrize(
        ("old", "word", "help"),
        [
            ("a", "stands 2 times", "give more of it, or `all: true`"),
            ("zebra", "is not in", None),
            ("a  b", "is not in", "it is there with other spaces or line breaks: copy it from `files.read`"),
        ],
    )
    async def test_an_unclear_edit_changes_nothing(
        self, world: ToolWorld, old: str, word: str, help: str | None
    ) -> None:
        world.file("a.txt", "a b\na\n")
        error = await world.fail("files.edit", {"path": "a.txt", "old": old, "new": "x"})
        assert word in error.message
        assert error.help == help
        assert (world.project / "a.txt").read_text() == "a b\na\n"

    async def test_all_of_them_are_replaced_if_asked(self, world: ToolWorld) -> None:
        world.file("a.txt", "a a")
        assert (await world.call("files.edit", {"path": "a.txt", "old": "a", "new": "aa", "all": True}))[
            "replaced"
        ] == 2
        assert (world.project / "a.txt").read_text() == "aa aa"

    async def test_an_edit_made_again_after_a_crash_happens_once(self, world: ToolWorld) -> None:
        world.file("a.txt", "a")
        edit = {"path": "a.txt", "old": "a", "new": "aa", "all": True}
        first = await world.call("files.edit", edit, "call-1")
        assert await world.call("files.edit", edit, "call-1") == first
        assert (world.project / "a.txt").read_text() == "aa"
        await world.call("files.edit", edit, "call-2")
        assert (world.project / "a.txt").read_text() == "aaaa"

    async def test_an_edit_that_was_noted_but_not_made_is_made(
        self, world: ToolWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.file("a.txt", "a")
        edit = {"path": "a.txt", "old": "a", "new": "aa"}
        with monkeypatch.context() as crash:
            crash.setattr(_file_writing, "_replace", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                await world.call("files.edit", edit, "call-1")
        await world.call("files.edit", edit, "call-1")
        assert (world.project / "a.txt").read_text() == "aa"

    async def test_an_interrupted_edit_of_a_file_that_changed_since_is_told(self, world: ToolWorld) -> None:
        world.file("a.txt", "a")
        await world.call("files.edit", {"path": "a.txt", "old": "a", "new": "b"}, "call-1")
        world.file("a.txt", "a and more")
        error = await world.fail("files.edit", {"path": "a.txt", "old": "a", "new": "b"}, "call-1")
        assert "changed since" in error.message

    async def test_only_files_are_deleted_and_only_once(self, world: ToolWorld) -> None:
        world.file("d/a.txt")
        assert await world.call("files.delete", {"path": "d/a.txt"}) == {"path": "d/a.txt", "deleted": True}
        assert not (await world.call("files.delete", {"path": "d/a.txt"}))["deleted"]
        assert "folder" in (await world.fail("files.delete", {"path": "d"})).message
        assert "folder" in (await world.fail("files.delete", {"path": "d/.."})).message

    async def test_deleting_a_link_leaves_what_it_leads_to(self, world: ToolWorld) -> None:
        world.file("real.txt", "kept")
        (world.project / "link").symlink_to("real.txt")
        await world.call("files.delete", {"path": "link"})
        assert (world.project / "real.txt").read_text() == "kept"
        assert not (world.project / "link").is_symlink()


class TestRoots:
    @pytest.mark.parametrize(
        "path",
        [".git/config", ".env", ".env.local", ".ENV", "sub/.git/x", ".whisper-flow/x", "../x", "/etc/passwd", "~/x"],
    )
    async def test_what_is_closed_is_denied_without_a_word_of_its_content(self, world: ToolWorld, path: str) -> None:
        for name in (".git/config", ".env", ".env.local", "sub/.git/x", ".whisper-flow/x"):
            world.file(name, "treasure")
        for call in ({"path": path}, {"path": path, "content": "x"}):
            error = await world.fail("files.write" if "content" in call else "files.read", call)
            assert error.type == "denied"
            assert "treasure" not in error.message

    async def test_a_link_out_of_the_project_is_denied(self, world: ToolWorld, tmp_path: Path) -> None:
        (tmp_path / "outside.txt").write_text("treasure")
        (world.project / "link").symlink_to(tmp_path / "outside.txt")
        (world.project / "env").symlink_to(".env")
        world.file(".env", "treasure")
        for path in ("link", "env"):
            assert (await world.fail("files.read", {"path": path})).type == "denied"
            assert (await world.fail("files.write", {"path": path, "content": "x"})).type == "denied"
        assert (tmp_path / "outside.txt").read_text() == "treasure"

    async def test_declared_roots_replace_the_project(self, world: ToolWorld) -> None:
        world.file("docs/a.txt", "a")
        world.file("vendor/b.txt", "b")
        world.file("c.txt", "c")
        changes: dict[str, Any] = {"settings": {"files": ROOTS}}
        assert await world.call("files.read", {"path": "docs/a.txt"}, **changes) == "a"
        assert await world.call("files.read", {"path": "vendor/b.txt"}, **changes) == "b"
        assert "outside the folders" in (await world.fail("files.read", {"path": "c.txt"}, **changes)).message
        refused = await world.fail("files.write", {"path": "vendor/b.txt", "content": "x"}, **changes)
        assert "may be read, not changed" in refused.message

    async def test_a_root_within_a_closed_folder_is_meant(self, world: ToolWorld) -> None:
        world.file(".git/hooks/x", "hook")
        roots: dict[str, Any] = {"settings": {"files": {"roots": [".git/hooks"]}}}
        assert await world.call("files.read", {"path": ".git/hooks/x"}, **roots) == "hook"

    async def test_paths_start_at_the_tasks_folder(self, world: ToolWorld) -> None:
        world.file("sub/a.txt", "a")
        world.file("b.txt", "b")
        there = world.project / "sub"
        assert await world.call("files.read", {"path": "a.txt"}, cwd=there) == "a"
        assert await world.call("files.read", {"path": "../b.txt"}, cwd=there) == "b"
        assert (await world.call("files.list", {"path": ".."}, cwd=there))["path"] == ".."

    @pytest.mark.parametrize("name", [".env", ".ENV", ".Git", ".env.production", ".whisper-flow"])
    def test_hidden_names_are_hidden_in_any_case(self, name: str) -> None:
        assert is_hidden_name(name)

    @pytest.mark.parametrize("name", [".envrc", "env", ".github", ".gitignore", ".env.example", "a.env"])
    def test_ordinary_names_are_not(self, name: str) -> None:
        assert not is_hidden_name(name)


PARTS = st.sampled_from(
    [
        "..", ".", "a", "b", "down", "up", "out", "home", "loop", ".git", ".env", ".whisper-flow", ".GIT", "", "~", "a.txt",
        "config", "…", "\u202e", "nul\0l", "x" * 300, "*", "?", "c:", "\\", " ", "-rf",
    ]
)  # fmt: skip
PATHS = st.builds(
    lambda start, parts: start + "/".join(parts),
    st.sampled_from(["", "/", "//", "./", "../"]),
    st.lists(PARTS, max_size=7),
)


@pytest.fixture
def maze(tmp_path: Path) -> tuple[Places, Path]:
    """A project full of links, with a treasure outside of it and in its closed folders."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    for folder in (project / "a" / "b", project / ".git", project / ".whisper-flow", outside):
        folder.mkdir(parents=True)
    for file in (outside / "a.txt", project / ".git" / "config", project / ".env", project / ".whisper-flow" / "a"):
        file.write_text("treasure")
    (project / "a.txt").write_text("open")
    (project / "a" / "up").symlink_to("..")
    (project / "a" / "out").symlink_to(outside)
    (project / "down").symlink_to("a/b")
    (project / "up").symlink_to("../project")
    (project / "out").symlink_to("../outside")
    (project / "home").symlink_to(".git")
    (project / "loop").symlink_to("loop")
    return Places((Root(project.resolve()),), project.resolve(), (project / ".whisper-flow").resolve()), tmp_path


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS)
def test_no_path_leads_out_of_the_roots(maze: tuple[Places, Path], path: str) -> None:
    places, _ = maze
    try:
        real = places.find(path)
    except TaskError:
        return
    root = places.roots[0].path
    assert os.path.realpath(real) == str(real)
    assert real == root or root in real.parents
    assert not any(is_hidden_name(part) for part in real.relative_to(root).parts)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS, what=st.sampled_from(["read", "write", "edit", "delete", "list", "search"]))
def test_no_call_touches_or_tells_anything_outside(maze: tuple[Places, Path], path: str, what: str) -> None:
    places, top = maze
    guarded = [top / "outside" / "a.txt", *(places.cwd / name for name in (".git/config", ".env", ".whisper-flow/a"))]
    try:
        match what:
            case "read":
                said: Any = _file_reading.read(places, path, None, None)
            case "write":
                said = _file_writing.write(places, path, "mine", replace=True)
            case "edit":
                said = _file_writing.edit(places, path, "e", "E", every=True, notes=top / "notes", mark=path)
            case "delete":
                said = _file_writing.delete(places, path)
            case "list":
                said = _file_reading.listing(places, path, None, True)
            case _:
                fitting = _file_searching.text_fits("treasure", False)
                said = _file_searching.search(places, path, fitting=fitting, glob=None, most=10)
    except TaskError as error:
        said = error.message
    assert "treasure" not in json.dumps(said)
    for file in guarded:
        assert file.read_text() == "treasure"
    assert {entry.name for entry in top.iterdir()} <= {"project", "outside", "notes"}
    assert [entry.name for entry in (top / "outside").iterdir()] == ["a.txt"]


def test_the_state_folder_is_closed_wherever_it_is(world: ToolWorld) -> None:
    context: ToolContext = world.context(run_dir=world.project / "state" / "runs" / "r1")
    (world.project / "state" / "runs").mkdir(parents=True)
    places = places_of(context)
    with pytest.raises(TaskError, match="closed"):
        places.find("state/runs")
