"""The warm Python and its workers: `python: module:function` in a process of its own, forked in milliseconds.

The warm Python has imported some of the standard library and nothing of the user's. It forks a supervisor for each attempt
as the reaper does, and that one forks the worker, which imports the user's module, calls the function and writes one JSON
answer to its reply pipe:

    {"value": …}                                            it returned
    {"error": type, "message": …, "exception": class name}  it raised, or could not be called, or returned no JSON

What the function prints goes to the task's logs, as does the traceback.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import inspect
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from orchestrator.host.reaper import serve
from orchestrator.host.supervisor import refuse, restore_signals

if TYPE_CHECKING:
    from orchestrator.host.supervisor import Request

REPLY = 3
REPLY_LIMIT = 64 * 1024 * 1024
"""Bytes a function may return as JSON."""


def main() -> None:
    """The warm Python's own start; descriptor 0 is its control socket."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    serve(control, engine=None, body=work)
    os._exit(0)


def work(request: Request, descriptors: list[int]) -> NoReturn:
    """The body of a worker process: [stdin, stdout, stderr, reply] are the engine's pipes."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target, inheritable=target < REPLY)
    restore_signals()
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        refuse(request["report"], "cwd", error)
    # No exec closes for us what supervisor and reaper had open: their channels and the lock are not the user's.
    os.closerange(REPLY + 1, os.sysconf("SC_OPEN_MAX"))
    _take_environment(request["env"])
    sys.path.insert(0, request["path"])
    sys.argv = [request["target"]]
    code = 1
    try:
        answer, code = _answer(request["target"], request["arguments"])
        _reply(answer)
        # Private, but the only way to what the user's libraries registered; we end without the interpreter's own end.
        atexit._run_exitfuncs()  # noqa: SLF001
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _answer(target: str, arguments: bytes) -> tuple[bytes, int]:
    """What to reply, and the exit code of the process."""
    try:
        function = _find(target)
        keywords = json.loads(arguments)
        _check_call(target, function, keywords)
    except _CannotCallError as error:
        return _reply_of({"error": "invalid_input", "message": str(error)}), 1
    except BaseException as error:  # noqa: BLE001 - the module's own code ran: whatever it raised is the answer
        return _raised(error, f"importing {target.partition(':')[0]} failed: ")
    try:
        value = function(**keywords)
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
    except BaseException as error:  # noqa: BLE001
        return _raised(error, "")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return _refused(f"{target} returned {_shape(value)}, which is no JSON value: {error}")
    if len(text) > REPLY_LIMIT:
        return _refused(f"{target} returned {len(text) >> 20} MiB, which is more than {REPLY_LIMIT >> 20} MiB")
    return b'{"value":%b}' % text, 0


def _refused(message: str) -> tuple[bytes, int]:
    return _reply_of({"error": "invalid_output", "message": message}), 1


def _reply_of(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()


async def _awaited(value: Any) -> Any:
    return await value


class _CannotCallError(Exception):
    pass


def _find(target: str) -> Callable[..., Any]:
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise _CannotCallError(f"no module named {error.name!r} in the project or the installed packages") from None
        raise
    for name in path.split("."):
        if not hasattr(found, name):
            raise _CannotCallError(f"module {module_name!r} has no {path!r}")
        found = getattr(found, name)
    if not callable(found):
        raise _CannotCallError(f"{target!r} is no function but {_shape(found)}")
    return found  # type: ignore[no-any-return]


def _check_call(target: str, function: Callable[..., Any], keywords: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-ins have none: the call itself will tell
        return
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise _CannotCallError(f"{target}{signature} cannot take these args: {error}") from None


def _raised(error: BaseException, where: str) -> tuple[bytes, int]:
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
        return _reply_of({"error": "exit", "message": f"the function called sys.exit({error.code!r})"}), code
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    sys.stderr.flush()
    name = type(error).__name__
    message = f"{where}{name}: {error}" if str(error) else where + name
    return _reply_of({"error": "exit", "message": message, "exception": name}), 1


def _shape(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _reply(answer: bytes) -> None:
    data = memoryview(answer)
    while data:
        data = data[os.write(REPLY, data) :]
    os.close(REPLY)


def _take_environment(env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    for entry in reversed(env.get("PYTHONPATH", "").split(os.pathsep)):
        if entry:
            sys.path.insert(0, entry)
    # New ones: those of the warm Python knew another file. By lines, so that who follows the log sees them as they come.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
        for number in (1, 2)
    )
