"""`whisper-flow chat [AGENT]`: talk to an agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import Command
from orchestrator.cli.session import Session, current
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.core.plan import Plan

NO_FILE = "workflows/chat.yaml"
"""Of what stands in the options only: findings name no file that nobody has."""


@click.command(cls=Command)
@click.argument("agent", required=False)
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="A workflow file whose agents to talk to.  [default: those in config/]",
)
@click.option("--model", metavar="PROVIDER/MODEL", help="Talk to this model; no agent need be declared.")
@click.option("--instructions", metavar="TEXT", help="The system prompt for `--model`.")
@click.option("--resume", "chat_id", metavar="ID", help="Go on with an earlier conversation; `@last` is the last one.")
@click.option("-m", "--message", "messages", multiple=True, help="Say this and leave; may be given several times.")
def command(
    agent: str | None,
    file: Path | None,
    model: str | None,
    instructions: str | None,
    chat_id: str | None,
    messages: tuple[str, ...],
) -> int:
    """Talk to AGENT; its answer appears as it comes.

    \b
    whisper-flow chat writer -f workflows/release-notes.yaml
    whisper-flow chat --model openai/gpt-5-mini
    echo "One question" | whisper-flow chat helper

    Ctrl-C stops an answer, Ctrl-D leaves; `/help` lists what else can be done.
    """
    session = current()
    project = session.project(file)
    plan = _plan(session, project, file, model, instructions)
    agent_id = _agent(plan, agent or ("assistant" if model else None))
    from orchestrator.cli.chat import chat

    return chat(session, project, plan, agent_id, chat_id=chat_id, messages=messages, file=file)


def _plan(session: Session, project: Path, file: Path | None, model: str | None, instructions: str | None) -> Plan:
    """The agents to choose from, as a plan: of a file, or of `config/` with the one that the options make."""
    from orchestrator import compile_plan
    from orchestrator.spec.diagnostics import DiagnosticsError
    from orchestrator.spec.load import load_workflow, workflow_from_text

    if instructions and not model:
        raise UsageError("`--instructions` goes with `--model`", help="an agent has its own in its file")
    if file is not None and model is None:
        return compile_plan(load_workflow(file, project))
    if file is not None:
        raise UsageError("give `--file` or `--model`, not both")
    import json

    declared = {"assistant": {"model": model, **({"instructions": instructions} if instructions else {})}}
    # Where `config/` has the agents, a task that nobody runs: it might ask any of them, so all they need is in the plan.
    anyone = {
        "inputs": {"agent": "string"},
        "tasks": {"talk": {"agent": "${{ inputs.agent }}", "prompt": "Hello."}},
    }
    text = json.dumps({"name": "chat", **({"agents": declared} if model else anyone)})
    try:
        return compile_plan(workflow_from_text(text, path=NO_FILE, project=project))
    except DiagnosticsError as error:
        ours = next((one for one in error.diagnostics if one.file == NO_FILE and one.severity == "error"), None)
        if ours is None:
            raise
        raise UsageError(ours.message, help=ours.help) from None


def _agent(plan: Plan, named: str | None) -> str:
    known = [name for name in plan.agents if "." not in name]
    if named is not None:
        if named in known:
            return named
        from orchestrator.spec.suggest import did_you_mean

        raise UsageError(f"no agent is called `{named}`", help=did_you_mean(named, known) or _there_are(known))
    if len(known) == 1:
        return known[0]
    if not known:
        raise UsageError(
            "no agent is declared here",
            help="declare one in config/agents/, or name a file with --file or a model with --model",
        )
    raise UsageError("which agent?", help=_there_are(known))


def _there_are(known: list[str]) -> str:
    return "there are: " + ", ".join(f"`{name}`" for name in known) if known else "none is declared"
