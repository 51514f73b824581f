"""What a run on small programs says of going live: every line that names one, and what to write there."""

from __future__ import annotations

from tests.cli.conftest import Project

ASKS = "tasks:\n  ask: {agent: a, prompt: A word.}\n"


def told(project: Project, name: str) -> list[str]:
    """The lines of the hint."""
    err = project.call("run", f"workflows/{name}.yaml", "--progress", "plain").err
    assert "To go live: export OPENAI_API_KEY=" in err
    lines = err[err.index("To go live") :].splitlines()[1:]
    return [line.strip() for line in lines if "→" in line]


def test_a_model_is_named_with_its_line(project: Project) -> None:
    project.write("model", f"name: m\nagents: {{a: {{model: embedded/writer}}}}\n{ASKS}")
    assert told(project, "model") == [
        "workflows/model.yaml:2  embedded/writer  →  a real one, such as openai/gpt-5-mini"
    ]


def test_a_worker_in_the_file_is_named_with_its_line(project: Project) -> None:
    project.write(
        "worker",
        f"name: w\nworkers:\n  w:\n    provider: embedded\n    model_name: writer\nagents: {{a: {{worker: w}}}}\n{ASKS}",
    )
    (line,) = told(project, "worker")
    assert line.startswith("workflows/worker.yaml:4  provider: embedded  →  provider: openai, and its `model_name`")


def test_a_worker_with_a_file_of_its_own_is_named(project: Project) -> None:
    folder = project.folder / "config" / "workers"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("mine: {provider: embedded, model_name: writer}\n")
    project.write("elsewhere", f"name: e\nagents: {{a: {{worker: mine}}}}\n{ASKS}")
    (line,) = told(project, "elsewhere")
    assert line.startswith("worker `mine`  provider: embedded  →  ")


def test_called_workflows_are_looked_at_too(project: Project) -> None:
    project.write("inner", f"name: i\nagents: {{a: {{model: embedded/writer}}}}\n{ASKS}")
    project.write(
        "outer", "name: o\ntasks:\n  call: {workflow: ./inner.yaml}\n  twice: {after: call, workflow: ./inner.yaml}\n"
    )
    assert [line.split()[0] for line in told(project, "outer")] == ["workflows/inner.yaml:2"]
