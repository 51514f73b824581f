"""Broken files and what is said about them: `err/<rule>.yaml` and `err/<rule>.out`, so that anyone can add one.

A rule's name may be followed by a hyphen and more words. What else a project needs stands in `err/<name>.files/`. After a
change that was meant, `REGENERATE=1 pytest tests/spec/rules/test_pairs.py` writes the `.out` files anew: read the difference.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchestrator.spec.diagnostics import Diagnostic, DiagnosticsError
from orchestrator.spec.fixes import apply_fixes
from orchestrator.spec.load import load_workflow
from orchestrator.spec.reports import formats, render, summarise
from orchestrator.spec.rules import all_rules
from orchestrator.spec.validate import validate

FOLDER = Path(__file__).parents[1] / "err"
PAIRS = sorted(FOLDER.glob("*.yaml"))
ELSEWHERE = {
    "WF102": "no file: held in loader/test_refusals.py",
    "WF103": "too big to keep: held in loader/test_refusals.py",
    "WF117": "too big to keep: held in loader/test_refusals.py",
}


def look(path: Path) -> list[Diagnostic]:
    try:
        return validate(load_workflow(path))
    except DiagnosticsError as error:
        return error.diagnostics


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workflows").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(pair: Path, project: Path) -> Path:
    shutil.copytree(pair.with_suffix(".files"), project, dirs_exist_ok=True) if pair.with_suffix(
        ".files"
    ).exists() else None
    target = project / "workflows" / pair.name
    shutil.copy(pair, target)
    return target.relative_to(project)


def report(path: Path, found: list[Diagnostic]) -> str:
    texts = {one.file for one in found} | {label.file for one in found for label in one.labels if label.file}
    sources = {name: Path(name).read_bytes().decode("utf-8-sig", "replace") for name in texts}
    return render("text", found, sources, summarise(found, [str(path)]))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.stem)
def test_a_broken_file_is_explained(pair: Path, project: Path) -> None:
    path = put(pair, project)
    shown = report(path, look(path))
    expected = pair.with_suffix(".out")
    if os.environ.get("REGENERATE"):
        expected.write_text(shown)
    assert shown == expected.read_text()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.stem)
def test_a_fix_takes_its_finding_away_and_breaks_nothing(pair: Path, project: Path) -> None:
    path = put(pair, project)
    before = look(path)
    fixed = [one for one in before if one.fix is not None and one.file == str(path)]
    if not fixed:
        return
    text = path.read_bytes().decode("utf-8-sig")
    path.write_text(apply_fixes(text, before))
    after = look(path)
    assert len([one for one in after if one.fix is not None]) < len(fixed)
    assert {one.code for one in after if one.code.startswith("WF1")} <= {one.code for one in before}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.stem)
def test_every_format_can_show_it(pair: Path, project: Path) -> None:
    found = look(put(pair, project))
    for name in formats():
        assert render(name, found, {}, summarise(found))


def test_every_code_has_a_pair() -> None:
    seen = {code for pair in PAIRS for code in all_rules() if f"[{code}]" in pair.with_suffix(".out").read_text()}
    assert set(all_rules()) - seen - set(ELSEWHERE) == set()


def test_every_pair_is_named_after_its_rule() -> None:
    names = {rule.name: code for code, rule in all_rules().items()}
    for pair in PAIRS:
        rule = max(
            (name for name in names if pair.stem == name or pair.stem.startswith(name + "-")), key=len, default=None
        )
        if rule is not None:
            assert f"[{names[rule]}]" in pair.with_suffix(".out").read_text(), pair.stem
