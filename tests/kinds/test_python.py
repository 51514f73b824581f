"""`python` calls real functions in real worker processes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.kinds.conformance import NOW, SECRET, KindConformance, World

MODULE = """
import asyncio, os, sys, time

IMPORTED_IN = os.getpid()

def add(a, b=1): return a + b
async def add_async(a, b=1):
    await asyncio.sleep(0)
    return a + b
def talk():
    print("to stdout"); print("to stderr", file=sys.stderr)
def leak():
    token = os.environ["TOKEN"]
    print(token); print(token, file=sys.stderr)
    return {"t": token, token: 1}
def fail(): raise ValueError("no such thing")
def fail_with_secret(): raise ValueError("cannot use " + os.environ["T"])
def quit(code): sys.exit(code)
def vanish(): os._exit(0)
def crash():
    import ctypes
    ctypes.string_at(0)
def give(kind):
    loop = []; loop.append(loop)
    return {"object": object(), "nan": float("nan"), "loop": loop, "set": {1}, "bytes": b"x",
            "wide": 10 ** 30, "surrogate": "\\ud800", "tuple": (1, 2)}[kind]
def about(): return {"pid": os.getpid(), "parent": os.getppid(), "imported_in": IMPORTED_IN, "cwd": os.getcwd(),
                     "path": sys.path[0], "argv": sys.argv, "env": dict(os.environ), "fds": sorted(os.listdir("/proc/self/fd"))}
def read_stdin(): return sys.stdin.read()
def run_forever():
    print("begun", flush=True)
    while True: pass
def at_exit(path):
    import atexit
    atexit.register(lambda: open(path, "w").write("said goodbye"))
def typed(n: int, *, flag: bool): return [n, flag]
class Box:
    @staticmethod
    def open(): return "opened"
not_a_function = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "__init__.py").touch()
    (tmp_path / "users" / "work.py").write_text(MODULE)
    (tmp_path / "users" / "broken.py").write_text("import os\nraise RuntimeError('at import')\n")
    (tmp_path / "users" / "needy.py").write_text("import nowhere_to_be_found\n")


def call(function: str, **args: Any) -> dict[str, Any]:
    return {"call": f"users.work:{function}", "args": args}


class TestPython(KindConformance):
    verb = "python"
    fields: ClassVar[dict[str, Any]] = call("add", a=1)
    leaking_fields: ClassVar[dict[str, Any]] = call("leak")


@pytest.mark.parametrize("function", ["add", "add_async"])
async def test_the_value_is_what_the_function_returns(world: World, function: str) -> None:
    done = await world.succeed("python", call(function, a=1, b=41))
    assert done.value == 42
    assert done.meta["exit_code"] == 0


async def test_a_nested_name_is_found(world: World) -> None:
    assert (await world.succeed("python", {"call": "users.work:Box.open", "args": {}})).value == "opened"


async def test_every_attempt_is_a_fresh_process_that_imported_the_module_itself(world: World) -> None:
    first = (await world.succeed("python", call("about"))).value
    second = (await world.succeed("python", call("about"))).value
    assert len({os.getpid(), first["pid"], second["pid"]}) == 3
    assert (first["imported_in"], second["imported_in"]) == (first["pid"], second["pid"])


async def test_it_knows_the_project_its_folder_and_its_environment_only(world: World, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    about = (await world.succeed("python", call("about"), cwd=tmp_path / "sub", env={"MINE": "ü"})).value
    assert (about["path"], about["cwd"], about["argv"]) == (str(tmp_path), str(tmp_path / "sub"), ["users.work:about"])
    assert about["env"]["MINE"] == "ü"
    assert about["env"]["WHISPER_TASK"] == "t"
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert "PYTEST_CURRENT_TEST" not in about["env"]


async def test_no_descriptor_of_ours_is_open_in_it(world: World) -> None:
    about = (await world.succeed("python", call("about"))).value
    # 3 is the reply's pipe, 4 the folder it lists.
    assert about["fds"] == ["0", "1", "2", "3", "4"]


async def test_its_standard_input_is_empty(world: World) -> None:
    assert (await world.succeed("python", call("read_stdin"))).value == ""


async def test_what_it_prints_goes_to_the_logs_not_to_the_value(world: World) -> None:
    done = await world.succeed("python", call("talk"))
    assert done.value is None
    assert (done.meta["stdout"], done.meta["stderr"]) == ("to stdout\n", "to stderr\n")
    assert (world.root / "logs" / "t.1" / "stdout.log").read_text() == "to stdout\n"
    assert world.logged("stderr") == "to stderr\n"


async def test_an_exception_is_the_failure_and_its_traceback_is_in_the_log(world: World) -> None:
    error = await world.fail("python", call("fail"))
    assert (error.type, str(error), error.meta["exception"]) == ("exit", "ValueError: no such thing", "ValueError")
    assert "def fail(): raise ValueError" in error.meta["stderr"]
    assert "python_worker.py" not in error.meta["stderr"]


async def test_a_secret_in_an_exception_is_masked(world: World) -> None:
    error = await world.fail("python", call("fail_with_secret"), env={"T": SECRET}, secrets=(SECRET,))
    assert str(error) == "ValueError: cannot use ***"
    assert SECRET not in repr(error.meta)


async def test_a_module_that_fails_on_import_says_so(world: World) -> None:
    error = await world.fail("python", {"call": "users.broken:x", "args": {}})
    assert (error.type, str(error)) == ("exit", "importing users.broken failed: RuntimeError: at import")
    error = await world.fail("python", {"call": "users.needy:x", "args": {}})
    assert "No module named 'nowhere_to_be_found'" in str(error)


@pytest.mark.parametrize(
    ("target", "args", "message"),
    [
        ("users.nothing:x", {}, "no module named 'users.nothing'"),
        ("nothing_at_all:x", {}, "no module named 'nothing_at_all'"),
        ("users.work:missing", {}, "module 'users.work' has no 'missing'"),
        ("users.work:not_a_function", {}, "is no function but an int"),
        ("users.work:typed", {"n": 1}, "missing a required argument: 'flag'"),
        ("users.work:typed", {"n": 1, "flag": True, "more": 1}, "unexpected keyword argument 'more'"),
    ],
)
async def test_what_cannot_be_called_is_invalid_input(
    world: World, target: str, args: dict[str, Any], message: str
) -> None:
    error = await world.fail("python", {"call": target, "args": args})
    assert error.type == "invalid_input"
    assert message in str(error)


@pytest.mark.parametrize("kind", ["object", "nan", "loop", "set", "bytes", "surrogate", "wide"])
async def test_what_is_no_json_is_invalid_output(world: World, kind: str) -> None:
    error = await world.fail("python", call("give", kind=kind))
    assert error.type == "invalid_output"
    assert "users.work:give" in str(error)


async def test_a_tuple_is_a_list(world: World) -> None:
    assert (await world.succeed("python", call("give", kind="tuple"))).value == [1, 2]


async def test_leaving_by_exit_is_a_failure_that_says_so(world: World) -> None:
    error = await world.fail("python", call("quit", code=3))
    assert (error.type, error.meta["exit_code"], str(error)) == ("exit", 3, "the function called sys.exit(3)")
    assert (await world.fail("python", call("quit", code="bye"))).meta["stderr"] == "bye\n"
    assert "before the function returned" in str(await world.fail("python", call("vanish")))


async def test_a_crash_of_the_interpreter_is_the_tasks_failure_only(world: World) -> None:
    assert str(await world.fail("python", call("crash"))).startswith("ended by SIGSEGV")
    assert (await world.succeed("python", call("add", a=1))).value == 2


async def test_a_busy_function_blocks_nobody_and_ends_by_its_timeout(world: World) -> None:
    begun = asyncio.Event()
    busy = asyncio.create_task(
        world.fail("python", call("run_forever"), deadline=NOW + 1.0, publish=lambda *_: begun.set())
    )
    await begun.wait()
    assert (await world.succeed("python", call("add", a=1))).value == 2
    error = await busy
    assert (error.type, error.meta["stdout"]) == ("timeout", "begun\n")


async def test_what_it_registered_for_its_end_is_done(world: World, tmp_path: Path) -> None:
    await world.succeed("python", call("at_exit", path=str(tmp_path / "bye")))
    assert (tmp_path / "bye").read_text() == "said goodbye"


async def test_large_arguments_and_values_pass(world: World) -> None:
    text = "ü" * 2_000_000
    assert (await world.succeed("python", call("add", a=text, b="!"))).value == text + "!"


async def test_twenty_functions_run_side_by_side(world: World) -> None:
    done = await asyncio.gather(*(world.succeed("python", call("add", a=n)) for n in range(20)))
    assert [one.value for one in done] == list(range(1, 21))
