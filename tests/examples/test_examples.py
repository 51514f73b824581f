"""Every example is run as a user would run it: by the command, offline, in a project of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from examples.live_server import BEHIND, live_server
from examples.warm_command import WarmCommand

ROOT = Path(__file__).resolve().parents[2]
WHISPER_FLOW = Path(sys.executable).parent / "whisper-flow"
TITLES = (
    "Add the examples",
    "Fix a crash when the tide is low",
    "Allow a forecast for every hour",
    "Correct a typo in the readme",
)
PROXY_TO_NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


class Ran(NamedTuple):
    code: int
    outputs: Any
    """What stood on standard output, parsed; None if nothing did."""
    told: str
    """Standard error."""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = PROXY_TO_NOWHERE
        self.live = False
        self.warm: WarmCommand | None = None
        """Where the command is run; None: started anew, as users do."""

    def call(self, *arguments: str, expect: int = 0) -> Ran:
        """Run the command without a terminal and without a network."""
        done = self._done(list(arguments), {**os.environ, **self.environ})
        assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Ran(
            done.returncode, json.loads(done.stdout) if done.stdout.strip()[:1] in ("{", "[") else None, done.stderr
        )

    def _done(self, arguments: list[str], env: dict[str, str]) -> Any:
        if self.warm is not None:
            return self.warm.call(arguments, cwd=self.folder, env=env, folder=self.folder.parent)
        return subprocess.run(
            [WHISPER_FLOW, *arguments],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
            stdin=subprocess.DEVNULL,
        )

    def run(self, example: str, *arguments: str, expect: int = 0) -> Ran:
        return self.call("run", f"workflows/{example}.yaml", *arguments, expect=expect)

    def last(self) -> dict[str, Any]:
        """What `show` knows about the newest run."""
        shown: dict[str, Any] = self.call("show", "@last", "--json").outputs
        return shown


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "README.md").write_text(
        "# Harbour\n\nThis folder holds the code of the harbour's tide forecast. It reads sensors on the pier and writes a "
        "table every hour. Ships use it to plan their arrival.\n\n```text\nnot prose\n```\n"
    )
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for title in TITLES:
        (tmp_path / "NOTES.md").write_text(title + "\n")
        subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
        subprocess.run(["git", "commit", "-q", "-m", title], cwd=tmp_path, check=True)
    return Project(tmp_path)


def quickstart(project: Project) -> None:
    ran = project.run("quickstart")
    assert ran.outputs["kind"] in ("code", "documents", "data", "other")
    assert "harbour" in ran.outputs["note"].lower()
    assert "not prose" not in ran.outputs["note"]
    assert ran.outputs["words"] == len(ran.outputs["note"].split())
    (note,) = (project.folder / ".whisper-flow").rglob("note.md")
    assert note.read_text().strip() == ran.outputs["note"].strip()
    assert project.live or "not an AI model" in ran.told, "an embedded program never passes for a model"


def release_notes(project: Project) -> None:
    ran = project.run("release-notes", "-p", "commits=3")
    assert (ran.outputs["commits"], ran.outputs["features"]) == (3, 1)
    assert ran.outputs["fixes"] >= 1
    for said in ("forecast for every hour", "crash when the tide is low"):
        assert said in ran.outputs["notes"]
    assert TITLES[0] not in ran.outputs["notes"], "only three commits were asked for"


def map_reduce(project: Project) -> None:
    outputs = project.run("map-reduce").outputs
    assert outputs["findings"] == ["tides", "harbour", "forecast"]
    assert outputs["words"] > 80
    assert len(outputs["report"]) > 40
    capped = (project.folder / "workflows" / "map-reduce.yaml").read_text().replace("tokens: 50k", "tokens: 1k")
    (project.folder / "workflows" / "capped.yaml").write_text(capped)
    told = project.run("capped", expect=6).told
    assert "this request may use up to" in told, "the cap refuses a request before it is sent"
    assert "of 1000 are left" in told


def evaluator_optimizer(project: Project) -> None:
    outputs = project.run("evaluator-optimizer").outputs
    assert 1 < outputs["rounds"] <= 5
    assert outputs["best"]["score"]["points"] >= 8
    content_with_nothing = project.run("evaluator-optimizer", "-p", "enough=11").outputs
    assert content_with_nothing["rounds"] == 5, "an exhausted loop that may go on keeps all its rounds"
    assert project.run("evaluator-optimizer", "-p", "enough=0").outputs["rounds"] == 1


def partial_failure(project: Project) -> None:
    outputs = project.run("partial-failure").outputs
    assert outputs == {"greetings": ["hallo", "ciao", "helo"], "missing": ["elvish"]}
    (project.folder / "elvish.txt").write_text("aiya\n")
    again = project.call("rerun", "@last", "--failed").outputs
    assert again == {"greetings": ["hallo", "ciao", "aiya", "helo"], "missing": []}


def approval(project: Project) -> None:
    parked = project.run("approval", expect=5)
    assert "Publish this announcement?" in parked.told
    assert project.last()["status"] == "waiting"
    published = project.call("answer", "@last", "-p", "approve=true", "-p", "text=Forecasts every hour.")
    assert published.outputs == {"published": "Forecasts every hour."}
    project.run("approval", expect=5)
    refused = project.call("answer", "@last", "-p", "approve=false")
    assert refused.outputs == {"published": None}


def subworkflow(project: Project) -> None:
    outputs = project.run("subworkflow").outputs
    assert outputs["words"] == 13 + 7
    assert outputs["headlines"][1] == "Large ships wait outside for high water."


def measure_text(project: Project) -> None:
    outputs = project.run("parts/measure-text", "-p", "text=One two three.").outputs
    assert outputs == {"words": 3, "headline": "One two three."}
    project.run("parts/measure-text", expect=2)


def delegate_pause(project: Project) -> None:
    free = project.run("delegate-pause", "--delegate", "workflows.hold_deploy:hold")
    assert free.outputs["deployed"].startswith("deployed what was built at ")
    hold = project.folder / "HOLD"
    hold.touch()
    held = subprocess.Popen(
        [WHISPER_FLOW, "run", "workflows/delegate-pause.yaml", "--delegate", "workflows.hold_deploy:hold"],
        cwd=project.folder,
        env={**os.environ, **PROXY_TO_NOWHERE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert held.stderr is not None
        seen = ""
        for line in held.stderr:  # ends by itself if the run does: then the assertion below shows what it said
            seen += line
            if "delegate asked for a pause" in line or "paused" in line:
                hold.unlink()
                break
        assert not hold.exists(), seen
        out, told = held.communicate(timeout=60)
    finally:
        held.kill()
    assert held.returncode == 0, seen + told
    assert json.loads(out)["deployed"].startswith("deployed what was built at ")


def pr_reviewer(project: Project) -> None:
    outputs = project.run("pr-reviewer").outputs
    assert outputs["verdict"]
    assert outputs["lowest"]["key"] in ("correctness", "readability", "tests")
    project.run("pr-reviewer", "-p", "base=no-such-branch", expect=1)


def debate(project: Project) -> None:
    outputs = project.run("debate", "-p", "rounds=3").outputs
    assert outputs["rounds"] == 3
    assert outputs["winner"] in ("for", "against", "neither")
    project.run("debate", "-p", "rounds=6", expect=2)


def extract_validate(project: Project) -> None:
    outputs = project.run("extract-validate").outputs
    assert outputs == {"kept": ["billing", "technical"], "refused": 1, "rejects": 0}


def daily_digest(project: Project) -> None:
    digest = project.run("daily-digest").outputs["digest"]
    assert any(title in digest for title in TITLES)


def plan_and_build(project: Project) -> None:
    outputs = project.run("plan-and-build").outputs
    assert (outputs["built"], outputs["given_up"]) == (["short", "long"], ["endless"])
    assert "has 4 words after 3 rounds" in outputs["report"].lower()
    files = {p.stem: len(p.read_text().split()) for p in (project.folder / "built").iterdir()}
    assert files == {"short": 2, "long": 4, "endless": 5}
    outside = (project.folder / "workflows" / "plan-and-build.yaml").read_text().replace("path: built/", "path: NOTES.")
    (project.folder / "workflows" / "outside.yaml").write_text(outside)
    notes = (project.folder / "NOTES.md").read_text()
    shutil.rmtree(project.folder / "built")
    assert project.run("outside").outputs["built"] == []
    assert sorted(p.name for p in project.folder.glob("NOTES*")) == ["NOTES.md"], "it may write below built/ only"
    assert (project.folder / "NOTES.md").read_text() == notes


def translation_matrix(project: Project) -> None:
    outputs = project.run("translation-matrix").outputs
    assert outputs["done"] == ["title-dutch", "title-welsh", "note-dutch", "note-welsh"]
    assert outputs["missing"] == ["title-frisian", "note-frisian"]
    (project.folder / "glossaries").mkdir()
    (project.folder / "glossaries" / "frisian.txt").write_text("harbour = haven\n")
    again = project.call("rerun", "@last", "--failed")
    assert (len(again.outputs["done"]), again.outputs["missing"]) == (6, [])
    assert again.told.count("reused from run") >= 4, "what worked is not done again"


def inbox_triage(project: Project) -> None:
    outputs = project.run("inbox-triage").outputs
    assert outputs["team"] == "billing"
    assert "refund" in outputs["answer"].lower()
    spam = project.run("inbox-triage", "-p", "body=You won a prize, click here!")
    assert spam.outputs == {"team": "spam", "answer": None}
    project.run("inbox-triage", "-p", "sure_enough=2", expect=5)
    edited = project.call("answer", "@last", "-p", "send=true", "-p", "text=It is on its way.")
    assert edited.outputs["answer"] == "It is on its way."


PROOFS: dict[str, Callable[[Project], None]] = {
    "quickstart.yaml": quickstart,
    "release-notes.yaml": release_notes,
    "map-reduce.yaml": map_reduce,
    "evaluator-optimizer.yaml": evaluator_optimizer,
    "partial-failure.yaml": partial_failure,
    "approval.yaml": approval,
    "subworkflow.yaml": subworkflow,
    "parts/measure-text.yaml": measure_text,
    "delegate-pause.yaml": delegate_pause,
    "pr-reviewer.yaml": pr_reviewer,
    "plan-and-build.yaml": plan_and_build,
    "debate.yaml": debate,
    "extract-validate.yaml": extract_validate,
    "daily-digest.yaml": daily_digest,
    "translation-matrix.yaml": translation_matrix,
    "inbox-triage.yaml": inbox_triage,
}


def test_every_example_has_its_proof():
    files = {p.relative_to(ROOT / "workflows").as_posix() for p in (ROOT / "workflows").rglob("*.yaml")}
    assert files == PROOFS.keys()


@pytest.mark.parametrize("example", PROOFS)
def test_the_example_does_what_it_says(example: str, project: Project):
    PROOFS[example](project)


def go_live(project: Project, url: str) -> None:
    """Change nothing in the examples but the names of their models."""
    for file in (project.folder / "workflows").rglob("*.yaml"):
        text = file.read_text()
        for model, program in BEHIND.items():
            text = text.replace(f"embedded/{program}", f"openai/{model}")
            text = text.replace(
                f"provider: embedded\n    model_name: {program}", f"provider: openai\n    model_name: {model}"
            )
        assert "embedded/" not in text
        file.write_text(text)
    project.environ = {"OPENAI_API_KEY": "sk-for-this-machine-only", "OPENAI_BASE_URL": url, "NO_PROXY": "127.0.0.1"}
    project.live = True


WITH_AGENTS = [name for name in PROOFS if "embedded" in (ROOT / "workflows" / name).read_text()]


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmCommand]:
    with WarmCommand() as command:
        yield command


@pytest.mark.parametrize("example", WITH_AGENTS)
def test_the_example_goes_live_by_changing_its_models(example: str, project: Project, warm: WarmCommand):
    project.warm = warm
    with live_server("sk-for-this-machine-only") as service:
        go_live(project, service.url)
        PROOFS[example](project)
        assert service.requests
        assert {request["model"] for request in service.requests} <= BEHIND.keys()


def test_the_examples_have_not_one_finding_even_strictly(project: Project):
    project.call("validate", "--strict", "--format", "concise", "workflows")


def test_the_quickstart_names_the_two_lines_that_go_live(project: Project):
    marked = [line for line in (ROOT / "workflows" / "quickstart.yaml").read_text().splitlines() if "# LIVE" in line]
    assert len(marked) == 2
    live = (project.folder / "workflows" / "quickstart.yaml").read_text()
    for line in marked:
        words, model = line.split(" # LIVE: ")
        live = live.replace(line, f"{words.rpartition(' ')[0]} {model}")
    (project.folder / "workflows" / "live.yaml").write_text(live)
    refused = project.call("run", "workflows/live.yaml", expect=4)
    assert "OPENAI_API_KEY" in refused.told, "a missing key is named, never swapped for a program"
