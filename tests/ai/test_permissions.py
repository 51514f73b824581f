"""What an agent may do with its tools: laws of the rule, and paths and globs that somebody tries to get round it with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.permissions import (
    CallArguments,
    Permissions,
    Readings,
    read_permissions,
)
from orchestrator.core.tool_patterns import matches, parse_pattern

NAMES = ["files.read", "files.write", "shell", "reports:count", "a"]
PATTERNS = [
    "*",
    "files.*",
    "files.write",
    "shell",
    "shell:argv=git *",
    "files.write:path=docs/*",
    "a:x=*1*",
    "reports:*",
]
VALUES = ["docs/a.md", "src/a", "git log", "git push; rm", "", "1", "x1y"]

patterns = st.lists(st.sampled_from(PATTERNS), max_size=3)
rules = st.fixed_dictionaries({"deny": patterns, "ask": patterns, "allow": patterns})
calls = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))


def verdict(said: Any, call: tuple[str, str], *, free: bool = False, attended: bool = False) -> str:
    name, value = call
    return read_permissions(said).decide(name, lambda _: Readings((value,)), free=free, attended=attended).verdict


def fits(pattern: str, call: tuple[str, str]) -> bool:
    one = parse_pattern(pattern)
    return matches(one.tool, call[0]) and (one.argument is None or matches(one.glob, call[1]))


@given(said=rules, call=calls, free=st.booleans(), attended=st.booleans())
def test_deny_wins_over_ask_and_ask_over_allow(said: Any, call: Any, free: bool, attended: bool) -> None:
    found = verdict(said, call, free=free, attended=attended)
    fitting = {word: any(fits(pattern, call) for pattern in said[word]) for word in said}
    if fitting["deny"]:
        assert found == "deny"
    elif fitting["ask"]:
        assert found == "ask"
    elif fitting["allow"] or free:
        assert found == "allow"
    else:
        assert found == ("ask" if attended else "deny")


@given(said=rules, more=patterns, call=calls, word=st.sampled_from(["deny", "ask"]), attended=st.booleans())
def test_a_pattern_that_forbids_never_lets_more_through(
    said: Any, more: Any, call: Any, word: str, attended: bool
) -> None:
    order = ["allow", "ask", "deny"]
    stricter = {**said, word: said[word] + more}
    before, after = (verdict(one, call, attended=attended) for one in (said, stricter))
    assert order.index(after) >= order.index(before) or (word == "ask" and before == "deny" and after == "ask")


@given(said=rules, call=calls, seed=st.randoms())
def test_the_order_of_patterns_means_nothing(said: Any, call: Any, seed: Any) -> None:
    shuffled = {word: seed.sample(some, len(some)) for word, some in said.items()}
    assert verdict(shuffled, call) == verdict(said, call)


@given(glob=st.text(alphabet="ab*/.", max_size=8), text=st.text(alphabet="ab/.", max_size=10))
def test_a_star_is_any_characters(glob: str, text: str) -> None:
    def slowly(glob: str, text: str) -> bool:
        if not glob:
            return not text
        if glob[0] == "*":
            return any(slowly(glob[1:], text[at:]) for at in range(len(text) + 1))
        return bool(text) and text[0] == glob[0] and slowly(glob[1:], text[1:])

    assert matches(glob, text) == slowly(glob, text)


def test_a_long_argument_is_matched_in_no_time() -> None:
    assert not matches("*a*a*a*a*a*a*b", "a" * 1_000_000)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("shell", ("shell", None, "*")),
        ("files.write:path=docs/*", ("files.write", "path", "docs/*")),
        ("reports:count", ("reports:count", None, "*")),
        ("reports:count:day=2026-*", ("reports:count", "day", "2026-*")),
        ("shell:argv=env A=b:c=d *", ("shell", "argv", "env A=b:c=d *")),
        ("*:path=", ("*", "path", "")),
    ],
)
def test_a_pattern_reads_as_tool_argument_and_glob(text: str, parts: tuple[str, str | None, str]) -> None:
    found = parse_pattern(text)
    assert (found.tool, found.argument, found.glob) == parts


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "default": "."},
        "argv": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "string", "format": "path"},
        "n": {"type": "integer"},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for folder in ("docs", "secret", "work/docs"):
        (root / folder).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "docs" / "in").symlink_to(root / "docs")
    (root / "docs" / "out").symlink_to(tmp_path / "outside")
    (root / "docs" / "hidden").symlink_to(root / "secret")
    (root / "open").symlink_to(root / "docs")
    return root


def decide(project: Path, said: dict[str, list[str]], cwd: str = ".", tool: str = "files.write", **values: Any) -> str:
    arguments = CallArguments(values, SCHEMA, project, project / cwd)
    return read_permissions(said).decide(tool, arguments, free=False, attended=False).verdict


@pytest.mark.parametrize(
    "path", ["docs/a.md", "./docs/a.md", "docs//a.md", "docs/x/../a.md", "docs/in/a.md", "docs/new/deep"]
)
def test_paths_that_lead_there_are_allowed(project: Path, path: str) -> None:
    allow = {"allow": ["files.write:path=docs/*"]}
    assert decide(project, allow, path=path) == "allow"
    assert decide(project, allow, path=str(project / path)) == "allow"


@pytest.mark.parametrize(
    "path",
    [
        "docs/../secret/a",
        "docs/./../secret/a",
        "../project/secret/a",
        "docs/out/a",
        "docs/hidden/a",
        "docs/in/../../secret/a",
        "/etc/passwd",
        "docs/../../outside/a",
        "docs",
        "docs/\0/../../secret",
        "open/a.md",
        "",
    ],
)
def test_paths_that_only_look_so_are_not(project: Path, path: str) -> None:
    assert decide(project, {"allow": ["files.write:path=docs/*"]}, path=path) == "deny"


@pytest.mark.parametrize("path", ["secret/a", "./secret/a", "docs/../secret/a", "docs/hidden/a", "work/../secret/a"])
@pytest.mark.parametrize("cwd", [".", "work"])
def test_no_way_leads_round_a_denial(project: Path, path: str, cwd: str) -> None:
    said = str(project / path) if cwd == "work" else path
    rule = {"deny": ["*:path=secret/*"], "allow": ["*"]}
    assert decide(project, rule, cwd, path=said) == "deny"


def test_paths_count_from_the_working_folder(project: Path) -> None:
    allow = {"allow": ["files.write:path=docs/*"]}
    assert decide(project, allow, "work", path="docs/a") == "allow"
    assert decide(project, allow, "work", path="../docs/a") == "deny"
    assert decide(project, {"allow": ["files.write:path=../docs/*"]}, "work", path="../docs/a") == "allow"


def test_arguments_are_matched_by_their_text(project: Path) -> None:
    git = {"allow": ["shell:argv=git *"]}
    assert decide(project, git, tool="shell", argv=["git", "status"]) == "allow"
    assert decide(project, git, tool="shell", argv=["git status"]) == "deny"
    assert decide(project, git, tool="shell", argv=["rm", "-rf", "git "]) == "deny"
    assert decide(project, {"allow": ["t:n=1*"]}, tool="t", n=12) == "allow"
    assert decide(project, {"allow": ["t:n=1*"]}, tool="t", n=21) == "deny"
    assert decide(project, {"allow": ["t:where=docs/*"]}, tool="t", where="docs/../x") == "deny"


def test_an_argument_left_out_counts_as_its_default(project: Path) -> None:
    assert decide(project, {"allow": ["files.list:path=."]}, tool="files.list") == "allow"
    assert decide(project, {"deny": ["t:n=*"], "allow": ["t"]}, tool="t") == "deny"
    assert decide(project, {"allow": ["t:n=1*"]}, tool="t") == "deny"


def test_what_is_denied_outright_is_not_even_offered() -> None:
    permissions = read_permissions({"deny": ["shell", "files.*:path=x"]})
    assert not permissions.offered("shell")
    assert permissions.offered("files.read")
    assert Permissions().offered("shell")
