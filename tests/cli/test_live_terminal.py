"""A real terminal: the live view, questions, Ctrl-C, and what the terminal is like afterwards."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Project

pytestmark = pytest.mark.needs_tool("tmux")

GATED = """
name: gated
tasks:
  fetch: {run: 'echo working; until [ -e gate ]; do sleep 0.05; done; echo fetched'}
  fan: {foreach: [1, 2], run: 'until [ -e gate ]; do sleep 0.05; done; echo ${{ item }}'}
  decide: {after: fetch, ask: 'Publish it?', form: {go: {type: boolean, default: true}, copies: integer 1..5}}
  act: {when: decide.go, run: 'echo ${{ decide.copies }} copies'}
outputs: {said: '${{ act }}'}
"""


class Window:
    """A terminal of 90 by 24 with a shell in a project's folder."""

    def __init__(self, project: Project, socket: str) -> None:
        self.project = project
        self._socket = socket
        self._tmux(
            "new-session", "-d", "-x", "90", "-y", "24", "env PS1='$ ' TERM=screen-256color bash --norc --noprofile"
        )
        self.until("$")

    def _tmux(self, *args: str) -> str:
        env = {name: value for name, value in self.project.environ().items() if name not in ("TMUX", "CI", "NO_COLOR")}
        done = subprocess.run(
            ["tmux", "-L", self._socket, "-f", "/dev/null", *args],
            cwd=self.project.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout

    @property
    def text(self) -> str:
        """What the screen shows, with what was scrolled away."""
        return self._tmux("capture-pane", "-p", "-S", "-200")

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def run(self, *args: str) -> None:
        self.type("-l", f"clear; {shlex.join([*COMMAND, *args])}; echo code=$?")
        self.type("Enter")

    def until(self, *parts: str, seen: Callable[[str], bool] | None = None) -> str:
        """The screen once it shows all of `parts`."""
        deadline = time.monotonic() + 30
        while True:
            text = self.text
            if all(part in text for part in parts) and (seen is None or seen(text)):
                return text
            assert time.monotonic() < deadline, f"never came: {parts}\n{text}"

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def window(project: Project) -> Iterator[Window]:
    opened = Window(project, f"wf-{os.getpid()}-{os.urandom(4).hex()}")
    yield opened
    opened.close()


def test_a_run_is_drawn_asked_about_and_ends_with_its_result(window: Window) -> None:
    file = window.project.write("gated", GATED)
    window.run("run", file)
    text = window.until("● gated  run ", "● fan            0/2", "● fan[1]", "working", "will ask, after fetch")
    assert text.count("● gated  run") == 1, "one frame only"
    (window.project.folder / "gate").touch()
    text = window.until("? Publish it?", "go [Y/n]")
    assert "✓ fetch" in text
    assert "● gated" not in text, "the frame is put away for the question"
    window.type("Enter")
    window.until("copies (a whole number 1..5):")
    window.type("many", "Enter")
    window.until("expected a whole number, not 'many'")
    window.type("9", "Enter")
    window.until("not accepted: the answer does not fit the form", "more than 5")
    window.type("n", "Enter", "2", "Enter")
    text = window.until("⊘ act", "skipped", "✓ gated succeeded", "code=0")
    assert text.count("✓ fan  ") == 1


def test_an_answer_from_elsewhere_puts_the_question_away(window: Window) -> None:
    file = window.project.write("gated", GATED)
    (window.project.folder / "gate").touch()
    window.run("run", file)
    window.until("go [Y/n]")
    window.project.call("answer", "-p", "go=yes", "-p", "copies=3")
    text = window.until("✓ decide", "✓ gated succeeded", "said: 3 copies", "code=0")
    assert text.count("go [Y/n]") == 1


def test_ctrl_c_drains_then_stops_and_leaves_the_terminal_as_it_was(window: Window, tmp_path: Path) -> None:
    file = window.project.write("gated", GATED)
    window.run("run", file)
    window.until("● fetch", "working")
    window.type("C-c")
    window.until("interrupted; once more stops at once", "● fetch")
    window.type("C-c")
    window.until("stopping at once", "gated was interrupted; it is resumable", "whisper-flow resume ", "code=130")
    window.type("-l", f"stty -a | grep -o -- '-\\?echo ' > {shlex.quote(str(tmp_path / 'stty.txt'))}; echo typed")
    window.type("Enter")
    window.until("\ntyped")
    assert (tmp_path / "stty.txt").read_text() == "echo \n"
    (window.project.folder / "gate").touch()
    window.run("resume")
    window.until("go [Y/n]")
    window.type("C-c")
    window.until("gated was interrupted; it is resumable", "code=130")


def test_without_a_person_the_run_parks(window: Window) -> None:
    file = window.project.write("gated", GATED)
    (window.project.folder / "gate").touch()
    window.run("run", file, "--no-ask")
    window.until("⏸ gated waits", "whisper-flow answer ", "code=5")
    window.run("answer")
    window.until("? Publish it?", "go [Y/n]")
    window.type("y", "Enter", "4", "Enter")
    window.until("said: 4 copies", "code=0")


CLERK = """
name: clerk
agents:
  clerk: {model: embedded/tool-caller, tools: ['files.*']}
tasks:
  first: {agent: clerk, prompt: "Use files_write.\\npath: one.txt\\ncontent: Hello"}
  second: {after: first, agent: clerk, prompt: "Use files_write.\\npath: two.txt\\ncontent: Hello"}
"""


def test_what_an_agent_may_not_do_by_itself_is_asked_of_whoever_is_there(window: Window) -> None:
    file = window.project.write("clerk", CLERK)
    window.run("run", file)
    window.until("May agent `clerk` call files.write(path: one.txt, content: Hello)?", "approve [y/n]")
    assert not (window.project.folder / "one.txt").exists()
    window.type("y", "Enter")
    window.until("path: two.txt", seen=lambda text: text.count("approve [y/n]") == 2)
    assert (window.project.folder / "one.txt").read_text() == "Hello"
    window.type("n", "Enter")
    window.type("-l", "mine")
    window.type("Enter")
    window.until("✓ clerk succeeded", "code=0")
    assert "a person refused this call: mine" in window.project.call("show", "@last", "second", "--value").out
    assert not (window.project.folder / "two.txt").exists()


def test_whoever_leaves_a_question_lets_the_run_go(window: Window) -> None:
    file = window.project.write("clerk", CLERK)
    window.run("run", file)
    window.until("approve [y/n]")
    window.type("C-d")
    window.until("`first` is left unanswered", "⏸ clerk waits", "whisper-flow answer ", "code=5")
    window.run("answer", "--approve", "--no-ask")
    window.until("✓ clerk succeeded", "code=0")
    assert (window.project.folder / "one.txt").exists()
    assert not (window.project.folder / "two.txt").exists(), "nobody could be asked for the second"


def test_a_thousand_items_scroll_by_without_tearing_the_frame(window: Window) -> None:
    file = window.project.write(
        "many",
        "name: many\ntasks:\n  a: {foreach: 'range(0, 1000)', set: '${{ item }}'}\n  b: {after: a, run: echo end}\n",
    )
    window.run("run", file)
    text = window.until("✓ many succeeded", "code=0")
    assert "✓ a[999]" in text
    assert "● many" not in text


TALK = """
name: talk
agents:
  slow: {model: embedded/summarizer, ai_config: {extra: {pace: 0.2, sentences: 9}}}
  short: {model: embedded/summarizer}
"""


def test_ctrl_c_stops_an_answer_and_the_conversation_goes_on(window: Window) -> None:
    file = window.project.write("talk", TALK)
    window.run("chat", "slow", "-f", file)
    window.until("talking to slow", "slow>")
    window.type("-l", "The sea is wide and the tide is high. The ships wait. The harbour sleeps. The pier is long.")
    window.type("Enter")
    window.until("The sea is\n", seen=None) if False else window.until(
        "wide and", seen=lambda text: text.count("wide") > 1
    )
    window.type("C-c")
    window.until("stopped; what had arrived is kept as partial")
    window.type("-l", "/agent short")
    window.type("Enter")
    window.until("short>")
    window.type("-l", "One more.")
    window.type("Enter")
    window.until("not an AI model")
    window.type("C-d")
    window.until("go on with: whisper-flow chat short --resume chat-", "code=0")
