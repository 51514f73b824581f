"""Whatever ends a task ends all it ever started: double `setsid`, `nohup` and proper daemons included."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from orchestrator.host.processes import ProcessTimeoutError, ReapedProcesses
from orchestrator.host.reaper_link import wait_old_reapers
from tests.host.witness import Witness, children, command

DAEMON = """
import os, signal, sys
def leave():
    if os.fork(): os._exit(0)
    os.setsid()
    if os.fork(): os._exit(0)
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
leave(); leave()
os.closerange(0, 64)
signal.pause()
"""

ESCAPES = {
    "in the background": "sleep 600 &",
    "with nohup": "nohup sleep 600 >/dev/null 2>&1 &",
    "in a session of its own": "setsid sleep 600 &",
    "in a session of a session": "setsid -f setsid -f sleep 600",
    "as a daemon": '"$PYTHON" -c "$DAEMON"',
    "as a daemon deaf to SIGTERM": '"$PYTHON" -c "$DAEMON" deaf',
    "stopped": 'setsid -f sh -c "kill -STOP \\$\\$; sleep 600"',
    "holding our pipe": "setsid -f sh -c 'trap \"\" TERM; while :; do echo x; sleep 0.01; done'",
}


@pytest.fixture
def witness() -> Witness:
    made = Witness()
    made.env |= {"PYTHON": sys.executable, "DAEMON": DAEMON}
    return made


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
async def test_the_end_of_a_command_ends_what_it_left_behind(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path, escape: str
) -> None:
    result = await processes.run(["bash", "-c", f"{escape}\necho done"], env=witness.env, cwd=tmp_path)
    assert (result.exit_code, b"done" in result.stdout) == (0, True)
    assert witness.alive() == []


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
async def test_a_timeout_ends_everything(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path, escape: str
) -> None:
    with pytest.raises(ProcessTimeoutError):
        await processes.run(["bash", "-c", f"{escape}\nsleep 600"], env=witness.env, cwd=tmp_path, timeout=0.3)
    assert witness.alive() == []


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
async def test_a_cancel_ends_everything_before_it_returns(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path, escape: str
) -> None:
    os.mkfifo(tmp_path / "gate")
    script = f"{escape}\n: > gate; sleep 600"
    running = asyncio.create_task(processes.run(["bash", "-c", script], env=witness.env, cwd=tmp_path))
    await asyncio.to_thread((tmp_path / "gate").read_bytes)
    assert witness.alive() != []
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert witness.alive() == []


async def test_one_tasks_end_leaves_the_others_alone(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    other, begun = Witness(), asyncio.Event()
    script = "setsid -f sh -c 'echo in its session; exec sleep 600'; exec sleep 600"
    long = asyncio.create_task(
        processes.run(["sh", "-c", script], env=other.env, cwd=tmp_path, on_output=lambda *_: begun.set())
    )
    await begun.wait()
    before = await other.until(2)
    await processes.run(["bash", "-c", "setsid -f sleep 600"], env=witness.env, cwd=tmp_path)
    assert witness.alive() == []
    assert other.alive() == before
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    assert other.alive() == []


async def test_a_cancelled_command_may_clean_up_within_its_grace(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    script = "trap 'echo cleaned > cleaned; exit' TERM; : > gate; while :; do sleep 0.01; done"
    running = asyncio.create_task(processes.run(["bash", "-c", script], env=witness.env, cwd=tmp_path))
    await asyncio.to_thread((tmp_path / "gate").read_bytes)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tmp_path / "cleaned").read_text() == "cleaned\n"


async def test_a_stopped_command_is_woken_to_clean_up(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    script = "trap 'echo cleaned > cleaned; exit' TERM; : > gate; kill -STOP $$; while :; do sleep 0.01; done"
    running = asyncio.create_task(processes.run(["bash", "-c", script], env=witness.env, cwd=tmp_path))
    await asyncio.to_thread((tmp_path / "gate").read_bytes)
    await witness.until_stopped()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tmp_path / "cleaned").read_text() == "cleaned\n"


async def test_a_second_cancel_does_not_wait_for_the_grace(witness: Witness, tmp_path: Path) -> None:
    patient = ReapedProcesses(tmp_path / "state", grace=600.0)
    os.mkfifo(tmp_path / "gate")
    script = "trap 'echo asked > gate' TERM; : > gate; while :; do sleep 0.01; done"
    running = asyncio.create_task(patient.run(["bash", "-c", script], env=witness.env, cwd=tmp_path))
    await asyncio.to_thread((tmp_path / "gate").read_bytes)
    running.cancel()
    assert await asyncio.to_thread((tmp_path / "gate").read_text) == "asked\n"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert witness.alive() == []
    await patient.close()


async def test_a_process_that_forks_as_fast_as_it_can_is_ended(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    """Each generation leaves its parent behind: whoever looks sees a tree that is already another."""
    flight = "import os\nfor _ in range(100000):\n    if os.fork(): os._exit(0)\n    os.setsid()\n"
    with pytest.raises(ProcessTimeoutError):
        await processes.run(
            ["sh", "-c", f"for i in 1 2 3; do {sys.executable} -S -c '{flight}' & done; sleep 600"],
            env=witness.env,
            cwd=tmp_path,
            timeout=0.3,
        )
    assert witness.alive() == []


async def test_closing_ends_what_still_runs(witness: Witness, tmp_path: Path) -> None:
    processes = ReapedProcesses(tmp_path / "state")
    running = asyncio.create_task(
        processes.run(["bash", "-c", ESCAPES["as a daemon"] + "; sleep 600"], env=witness.env, cwd=tmp_path)
    )
    await witness.until(2)
    await processes.close()
    assert witness.alive() == []
    with pytest.raises(Exception, match="closed"):
        await running
    assert list((tmp_path / "state" / "reapers").iterdir()) == []


ENGINE = """
import asyncio, json, os, sys
from pathlib import Path
from orchestrator.host.processes import ReapedProcesses

async def main(state, cwd, script, module):
    processes = ReapedProcesses(Path(state))
    env = {name: os.environ[name] for name in ("PATH", "WITNESS", "PYTHON", "DAEMON")}
    calls = [processes.run(["bash", "-c", script], env=env, cwd=Path(cwd)) for _ in range(3)]
    calls.append(processes.call_python(module, b"{}", path=Path(cwd), env=env, cwd=Path(cwd)))
    await asyncio.gather(*calls)

asyncio.run(main(*sys.argv[1:]))
"""

STUBBORN = """
import os, signal, subprocess
def run():
    # A child by exec, so that its environment can be seen from outside; this process itself is a fork.
    subprocess.Popen(["setsid", "sleep", "600"])
    open("python_pid", "w").write(str(os.getpid()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("gate", "w").write("x")
    while True: signal.pause()
"""


async def engine_at_work(witness: Witness, tmp_path: Path) -> asyncio.subprocess.Process:
    """A process of its own that runs, as an engine does, three commands with daemons of all sorts and a Python function."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    os.mkfifo(tmp_path / "gate")
    script = "\n".join(ESCAPES.values()) + "\necho -n x > gate; sleep 600"
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, str(tmp_path / "state"), str(tmp_path), script, "stubborn:run",
        env={"PATH": os.environ["PATH"], **witness.env},
    )  # fmt: skip
    # Held open for writing as well, so that it does not end between one writer and the next.
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    for _ in range(4):
        await asyncio.to_thread(os.read, gate, 1)
    os.close(gate)
    return engine


async def test_nothing_survives_a_killed_engine(witness: Witness, tmp_path: Path) -> None:
    engine = await engine_at_work(witness, tmp_path)
    assert len(witness.alive()) > 3
    engine.kill()
    await engine.wait()
    left = await asyncio.to_thread(wait_old_reapers, tmp_path / "state", 20.0)
    assert left == []
    assert witness.alive() == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "python_pid").read_text()), 0)
    assert list((tmp_path / "state" / "reapers").iterdir()) == []


async def test_nothing_survives_engine_and_reaper_killed_together(witness: Witness, tmp_path: Path) -> None:
    engine = await engine_at_work(witness, tmp_path)
    reaper = next(pid for pid in children(engine.pid) if b"reaper" in command(pid))
    os.kill(reaper, signal.SIGKILL)
    engine.kill()
    await engine.wait()
    assert await asyncio.to_thread(wait_old_reapers, tmp_path / "state", 20.0) == []
    assert witness.alive() == []


async def test_a_fork_of_the_engine_does_not_keep_its_processes_alive(witness: Witness, tmp_path: Path) -> None:
    """Such a fork holds copies of every socket: only the engine's own death can tell."""
    program = f"""
import asyncio, os, signal, sys
from pathlib import Path
from orchestrator.host.processes import ReapedProcesses

async def main():
    processes = ReapedProcesses(Path({str(tmp_path / "state")!r}))
    call = asyncio.create_task(processes.run(["sh", "-c", ": > gate; setsid sleep 600"], env={witness.env!r}, cwd=Path({str(tmp_path)!r})))
    await asyncio.sleep(0)
    while not processes._link: await asyncio.sleep(0.01)
    if os.fork() == 0:
        os.closerange(0, 3)
        signal.pause()
    await call

asyncio.run(main())
"""
    os.mkfifo(tmp_path / "gate")
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    await asyncio.to_thread((tmp_path / "gate").read_bytes)
    forks = [pid for pid in children(engine.pid) if b"asyncio.run(main())" in command(pid)]
    assert len(forks) == 1
    engine.kill()
    await engine.wait()
    assert await asyncio.to_thread(wait_old_reapers, tmp_path / "state", 20.0) == []
    assert witness.alive() == []
    os.kill(forks[0], signal.SIGKILL)


async def test_living_engines_are_not_waited_for(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    """Neither this process's own, nor another's."""
    running = asyncio.create_task(processes.run(["sleep", "600"], env=witness.env, cwd=tmp_path))
    await witness.until(1)
    assert wait_old_reapers(tmp_path / "state", 0.0) == []
    probe = (
        "import sys; from pathlib import Path; from orchestrator.host.reaper_link import wait_old_reapers;"
        "print(wait_old_reapers(Path(sys.argv[1]), 5.0))"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", probe, str(tmp_path / "state"), stdout=asyncio.subprocess.PIPE
    )
    assert (await other.communicate())[0] == b"[]\n"
    assert len(witness.alive()) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_reaper_that_cannot_end_yet_is_named(witness: Witness, tmp_path: Path) -> None:
    """A lock that is still held under a dead engine: the caller hears of it after its time is up."""
    holder = (
        "import fcntl, os, sys; folder = sys.argv[1]; os.makedirs(folder);"
        "open(folder + '/dead.engine', 'w').close(); lock = open(folder + '/dead.reaper', 'w');"
        "fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", holder, str(tmp_path / "reapers"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    assert await asyncio.to_thread(wait_old_reapers, tmp_path, 0.1) == ["dead"]
    waiting = asyncio.create_task(asyncio.to_thread(wait_old_reapers, tmp_path, 20.0))
    await process.communicate(b"")
    assert await waiting == []


def test_a_folder_without_reapers_needs_no_waiting(tmp_path: Path) -> None:
    assert wait_old_reapers(tmp_path / "never-used", 20.0) == []
