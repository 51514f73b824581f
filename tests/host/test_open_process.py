"""A process that stays can be talked with in any amount, says why it fell, and never outlives us."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from orchestrator.errors import TaskError
from orchestrator.host.processes import ReapedProcesses
from tests.host.witness import Witness

MIB = 1024 * 1024
DOUBLER = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(line * 2); sys.stdout.flush()"


async def read_all(process: object, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(30):
        while len(data) < size and (more := await process.read()):  # type: ignore[attr-defined]
            data += more
    return data


async def test_what_is_written_comes_back_in_order(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    process = await processes.open(["cat"], env=witness.env, cwd=tmp_path)
    for word in (b"one\n", b"two\n"):
        await process.write(word)
        assert await read_all(process, 4) == word
    assert process.alive
    await process.leave()
    assert not process.alive
    assert witness.alive() == []


async def test_more_than_any_pipe_holds_goes_both_ways(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    process = await processes.open([sys.executable, "-c", DOUBLER], env=witness.env, cwd=tmp_path)
    line = os.urandom(2 * MIB).hex().encode() + b"\n"
    _, answer = await asyncio.gather(process.write(line), read_all(process, 2 * len(line)))
    assert answer == line * 2
    await process.leave()


async def test_a_process_that_nobody_reads_waits_instead_of_filling_our_memory(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    process = await processes.open(["sh", "-c", "read x; exec cat /dev/zero"], env=witness.env, cwd=tmp_path)
    await process.write(b"\n")
    assert len(await process.read()) > 0
    other = await processes.open(["cat"], env=witness.env, cwd=tmp_path)
    await other.write(b"the loop still turns\n")
    assert await other.read() == b"the loop still turns\n"
    assert len(process._unread) <= 512 * 1024
    await asyncio.gather(process.leave(), other.leave())
    assert witness.alive() == []


async def test_a_start_that_fails_says_why(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    process = await processes.open(["no-such-program"], env=witness.env, cwd=tmp_path)
    assert await process.read() == b""
    await process.leave()
    assert isinstance(process.failure, FileNotFoundError)
    assert process.failure.filename == "no-such-program"


async def test_its_last_words_are_kept_without_secrets(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    program = ["sh", "-c", "echo the token is tok-12345678 >&2; printf last; exit 3"]
    process = await processes.open(program, env=witness.env, cwd=tmp_path, secrets=["tok-12345678"])
    assert await read_all(process, 100) == b"last"
    await process.leave()
    assert process.complaint() == b"the token is ***\n"
    with pytest.raises(BrokenPipeError):
        await process.write(b"anybody there?")


async def test_leaving_ends_what_ignores_its_input_and_signals(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    stubborn = "trap '' TERM; setsid -f sleep 600; echo up; while :; do sleep 0.01; done"
    process = await processes.open(["sh", "-c", stubborn], env=witness.env, cwd=tmp_path)
    assert await process.read() == b"up\n"
    await asyncio.gather(process.leave(), process.leave())
    assert witness.alive() == []


async def test_closing_the_engine_ends_it(witness: Witness, tmp_path: Path) -> None:
    processes = ReapedProcesses(tmp_path / "state", grace=1.0)
    process = await processes.open(["sh", "-c", "setsid -f sleep 600; cat"], env=witness.env, cwd=tmp_path)
    await process.write(b"up\n")
    assert await process.read() == b"up\n"
    await processes.close()
    assert witness.alive() == []
    assert await process.read() == b""
    with pytest.raises(TaskError, match="closing"):
        await processes.open(["cat"], env=witness.env, cwd=tmp_path)


ENGINE = """
import asyncio, os, sys
from pathlib import Path
from orchestrator.host.processes import ReapedProcesses

async def main(state):
    env = {name: os.environ[name] for name in ("PATH", "WITNESS")}
    processes = ReapedProcesses(Path(state))
    process = await processes.open(["sh", "-c", "setsid -f sleep 600; cat"], env=env, cwd=Path(state))
    await process.write(b"up")
    print((await process.read()).decode(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


async def test_nothing_of_it_survives_a_killed_engine(witness: Witness, tmp_path: Path) -> None:
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, str(tmp_path), stdout=asyncio.subprocess.PIPE, env={**os.environ, **witness.env}
    )
    assert engine.stdout is not None
    assert await engine.stdout.readline() == b"up\n"
    engine.kill()
    await engine.wait()
    assert await witness.until(0) == []


async def test_no_descriptor_is_left_open(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    await (await processes.open(["true"], env=witness.env, cwd=tmp_path)).leave()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for program in (["cat"], ["true"], ["no-such-program"]):
        await (await processes.open(program, env=witness.env, cwd=tmp_path)).leave()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
