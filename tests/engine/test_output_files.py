"""Outputs of type `file`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from orchestrator.bootstrap import ExecutionEngine


async def test_a_file_that_a_task_names_is_kept_by_hash(run: Any, engine: ExecutionEngine, project: Path) -> None:
    result = await run("""
        name: t
        tasks:
          report: {run: 'echo hello > report.md; echo report.md', output: file}
          both:
            run: 'echo a > "$WHISPER_RUN_DIR/a.txt"; echo "{\\"files\\": [\\"$WHISPER_RUN_DIR/a.txt\\"], \\"n\\": 1}"'
            output: {files: [file], n: integer}
          size: {set: "${{ report.size }} ${{ report.name }} ${{ both.files[0].media_type }}"}
    """)
    assert result.status == "succeeded", result.failure
    digest = hashlib.sha256(b"hello\n").hexdigest()
    assert result.tasks["report"].value == {
        "path": "report.md", "name": "report.md", "size": 6, "media_type": "text/markdown", "sha256": digest,
    }  # fmt: skip
    assert result.tasks["size"].value == "6 report.md text/plain"
    (project / "report.md").unlink()
    assert engine.journal.get_blob(digest) == b"hello\n"


async def test_a_file_that_is_not_there_or_outside_is_an_invalid_output(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          gone: {run: echo nowhere.md, output: file}
          outside: {run: echo /etc/passwd, output: file}
          folder: {run: 'mkdir -p d; echo d', output: file}
    """)
    failures = {name: task.failure for name, task in result.tasks.items()}
    assert {failure["type"] for failure in failures.values()} == {"invalid_output"}
    assert "No such file" in failures["gone"]["message"]
    assert "outside" in failures["outside"]["message"]


async def test_output_too_long_to_keep_is_not_used_as_if_it_were_whole(run: Any) -> None:
    text = """
        name: t
        tasks:
          long: {run: 'head -c 9000000 /dev/zero | tr "\\0" x'}
          used: {set: "${{ long }}", on_error: continue}
          seen: {set: "${{ tasks.long.stdout | length }}"}
    """
    result = await run(text)
    assert result.tasks["long"].status == "succeeded"
    assert result.tasks["used"].failure is not None
    assert "more than is kept" in result.tasks["used"].failure["message"]
    assert result.tasks["seen"].status == "succeeded"
