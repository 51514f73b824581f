"""The commands by name: what `--help` lists and what is imported when one is called. Imports nothing, so that `--help` is quick."""

from __future__ import annotations

from typing import Final, NamedTuple


class Entry(NamedTuple):
    module: str
    """Below `orchestrator.cli.commands`; its attribute `command` is the click command."""
    summary: str


SECTIONS: Final[dict[str, dict[str, Entry]]] = {
    "Write": {
        "init": Entry("init", "Make a project in this folder, with a first workflow."),
        "new": Entry("new", "Start a workflow file from a template."),
        "validate": Entry("validate", "Check workflow files; nothing in them is run."),
        "graph": Entry("graph", "Draw a workflow's tasks and what they wait for."),
        "schema": Entry("schema", "Print the JSON Schema that editors use."),
        "explain": Entry("explain", "Explain a finding's code."),
        "examples": Entry("examples", "List, show or copy the examples."),
    },
    "Run": {
        "run": Entry("run", "Run a workflow and show what happens."),
        "resume": Entry("resume", "Go on with a run that was interrupted, paused or waits."),
        "rerun": Entry("rerun", "Run again, keeping the results that stay valid."),
        "answer": Entry("answer", "Answer what a run asks."),
        "pause": Entry("pause", "Hold a run: nothing new starts."),
        "cancel": Entry("cancel", "End a run for good."),
        "chat": Entry("chat", "Talk to an agent."),
    },
    "Look": {
        "runs": Entry("runs", "List runs, the newest first."),
        "show": Entry("show", "Show a run or one of its tasks."),
        "logs": Entry("logs", "Show what tasks wrote."),
        "watch": Entry("watch", "Follow a run live."),
        "why": Entry("why", "Say why a task ran, was skipped or waits."),
        "diff": Entry("diff", "Compare two runs."),
        "tape": Entry("tape", "Look at recorded answers, check and clean them."),
        "tools": Entry("tools", "List tools, and what agents may do with them."),
        "memory": Entry("memory", "Read and edit what agents remember."),
        "workers": Entry("workers", "List models with keys, limits, prices; ask and change them."),
        "costs": Entry("costs", "Say where the money went."),
        "events": Entry("events", "List the events that delegates can hear."),
    },
    "Set up": {
        "doctor": Entry("doctor", "Check this machine, the project and its state."),
        "config": Entry("config", "Show the settings and where each comes from."),
        "completion": Entry("completion", "Print the completion script of a shell."),
    },
}

COMMANDS: Final[dict[str, Entry]] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

LATER: Final[dict[str, str]] = {
    "plan": "what a run would do and cost",
    "test": "tests of workflows",
    "agents": "agents that live between runs",
    "mail": "agents' mailboxes",
    "dead-letters": "events and mail that nobody handled",
    "schedules": "the next fires of schedules",
    "daemon": "the process that keeps schedules and wakes",
    "serve": "the server and its dashboard",
}
"""Names that later versions own: they answer plainly and are never free for something else."""


def overview(version: str) -> str:
    """The page of `whisper-flow --help`."""
    lines = [
        f"whisper-flow {version}: AI agents and ordinary commands together, as durable workflows in YAML.",
        "",
        "Usage: whisper-flow COMMAND [ARGS]...",
    ]
    width = max(map(len, COMMANDS))
    for title, entries in SECTIONS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<{width}}  {entry.summary}" for name, entry in entries.items()]
    lines += [
        "",
        "Everywhere:",
        "  -h, --help     Show this page, or a command's own.",
        "  -V, --version  Print the version.",
        "",
        "A first run:  whisper-flow examples copy quickstart && whisper-flow run workflows/quickstart.yaml",
    ]
    return "\n".join(lines) + "\n"
