"""From what a user writes (`--delegate …`) to registered delegates.

    NAME                     a built-in delegate: log
    NAME:TEXT                a built-in delegate with its main option: trace:events.ndjson, webhook:https://…,
    command:./x.sh MODULE:FUNCTION          Python of the user's; the project's root is importable while it is loaded
    EVENTS=any of the above  only these events or controls, separated by commas: engine_request_pause=command:'test -e
    HOLD'

A Python function that takes one parameter is called once with the manager and registers what it likes. One marked with
`listens_to` is registered for the events named there; any other for every event and control there is.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from orchestrator import registry
from orchestrator.delegates.catalogue import catalogue, entry
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.ports.delegate import Delegate, DelegateContext, DelegatePlugin, Delegates, Where

BUILTIN: Final = "orchestrator.delegates.builtin"
_EVENTS: Final = re.compile(r"(?P<events>[a-z_.]+(?:,[a-z_.]+)*)=(?P<rest>.+)", re.DOTALL)
_D = TypeVar("_D", bound=Callable[..., Any])


def listens_to(*events: str, where: Where | None = None, on_error: str | None = None) -> Callable[[_D], _D]:
    """Mark a delegate with the events and controls it is for, so that `--delegate module:function` needs nothing else.

    Raises UsageError for an unknown name.
    """
    for name in events:
        entry(name)

    def mark(delegate: _D) -> _D:
        delegate.__dict__["delegate_events"] = events
        delegate.__dict__["delegate_options"] = {"where": where, "on_error": on_error}
        return delegate

    return mark


def attach_delegate(spec: str | Mapping[str, Any], manager: Delegates, context: DelegateContext) -> None:
    """Register what one entry asks for; a mapping is `{NAME: options}`. Raises UsageError (or CredentialsError)."""
    if isinstance(spec, Mapping):
        _attach_mapping(spec, manager, context)
        return
    events, what = split_events(spec)
    name, _, text = what.partition(":")
    if name in registry.names(BUILTIN):
        plugin: DelegatePlugin = registry.load(BUILTIN, name, "PLUGIN")
        options = plugin.options_from_text(text) if text else {}
        plugin.attach(manager, {**options, "events": events} if events else options, context)
        return
    attach_callable(load_delegate(what, context.project), manager, events)


def _attach_mapping(spec: Mapping[str, Any], manager: Delegates, context: DelegateContext) -> None:
    if len(spec) != 1:
        raise UsageError("a delegate is one name with its options", help="- webhook: {url: https://…}")
    ((name, options),) = spec.items()
    plugin: DelegatePlugin = registry.load(BUILTIN, str(name), "PLUGIN", noun="delegate")
    if isinstance(options, str):
        options = plugin.options_from_text(options)
    if not isinstance(options, Mapping | None):
        raise UsageError(f"the options of delegate `{name}` must be a mapping, got {type(options).__name__}")
    plugin.attach(manager, options or {}, context)


def split_events(spec: str) -> tuple[list[str], str]:
    """(events before the equals sign, the rest); no events if there is none. Raises UsageError for an unknown name."""
    found = _EVENTS.fullmatch(spec)
    if found is None:
        return [], spec
    return [entry(name).name for name in found["events"].split(",")], found["rest"]


def load_delegate(spec: str, project: Path) -> Delegate:
    """The callable `module:function` names. Runs the module. Raises UsageError that says what is missing, or what it
    raised.
    """
    module_name, colon, function = spec.partition(":")
    if not colon or not module_name or not function:
        known = ", ".join(registry.names(BUILTIN))
        raise UsageError(f"cannot read the delegate {spec!r}", help=f"write module:function, or one of {known}")
    with _importable(project):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = error.name or module_name
            where = f"below {str(project)!r} or installed" if module_name.startswith(missing) else "installed"
            from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

            near = did_you_mean(module_name, registry.names(BUILTIN))
            raise NotFoundError(f"delegate {spec!r}: no module {missing!r} is {where}", help=near) from error
        except Exception as error:
            raise UsageError(f"delegate {spec!r}: importing {module_name} raised {error!r}") from error
    found: Any = module
    for part in function.split("."):
        if not hasattr(found, part):
            from orchestrator.spec.suggest import did_you_mean  # only a mistake pays for it

            raise NotFoundError(
                f"delegate {spec!r}: {module_name} has no {part!r}", help=did_you_mean(part, dir(found))
            )
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"delegate {spec!r} is not callable but {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def attach_callable(target: Delegate, manager: Delegates, events: list[str]) -> None:
    """Register a user's callable as its shape and its marks say; `events`, if any, take the place of the marks."""
    if not events and takes_manager(target):
        target(manager)
        return
    options = getattr(target, "delegate_options", {})
    for name in events or getattr(target, "delegate_events", None) or [e.name for e in catalogue()]:
        manager.register(name, target, **options)


def takes_manager(target: Delegate) -> bool:
    """True for a callable of exactly one positional parameter: a delegate takes at least sender and event."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.kind in positional for p in parameters] == [True]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
