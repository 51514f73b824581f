"""One registration of one delegate: whether an event is for it, how it is called, and how it has been doing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from orchestrator.delegates.catalogue import DELEGATE_ERROR, EventEntry
from orchestrator.errors import UsageError
from orchestrator.ports.delegate import Delegate, Where

if TYPE_CHECKING:
    from orchestrator.delegates.manager import DelegateManager

CAUGHT: Final = (Exception, SystemExit)
"""What a delegate may raise without anybody else noticing; a keyboard interrupt is the user's, not the delegate's."""

Failure = Callable[[dict[str, Any], Any], None]
"""tell(payload of delegate_execution_error, sender)"""

_MISSING: Final = object()


class Watched:
    """What is known of one delegate over all events it is registered for on one manager."""

    __slots__ = ("disabled", "failures", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        """In a row."""
        self.disabled = False


class Hook:
    """One registration."""

    __slots__ = (
        "_drops_event_type",
        "event_type",
        "hold",
        "is_async",
        "manager",
        "removed",
        "target",
        "watched",
        "where",
    )

    def __init__(
        self,
        manager: DelegateManager,
        event_type: str,
        target: Delegate,
        where: Where | None,
        hold: bool,
        watched: Watched,
    ) -> None:
        self.manager = manager
        self.event_type = event_type
        self.target = target
        self.where = where
        self.hold = hold
        """A control delegate whose silence counts as True."""
        self.watched = watched
        self.is_async = is_async(target)
        self.removed = False
        """Unregistered: what is queued for it is not delivered any more."""
        self._drops_event_type = event_type == DELEGATE_ERROR and _second_parameter(target) == "event_type"

    @property
    def name(self) -> str:
        return self.watched.name

    @property
    def silent(self) -> bool:
        """Not called any more. A disabled delegate that holds keeps its place: whoever asked to be safe stays safe."""
        return self.watched.disabled and not self.hold

    @property
    def over(self) -> bool:
        return self.removed or self.watched.disabled

    @property
    def standing_answer(self) -> str:
        return (
            '; it was registered with on_error="hold", so it counts as True until it is unregistered'
            if self.hold
            else ""
        )

    def is_for(self, event_type: str, target: Delegate) -> bool:
        return self.event_type == event_type and bool(self.target == target)

    def accepts(self, payload: Mapping[str, Any]) -> bool:
        """Whether the filter lets this payload through. Raises whatever a filter that is a function raises."""
        where = self.where
        if where is None:
            return True
        if isinstance(where, Mapping):
            return all(payload.get(name, _MISSING) == value for name, value in where.items())
        return bool(where(payload))

    def call(self, sender: Any, payload: dict[str, Any]) -> Any:
        """Deliver a notification; an awaitable comes back from an async delegate. Raises whatever the delegate
        raises.
        """
        if self._drops_event_type:
            payload = {name: value for name, value in payload.items() if name != "event_type"}
        return self.target(sender, self.event_type, **payload)

    def ask(self, sender: Any, payload: dict[str, Any]) -> Any:
        """Ask a control delegate: a bool, or an awaitable of one. None is no objection. Raises as `call`, and
        TypeError for any other answer: a word like "no" must not stop a run.
        """
        response = self.target(sender, self.event_type, **payload)
        return _checked_later(response) if is_awaitable(response) else checked(response)

    def succeeded(self) -> None:
        self.watched.failures = 0


def checked(response: Any) -> bool:
    if response is None:
        return False
    if isinstance(response, bool):
        return response
    raise TypeError(f"answered {response!r}; a control delegate answers True, False or None")


async def _checked_later(response: Any) -> bool:
    return checked(await response)


def check_registration(found: EventEntry, target: object, where: object, on_error: str | None) -> None:
    """Raises UsageError for what could never work."""
    if not callable(target):
        raise UsageError(f"a delegate must be callable, got {type(target).__name__}")
    if on_error not in (None, "hold"):
        raise UsageError(f"on_error is {on_error!r}", help='the only choice is on_error="hold", for controls')
    if on_error == "hold" and not found.name.endswith("_request_pause"):
        silence = "would stop the run" if found.kind == "control" else "means nothing"
        raise UsageError(
            f"`{found.name}` cannot hold: a delegate's silence {silence}",
            help='on_error="hold" belongs to a delegate of `engine_request_pause` or `ai_loop_request_pause`',
        )
    if where is None or callable(where):
        return
    if not isinstance(where, Mapping):
        raise UsageError(f"where must be a mapping of payload fields or a function, got {type(where).__name__}")
    for name in where:
        if name not in found.fields:
            from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

            near = did_you_mean(str(name), found.fields)
            raise UsageError(
                f"`{found.name}` has no payload field `{name}`", help=near or f"it has {', '.join(found.fields)}"
            )


def failure_payload(hook: Hook, problem: str) -> dict[str, Any]:
    """The payload of `delegate_execution_error`."""
    return {
        "event_type": hook.event_type,
        "failed_event_type": hook.event_type,
        "delegate_name": hook.name,
        "error": problem,
    }


def name_of(target: Delegate) -> str:
    """What messages call a delegate: `module.qualified_name`, or its class if it has no name of its own."""
    while isinstance(target, functools.partial):
        target = target.func
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{getattr(named, '__module__', '')}.{named.__qualname__}".lstrip(".")


def text_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def is_async(target: Delegate) -> bool:
    """True for `async def` functions and methods, partials of them, and objects whose `__call__` is one."""
    while isinstance(target, functools.partial):
        target = target.func
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__)


def is_awaitable(value: object) -> bool:
    return inspect.isawaitable(value)


def _second_parameter(target: Delegate) -> str | None:
    """The second parameter's name if it can be given by keyword, so that the same keyword would clash with it."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    if len(parameters) < 2 or parameters[1].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        return None
    return parameters[1].name
