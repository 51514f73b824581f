"""The loop of `chat`: a line in, an answer out as it comes; words that begin with `/` are orders to us."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orchestrator.cli import formats
from orchestrator.cli.exit_codes import ExitCode
from orchestrator.cli.renderers.story import DENIED, call_text
from orchestrator.cli.session import Session
from orchestrator.cli.terminal import can_ask, clean, clean_line, is_terminal
from orchestrator.errors import TaskError, WhisperFlowError
from orchestrator.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from orchestrator.agents.conversation import Conversation
    from orchestrator.core.plan import Plan
    from orchestrator.ports.journal import Journal
    from orchestrator.ports.services import AgentAnswer
    from orchestrator.ports.tool import Question

T = TypeVar("T")

HISTORY_MAX: Final = 1000
LAST: Final = "@last"
TALK: Final = "/agent/@talk"
"""What follows a conversation's id in the name of its stream."""
_CODES: Final = {"auth": ExitCode.CREDENTIALS, "budget": ExitCode.LIMIT, "rate_limited": ExitCode.LIMIT}


def chat(
    session: Session,
    project: Path,
    plan: Plan,
    agent_id: str,
    *,
    chat_id: str | None,
    messages: Sequence[str],
    file: Path | None,
) -> int:
    """Talk until the person leaves, the input ends or `messages` are said. The exit code of the last turn."""
    with asyncio.Runner() as runner:
        engine = session.engine(project)
        runner.run(engine.__aenter__())
        try:
            from orchestrator.agents.conversation import Conversation

            chat_id = _conversation(engine.journal, chat_id) if chat_id else None
            talk = Conversation(engine, plan, agent_id, id=chat_id)
            talk.attended = can_ask()
            talk.check()
            return Chat(session, project, talk, runner, file).converse(messages)
        finally:
            runner.run(engine.close())


def _conversation(journal: Journal, named: str) -> str:
    """The id of an earlier conversation; `@last` is the one that began last."""
    begun = [row.stream.removesuffix(TALK) for row in journal.rows(prefix="chat-") if row.stream.endswith(TALK)]
    if named == LAST and begun:
        return begun[0]
    if journal.row(f"{named}{TALK}") is None:
        near = did_you_mean(named, begun) or (f"the last one is `{begun[0]}`" if begun else None)
        raise WhisperFlowError(f"there is no conversation `{named}`", help=near)
    return named


class Chat:
    def __init__(
        self, session: Session, project: Path, talk: Conversation, runner: asyncio.Runner, file: Path | None
    ) -> None:
        self.session = session
        self.project = project
        self.talk = talk
        self.file = file
        self.result_of_run = ""
        """What a `/run` gave; it goes along with the next message."""
        self.leaving = False
        self._runner = runner
        self._out, self._err = session.out, session.err
        self._interactive = is_terminal(sys.stdin)
        self._code: int = ExitCode.OK

    def converse(self, messages: Sequence[str]) -> int:
        if messages:
            for message in messages:
                self._turn(message)
        else:
            self._take_lines()
        if self._interactive and self.talk.messages:
            again = self.session.command("chat", self.talk.agent_id, "--resume", self.talk.id)
            self.say(f"left; go on with: {again}{f' -f {self.file}' if self.file else ''}")
        return self._code

    def say(self, text: str, *styles: str) -> None:
        """A line of ours, apart from the agent's words."""
        self._err.line(self._err.style(text, *(styles or ("dim",))))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    # --- the person's lines

    def _take_lines(self) -> None:
        from orchestrator.cli.chat_orders import obey

        if self._interactive:
            self._greet()
        with _history(self.session.state(self.project) / "chat-history", self._interactive):
            while not self.leaving:
                try:
                    text = self._line()
                except EOFError:
                    break
                except KeyboardInterrupt:
                    self._err.line()
                    continue
                if text.startswith("/"):
                    obey(self, text)
                elif text.strip():
                    self._turn(text)

    def _greet(self) -> None:
        agent = self.talk.agents[self.talk.agent_id]
        said = f": {clean_line(agent['description'])}" if agent.get("description") else ""
        self.say(f"talking to {self.talk.agent_id}{said}  (/help for orders, Ctrl-D leaves)")

    def _line(self) -> str:
        """One message; a backslash at the end of a line goes on with the next. Raises EOFError."""
        rows: list[str] = []
        while True:
            row = self._read("… " if rows else f"{self.talk.agent_id}> ")
            if not row.endswith("\\"):
                return "\n".join([*rows, row])
            rows.append(row[:-1])

    def _read(self, prompt: str) -> str:
        if self._interactive:
            return input(prompt)
        row = sys.stdin.readline()
        if not row:
            raise EOFError
        return row.rstrip("\r\n")

    # --- the agent's

    def _turn(self, text: str) -> None:
        if self.result_of_run:
            text, self.result_of_run = f"{self.result_of_run}\n\n{text}", ""
        view = _Turn(self)
        began = time.monotonic()
        try:
            answer = self._runner.run(self.talk.say(text, publish=view.published, ask=self._ask))
        except KeyboardInterrupt:
            view.end_line()
            self.say("stopped; what had arrived is kept as partial" if view.wrote else "stopped")
            self._code = ExitCode.INTERRUPTED if not self._interactive else ExitCode.OK
        except TaskError as error:
            view.end_line()
            self._complain(error)
        else:
            view.answered(answer)
            self._code = ExitCode.OK
            self._tell(answer, time.monotonic() - began)

    def _complain(self, error: TaskError) -> None:
        self.say(f"{error.type}: {clean(error.message)}", "red")
        if error.help:
            self.say(f"  = help: {clean(error.help)}")
        self._code = _CODES.get(error.type, ExitCode.BAD)

    def _tell(self, answer: AgentAnswer, seconds: float) -> None:
        cost = "not an AI model" if answer.synthetic else formats.money(answer.cost) or "cost unknown"
        count = formats.count(formats.tokens(answer.usage))
        rows = [answer.model, f"{count} tok", cost, formats.duration(seconds)]
        if answer.finish == "length":
            rows.append("cut at max_tokens")
        self.say(" · ".join(rows))

    async def _ask(self, question: Question) -> Any:
        if not can_ask():
            raise TaskError(
                "denied",
                f"the agent asks, and there is nobody here to answer: {question.question}",
                help="talk to it on a terminal, or allow the tool in its `permissions`",
            )
        from orchestrator.cli.prompts import TerminalLines, ask_form

        form = {"question": question.question, "schema": question.schema, "show": question.show}
        self._err.line()
        try:
            return await ask_form(form, self._err, TerminalLines())
        except EOFError:
            raise TaskError("cancelled", "left without an answer") from None
        except asyncio.CancelledError:
            self._err.line()
            raise


class _Turn:
    """Shows one answer while it comes: the agent's words on standard output, all else beside it."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._out = chat.session.out
        self._written = ""
        self.wrote = False
        """Whether anything of the answer was shown."""
        self._called: set[str] = set()

    def published(self, type: str, data: dict[str, Any]) -> None:
        if type == "chunk":
            self._write(data["text"])
        elif type == "tool" and data["call_id"] not in self._called:
            # After a person's word the same call is made once more.
            self._called.add(data["call_id"])
            self.end_line()
            self._chat.say(f"· {call_text(data)}")
        elif type == "tool_ended" and data["error"]:
            self.end_line()
            told = clean_line(data["error"])
            word = "" if told.startswith(DENIED) else "failed: "
            self._chat.say(f"· {call_text(data)}  {word}{told}", "yellow")
        elif type == "progress":
            self.end_line()
            self._chat.say(f"· {clean_line(data['message'])}")

    def _write(self, text: str) -> None:
        shown = clean(text)
        self._out.write(shown)
        self.wrote = self.wrote or shown != ""
        self._written = shown or self._written

    def end_line(self) -> None:
        if self._written and not self._written.endswith("\n"):
            self._out.line()
        self._written = ""

    def answered(self, answer: AgentAnswer) -> None:
        if not self._written:
            self._write(answer.text)
        self.end_line()


class _history:  # noqa: N801  reads like the context manager it is
    """What was typed before, for the arrow keys; kept for this user only."""

    def __init__(self, path: Path, wanted: bool) -> None:
        self._path, self._wanted = path, wanted

    def __enter__(self) -> None:
        if not self._wanted:
            return
        with suppress(ImportError, OSError):
            import readline

            readline.set_history_length(HISTORY_MAX)
            if self._path.exists():
                readline.read_history_file(self._path)

    def __exit__(self, *_: object) -> None:
        if not self._wanted:
            return
        with suppress(ImportError, OSError):
            import readline

            self._path.touch(mode=0o600)
            readline.write_history_file(self._path)


Order = Callable[[Chat, str], None]
