"""Processes run with what they are given, their output is bounded, and their end is exact."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import TaskError
from orchestrator.host.processes import ProcessTimeoutError, ReapedProcesses
from orchestrator.ports.services import ProcessResult
from tests.host.witness import Witness

MIB = 1024 * 1024
GRANDPARENT = """
import os
def spawner():
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
"""


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def shell(
    processes: ReapedProcesses, script: str, witness: Witness, cwd: Path, **options: object
) -> ProcessResult:
    return await processes.run(["bash", "-c", script], env=witness.env, cwd=cwd, **options)  # type: ignore[arg-type]


async def test_output_and_exit_code_come_back(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    result = await shell(processes, "echo out; echo err >&2; exit 3", witness, tmp_path)
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert not result.stdout_truncated


async def test_a_signal_counts_as_128_and_its_number(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    assert (await shell(processes, "kill -SEGV $$", witness, tmp_path)).exit_code == 128 + 11


async def test_the_environment_is_exactly_the_one_given(processes: ReapedProcesses, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "A": "1", "WITH_LINES": "a\nb", "UNICODE": "naïve ☃"}
    program = "import os, json, sys; sys.stdout.write(json.dumps(dict(os.environ)))"
    result = await processes.run([sys.executable, "-I", "-c", program], env=env, cwd=tmp_path)
    seen = json.loads(result.stdout)
    seen.pop("LC_CTYPE", None)  # Python's own, where the locale is C
    assert seen == env


async def test_no_descriptor_of_ours_reaches_a_command(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    result = await processes.run(["ls", "/proc/self/fd"], env=witness.env, cwd=tmp_path)
    # The fourth is the folder that ls reads.
    assert result.stdout.split() == [b"0", b"1", b"2", b"3"]


async def test_signals_are_as_a_program_expects_them(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    result = await shell(processes, "grep -E 'Sig(Blk|Ign)' /proc/self/status", witness, tmp_path)
    masks = [int(line.split()[1], 16) for line in result.stdout.splitlines()]
    # 32 and 33 belong to the C library.
    assert [mask & 0x7FFF_FFFF for mask in masks] == [0, 0]


async def test_a_command_has_no_terminal(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    result = await shell(processes, "true < /dev/tty", witness, tmp_path)
    assert result.exit_code != 0


async def test_stdin_of_any_size_arrives_whole(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    data = os.urandom(3 * MIB)
    result = await processes.run(["cat"], env=witness.env, cwd=tmp_path, stdin=data)
    assert result.stdout == data


async def test_a_process_that_does_not_read_its_input_ends_as_ever(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    result = await processes.run(["true"], env=witness.env, cwd=tmp_path, stdin=b"x" * MIB)
    assert result.exit_code == 0


async def test_without_stdin_a_reader_sees_the_end_at_once(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    assert (await processes.run(["cat"], env=witness.env, cwd=tmp_path, timeout=10)).stdout == b""


async def test_what_cannot_be_started_says_why(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        await processes.run(["no-such-program"], env=witness.env, cwd=tmp_path)
    assert missing.value.filename == "no-such-program"
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    with pytest.raises(PermissionError):
        await processes.run([str(plain)], env=witness.env, cwd=tmp_path)
    with pytest.raises(FileNotFoundError) as nowhere:
        await processes.run(["true"], env=witness.env, cwd=tmp_path / "nowhere")
    assert nowhere.value.filename == str(tmp_path / "nowhere")
    with pytest.raises(OSError, match="Argument list too long"):
        await processes.run(["true", "x" * (4 * MIB)], env=witness.env, cwd=tmp_path)


async def test_output_is_seen_while_the_process_runs(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    seen: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"echo first; read line < {gate}; echo $line >&2"
    running = asyncio.create_task(
        shell(processes, script, witness, tmp_path, on_output=lambda *piece: seen.put_nowait(piece))
    )
    assert await seen.get() == ("stdout", b"first\n")
    await asyncio.to_thread(gate.write_text, "second\n")
    assert await seen.get() == ("stderr", b"second\n")
    assert (await running).exit_code == 0


async def test_both_streams_are_kept_as_logs(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    logs = tmp_path / "logs" / "1"
    await shell(processes, "echo out; echo err >&2", witness, tmp_path, log_dir=logs)
    assert (logs / "stdout.log").read_text() == "out\n"
    assert (logs / "stderr.log").read_text() == "err\n"
    assert (logs / "stdout.log").stat().st_mode & 0o777 == 0o600


async def test_a_log_stops_at_its_limit_and_says_so(witness: Witness, tmp_path: Path) -> None:
    processes = ReapedProcesses(tmp_path / "state", log_limit=1000)
    await shell(processes, "head -c 5000 /dev/zero | tr '\\0' x", witness, tmp_path, log_dir=tmp_path / "logs")
    await processes.close()
    text = (tmp_path / "logs" / "stdout.log").read_text()
    assert text == "x" * 1000 + "\n[output beyond 1000 bytes is not kept]\n"


async def test_a_hundred_megabytes_pass_through_bounded_memory(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await shell(
        processes, "echo head; head -c 100000000 /dev/zero; echo tail", witness, tmp_path, keep=MIB, log_dir=tmp_path
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert result.stdout.startswith(b"head\n\0")
    assert result.stdout.endswith(b"\0tail\n")
    assert b"bytes left out]" in result.stdout
    assert result.stdout_truncated
    assert len(result.stdout) < MIB + 100
    assert grown < 16 * 1024, "KiB"


async def test_output_that_never_ends_is_ended_by_the_timeout(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    with pytest.raises(ProcessTimeoutError) as ended:
        await processes.run(["yes"], env=witness.env, cwd=tmp_path, timeout=0.3, keep=MIB)
    assert ended.value.result.stdout.startswith(b"y\ny\n")
    assert witness.alive() == []


async def test_a_process_that_closed_its_outputs_is_still_waited_for(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    result = await shell(processes, f"exec >&- 2>&-; sleep 0.1; : > {done}; exit 7", witness, tmp_path)
    assert (result.exit_code, done.exists()) == (7, True)


async def test_a_writer_in_the_background_may_finish_its_last_words(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    result = await shell(processes, "echo words > >(sleep 0.05; cat)", witness, tmp_path)
    assert result.stdout == b"words\n"


async def test_a_secret_is_masked_wherever_output_goes(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    live: list[bytes] = []
    result = await shell(
        processes,
        "printf 'key=open-'; sleep 0.05; echo sesame; echo open-sesame | base64 >&2",
        witness,
        tmp_path,
        log_dir=tmp_path,
        secrets=["open-sesame"],
        on_output=lambda _, data: live.append(data),
    )
    assert result.stdout == b"key=***\n"
    assert (tmp_path / "stdout.log").read_text() == "key=***\n"
    assert b"***" in result.stderr
    assert b"b3Blbi1zZXNhbW" not in result.stderr + b"".join(live)


async def test_fifty_processes_run_side_by_side(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    all_of_them = [
        asyncio.create_task(shell(processes, f"echo {number}; read x < {gate}; exit {number}", witness, tmp_path))
        for number in range(50)
    ]
    await witness.until(50)
    writer = await asyncio.to_thread(gate.open, "w")
    writer.write("go\n" * 50)
    writer.close()
    # Readers race for the lines of one pipe: who got none sees the end of it and goes on as well.
    results = await asyncio.gather(*all_of_them)
    assert [(result.exit_code, result.stdout) for result in results] == [(n, f"{n}\n".encode()) for n in range(50)]


async def test_a_reaper_that_was_killed_loses_its_tasks_and_is_replaced(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    running = asyncio.create_task(shell(processes, "setsid sleep 600 & sleep 600", witness, tmp_path))
    await witness.until(3)
    assert processes._link is not None
    os.kill(processes._link.pid, 9)
    result = await asyncio.wait_for(running, 10)
    assert result.exit_code == 143
    assert witness.alive() == []
    assert (await shell(processes, "echo again", witness, tmp_path)).stdout == b"again\n"


async def test_a_warm_python_that_was_killed_is_replaced(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    (tmp_path / "two_lives.py").write_text(GRANDPARENT)

    async def spawner() -> int:
        result = await processes.call_python("two_lives:spawner", b"{}", path=tmp_path, env=witness.env, cwd=tmp_path)
        assert result.reply is not None
        return int(json.loads(result.reply)["value"])

    first = await spawner()
    assert await spawner() == first
    os.kill(first, 9)
    second = first
    while second == first:
        # What was handed over just before it died is lost, and said to be.
        with suppress(TaskError):
            second = await spawner()


async def test_what_the_system_cannot_take_is_an_error_of_the_start(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        await processes.run(["true", "a\0b"], env=witness.env, cwd=tmp_path)


async def test_a_supervisor_that_was_killed_is_reported_and_leaves_nothing(
    processes: ReapedProcesses, witness: Witness, tmp_path: Path
) -> None:
    with pytest.raises(TaskError) as lost:
        await shell(processes, "setsid sleep 600 & kill -9 $PPID; sleep 600", witness, tmp_path)
    assert lost.value.type == "lost"
    assert witness.alive() == []
    assert (await shell(processes, "echo on", witness, tmp_path)).stdout == b"on\n"


async def test_descriptors_do_not_add_up(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    await shell(processes, "true", witness, tmp_path)
    before = open_descriptors()
    for _ in range(20):
        await shell(processes, "cat", witness, tmp_path, stdin=b"x", log_dir=tmp_path)
        with pytest.raises(FileNotFoundError):
            await processes.run(["no-such-program"], env=witness.env, cwd=tmp_path)
    assert open_descriptors() == before


async def test_after_close_nothing_starts(processes: ReapedProcesses, witness: Witness, tmp_path: Path) -> None:
    await processes.close()
    with pytest.raises(TaskError, match="closing"):
        await shell(processes, "true", witness, tmp_path)
    await processes.close()
