"""Workflows run inside tests: from a tape, cut off from the network; or live, to make the tape."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from orchestrator.errors import NotFoundError, WhisperFlowError

if TYPE_CHECKING:
    from orchestrator.ai.tapes import TapePlayer, TapeRecorder
    from orchestrator.engine.views import RunResult

JSON = Any

_UNSAFE: Final = re.compile(r"[^\w.-]+")
_DIFF_LINES_MAX: Final = 100


class WorkflowRunner:
    """What the fixture `run_workflow` gives. Callable from sync and async tests."""

    def __init__(
        self,
        *,
        root: Path,
        tapes: Path,
        test: str,
        state: Path,
        record: bool = False,
        fail: Callable[[str], NoReturn],
    ) -> None:
        """`root`: where relative paths begin; `tapes`: the folder of tapes that are not named; `fail` ends the test."""
        self.record = record
        self._root = root
        self._tapes = tapes
        self._test = test
        self._state = state
        self._fail = fail
        self._calls = 0

    def __call__(
        self,
        workflow: Path | str,
        inputs: Mapping[str, JSON] | None = None,
        *,
        tape: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
        offline: bool = True,
        strict: bool = False,
        live_tools: bool = False,
    ) -> RunResult:
        """Run to the end (or until it waits for a person) and give the result, whatever its status.

        `offline=False` leaves the network open to the workflow's other tasks; `strict`: an answer left unused fails the test;
        `live_tools`: tools are called, only models are played. The environment is the process's own unless given.
        """
        __tracebackhide__ = True  # what goes wrong in here says so itself; pytest would print our environment beside it
        self._calls += 1
        file = self._root / workflow
        path = self._root / tape if tape is not None else self._tape_of_test()
        opened = self._open(path, environ, live_tools)
        guard = _Guard(active=offline and not self.record)
        with guard.on():
            try:
                result = _complete(lambda: self._run(file, inputs, opened, environ))
            except WhisperFlowError as error:
                if error.help:
                    error.add_note(f"help: {error.help}")
                raise error.with_traceback(None) from None
        self._judge(path, opened, guard, strict)
        return result

    def _tape_of_test(self) -> Path:
        name = _UNSAFE.sub("-", self._test).strip("-")
        return self._tapes / (f"{name}.jsonl" if self._calls == 1 else f"{name}.{self._calls}.jsonl")

    def _open(self, path: Path, environ: Mapping[str, str] | None, live_tools: bool) -> TapePlayer | TapeRecorder:
        from orchestrator.ai.tapes import TapePlayer, TapeRecorder

        if self.record:
            return TapeRecorder(path, environ=environ, force=True)
        with contextlib.suppress(NotFoundError):
            return TapePlayer(path, environ=environ, live_tools=live_tools)
        return self._fail(f"there is no tape {path}: `pytest --record-tapes` makes it (asks the models, costs money)")

    async def _run(
        self,
        file: Path,
        inputs: Mapping[str, JSON] | None,
        tape: TapePlayer | TapeRecorder,
        environ: Mapping[str, str] | None,
    ) -> RunResult:
        from orchestrator.bootstrap import ExecutionEngine
        from orchestrator.host.project import find_project
        from orchestrator.spec.plan_cache import load_plan
        from orchestrator.spec.project_config import load_config
        from orchestrator.stores.memory import MemoryJournal

        project = find_project(file).root
        plan, _ = load_plan(file, project)
        settings = load_config(project).data
        self._state.mkdir(mode=0o700, exist_ok=True)
        engine = ExecutionEngine(
            project,
            state=self._state / str(self._calls),
            journal=MemoryJournal(),
            settings=settings,
            environ=environ,
            tape=tape,
        )
        async with engine:
            return await engine.run(plan, inputs)

    def _judge(self, path: Path, tape: TapePlayer | TapeRecorder, guard: _Guard, strict: bool) -> None:
        from orchestrator.ai.tapes import TapePlayer

        misses = tape.misses if isinstance(tape, TapePlayer) else []
        if misses:
            diff = "\n".join(misses[0].diff[:_DIFF_LINES_MAX])
            self._fail(f"{misses[0].message}\n{diff}\nrecord it anew: `pytest --record-tapes` (asks the models)")
        if guard.refused:
            self._fail(f"the replay reached for the network: {', '.join(sorted(guard.refused))}")
        left = tape.unused() if strict and isinstance(tape, TapePlayer) else []
        if left:
            self._fail(f"{path}: not used: {', '.join(f'entry {entry.number} ({entry.said})' for entry in left)}")


def _complete(run: Callable[[], Any]) -> RunResult:
    """Run a coroutine to its end: in a thread of its own where this one has an event loop already."""
    if not _inside_a_loop():
        return asyncio.run(run())  # type: ignore[no-any-return]
    found: list[RunResult] = []
    raised: list[BaseException] = []

    def beside() -> None:
        try:
            found.append(asyncio.run(run()))
        except BaseException as error:  # noqa: BLE001  it is raised where the test waits
            raised.append(error)

    thread = threading.Thread(target=beside, name="run_workflow")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return found[0]


class NetworkRefusedError(OSError):
    """Somebody wanted a connection during a replay."""


class _Guard:
    """No connection leaves this process while it is on. Unix sockets, which stay on the machine, are left alone.

    Processes that the workflow starts are their own: nothing here can hold them.
    """

    def __init__(self, *, active: bool) -> None:
        self._active = active
        self.refused: set[str] = set()

    @contextmanager
    def on(self) -> Iterator[None]:
        if not self._active:
            yield
            return
        connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

        def refusing(original: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
            def to(sock: socket.socket, address: Any) -> Any:
                if sock.family in (socket.AF_INET, socket.AF_INET6):
                    self._refuse(f"{address[0]}:{address[1]}")
                return original(sock, address)

            return to

        def refusing_names(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
            self._refuse(f"{host.decode() if isinstance(host, bytes) else host}:{port}")

        socket.socket.connect = refusing(connect)  # type: ignore[method-assign]
        socket.socket.connect_ex = refusing(connect_ex)  # type: ignore[method-assign]
        socket.getaddrinfo = refusing_names
        try:
            yield
        finally:
            socket.socket.connect = connect  # type: ignore[method-assign]
            socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
            socket.getaddrinfo = resolve

    def _refuse(self, where: str) -> NoReturn:
        self.refused.add(where)
        raise NetworkRefusedError(f"a replay opens no connection ({where}); `offline=False` lets other tasks do so")


def _inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
