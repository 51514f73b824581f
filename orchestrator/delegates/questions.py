"""Control delegates are asked away from the engine: on a thread of their own, or as a task, for a second at most.

A delegate that has not answered is not asked again until it does, so a hung one costs one limit, not one a turn. When
its late answer comes, `answered_late` tells whoever waits to ask again.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from orchestrator.delegates import hooks
from orchestrator.delegates.hooks import Hook
from orchestrator.delegates.lanes import call_soon

Answer = tuple[bool | None, BaseException | None]
"""The answer, or what the delegate raised instead."""


class Asker:
    """The one line to one control delegate. Used on the engine's loop only."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, answered_late: Callable[[], None]) -> None:
        self.name = name
        self._loop = loop
        self._answered_late = answered_late
        self._questions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open: set[asyncio.Future[Answer]] = set()
        self._given_up: set[asyncio.Future[Answer]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def stuck(self) -> bool:
        """True while a question nobody waits for any more is unanswered."""
        return bool(self._given_up)

    def ask(self, hook: Hook, sender: Any, payload: dict[str, Any]) -> asyncio.Future[Answer]:
        """A future of the delegate's answer; it never raises and may never come."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._open.add(future)
        if hook.is_async:
            task = self._loop.create_task(self._asked_async(future, hook, sender, payload), name=f"ask {self.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._on_thread(lambda: self._asked_here(future, hook, sender, payload))
        return future

    def give_up(self, future: asyncio.Future[Answer]) -> None:
        """The limit has passed; the delegate is left to it."""
        if not future.done():
            self._given_up.add(future)

    def close(self) -> None:
        self._questions.put(None)
        for task in self._tasks:
            task.cancel()

    def _on_thread(self, question: Callable[[], None]) -> None:
        self._questions.put(question)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"ask {self.name}", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            question()

    def _asked_here(self, future: asyncio.Future[Answer], hook: Hook, sender: Any, payload: dict[str, Any]) -> None:
        answer: Answer
        try:
            response: Any = hook.accepts(payload) and hook.ask(sender, payload)
            answer = (asyncio.run(response) if hooks.is_awaitable(response) else response, None)
        except hooks.CAUGHT as error:
            answer = (None, error)
        call_soon(self._loop, self._settle, future, answer)

    async def _asked_async(
        self, future: asyncio.Future[Answer], hook: Hook, sender: Any, payload: dict[str, Any]
    ) -> None:
        try:
            self._settle(future, (hook.accepts(payload) and await hook.ask(sender, payload), None))
        except hooks.CAUGHT as error:
            self._settle(future, (None, error))

    def _settle(self, future: asyncio.Future[Answer], answer: Answer) -> None:
        self._open.discard(future)
        late = future in self._given_up
        self._given_up.discard(future)
        if not future.done():
            future.set_result(answer)
        if late:
            self._answered_late()
