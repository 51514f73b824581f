"""The pytest plugin: the fixture `run_workflow` runs a workflow from its tape; `pytest --record-tapes` records it.

Loaded into every pytest session of an environment that has this package, so it imports nothing until the fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from orchestrator.testing.replaying import WorkflowRunner


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("whisper-flow")
    group.addoption(
        "--record-tapes",
        action="store_true",
        help="ask the models for real, and record what they answer: costs money, needs keys",
    )


@pytest.fixture
def run_workflow(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> WorkflowRunner:
    """Runs a workflow and gives its result: `run_workflow("workflows/notes.yaml", {"topic": "bridges"})`.

    Models answer from the test's tape, `tapes/<test file>/<test>.jsonl` beside the test unless `tape=` names another. No socket can be
    opened meanwhile. A request that the tape cannot answer fails the test with the nearest recording.
    """
    from orchestrator.testing.replaying import WorkflowRunner

    return WorkflowRunner(
        root=pytestconfig.rootpath,
        tapes=request.path.parent / "tapes" / request.path.stem,
        test=request.node.name,
        state=request.getfixturevalue("tmp_path") / "whisper-flow",
        record=bool(pytestconfig.getoption("--record-tapes")),
        fail=lambda message: pytest.fail(message, pytrace=False),
    )
