"""Driving a run from the command line: shows it, asks the person here, takes Ctrl-C, and ends with an exit code.

run, resume, rerun      begin a run (or claim one), then `drive`
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli import exit_codes, formats, terminal
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.interrupts import Interrupts
from orchestrator.cli.renderers.choose import Progress, Renderer, SilentRenderer
from orchestrator.cli.session import Session
from orchestrator.errors import WhisperFlowError
from orchestrator.host.person import whoami

if TYPE_CHECKING:
    from orchestrator import ExecutionEngine, RunHandle, RunResult

Begin = Callable[["ExecutionEngine"], Awaitable["RunHandle"]]


@dataclass(slots=True, kw_only=True)
class Driving:
    """How a run is driven from here."""

    session: Session
    renderer: Renderer
    progress: Progress
    grace: float
    """Seconds that running tasks get after the first Ctrl-C."""
    after: int = 0
    """The number of the last event that was told when it happened: of a resumed run, its last one before."""
    ask: bool
    """A person is here and may be asked."""
    result_out: bool = True
    """Whether the outputs go to standard output at the end."""
    run_dir: Callable[[str], Path]
    """Where a run keeps its files, by its id."""
    started: Callable[[str], None] = lambda run_id: None
    """Told the run's id as soon as the run is durable."""


def drive(driving: Driving, engine: ExecutionEngine, begin: Begin) -> int:
    """Begin a run and stay with it until it ends, parks or is interrupted; the exit code."""
    # What is loaded by now stays: the collector need not look at it again.
    gc.freeze()
    try:
        return asyncio.run(_Drive(driving, engine).through(begin))
    finally:
        driving.renderer.close()


class _Drive:
    def __init__(self, driving: Driving, engine: ExecutionEngine) -> None:
        self.how = driving
        self.engine = engine
        engine.attended = driving.ask
        self.renderer = driving.renderer
        self.handle: RunHandle | None = None
        self._questions: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told = asyncio.Event()
        """Something happened since it was last cleared."""

    async def through(self, begin: Begin) -> int:
        main = asyncio.current_task()
        assert main is not None
        with Interrupts(lambda: self._drain(main), self._stop) as interrupts:
            async with self.engine:
                try:
                    result = await self._run(begin)
                except asyncio.CancelledError:
                    if interrupts.code is None or self.handle is not None:
                        raise
                    return interrupts.code
            return self._finish(result, interrupts.code)

    def _drain(self, main: asyncio.Task[Any]) -> None:
        """The first signal."""
        if self.handle is None:
            main.cancel()
            return
        self.renderer.notice("interrupted; once more stops at once")
        self.handle.stop(grace=self.how.grace, by=whoami())

    def _stop(self) -> None:
        """The second signal."""
        if self.handle is not None:
            self.renderer.notice("stopping at once")
            self.handle.stop(grace=0.0, by=whoami())

    async def _run(self, begin: Begin) -> RunResult:
        self.handle = await begin(self.engine)
        self.how.started(self.handle.run_id)
        async with _background(self._ticks(), "ticks"):
            if not self.how.ask:
                return await self._follow(self.handle)
            async with _background(self._ask_all(), "questions"):
                return await self._follow(self.handle)

    async def _follow(self, handle: RunHandle) -> RunResult:
        """Show every event until the driver lets go; all of them are shown before this returns."""
        if self.how.progress == "none":
            return await handle.wait()
        async for event in handle.watch(0):
            past = (event.get("seq") or self.how.after + 1) <= self.how.after
            self._show(self.renderer.recall if past else self.renderer.show, event)
            if event.get("type") == "task_asked" and self.how.ask:
                self._questions.put_nowait(event)
            self._told.set()
        return await handle.wait()

    def _show(self, tell: Callable[[Any], None], what: Any) -> None:
        """Tell what happened; a run goes on when whoever read about it has left (`run … --json | head -1`)."""
        try:
            tell(what)
        except BrokenPipeError:
            silent = SilentRenderer()
            silent.story = self.renderer.story
            self.renderer = silent

    async def _ticks(self) -> None:
        while True:
            self._show(self.renderer.tick, time.time())
            await asyncio.sleep(self.renderer.interval)

    async def _ask_all(self) -> None:
        """One question after the other; the frame is put away meanwhile."""
        from orchestrator.cli.prompts import TerminalLines

        read = TerminalLines()
        while True:
            question = await self._questions.get()
            if not self._open(question):
                continue
            self.renderer.hold()
            try:
                await self._until_settled(question, self._ask(question, read))
            except EOFError:
                self._leave(question)
                return
            finally:
                self.renderer.release()

    def _open(self, question: dict[str, Any]) -> bool:
        """Nobody has answered it meanwhile, it has not expired, and its task asks nothing else by now."""
        line = self.renderer.story.open.get(question["task"])
        if line is None or line.status != "asked" or line.question is None:
            return False
        return line.question.get("seq") == question.get("seq")

    def _leave(self, question: dict[str, Any]) -> None:
        """The person went (Ctrl-D): the run is let go of as soon as it only waits for people."""
        assert self.handle is not None
        self.engine.attended = False
        self.handle.let_go()
        self.renderer.notice(f"`{question['task']}` is left unanswered; the run goes on as far as it can without you")

    async def _until_settled(self, question: dict[str, Any], work: Coroutine[Any, Any, None]) -> None:
        """Ask, but stop asking when the question is settled elsewhere: answered, expired, cancelled."""
        asking = asyncio.create_task(work, name=f"ask {question['task']}")
        try:
            while not asking.done() and self._open(question):
                self._told.clear()
                told = asyncio.create_task(self._told.wait())
                await asyncio.wait({asking, told}, return_when=asyncio.FIRST_COMPLETED)
                told.cancel()
        finally:
            if not asking.done():
                asking.cancel()
                self.how.session.err.line()
        if not asking.cancelled() and asking.done():
            asking.result()

    async def _ask(self, question: dict[str, Any], read: Callable[[], Awaitable[str]]) -> None:
        from orchestrator.cli.prompts import ask_form

        assert self.handle is not None
        told: str | None = None
        while self._open(question):
            answer = await ask_form(question, self.how.session.err, read, told=told)
            try:
                self.handle.answer(question["task"], answer, by=whoami(), question=question.get("key") or "")
            except WhisperFlowError as error:
                told = error.message
            else:
                return

    def _finish(self, result: RunResult, signalled: ExitCode | None) -> int:
        interrupted = signalled is not None and result.status not in ("succeeded", "warned", "failed", "cancelled")
        status = "interrupted" if interrupted else result.status
        if self.how.progress != "none":
            self._tell_end(result, status)
        if self.how.result_out and result.status in ("succeeded", "warned"):
            with suppress(BrokenPipeError):
                show_outputs(self.how.session, result.outputs)
        if interrupted and signalled is not None:
            return signalled
        return exit_codes.of_run(result.status, result.failure)

    def _tell_end(self, result: RunResult, status: str) -> None:
        from orchestrator.cli.endings import ending_of

        assert self.handle is not None
        run_dir = self.how.run_dir(result.run_id)
        plan = self.handle.state.plan
        self._show(self.renderer.end, ending_of(self.how.session, run_dir, plan, result, status, self.renderer.story))


@asynccontextmanager
async def _background(work: Any, name: str) -> AsyncIterator[None]:
    """Run `work` beside the body; its failure is ours, its end is the body's."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def show_outputs(session: Session, outputs: Any) -> None:
    """The result alone on standard output: one JSON document; on a terminal, name by name where that reads better."""
    if outputs in (None, {}):
        return
    out = session.out
    if not out.terminal or not isinstance(outputs, dict):
        import json

        out.line(json.dumps(outputs, ensure_ascii=out.terminal, indent=2, default=str))
        return
    for name, value in outputs.items():
        text = terminal.clean(formats.value_text(value, indent=2))
        head = out.style(f"{terminal.clean_line(name)}:", "bold")
        out.line(f"{head}\n{text}" if "\n" in text else f"{head} {text}")
