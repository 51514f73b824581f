"""`whisper-flow run FILE`: start a workflow and stay with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.command import Command
from orchestrator.cli.options import driving_options
from orchestrator.cli.session import Session, current
from orchestrator.cli.taping import tape_options, taping_of
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine, RunHandle
    from orchestrator.core.plan import Plan


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-p", "--param", "pairs", multiple=True, metavar="NAME=VALUE", help="An input; `=@file` takes a file's text."
)
@click.option(
    "--params-file", type=click.Path(path_type=Path), help="Inputs from a JSON or YAML file; `-` is standard input."
)
@click.option("--budget", metavar="MONEY", help="The most the run may cost, such as `$2.00`.")
@click.option(
    "--from", "from_task", metavar="TASK", help="Take the last run's results up to this task and start there."
)
@click.option("--detach", is_flag=True, help="Start it in the background and print the run's id.")
@click.option("--run-id", hidden=True)
@tape_options
@driving_options
def command(
    file: Path,
    pairs: tuple[str, ...],
    params_file: Path | None,
    budget: str | None,
    from_task: str | None,
    detach: bool,
    run_id: str | None,
    **options: Any,
) -> int:
    """Run the workflow in FILE and show what happens; its outputs go to standard output.

    \b
    whisper-flow run workflows/digest.yaml -p limit=20
    whisper-flow run workflows/digest.yaml --progress none | jq .summary

    Ctrl-C lets running tasks finish, a second one stops at once; `resume` goes on either way.
    """
    session = current()
    project = session.project(file)
    taping = taping_of(options, file)
    from orchestrator.cli.running import foreground, load_quickly

    with foreground(session, project, title=file.stem, workflow=str(file), **options) as stage:
        plan = load_quickly(file, project, stage.renderer)
        stage.plan_known(plan)
        inputs = _inputs(plan, pairs, params_file, project)
        money = _budget(budget)
        if detach:
            return _detach(session, file, inputs, budget, from_task, taping.words() if taping else [], options)
        return stage.drive(
            lambda engine: _begin(engine, plan, inputs, money, from_task, run_id, park=not stage.ask),
            plan,
            taping=taping,
        )


def _detach(
    session: Session,
    file: Path,
    inputs: dict[str, Any],
    budget: str | None,
    from_task: str | None,
    tape: list[str],
    options: dict[str, Any],
) -> int:
    """The same in the background; the inputs, which may hold anything, go by standard input."""
    from orchestrator.cli.detached import new_run_id, start_detached

    run_id = new_run_id()
    words = ["run", str(file.resolve()), "--params-file", "-", "--run-id", run_id]
    words += ["--budget", budget] if budget is not None else []
    words += ["--from", from_task] if from_task is not None else []
    words += tape
    return start_detached(session, words, run_id, options, stdin=json.dumps(inputs).encode())


def _inputs(plan: Plan, pairs: tuple[str, ...], params_file: Path | None, project: Path) -> dict[str, Any]:
    from orchestrator.cli.inputs import collect

    return collect(plan.inputs, pairs, params_file, project)


def _budget(text: str | None) -> dict[str, Any] | None:
    """The plan's budget key `cost`, as `--budget` overrides it."""
    if text is None:
        return None
    from orchestrator.core.units import UnitError, parse_money

    try:
        money = parse_money(text)
    except UnitError as error:
        raise UsageError(f"--budget {text}: {error.message}", help=error.help) from None
    return {"cost": money.amount, "currency": money.currency}


async def _begin(
    engine: ExecutionEngine,
    plan: Plan,
    inputs: dict[str, Any],
    budget: dict[str, Any] | None,
    from_task: str | None,
    run_id: str | None,
    *,
    park: bool,
) -> RunHandle:
    """A run that nobody can be asked about here lets go of us when it only waits for people (`park`)."""
    if from_task is None:
        return await engine.start(plan, inputs, run_id=run_id, budget=budget, park=park)
    last = engine.runs(workflow=plan.workflow, limit=1)
    if not last:
        raise UsageError(f"there is no earlier run of {plan.workflow} to take results from", help="leave out `--from`")
    return await engine.rerun(last[0].stream, from_task=from_task, plan=plan, inputs=inputs, park=park)
