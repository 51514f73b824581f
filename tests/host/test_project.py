from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import NotFoundError, StateRefusedError, UsageError
from orchestrator.host.project import (
    Project,
    adopt,
    cache_folder,
    config_folder,
    find_project,
    open_state,
    resolve_inside,
    stamp_is_valid,
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "home" / "cfg")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "p" / "workflows").mkdir(parents=True)
    return find_project(tmp_path / "p")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Finding


def test_the_nearest_folder_with_workflows_is_the_project(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "workflows").mkdir()
    inner = tmp_path / "packages" / "inner"
    (inner / "workflows" / "deep").mkdir(parents=True)
    assert find_project(inner / "workflows" / "deep") == Project(inner, declared=True)
    assert find_project(tmp_path / "packages") == Project(tmp_path, declared=True)


def test_a_configuration_file_makes_a_project(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "whisper-flow.yaml").write_text("")
    (tmp_path / "src").mkdir()
    found = find_project(tmp_path / "src")
    assert found == Project(tmp_path, declared=True)
    assert found.config.is_file()


def test_a_file_leads_to_the_project_around_it(project: Project) -> None:
    file = project.workflows / "x.yaml"
    file.write_text("")
    assert find_project(file) == project


def test_the_search_ends_at_the_git_root(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    repository = tmp_path / "repo"
    (repository / ".git").mkdir(parents=True)
    (repository / "sub").mkdir()
    assert find_project(repository / "sub") == Project(repository, declared=False)


def test_a_worktree_has_a_file_for_its_git_folder(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".git").write_text("gitdir: elsewhere")
    assert find_project(tree) == Project(tree, declared=False)


def test_without_a_project_the_folder_itself_is_one(tmp_path: Path) -> None:
    (tmp_path / "lone").mkdir()
    assert find_project(tmp_path / "lone") == Project(tmp_path / "lone", declared=False)


def test_workflows_of_another_program_make_no_project(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    assert find_project(tmp_path / ".github" / "workflows") == Project(tmp_path, declared=False)


def test_the_search_does_not_go_above_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "home" / "x").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert not find_project(tmp_path / "home" / "x").declared


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        find_project(tmp_path / "nowhere")


def test_a_loop_of_links_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NotFoundError):
        find_project(tmp_path / "a")


# Paths


@pytest.mark.parametrize("path", ["", ".", "x/y", "x/../y", "workflows"])
def test_paths_start_at_the_root(project: Project, path: str) -> None:
    assert resolve_inside(project, path) == (project.root / path).resolve()


def test_an_absolute_path_inside_is_inside(project: Project) -> None:
    assert resolve_inside(project, project.root / "x") == project.root / "x"


@pytest.mark.parametrize("path", ["..", "../p2", "x/../../y", "/etc/passwd", "/"])
def test_a_path_that_leads_outside_is_refused(project: Project, path: str) -> None:
    (project.root.parent / "p2").mkdir()
    with pytest.raises(UsageError, match="outside"):
        resolve_inside(project, path)


def test_a_link_that_leads_outside_is_refused(project: Project) -> None:
    (project.root.parent / "secret").write_text("do not show")
    (project.root / "link").symlink_to("../secret")
    (project.root / "folder").symlink_to("/etc")
    for path in ("link", "folder/passwd", "folder/not-there"):
        with pytest.raises(UsageError, match="outside") as caught:
            resolve_inside(project, path)
        assert "do not show" not in str(caught.value)


def test_a_link_that_stays_inside_is_followed(project: Project) -> None:
    (project.root / "file").write_text("")
    (project.root / "link").symlink_to("file")
    assert resolve_inside(project, "link") == project.root / "file"


@pytest.mark.parametrize("path", ["a\0b", "loop/x"])
def test_a_path_that_cannot_be_is_refused(project: Project, path: str) -> None:
    (project.root / "loop").symlink_to("loop")
    with pytest.raises(UsageError):
        resolve_inside(project, path)


# State


def test_the_state_folder_is_private_ignored_and_stamped(project: Project, environ: dict[str, str]) -> None:
    state = open_state(project, environ=environ)
    assert state == project.root / ".whisper-flow"
    assert mode(state) == 0o700
    assert (state / ".gitignore").read_text() == "*\n"
    assert stamp_is_valid(state, environ)
    assert mode(state / "stamp") == 0o600
    assert mode(config_folder(environ) / "key") == 0o600
    assert sorted(entry.name for entry in state.iterdir()) == [".gitignore", "stamp"]


def test_opening_again_changes_nothing(project: Project, environ: dict[str, str]) -> None:
    state = open_state(project, environ=environ)
    before = (state / "stamp").read_bytes()
    (state / "journal.db").write_text("")
    assert open_state(project, environ=environ) == state
    assert (state / "stamp").read_bytes() == before


def test_git_ignores_the_state_folder(project: Project, environ: dict[str, str]) -> None:
    subprocess.run(["git", "init", "-q", project.root], check=True)
    open_state(project, environ=environ)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project.root, check=True, capture_output=True)
    assert status.stdout == b""


def test_a_given_folder_comes_before_the_variable_before_the_project(
    project: Project, environ: dict[str, str], tmp_path: Path
) -> None:
    environ["WHISPER_FLOW_STATE"] = str(tmp_path / "by" / "variable")
    assert open_state(project, tmp_path / "deep" / "given", environ) == tmp_path / "deep" / "given"
    assert open_state(project, None, environ) == tmp_path / "by" / "variable"
    environ["WHISPER_FLOW_STATE"] = "elsewhere"
    assert open_state(project, None, environ) == project.root / "elsewhere"


def test_a_state_folder_that_came_with_a_clone_is_refused_until_adopted(
    project: Project, environ: dict[str, str]
) -> None:
    state = project.root / ".whisper-flow"
    state.mkdir(mode=0o700)
    (state / "journal.db").write_text("")
    with pytest.raises(StateRefusedError) as caught:
        open_state(project, environ=environ)
    assert "doctor --adopt" in (caught.value.help or "")
    assert sorted(entry.name for entry in state.iterdir()) == ["journal.db"]
    adopt(state, environ)
    assert open_state(project, environ=environ) == state


def test_another_users_stamp_is_no_stamp(project: Project, environ: dict[str, str], tmp_path: Path) -> None:
    state = open_state(project, environ=environ)
    (state / "journal.db").write_text("")
    stranger = {**environ, "XDG_CONFIG_HOME": str(tmp_path / "other")}
    assert not stamp_is_valid(state, stranger)
    with pytest.raises(StateRefusedError):
        open_state(project, environ=stranger)


def test_looking_for_a_stamp_makes_no_key(project: Project, environ: dict[str, str]) -> None:
    assert not stamp_is_valid(project.root, environ)
    assert not config_folder(environ).exists()


@pytest.mark.parametrize("stamp", [b"", b"x", b"a b c", b"\xff" * 300, b" " * 70])
def test_a_forged_stamp_is_no_stamp(project: Project, environ: dict[str, str], stamp: bytes) -> None:
    state = open_state(project, environ=environ)
    (state / "journal.db").write_text("")
    (state / "stamp").write_bytes(stamp)
    with pytest.raises(StateRefusedError):
        open_state(project, environ=environ)


def test_a_project_may_be_moved_with_its_state(project: Project, environ: dict[str, str]) -> None:
    open_state(project, environ=environ)
    (project.root / ".whisper-flow" / "journal.db").write_text("")
    moved = project.root.rename(project.root.with_name("moved"))
    assert open_state(find_project(moved), environ=environ) == moved / ".whisper-flow"


def test_a_link_in_the_projects_place_is_refused(project: Project, environ: dict[str, str], tmp_path: Path) -> None:
    mine = open_state(project, tmp_path / "mine", environ)
    (project.root / ".whisper-flow").symlink_to(mine)
    with pytest.raises(StateRefusedError, match="link"):
        open_state(project, environ=environ)
    assert open_state(project, mine, environ) == mine


def test_a_folder_others_can_write_to_is_refused(project: Project, environ: dict[str, str]) -> None:
    state = open_state(project, environ=environ)
    (state / "journal.db").write_text("")
    state.chmod(0o777)
    with pytest.raises(StateRefusedError, match="write"):
        open_state(project, environ=environ)
    adopt(state, environ)
    assert mode(open_state(project, environ=environ)) == 0o700


def test_a_folder_others_can_only_read_is_closed_to_them(project: Project, environ: dict[str, str]) -> None:
    state = open_state(project, environ=environ)
    (state / "journal.db").write_text("")
    state.chmod(0o755)
    assert mode(open_state(project, environ=environ)) == 0o700


def test_an_empty_folder_becomes_a_state_folder(project: Project, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "volume" / "lost+found").mkdir(parents=True)
    assert stamp_is_valid(open_state(project, tmp_path / "volume", environ), environ)


def test_a_file_in_the_states_place_is_said(project: Project, environ: dict[str, str]) -> None:
    (project.root / ".whisper-flow").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        open_state(project, environ=environ)


def test_a_key_that_others_can_read_is_refused(project: Project, environ: dict[str, str]) -> None:
    open_state(project, environ=environ)
    (config_folder(environ) / "key").chmod(0o644)
    with pytest.raises(StateRefusedError, match="key"):
        open_state(project, environ=environ)


def test_a_damaged_key_is_refused(project: Project, environ: dict[str, str]) -> None:
    open_state(project, environ=environ)
    (config_folder(environ) / "key").write_text("zz")
    with pytest.raises(StateRefusedError, match="damaged"):
        open_state(project, environ=environ)


def test_a_config_folder_that_cannot_be_made_is_said(project: Project, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="key"):
        open_state(project, environ={**environ, "XDG_CONFIG_HOME": str(tmp_path / "file")})


def test_nothing_is_adopted_where_nothing_is(project: Project, environ: dict[str, str]) -> None:
    with pytest.raises(NotFoundError):
        adopt(project.root / ".whisper-flow", environ)


def test_eight_processes_may_make_the_state_folder_at_once(project: Project, environ: dict[str, str]) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator.host.project import *;"
        "sys.stdin.read(1); state = open_state(Project(Path(sys.argv[1]), declared=True));"
        "(state / 'journal.db').touch(); print(stamp_is_valid(state))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(project.root)],
            env={**os.environ, **environ, "WHISPER_FLOW_STATE": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"True\n"] * 8


# The user's folders


def test_the_users_folders_follow_xdg(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "/cache", "XDG_CONFIG_HOME": "relative/is/ignored"}
    assert cache_folder(environ) == Path("/cache/whisper-flow")
    if sys.platform == "darwin":
        assert config_folder(environ) == tmp_path / "Library/Application Support/whisper-flow"
    else:
        assert config_folder(environ) == tmp_path / ".config/whisper-flow"
        assert cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache/whisper-flow"
