"""What agents said and did, for people: the tool calls of a task's conversations in a few rows, or every message of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli import formats
from orchestrator.cli.renderers.lines import icon
from orchestrator.cli.renderers.story import DENIED, tool_text
from orchestrator.cli.terminal import Screen, clean, clean_line, cut

if TYPE_CHECKING:
    from orchestrator.core.messages import Message, ToolCall, ToolResult
    from orchestrator.core.session_state import Session
    from orchestrator.ports.journal import Journal

JSON = Any
CALLS_MAX: Final = 20
RESULT_MAX: Final = 100
TEXT_MAX: Final = 4000


def call_rows(out: Screen, journal: Journal, stream: str, *, everything: bool) -> list[str]:
    """The tool calls of a conversation in order, each with what came of it."""
    calls = list(_calls(_session(journal, stream)))
    shown = calls if everything else calls[:CALLS_MAX]
    rows = [_call_row(out, call, result) for call, result in shown]
    if len(shown) < len(calls):
        rows.append(out.style(f"… {len(calls) - len(shown)} more calls; --all shows them", "dim"))
    return rows


def transcript_rows(out: Screen, journal: Journal, talks: Iterable[dict[str, JSON]], *, everything: bool) -> list[str]:
    """Every message of every conversation, outer before inner."""
    rows: list[str] = []
    for talk in talks:
        indent = "  " * talk["depth"]
        head = (
            f"{out.style(clean_line(str(talk['agent'])), 'bold')}  {clean_line(str(talk['model']))}  {talk['status']}"
        )
        session = _session(journal, talk["stream"])
        said = [row for message in session.messages for row in _message_rows(out, message, everything)]
        partial = session.exchange.partial if session.exchange is not None else ""
        if partial:
            said += _text_rows(out, "assistant, cut off", partial, everything)
        rows += [f"{indent}{head}", *(f"{indent}  {row}" for row in said), ""]
    return rows[:-1] if rows else ["no conversation is on record that is this task's alone"]


def messages_json(journal: Journal, stream: str) -> list[dict[str, JSON]]:
    """The messages of a conversation: {role, text, tool_calls, tool_results}."""
    from orchestrator.core.messages import ToolResult

    return [
        {
            "role": message.role,
            "text": message.text,
            "tool_calls": [{"id": one.id, "name": one.name, "arguments": one.arguments} for one in message.tool_calls],
            "tool_results": [
                {"call_id": part.call_id, "name": part.name, "content": part.content, "is_error": part.is_error}
                for part in message.parts
                if isinstance(part, ToolResult)
            ],
        }
        for message in _session(journal, stream).messages
    ]


def _session(journal: Journal, stream: str) -> Session:
    from orchestrator.ai.record import read_session

    return read_session(journal, stream)


def _calls(session: Session) -> Iterable[tuple[ToolCall, ToolResult | None]]:
    """Ids are unique within a turn only: a call's result stands in the message after it."""
    for position, message in enumerate(session.messages):
        after = session.messages[position + 1] if position + 1 < len(session.messages) else None
        results = {part.call_id: part for part in _results(after)}
        exchange = session.exchange
        if after is None and exchange is not None:
            results |= {one.call_id: one for one in exchange.results}
        for call in message.tool_calls:
            yield call, results.get(call.id)


def _results(message: Message | None) -> list[ToolResult]:
    from orchestrator.core.messages import ToolResult

    return [part for part in message.parts if isinstance(part, ToolResult)] if message is not None else []


def _call_row(out: Screen, call: ToolCall, result: ToolResult | None) -> str:
    told = tool_text(call.name, _arguments(call.arguments))
    if result is None:
        return f"{icon(out, 'waiting')} {told}  {out.style('no result', 'dim')}"
    status = "succeeded" if not result.is_error else "warned" if result.content.startswith(DENIED) else "failed"
    return f"{icon(out, status)} {told}  {out.style('→', 'dim')} {cut(clean_line(result.content), RESULT_MAX)}"


def _arguments(text: str) -> JSON:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _message_rows(out: Screen, message: Message, everything: bool) -> list[str]:
    rows = _text_rows(out, message.role, message.text, everything) if message.text else []
    for call in message.tool_calls:
        rows.append(f"{out.style('call', 'cyan')} {clean_line(call.name)} {clean_line(call.arguments)}")
    for result in _results(message):
        role = f"{result.name}, failed" if result.is_error else result.name
        rows += _text_rows(out, role, result.content, everything)
    return rows


def _text_rows(out: Screen, role: str, text: str, everything: bool) -> list[str]:
    shown = clean(text)
    more = len(shown) - TEXT_MAX
    if not everything and more > 0:
        shown = f"{shown[:TEXT_MAX]}\n… ({formats.count(more)} characters more; --all shows them)"
    return [out.style(f"{clean_line(role)}:", "cyan"), *(f"  {row}" for row in shown.rstrip().splitlines())]
