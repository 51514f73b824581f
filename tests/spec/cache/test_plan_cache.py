"""Compiled plans are kept: an unchanged file starts without YAML, any change is seen, nothing foreign is believed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.plan import encode_plan
from orchestrator.errors import NotFoundError
from orchestrator.spec import plan_cache
from orchestrator.spec.diagnostics import DiagnosticsError
from orchestrator.spec.load import load_workflow
from orchestrator.spec.plan_cache import cached_plan, load_plan, store_plan

HEAVY = ("yaml", "pydantic", "networkx", "jsonschema", "httpx", "rich", "apsw")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "workflows" / "parts").mkdir(parents=True)
    (root / "config" / "agents").mkdir(parents=True)
    (root / "config" / "whisper-flow.yaml").write_text("defaults: {tasks: {retry: 1}}\n")
    (root / "config" / "agents" / "writer.yaml").write_text("writer: {model: embedded/writer}\n")
    (root / "workflows" / "parts" / "child.yaml").write_text("tasks: {t: {set: 1}}\n")
    (root / "workflows" / "main.yaml").write_text(
        "tasks:\n  a: {agent: writer, prompt: Hi}\n  b: {workflow: ./parts/child.yaml}\n  c: {run: x}\n"
    )
    return root


@pytest.fixture
def main(project: Path) -> Path:
    return project / "workflows" / "main.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "plans"


def entry_of(folder: Path) -> Path:
    (entry,) = folder.glob("*.plan")
    return entry


def test_the_second_load_gives_the_same_plan_and_findings(main: Path, folder: Path) -> None:
    assert cached_plan(main, folder=folder) is None
    plan, findings = load_plan(main, folder=folder)
    again = load_plan(main, folder=folder)
    assert (encode_plan(again[0]), again[1]) == (encode_plan(plan), findings)
    assert cached_plan(main, folder=folder) == plan


def test_a_cached_start_imports_nothing_heavy(main: Path, folder: Path) -> None:
    load_plan(main, folder=folder)
    script = (
        "import sys; from pathlib import Path; from orchestrator.spec.plan_cache import load_plan\n"
        "plan, findings = load_plan(sys.argv[1], folder=Path(sys.argv[2]))\n"
        "print(len(plan.scopes[0].nodes), *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, main, folder], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    count, *modules = done.stdout.split()
    assert count == "3"
    assert [name for name in HEAVY if name in modules] == []


def rewrite(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("workflows/main.yaml", rewrite("# x\n")),
        ("workflows/parts/child.yaml", rewrite("# x\n")),
        ("config/whisper-flow.yaml", rewrite("# x\n")),
        ("config/agents/writer.yaml", rewrite("# x\n")),
        ("config/whisper-flow.yaml", Path.unlink),
        ("config/agents/new.yaml", lambda path: path.write_text("other: {model: embedded/writer}\n")),
        ("config/workers/new.yaml", lambda path: (path.parent.mkdir(), path.write_text("{}\n"))),
    ],
)
def test_a_change_of_any_file_behind_the_plan_is_seen(
    project: Path, main: Path, folder: Path, file: str, change: Callable[[Path], object]
) -> None:
    load_plan(main, folder=folder)
    change(project / file)
    assert cached_plan(main, folder=folder) is None
    load_plan(main, folder=folder)
    assert cached_plan(main, folder=folder) is not None


def test_a_change_that_keeps_size_and_time_is_seen(main: Path, folder: Path) -> None:
    load_plan(main, folder=folder)
    before = main.stat()
    main.write_text(main.read_text().replace("run: x", "run: y"))
    os.utime(main, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cached_plan(main, folder=folder) is None


def test_a_link_that_leads_elsewhere_is_seen(project: Path, main: Path, folder: Path) -> None:
    child = project / "workflows" / "parts" / "child.yaml"
    for name in ("one", "two"):
        child.with_name(f"{name}.yaml").write_text(child.read_text())
    child.unlink()
    child.symlink_to("one.yaml")
    load_plan(main, folder=folder)
    child.unlink()
    child.symlink_to("two.yaml")
    assert cached_plan(main, folder=folder) is None


def test_another_release_makes_its_own_plans(main: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_plan(main, folder=folder)
    monkeypatch.setattr(plan_cache, "__version__", "999")
    assert cached_plan(main, folder=folder) is None


def test_a_plan_of_a_broken_file_is_not_kept(main: Path, folder: Path) -> None:
    main.write_text("tasks: {a: {rnu: x}}\n")
    for _ in range(2):
        with pytest.raises(DiagnosticsError):
            load_plan(main, folder=folder)
    assert not folder.exists()
    with pytest.raises(NotFoundError):
        load_plan(main.with_name("none.yaml"), folder=folder)


def test_findings_name_their_file_from_where_one_stands(
    main: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main.write_text("agents: {unused: {model: embedded/writer}}\ntasks: {a: {set: 1}}\n")
    monkeypatch.chdir(main.parent)
    (first,) = load_plan(main, folder=folder)[1]
    monkeypatch.chdir(main.parents[1])
    (again,) = load_plan(main, folder=folder)[1]
    assert (first.file, again.file) == ("main.yaml", "workflows/main.yaml")
    assert first.code == again.code


def test_entries_belong_to_their_owner_alone(main: Path, folder: Path) -> None:
    load_plan(main, folder=folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry_of(folder).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_could_have_written_is_ignored(main: Path, folder: Path, mode: int) -> None:
    load_plan(main, folder=folder)
    entry_of(folder).chmod(mode)
    assert cached_plan(main, folder=folder) is None


def test_an_entry_that_is_a_link_or_a_pipe_is_ignored(main: Path, folder: Path) -> None:
    load_plan(main, folder=folder)
    entry = entry_of(folder)
    moved = entry.rename(entry.with_name("moved"))
    entry.symlink_to(moved)
    assert cached_plan(main, folder=folder) is None
    entry.unlink()
    os.mkfifo(entry)
    assert cached_plan(main, folder=folder) is None


@pytest.mark.parametrize("keep", [0, 5, 30, 200])
def test_a_cut_entry_is_ignored_and_replaced(main: Path, folder: Path, keep: int) -> None:
    load_plan(main, folder=folder)
    entry = entry_of(folder)
    entry.write_bytes(entry.read_bytes()[:keep])
    assert cached_plan(main, folder=folder) is None
    load_plan(main, folder=folder)
    assert cached_plan(main, folder=folder) is not None


def test_every_flipped_byte_is_noticed(main: Path, folder: Path) -> None:
    load_plan(main, folder=folder)
    entry = entry_of(folder)
    good = entry.read_bytes()
    for at in range(0, len(good), max(len(good) // 60, 1)):
        entry.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert cached_plan(main, folder=folder) is None, at


def test_an_entry_of_another_file_is_not_believed(project: Path, main: Path, folder: Path) -> None:
    other = main.with_name("other.yaml")
    other.write_text("tasks: {z: {set: 1}}\n")
    load_plan(main, folder=folder)
    mine = entry_of(folder)
    theirs = mine.with_name("keep").write_bytes(mine.read_bytes())
    assert theirs
    load_plan(other, folder=folder)
    (its,) = [path for path in folder.glob("*.plan") if path != mine]
    its.write_bytes(mine.read_bytes())
    plan = cached_plan(other, folder=folder)
    assert plan is None or plan.workflow == "workflows/other.yaml"


def test_a_file_changed_while_it_was_compiled_is_not_kept(main: Path, folder: Path) -> None:
    from orchestrator.spec.compile import lower

    workflow = load_workflow(main)
    plan = lower(workflow)
    main.write_text(main.read_text() + "# later\n")
    assert not store_plan(workflow, plan, [], folder=folder)
    assert cached_plan(main, folder=folder) is None


def test_a_folder_that_cannot_be_written_costs_only_time(main: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    plan, _ = load_plan(main, folder=blocked / "plans")
    assert plan.name == "main"


def test_the_folder_stays_small(project: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_cache, "ENTRIES_MAX", 3)
    for number in range(6):
        file = project / "workflows" / f"f{number}.yaml"
        file.write_text("tasks: {a: {set: 1}}\n")
        load_plan(file, folder=folder)
        for entry in folder.glob("*.plan"):  # each is older than the next, whatever the clock says
            os.utime(entry, (entry.stat().st_atime, entry.stat().st_mtime - 10))
    assert len(list(folder.iterdir())) == 3
    assert cached_plan(project / "workflows" / "f5.yaml", folder=folder) is not None
    assert cached_plan(project / "workflows" / "f0.yaml", folder=folder) is None


def test_the_user_s_own_cache_folder_is_used(main: Path, own_world: Path) -> None:
    load_plan(main)
    assert list((own_world / "cache" / "whisper-flow" / "plans").glob("*.plan"))
