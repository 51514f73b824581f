"""`--delegate module:function` and what a loaded callable is registered for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.delegates import DelegateManager, catalogue
from orchestrator.delegates.loading import attach_callable, listens_to, load_delegate, split_events
from orchestrator.errors import NotFoundError, UsageError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pauses_for_tests.py").write_text(
        "from orchestrator.delegates.loading import listens_to\n"
        "seen = []\n"
        "class Held:\n"
        "    def ask(self, sender, control_type, **payload):\n"
        "        return True\n"
        "held = Held()\n"
        "number = 3\n"
        "@listens_to('engine_request_pause', on_error='hold')\n"
        "def pause(sender, control_type, **payload):\n"
        "    return True\n"
        "def everything(sender, event_type, **payload):\n"
        "    seen.append(event_type)\n"
        "def setup(manager):\n"
        "    manager.register('engine_started', everything, where={'run_id': 'r1'})\n"
    )
    (tmp_path / "broken_for_tests.py").write_text("raise RuntimeError('not today')\n")
    (tmp_path / "needs_more_for_tests.py").write_text("import a_module_nobody_has\n")
    yield tmp_path
    for name in ("pauses_for_tests", "broken_for_tests", "needs_more_for_tests"):
        sys.modules.pop(name, None)


def test_the_projects_root_is_importable_only_while_loading(project):
    before = list(sys.path)
    assert load_delegate("pauses_for_tests:held.ask", project)(None, "engine_request_pause")
    assert sys.path == before


def test_a_marked_function_is_registered_for_what_its_mark_names(project):
    manager = DelegateManager()
    attach_callable(load_delegate("pauses_for_tests:pause", project), manager, [])
    assert manager.wanted == {"engine_request_pause"}
    assert manager.hooks("engine_request_pause")[0].hold


def test_an_unmarked_function_hears_everything_unless_events_are_named(project):
    function = load_delegate("pauses_for_tests:everything", project)
    manager, narrow = DelegateManager(), DelegateManager()
    attach_callable(function, manager, [])
    attach_callable(function, narrow, ["engine_stopped"])
    assert manager.wanted == {entry.name for entry in catalogue()}
    assert narrow.wanted == {"engine_stopped"}


def test_a_function_of_one_parameter_registers_what_it_likes(project):
    manager = DelegateManager()
    attach_callable(load_delegate("pauses_for_tests:setup", project), manager, [])
    assert manager.wanted == {"engine_started"}


@pytest.mark.parametrize(
    ("spec", "error", "message", "help"),
    [
        ("pauses_for_tests", UsageError, "cannot read", "module:function"),
        ("pauses_for_tests:puase", NotFoundError, "no 'puase'", "`pause`"),
        ("pauses_for_tests:number", UsageError, "not callable", ""),
        ("nowhere_for_tests:x", NotFoundError, "no module 'nowhere_for_tests'", ""),
        ("webhok:https://host", NotFoundError, "no module 'webhok'", "`webhook`"),
        ("broken_for_tests:x", UsageError, "not today", ""),
        ("needs_more_for_tests:x", NotFoundError, "a_module_nobody_has", ""),
    ],
)
def test_what_cannot_be_loaded_says_why(project, spec, error, message, help):
    with pytest.raises(error, match=message) as raised:
        load_delegate(spec, project)
    assert help in (raised.value.help or "")


def test_events_stand_before_an_equals_sign_and_addresses_may_hold_one():
    assert split_events("engine_started,engine_stopped=log") == (["engine_started", "engine_stopped"], "log")
    assert split_events("webhook:https://host/x?a=b") == ([], "webhook:https://host/x?a=b")


def test_marking_with_an_unknown_event_fails_where_it_is_written():
    with pytest.raises(UsageError, match="engine_request_puase"):
        listens_to("engine_request_puase")
