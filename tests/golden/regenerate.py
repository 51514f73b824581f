"""Records the golden journals anew: `python tests/golden/regenerate.py [--fold] [NAME…]`. Only on purpose.

A golden journal is a promise: what an older engine wrote is read for ever, and means what it meant. So an existing one is never
recorded over because a test fails; a new kind of event gets a new workflow here. Each `NAME.journal` holds the pinned plan and the
batches as they stand in a journal, `NAME.json` what they fold to. `--fold` writes only the second: for when a fold is meant to
tell something else of the same old journal.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator import compile_plan, load_workflow
from orchestrator.bootstrap import ExecutionEngine
from orchestrator.core.events import AnyEvent, Blob, RunClaimed, RunStarted, decode_batch, encode_batch
from orchestrator.core.plan import Plan, decode_plan
from orchestrator.core.run_state import RunState
from orchestrator.core.status import TASK_WORDS
from orchestrator.core.turn import replay
from orchestrator.engine.handle import RunHandle
from orchestrator.stores.memory import MemoryJournal

HERE = Path(__file__).parent


class Golden(msgspec.Struct):
    plan: bytes
    """As the blob that `RunStarted.plan` names."""
    batches: list[bytes]


def folded(golden: Golden) -> RunState:
    state = RunState(decode_plan(golden.plan))
    for payload in golden.batches:
        batch = decode_batch(payload)
        replay(state, batch.at, batch.events)
    return state


def told(state: RunState) -> dict[str, Any]:
    """What a fold comes to, as plain values: everything an event can change and a person can see."""
    return {
        "status": state.status,
        "reason": state.status_reason,
        "last": state.last,
        "phase": state.phase,
        "outputs": _plain(state.outputs),
        "failure": None if state.failure is None else [state.failure.type, state.failure.message],
        "message": state.message,
        "holds": {name: [hold.by, hold.reason] for name, hold in state.holds.items()},
        "timers": sorted(f"{state.name(task) if task >= 0 else 'run'} {what}" for task, what in state.timers),
        "tasks": [_task(state, task) for task in range(len(state.nodes))],
    }


def _task(state: RunState, task: int) -> dict[str, Any]:
    failure = state.failed_with.get(task)
    facts = {
        "name": f"{state.name(task)} ({state.nodes[task].verb})",
        "status": TASK_WORDS[state.statuses[task]],
        "attempts": state.attempts[task],
        "failures": state.failures.get(task, 0),
        "value": _plain(state.values[task]),
        "reason": state.reasons.get(task),
        "because": state.name(state.because[task]) if task in state.because else None,
        "failure": None if failure is None else failure.type,
        "reused": state.reused.get(task),
        "by": state.by.get(task),
        "asks": task in state.questions,
    }
    return {name: fact for name, fact in facts.items() if fact not in (None, 0, False)}


def _plain(value: bytes | Blob | None) -> Any:
    if value is None:
        return None
    return f"blob of {value.size} bytes" if isinstance(value, Blob) else json.loads(value)


# --- recording


async def _to_the_end(engine: ExecutionEngine, plan: Plan) -> str:
    return (await engine.run(plan)).run_id


async def _until(handle: RunHandle, type: str, **fields: Any) -> None:
    async for event in handle.watch():
        if event["type"] == type and all(event.get(name) == value for name, value in fields.items()):
            return


async def _asked_and_answered(engine: ExecutionEngine, plan: Plan) -> str:
    handle = await engine.start(plan)
    await handle.wait()
    engine.answer(handle.run_id, "go", {"approve": True}, by="ada")
    await (await engine.resume(handle.run_id)).wait()
    return handle.run_id


async def _left_asking(engine: ExecutionEngine, plan: Plan) -> str:
    return (await (await engine.start(plan)).wait()).run_id


async def _consulted(engine: ExecutionEngine, plan: Plan) -> str:
    """One question in the midst of an attempt is answered, the other left open."""
    handle = await engine.start(plan)
    await handle.wait()
    engine.answer(handle.run_id, "colour", {"answer": "blue"}, by="ada")
    await (await engine.resume(handle.run_id)).wait()
    return handle.run_id


async def _held(engine: ExecutionEngine, plan: Plan) -> str:
    handle = await engine.start(plan, holds=("lunch",))
    await _until(handle, "run_status", status="paused")
    handle.pause("tea", by="ada", reason="thirsty")
    await _until(handle, "hold_set", name="tea")
    handle.unpause("lunch", by="ada")
    handle.unpause("tea", by="ada")
    await handle.wait()
    return handle.run_id


async def _cancelled(engine: ExecutionEngine, plan: Plan) -> str:
    handle = await engine.start(plan)
    await _until(handle, "task_sleeping", task="long")
    handle.cancel(by="ada", reason="no more")
    await handle.wait()
    return handle.run_id


async def _stopped(engine: ExecutionEngine, plan: Plan) -> str:
    handle = await engine.start(plan)
    await _until(handle, "task_log", task="pay")
    while not (engine.adapters.project.root / "begun").exists():  # noqa: ASYNC110  a file has no event
        await asyncio.sleep(0.01)
    handle.stop(grace=0.0, by="ada")
    await handle.wait()
    await (await engine.resume(handle.run_id)).wait()
    engine.resolve(handle.run_id, "pay", "succeeded", value={"receipt": 7}, by="ada")
    engine.resolve(handle.run_id, "again", "retry", by="ada")
    await (await engine.resume(handle.run_id)).wait()
    return handle.run_id


async def _rerun(engine: ExecutionEngine, plan: Plan) -> str:
    first = await engine.run(plan)
    (engine.adapters.project.root / "fixed").touch()
    return (await (await engine.rerun(first.run_id, failed=True)).wait()).run_id


SCENARIOS: dict[str, Callable[[ExecutionEngine, Plan], Awaitable[str]]] = {
    "items": _to_the_end,
    "rounds": _to_the_end,
    "groups": _to_the_end,
    "failures": _to_the_end,
    "ended": _to_the_end,
    "answered": _asked_and_answered,
    "asking": _left_asking,
    "consulted": _consulted,
    "held": _held,
    "cancelled": _cancelled,
    "stopped": _stopped,
    "rerun": _rerun,
}


def _neutral(event: AnyEvent) -> AnyEvent:
    """Without what only says where it was recorded."""
    if isinstance(event, RunStarted):
        return msgspec.structs.replace(event, project="/project", git=None)
    return RunClaimed("pid 1 on host") if isinstance(event, RunClaimed) else event


async def record(name: str) -> Golden:
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    try:
        (folder / "workflows").mkdir()
        path = folder / "workflows" / f"{name}.yaml"
        shutil.copy(HERE / f"{name}.yaml", path)
        journal = MemoryJournal()
        async with ExecutionEngine(folder, journal=journal, environ={"PATH": "/usr/bin:/bin"}) as engine:
            run_id = await SCENARIOS[name](engine, compile_plan(load_workflow(path)))
            batches = [decode_batch(stored.payload) for stored in journal.read(run_id) if stored.count]
            started = batches[0].events[0]
            assert isinstance(started, RunStarted)
            plan = journal.get_blob(started.plan)
        return Golden(plan, [encode_batch(batch.at, [_neutral(event) for event in batch.events]) for batch in batches])
    finally:
        shutil.rmtree(folder)


def main(names: list[str]) -> None:
    fold_only = "--fold" in names
    for name in [name for name in names if name != "--fold"] or list(SCENARIOS):
        path = HERE / f"{name}.journal"
        if not fold_only:
            path.write_bytes(msgspec.msgpack.encode(asyncio.run(record(name))))
        golden = msgspec.msgpack.decode(path.read_bytes(), type=Golden)
        (HERE / f"{name}.json").write_text(json.dumps(told(folded(golden)), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
