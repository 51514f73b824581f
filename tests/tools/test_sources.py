"""Every built-in source of tools holds to the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from orchestrator import registry
from orchestrator.ports.services import WorkflowFace
from orchestrator.spec.tool_names import OPENED, PACKAGE
from orchestrator.tools.ask_person import TOOLS as ASK_PERSON
from orchestrator.tools.files import TOOLS as FILES
from orchestrator.tools.python import TOOLS as PYTHON
from orchestrator.tools.shell import TOOLS as SHELL
from orchestrator.tools.workflow import TOOLS as WORKFLOW
from tests.tools.conformance import SECRET, SourceConformance, ToolWorld


class TestFiles(SourceConformance):
    source = FILES
    wanted = ("files.*",)
    name = "files.read"
    arguments: ClassVar[dict[str, Any]] = {"path": "a.txt"}

    def prepare(self, world: ToolWorld) -> None:
        world.file("a.txt", f"one\n{SECRET}\n")


class TestShell(SourceConformance):
    source = SHELL
    wanted = ("shell",)
    name = "shell"
    arguments: ClassVar[dict[str, Any]] = {"argv": ["echo", "hello"]}
    leaking: ClassVar[dict[str, Any]] = {"argv": ["echo", SECRET]}


class TestAskPerson(SourceConformance):
    source = ASK_PERSON
    wanted = ("ask_person",)
    name = "ask_person"
    arguments: ClassVar[dict[str, Any]] = {"question": "Which?", "choices": ["this", "that"]}


class TestWorkflow(SourceConformance):
    source = WORKFLOW
    wanted = ("workflows/child.yaml",)
    name = "workflows/child.yaml"
    arguments: ClassVar[dict[str, Any]] = {"n": 1}

    def prepare(self, world: ToolWorld) -> None:
        world.runs.faces["workflows/child.yaml"] = WorkflowFace(
            name="child", description="Counts.", inputs={"n": {"type": "integer"}}, required=("n",)
        )


class TestPython(SourceConformance):
    source = PYTHON()
    wanted = ("reports:count",)
    name = "reports:count"
    arguments: ClassVar[dict[str, Any]] = {"word": "a"}
    leaking: ClassVar[dict[str, Any]] = {"word": SECRET}

    def prepare(self, world: ToolWorld) -> None:
        code = 'def count(word: str, times: int = 1) -> str:\n    """Repeat a word."""\n    return word * times\n'
        Path(world.file("reports.py", code))


def test_sources_that_looking_passes_over_have_nothing_to_show() -> None:
    sources = {name: registry.load(PACKAGE, name, "TOOLS", noun="tool source") for name in registry.names(PACKAGE)}
    assert {name for name, source in sources.items() if not hasattr(source, "declared")} == OPENED
