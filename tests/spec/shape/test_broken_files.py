"""Every broken file gives exactly the findings that stand beside it in `.out`.

`python tests/spec/shape/test_broken_files.py` writes the `.out` files anew; read the difference before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.spec.loader import load_document
from orchestrator.spec.shape import check_workflow

HERE = Path(__file__).parent
FILES = sorted([*(HERE / "broken").glob("*.yaml"), *(HERE / "ours").glob("*.yaml")])


def findings(file: Path) -> str:
    lines = []
    for one in check_workflow(load_document(file, file=file.name, tolerant=True)):
        where = f"{one.span.line}:{one.span.column}-{one.span.end_column}"
        lines.append(f"{where} {one.code} {one.message}")
        lines += [f"    ^ {one.label}"] if one.label else []
        lines += [f"    {label.span.line}:{label.span.column} {label.text}" for label in one.labels]
        lines += [f"    = {one.help}"] if one.help else []
        lines += [f"    fix: {edit.new_text}" for edit in one.fix or ()]
    return "\n".join(lines) + "\n" if lines else ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_gives_the_findings_beside_it(file: Path) -> None:
    assert findings(file) == file.with_suffix(".out").read_text()


@pytest.mark.parametrize("file", sorted((HERE / "broken").glob("*.yaml")), ids=lambda file: file.stem)
def test_one_cause_gives_one_message(file: Path) -> None:
    causes = {"field-in-capitals": 2}.get(file.stem, 1)
    assert len(check_workflow(load_document(file, tolerant=True))) == causes


def test_every_word_of_the_findings_is_ours() -> None:
    noise = ("pydantic", "input_value", "union", "Extra inputs", "Input should", "validation error", "str_type")
    for file in FILES:
        assert not [word for word in noise if word in file.with_suffix(".out").read_text()]


if __name__ == "__main__":
    for path in FILES:
        path.with_suffix(".out").write_text(findings(path))
