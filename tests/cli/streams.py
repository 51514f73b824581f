"""Event streams as an engine tells them, for the renderers. `AT` is 2026-07-01 14:03:00 UTC."""

from __future__ import annotations

from typing import Any

AT = 1782914580.0
Event = dict[str, Any]


def stream(*told: tuple[float, str, dict[str, Any]]) -> list[Event]:
    """(seconds since the start, type, the rest) as events with times and numbers."""
    return [
        {"type": kind, "at": AT + after, "seq": number, **rest} for number, (after, kind, rest) in enumerate(told, 1)
    ]


def started(**more: Any) -> dict[str, Any]:
    head = {
        "run_id": "7f3a00000000",
        "workflow": "workflows/digest.yaml",
        "name": "digest",
        "inputs": {},
        "synthetic": False,
    }
    return {**head, "trigger": {"kind": "manual"}, "resumed": False, **more}


def task(name: str, /, **more: Any) -> dict[str, Any]:
    return {"task": name, **more}


def begins(name: str, verb: str = "run", attempt: int = 1, of: int = 1, detail: str = "") -> dict[str, Any]:
    return task(name, verb=verb, attempt=attempt, of=of, detail=detail)


def done(name: str, duration: float, summary: str = "", **more: Any) -> dict[str, Any]:
    return task(
        name, duration=duration, summary=summary, **{"cost": None, "usage": {}, "reused": None, "by": None, **more}
    )


def failure(message: str, help: str | None = None) -> dict[str, Any]:
    return {"type": "exit", "message": message, "help": help}


def ended(status: str, duration: float, **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "failure": None,
        "message": None,
        "outputs": {},
        "duration": duration,
        "cost": None,
        "usage": {},
        **more,
    }


DIGEST = stream(
    (0.0, "run_started", started()),
    (0.0, "task_started", begins("fetch", detail="curl example")),
    (3.1, "task_succeeded", done("fetch", 3.1, "42 lines")),
    (3.1, "task_started", begins("cluster", "agent", detail="sorter openai/gpt-5-mini")),
    (
        11.5,
        "task_succeeded",
        done("cluster", 8.4, "3 topics", cost=0.004, usage={"input_tokens": 900, "output_tokens": 100}),
    ),
    (11.5, "task_started", begins("write", "agent", detail="writer openai/gpt-5")),
    (12.0, "task_chunk", task("write", text="The quarter closed with\na small ", model="openai/gpt-5")),
    (13.0, "task_tool", task("write", name="web.search", arguments={"query": "q3 results"})),
    (14.0, "task_chunk", task("write", text="gain.\nAnd then", model="openai/gpt-5")),
    (
        32.5,
        "task_succeeded",
        done("write", 21.0, "The quarter…", cost=0.027, usage={"input_tokens": 17000, "output_tokens": 200}),
    ),
    (32.6, "run_ended", ended("succeeded", 32.6, cost=0.031, usage={"input_tokens": 17900, "output_tokens": 300})),
)

FAILING = stream(
    (0.0, "run_started", started()),
    (0.0, "task_started", begins("fetch", of=2)),
    (
        1.0,
        "task_retrying",
        task(
            "fetch", attempt=1, of=2, failure={"type": "exit", "message": "exit code 7", "help": None}, retry_at=AT + 2
        ),
    ),
    (2.0, "task_started", begins("fetch", attempt=2, of=2)),
    (
        3.0,
        "task_failed",
        task(
            "fetch",
            failure={"type": "exit", "message": "exit code 7: no route", "help": "look at the network"},
            forgiven=False,
            status="failed",
            duration=3.0,
            tail="connecting\nno route\n",
        ),
    ),
    (3.0, "task_blocked", task("write", reason="`fetch` failed")),
    (3.0, "run_ended", ended("failed", 3.0, failure={"type": "exit", "message": "task `fetch` failed", "help": None})),
)

FAN_OUT = stream(
    (0.0, "run_started", started()),
    (0.0, "items_opened", task("build", count=3, keys=["a", "b.x", "c"])),
    (0.0, "task_opened", task("build[a]", verb="loop", count=None, index=1)),
    (0.0, "task_started", begins("build[a]#1.code")),
    (0.1, "task_started", begins("build[b.x]")),
    (0.5, "task_succeeded", done("build[b.x]", 0.4)),
    (0.6, "task_succeeded", done("build[a]#1.code", 0.6)),
    (0.6, "round_judged", task("build[a]", round=1, done=True)),
    (0.7, "task_succeeded", done("build[a]", 0.7)),
    (
        0.8,
        "task_failed",
        task("build[c]", failure=failure("exit code 1"), forgiven=True, status="failed", duration=0.1),
    ),
    (0.9, "task_succeeded", done("build", 0.9)),
    (0.9, "run_ended", ended("succeeded", 0.9)),
)

ASKING = stream(
    (0.0, "run_started", started(synthetic=True)),
    (0.0, "task_asked", task("publish", question="Publish it?", schema={}, show=None, to=[], expires_at=AT + 3600)),
    (0.0, "run_status", {"status": "waiting", "reason": "for a person"}),
    (9.0, "task_succeeded", done("publish", 9.0, '{"approve":true}', by="ada")),
    (9.1, "hold_set", {"name": "user", "by": "ada", "reason": "lunch"}),
    (9.2, "hold_cleared", {"name": "user", "by": "ada"}),
    (9.3, "run_ended", ended("succeeded", 9.3)),
)
