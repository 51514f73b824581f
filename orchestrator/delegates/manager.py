"""DelegateManager: who listens to what, and the direct way to tell and ask them.

One manager per engine, per run and per AI loop, linked to a parent: a delegate registered on a run's manager also
hears the run's AI loops. The engine does not call delegates itself, it posts each turn to a `DelegateDispatcher`; the
methods here call in the caller's own thread and are for tests, for embedding, and for whoever wants the answer before
going on.

`active`, `wanted` and `asks` are plain attributes kept up to date by every change, so that a house without delegates
pays one attribute check. One lock serves a whole tree of managers; it is never held while a delegate runs.
"""

# ruff: noqa: SLF001 - the managers of one tree are one object to everybody else

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

from orchestrator.delegates import hooks
from orchestrator.delegates.catalogue import DELEGATE_ERROR, EventKind, entry
from orchestrator.delegates.hooks import Failure, Hook, Watched
from orchestrator.ports.delegate import Delegate, Post, Where

FAILURES_MAX: Final = 10
"""A delegate that fails this often in a row is not called again."""
CONTROL_LIMIT: Final = 1.0
"""Seconds a control delegate has to answer the engine."""

_log = logging.getLogger("orchestrator.delegates")


class Dispatcher(Protocol):
    """What a manager knows of the dispatcher that is attached to it."""

    def post(self, batch: list[Post], *, sender: Any = None, manager: DelegateManager | None = None) -> None: ...

    async def ask(
        self,
        control_type: str,
        payload: dict[str, Any],
        *,
        sender: Any = None,
        manager: DelegateManager | None = None,
        limit: float = CONTROL_LIMIT,
    ) -> bool: ...


class DelegateManager:
    """Registry of delegates, safe to use from any thread and from inside a delegate."""

    def __init__(self, parent: DelegateManager | None = None) -> None:
        self.parent = parent
        self.active: bool = False
        """True while anybody is registered here or above."""
        self.wanted: frozenset[str] = frozenset()
        """Names of the events and controls somebody here or above is registered for."""
        self.asks: bool = False
        """True while a control delegate is registered here or above."""
        self._lock: threading.Lock = parent._lock if parent is not None else threading.Lock()
        self._hooks: tuple[Hook, ...] = ()
        self._routes: Mapping[str, tuple[Hook, ...]] = {}
        self._children: weakref.WeakSet[DelegateManager] = weakref.WeakSet()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._dispatcher: Dispatcher | None = None
        if parent is not None:
            with self._lock:
                parent._children.add(self)
                self._refresh()

    # Registering

    def register(
        self,
        event_type: str,
        delegate_callable: Delegate,
        *,
        where: Where | None = None,
        on_error: Literal["hold"] | str | None = None,
    ) -> None:
        """Call `delegate_callable(sender, event_type, **payload)` for every such event whose payload fits `where`.

        `where` maps payload fields to the values they must have, or is a function of the payload. `on_error="hold"`
        (pause controls only): no answer counts as True. Registering the same callable for the same event again
        replaces the first registration and calls a disabled delegate again. Raises UsageError for an unknown name,
        field or `on_error`.
        """
        found = entry(event_type)
        hooks.check_registration(found, delegate_callable, where, on_error)
        with self._lock:
            others = tuple(h for h in self._hooks if not h.is_for(event_type, delegate_callable))
            same = [h.watched for h in others if h.target == delegate_callable]
            watched = same[0] if same else Watched(hooks.name_of(delegate_callable))
            watched.failures, watched.disabled = 0, False
            hook = Hook(self, event_type, delegate_callable, where, on_error == "hold", watched)
            self._hooks = (*others, hook)
            self._refresh()
        self.recheck()

    def unregister(self, event_type: str, delegate_callable: Delegate) -> bool:
        """Undo `register`. False if it was not registered; raises UsageError for an unknown name."""
        entry(event_type)
        with self._lock:
            gone = [h for h in self._hooks if h.is_for(event_type, delegate_callable)]
            for hook in gone:
                hook.removed = True
            self._hooks = tuple(h for h in self._hooks if not h.removed)
            self._refresh()
        if gone:
            self.recheck()
        return bool(gone)

    def hooks(self, event_type: str) -> tuple[Hook, ...]:
        """Who is to be called for an event: registrations here first, then the parent's. A snapshot."""
        return self._routes.get(event_type, ())

    def keeps(self, hook: Hook) -> bool:
        """False once the registration was undone or replaced."""
        return hook in self._hooks

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed()` (from any thread; it must not block) when a registration changes here or above, or
        `recheck` is called. Returns the function that ends it.
        """
        with self._lock:
            self._listeners = (*self._listeners, changed)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(listener for listener in self._listeners if listener is not changed)

        return end

    def recheck(self) -> None:
        """An observer's answer may have changed: whoever waits on this manager or one below asks again at once."""
        with self._lock:
            listeners = self._listeners_below()
        for listener in listeners:
            listener()

    def _listeners_below(self) -> list[Callable[[], None]]:
        found = list(self._listeners)
        for child in self._children:
            found.extend(child._listeners_below())
        return found

    def _refresh(self) -> None:
        """Recompute what is derived, here and below. The lock is held."""
        above = self.parent._routes if self.parent is not None else {}
        routes: dict[str, tuple[Hook, ...]] = {}
        for hook in self._hooks:
            if not hook.silent:
                routes[hook.event_type] = (*routes.get(hook.event_type, ()), hook)
        for event_type, inherited in above.items():
            routes[event_type] = routes.get(event_type, ()) + inherited
        self._routes = routes
        self.wanted = frozenset(routes)
        self.asks = any(entry(name).kind == "control" for name in routes)
        self.active = bool(routes)
        for child in self._children:
            child._refresh()

    # Telling and asking directly

    def invoke_notification(self, event_type: str, sender: Any, /, **payload: Any) -> None:
        """Tell everybody now: sync delegates have returned when this returns, in order of registration. Async
        delegates become tasks of the running event loop; without one they run to their end here. Nothing a delegate
        raises gets out.
        """
        self._checked(event_type, "notification", payload)
        for hook in self.hooks(event_type):
            try:
                if not hook.accepts(payload):
                    continue
                result = hook.call(sender, payload)
                if hooks.is_awaitable(result):
                    self._settle(hook, sender, result)
                else:
                    hook.succeeded()
            except hooks.CAUGHT as error:
                self.failed(hook, hooks.text_of(error), sender, error=error)

    def invoke_control(self, control_type: str, sender: Any, /, **payload: Any) -> list[Any]:
        """Ask every sync delegate now and return the responses in order; any True wins. One that raises counts as
        False, or as True if it was registered with `on_error="hold"`. Async delegates are not asked: use
        `invoke_control_async`.
        """
        self._checked(control_type, "control", payload)
        responses = []
        for hook in self.hooks(control_type):
            if hook.is_async or not self._accepts(hook, sender, payload):
                continue
            response = self._answer(hook, sender, payload)
            if hooks.is_awaitable(response):
                response.close()
                self.failed(hook, "answered with an awaitable: ask it by invoke_control_async", sender)
                response = hook.hold
            responses.append(response)
        return responses

    async def invoke_control_async(
        self, control_type: str, sender: Any, /, *, limit: float | None = None, **payload: Any
    ) -> list[Any]:
        """As `invoke_control`, and async delegates are awaited too, each for at most `limit` seconds."""
        self._checked(control_type, "control", payload)
        responses = []
        for hook in self.hooks(control_type):
            if not self._accepts(hook, sender, payload):
                continue
            response = self._answer(hook, sender, payload)
            if hooks.is_awaitable(response):
                response = await self._await_answer(hook, sender, response, limit)
            responses.append(response)
        return responses

    def _checked(self, name: str, kind: EventKind, payload: Mapping[str, Any]) -> None:
        known = entry(name, kind).payload.__struct_fields__
        if strange := payload.keys() - set(known):
            raise TypeError(f"`{name}` has no payload field {', '.join(sorted(strange))}")

    def _accepts(self, hook: Hook, sender: Any, payload: dict[str, Any]) -> bool:
        """A filter that raises lets the question through: its delegate then answers, or counts as its registration
        says.
        """
        try:
            return hook.accepts(payload)
        except hooks.CAUGHT as error:
            self.failed(hook, f"its filter raised {error!r}", sender, error=error)
            return True

    def _answer(self, hook: Hook, sender: Any, payload: dict[str, Any]) -> Any:
        if hook.watched.disabled:
            return hook.hold
        try:
            response = hook.ask(sender, payload)
        except hooks.CAUGHT as error:
            self.failed(hook, hooks.text_of(error), sender, error=error)
            return hook.hold
        if not hooks.is_awaitable(response):
            hook.succeeded()
        return response

    async def _await_answer(self, hook: Hook, sender: Any, response: Any, limit: float | None) -> Any:
        try:
            answer = await asyncio.wait_for(response, limit)
        except TimeoutError:
            self.failed(hook, f"no answer within {limit} s", sender)
            return hook.hold
        except Exception as error:  # noqa: BLE001 - a delegate may raise anything; it is logged, counted and told
            self.failed(hook, hooks.text_of(error), sender, error=error)
            return hook.hold
        hook.succeeded()
        return answer

    def _settle(self, hook: Hook, sender: Any, awaitable: Any) -> None:
        async def to_its_end() -> None:
            try:
                await awaitable
            except Exception as error:  # noqa: BLE001 - see above
                self.failed(hook, hooks.text_of(error), sender, error=error)
            else:
                hook.succeeded()

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(to_its_end())
            return
        task = loop.create_task(to_its_end(), name=f"delegate {hook.name}")
        _unfinished.add(task)
        task.add_done_callback(_unfinished.discard)

    # Telling and asking through the run's dispatcher

    @property
    def dispatcher(self) -> Dispatcher | None:
        """The dispatcher attached here or to the nearest manager above."""
        manager: DelegateManager | None = self
        while manager is not None:
            if manager._dispatcher is not None:
                return manager._dispatcher
            manager = manager.parent
        return None

    def attach(self, dispatcher: Dispatcher | None) -> None:
        """Let `notify` and `ask` of this manager and those below go through `dispatcher`; None detaches it."""
        self._dispatcher = dispatcher

    def notify(self, event_type: str, sender: Any, /, **payload: Any) -> None:
        """Tell without waiting: through the dispatcher where there is one, else directly."""
        if event_type not in self.wanted:
            return
        if (dispatcher := self.dispatcher) is not None:
            dispatcher.post([(event_type, payload)], sender=sender, manager=self)
        else:
            self.invoke_notification(event_type, sender, **payload)

    async def ask(self, control_type: str, sender: Any, /, **payload: Any) -> bool:
        """True if any delegate says so within a second: what an AI loop asks before each model request."""
        if control_type not in self.wanted:
            return False
        if (dispatcher := self.dispatcher) is not None:
            return await dispatcher.ask(control_type, payload, sender=sender, manager=self)
        answers = await self.invoke_control_async(control_type, sender, limit=CONTROL_LIMIT, **payload)
        return any(answer is True for answer in answers)

    # Failures

    def failed(
        self, hook: Hook, problem: str, sender: Any, *, error: BaseException | None = None, tell: Failure | None = None
    ) -> None:
        """Count and log a delegate's failure, disable it at the tenth in a row, and tell whoever watches delegates.

        `tell(payload, sender)` delivers `delegate_execution_error`; directly if not given. A failure to deliver that
        very event is logged and goes no further.
        """
        owner = hook.manager
        with self._lock:
            hook.watched.failures += 1
            disable = hook.watched.failures >= FAILURES_MAX and not hook.watched.disabled
            if disable:
                hook.watched.disabled = True
                owner._refresh()
        _log.warning("delegate %s failed on %s: %s", hook.name, hook.event_type, problem, exc_info=error)
        if disable:
            problem = f"{problem} (disabled after {FAILURES_MAX} failures in a row{hook.standing_answer})"
            _log.error(
                "delegate %s is disabled after %d failures in a row%s", hook.name, FAILURES_MAX, hook.standing_answer
            )
        if hook.event_type == DELEGATE_ERROR or DELEGATE_ERROR not in self.wanted:
            return
        payload = hooks.failure_payload(hook, problem)
        if tell is not None:
            tell(payload, sender)
        else:
            self.invoke_notification(DELEGATE_ERROR, sender, **payload)


_unfinished: set[asyncio.Task[None]] = set()
"""Keeps running notifications of async delegates from being collected."""
