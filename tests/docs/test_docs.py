"""Documentation that is tried: every block of commands, Python and YAML in the README and in `docs/` runs or is
validated.

A block says what happens to it by a comment on the line above its fence:

    <!-- test: run -->              run it (bash, python) in a scratch project, in the order of the page; exit=N expects a code
    <!-- test: skip REASON -->      do not, and say why
    <!-- test: invalid CODE -->     a YAML workflow that must have this finding
    <!-- test: lacks CODE -->       one that must not have it, whatever else is wrong with it

Bash and Python need such a comment. A YAML block without one is a whole workflow and must validate without a finding.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").rglob("*.md")) if not p.name.endswith(".head.md"))]
TRIED = ("bash", "sh", "console", "python", "yaml", "yml")


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str
    action: str
    """run, skip, invalid, lacks, or empty."""
    argument: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The page's fenced blocks in order."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    body: list[str] = []
    before = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if opened is None and (fence := re.match(r"```(\w*)", line)):
            opened, body = (number, fence[1], before), []
        elif opened is not None and line.startswith("```"):
            start, language, comment = opened
            hint = re.fullmatch(r"<!-- test: (\w+) ?(.*?) ?-->", comment)
            action, argument = (hint[1], hint[2]) if hint else ("", "")
            found.append(Block(page, start, language, "\n".join(body) + "\n", action, argument))
            opened = None
        elif opened is not None:
            body.append(line)
        if line.strip():
            before = line.strip()
    assert opened is None, f"{page}: a fence is never closed"
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def test_every_block_that_could_be_tried_says_what_happens_to_it():
    unmarked = [b.place for b in BLOCKS if b.language in TRIED and not b.action and b.language not in ("yaml", "yml")]
    unreasoned = [b.place for b in BLOCKS if b.action == "skip" and not b.argument]
    unknown = [b.place for b in BLOCKS if b.action not in ("", "run", "skip", "invalid", "lacks")]
    nameless = [b.place for b in BLOCKS if not b.language]
    assert not unmarked, "say <!-- test: run --> or <!-- test: skip REASON --> above the fence"
    assert not unreasoned, "a skip needs its reason"
    assert not unknown
    assert not nameless, "a fence names its language; `text` is one"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in ("yaml", "yml")], ids=lambda b: b.place)
def test_yaml_is_valid_or_shows_the_finding_it_promises(block: Block, tmp_path: Path):
    if block.action == "skip":
        pytest.skip(block.argument)
    from orchestrator.spec.validate import validate

    file = project_in(tmp_path) / "workflows" / "shown.yaml"
    file.write_text(block.text)
    codes = [finding.code for finding in validate(file)]
    if block.action == "invalid":
        assert block.argument in codes, f"{block.place} shows {codes}"
    elif block.action == "lacks":
        assert block.argument not in codes, block.place
    else:
        assert codes == [], block.place


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.page == p and b.action == "run" for b in BLOCKS)], ids=str)
def test_a_pages_commands_work_in_the_order_they_are_shown(page: Path, tmp_path: Path):
    project = project_in(tmp_path)
    for block in [b for b in BLOCKS if b.page == page and b.action == "run"]:
        expected = int(block.argument.removeprefix("exit=") or 0) if block.argument.startswith("exit=") else 0
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        if block.language == "python":
            command = [sys.executable, "-c", block.text]
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            command, cwd=project, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        assert done.returncode == expected, f"{block.place} ended {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            linked = (page.parent / target).resolve()
            if linked.suffix == ".md" and linked.exists() and linked not in reached:
                ahead.append(linked)
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_generated_pages_are_fresh():
    from importlib import util

    spec = util.spec_from_file_location("generate_reference", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, page in generate.PAGES.items():
        written = (ROOT / "docs" / "reference" / name).read_text()
        assert written == page(), f"{name} is stale: run python docs/reference/generate.py"


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs" / "explanation" / "dependencies.md").read_text()
    wanted = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    names = [re.split(r"[><=~!; ]", d)[0] for d in wanted if not d.startswith("whisper-flow[")]
    missing = [n for n in names if f"`{n}`" not in reasons and not n.startswith("types-")]
    assert not missing


def project_in(folder: Path) -> Path:
    """A scratch project with the examples, in a git repository of its own with a few commits."""
    project = folder / "project"
    shutil.copytree(ROOT / "workflows", project / "workflows", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "README.md").write_text("# Scratch\n\nA project that documentation is tried in.\n")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    for title in ("Add the examples", "Fix a typo in the readme"):
        subprocess.run(["git", "add", "-A"], cwd=project, check=True)
        subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", title], cwd=project, check=True)
    return project
