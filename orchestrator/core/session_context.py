"""What of a conversation a model is sent: how large it is, what can be left out, and how another agent sees it.

Pure functions over messages. A tool call and its result are never torn apart, the first message is always a user's, and the
prompt of the present exchange is never left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.core.messages import AnyPart, File, Image, Message, Text, ToolCall, ToolResult

IMAGE_BYTES: Final = 4_000
"""What an image counts where only the size of texts is known."""
FILE_BYTES: Final = 40_000
SHOWN_RESULT_MAX: Final = 2_000
"""Characters of a tool's result that another agent, or a summary, is shown."""


def size(messages: Sequence[Message]) -> int:
    """Roughly the bytes of these messages."""
    return sum(_part_size(part) for message in messages for part in message.parts)


def _part_size(part: AnyPart) -> int:
    match part:
        case Text(text):
            return _bytes(text)
        case ToolCall(_, name, arguments):
            return len(name) + _bytes(arguments)
        case ToolResult(_, name, content):
            return len(name) + _bytes(content)
        case Image():
            return IMAGE_BYTES
        case File():
            return len(part.data) or FILE_BYTES


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def oldest(context: Sequence[Message], prompt: int, keep: int, most: int | None = None) -> tuple[int, ...]:
    """Places of the oldest messages to leave out so that at most `keep` bytes stay; () if nothing can go.

    Whole exchanges before the prompt go first, then whole tool turns after it, but never the latest. No more than `most`
    bytes are chosen, unless a single group is larger.
    """
    left: list[int] = []
    staying, chosen = size(context), 0
    for group in _groups(context, prompt):
        if staying <= keep:
            break
        weight = size([context[at] for at in group])
        if left and most is not None and chosen + weight > most:
            break
        left += group
        staying, chosen = staying - weight, chosen + weight
    return tuple(left)


def _groups(context: Sequence[Message], prompt: int) -> Iterator[list[int]]:
    """What may be left out, oldest first, as groups that stand or fall together."""
    before = _split(context, range(prompt), "user")
    after = _split(context, range(prompt + 1, len(context)), "assistant")
    return itertools.chain(before, after[:-1])


def _split(context: Sequence[Message], places: range, opener: str) -> list[list[int]]:
    groups: list[list[int]] = []
    for at in places:
        if not groups or context[at].role == opener:
            groups.append([])
        groups[-1].append(at)
    return groups


def without(context: Sequence[Message], left_out: Sequence[int]) -> list[Message]:
    gone = frozenset(left_out)
    return [message for at, message in enumerate(context) if at not in gone]


def with_summary(prompt: Message, summary: str, after: int) -> Message:
    """The prompt with a summary of what was left out, behind the `after` summaries that stand there already."""
    note = Text(f"What was said and done before, in short:\n{summary}\n")
    return Message(prompt.role, (*prompt.parts[:after], note, *prompt.parts[after:]))


def transcript(messages: Sequence[Message]) -> str:
    """Messages as one text, for whoever shall sum them up."""
    lines: list[str] = []
    for message in messages:
        lines += [f"{message.role}: {_told(part)}" for part in message.parts]
    return "\n".join(lines)


def _told(part: AnyPart) -> str:
    match part:
        case Text(text):
            return text
        case ToolCall(_, name, arguments):
            return f"calls {name}({arguments})"
        case ToolResult(_, name, content, is_error):
            return f"{name} {'fails' if is_error else 'gives'}: {_short(content)}"
        case Image():
            return "[an image]"
        case File():
            return f"[file {part.name}]"


def _short(content: str) -> str:
    if len(content) <= SHOWN_RESULT_MAX:
        return content
    return f"{content[:SHOWN_RESULT_MAX]} … ({len(content) - SHOWN_RESULT_MAX} more characters)"


def for_newcomer(
    context: Sequence[Message], prompt: int | None = None, agent: str = "", message: str = ""
) -> list[Message]:
    """The context as another agent sees it: what was said, as plain messages, without a single tool call.

    With `prompt`, the place of a question that is still open, what `agent` said and found since then stands as text behind the
    question, and `message` last; so the question is the last message.
    """
    cut = len(context) if prompt is None else prompt + 1
    seen: list[Message] = []
    for spoken in context[:cut]:
        parts = tuple(part for part in spoken.parts if not isinstance(part, ToolCall | ToolResult))
        if not parts:
            continue
        if seen and seen[-1].role == spoken.role:
            seen[-1] = Message(spoken.role, (*seen[-1].parts, *parts))
        else:
            seen.append(Message(spoken.role, parts))
    if prompt is None:
        return seen
    note = _note(context[cut:], agent, message)
    seen[-1] = Message(seen[-1].role, (*seen[-1].parts, Text(note)))
    return seen


def _note(since: Sequence[Message], agent: str, message: str) -> str:
    said = [spoken.text for spoken in since if spoken.role == "assistant" and spoken.text]
    arguments = {part.id: part.arguments for spoken in since for part in spoken.tool_calls}
    found = [
        f"- {part.name}({arguments.get(part.call_id, '')}) {'failed' if part.is_error else 'gave'}: {_short(part.content)}"
        for spoken in since
        for part in spoken.parts
        if isinstance(part, ToolResult)
    ]
    lines = [f"\n\n(Agent {agent} worked on this and hands it over to you.)"]
    lines += [f"It said: {text}" for text in said]
    lines += ["Its tools:", *found] if found else []
    lines += [f"Its message to you: {message}"] if message else []
    return "\n".join(lines)
