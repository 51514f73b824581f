"""The orders of `chat`: words that begin with `/`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.cli import formats
from orchestrator.cli.renderers.story import tool_text
from orchestrator.cli.terminal import clean, clean_line, cut
from orchestrator.errors import WhisperFlowError

if TYPE_CHECKING:
    from orchestrator.cli.chat import Chat, Order

RESULT_MAX: Final = 32_000


def obey(chat: Chat, text: str) -> None:
    """Do what `/order …` says; what goes wrong is told, and the conversation goes on."""
    name, _, rest = text[1:].partition(" ")
    found = ORDERS.get(name)
    if found is None:
        from orchestrator.spec.suggest import did_you_mean

        near = did_you_mean(f"/{name}", [f"/{one}" for one in ORDERS])
        chat.say(f"there is no order `/{clean_line(name)}`; {near or '/help lists them'}", "red")
        return
    try:
        found[0](chat, rest.strip())
    except (WhisperFlowError, OSError) as error:
        chat.say(clean(str(error)), "red")
        if getattr(error, "help", None):
            chat.say(f"  = help: {clean(str(error.help))}")  # type: ignore[union-attr]  # asked for just above


def _help(chat: Chat, _: str) -> None:
    width = max(len(usage) for _, usage, _ in ORDERS.values())
    for _order, usage, meaning in ORDERS.values():
        chat.say(f"  {usage:<{width}}  {meaning}")
    chat.say("A line that ends in \\ goes on with the next. Ctrl-C stops an answer, Ctrl-D leaves.")


def _agents(chat: Chat, _: str) -> None:
    for name, agent in chat.talk.agents.items():
        mark = "●" if name == chat.talk.agent_id else " "
        model = agent.get("model") or agent.get("worker") or (agent.get("ai_config") or {}).get("model")
        described = f"  {clean_line(agent['description'])}" if agent.get("description") else ""
        chat.say(f"  {mark} {name}  {model}{described}")


def _agent(chat: Chat, name: str) -> None:
    if not name:
        _agents(chat, name)
        return
    before = chat.talk.agent_id
    chat.talk.switch(name)
    try:
        chat.talk.check()
    except WhisperFlowError:
        chat.talk.switch(before)
        raise
    chat.say(f"now talking to {name}; it has read what was said")


def _history(chat: Chat, _: str) -> None:
    from orchestrator.core.messages import ToolResult

    if not chat.talk.messages:
        chat.say("nothing has been said yet")
    for message in chat.talk.messages:
        if message.text:
            chat.say(f"  {message.role}: {cut(clean_line(message.text), 200)}")
        for call in message.tool_calls:
            chat.say(f"  {message.role} calls {tool_text(call.name, call.arguments)}")
        for result in message.parts:
            if isinstance(result, ToolResult):
                failed = ", failed" if result.is_error else ""
                chat.say(f"  {clean_line(result.name)}{failed}: {cut(clean_line(result.content), 200)}")
    if chat.talk.partial:
        chat.say(f"  assistant, stopped: {cut(clean_line(chat.talk.partial), 200)}")


def _cost(chat: Chat, _: str) -> None:
    totals: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0, 0])
    for call in chat.talk.calls:
        row = totals[call.agent, call.model]
        row[0] += 1
        row[1] += call.tokens_counted
        row[2] += call.cost or 0.0
        row[3] += call.cost is None and call.charged and not call.model.startswith("embedded/")
    if not totals:
        chat.say("nothing was asked yet")
    for (agent, model), (requests, tokens, cost, unknown) in totals.items():
        paid = formats.money(cost) + (f" and {formats.plural(int(unknown), 'call')} of unknown cost" if unknown else "")
        chat.say(
            f"  {agent}  {model}  {formats.plural(int(requests), 'request')}  {formats.count(int(tokens))} tok  {paid}"
        )


def _undo(chat: Chat, _: str) -> None:
    taken = chat.wait(chat.talk.undo())
    chat.say("there is nothing to take back" if taken is None else f"taken back: {cut(clean_line(taken), 100)}")


def _save(chat: Chat, name: str) -> None:
    if not chat.talk.messages:
        chat.say("nothing has been said yet")
        return
    path = Path(name or f"{chat.talk.id}.md")
    rows = [f"# Conversation {chat.talk.id}", ""]
    for message in chat.talk.messages:
        if message.text:
            rows += [f"## {message.role}", "", message.text, ""]
        for call in message.tool_calls:
            rows += [f"- tool `{call.name}`: `{call.arguments}`", ""]
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(rows))
    except FileExistsError:
        chat.say(f"there is a file {path} already; name another: /save FILE", "red")
        return
    chat.say(f"saved to {path}")


def _run(chat: Chat, words: str) -> None:
    """A run of its own, in a process of its own; what it gives goes along with the next message."""
    arguments = shlex.split(words)
    if not arguments:
        chat.say("which workflow? for example: /run workflows/quickstart.yaml", "red")
        return
    command = [sys.executable, "-m", "orchestrator.cli", "run", *arguments, "-C", str(chat.project)]
    if chat.session.state_option is not None:
        command += ["--state", str(chat.session.state_option)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  the person typed it
    if ended.stdout:
        chat.session.out.line(clean(ended.stdout.rstrip("\n")))
    if ended.returncode == 0:
        chat.result_of_run = f"Result of the workflow {arguments[0]}:\n{ended.stdout[:RESULT_MAX].rstrip()}"
        chat.say("its result goes along with your next message")


def _quit(chat: Chat, _: str) -> None:
    chat.leaving = True


ORDERS: Final[dict[str, tuple[Order, str, str]]] = {
    "help": (_help, "/help", "This list."),
    "agents": (_agents, "/agents", "The agents one can talk to."),
    "agent": (_agent, "/agent NAME", "Talk to another agent; it reads what was said."),
    "history": (_history, "/history", "What was said so far."),
    "cost": (_cost, "/cost", "Requests, tokens and money so far."),
    "undo": (_undo, "/undo", "Take back the last turn."),
    "save": (_save, "/save [FILE]", "Write the conversation to a Markdown file."),
    "run": (_run, "/run WORKFLOW [-p NAME=VALUE]", "Run a workflow; its result goes along with your next message."),
    "quit": (_quit, "/quit", "Leave."),
}
