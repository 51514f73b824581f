"""What other processes put into a run's inbox: answers, holds, cancels. JSON on the wire, core inputs at the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from orchestrator.core.events import Value
from orchestrator.core.inputs import Answered, AnyInput, Cancel, ClearHold, Resolve, SetHold, Stop
from orchestrator.core.run_state import RunState
from orchestrator.engine.schemas import problems
from orchestrator.engine.task_names import no_such_task
from orchestrator.errors import UsageError

JSON = Any
Read = Callable[[Value], JSON]


class TooEarlyError(Exception):
    """The message is about what a running attempt comes to: it stays in the inbox until that is known."""

    def __init__(self, task: int) -> None:
        super().__init__(task)
        self.task = task


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    kind: str
    """hold, unhold, cancel, stop, answer, resolve, child_ended."""
    by: str = ""
    name: str = ""
    """The hold's name."""
    reason: str = ""
    task: str = ""
    """Full name of the task that is answered or resolved."""
    question: str = ""
    """For an answer: the name of the question that was read, so that it never counts for the one after it."""
    value: Any = None
    how: str = ""
    grace: float = 0.0


def check_how(how: str) -> None:
    """Raises UsageError unless it is a word on an unknown task."""
    if how not in ("retry", "succeeded", "failed"):
        raise UsageError(f"{how!r} is none of retry, succeeded, failed")


def encode(message: Message) -> bytes:
    return msgspec.json.encode(message)


_decoder = msgspec.json.Decoder(Message)


def to_input(state: RunState, payload: bytes, read: Read) -> AnyInput | None:
    """The core input a message means for this run (`read` loads stored values); None for one that means nothing any more.

    Raises UsageError or NotFoundError with a sentence for the sender; TooEarlyError if it must wait.
    """
    message = _decoder.decode(payload)
    match message.kind:
        case "hold":
            return SetHold(message.name, message.by, message.reason)
        case "unhold":
            return ClearHold(message.name, message.by)
        case "cancel":
            return Cancel(message.by, message.reason)
        case "stop":
            return Stop(message.by, message.grace)
        case "answer":
            return answer(state, message, read)
        case "resolve":
            check_how(message.how)
            return Resolve(_task(state, message.task), message.how, message.by, msgspec.json.encode(message.value))
        case "child_ended":
            task = state.find(message.task)
            if task is not None and task in state.running:
                raise TooEarlyError(task)
            return Resolve(task, "retry", message.by) if task is not None and task in state.parked else None
        case _:
            raise UsageError(f"unknown message {message.kind!r}")


def _task(state: RunState, name: str) -> int:
    task = state.find(name)
    if task is None:
        raise no_such_task(state, name)
    return task


def answer(state: RunState, message: Message, read: Read) -> Answered:
    """The answer to a question, checked against its form. Without a task's name: the only question there is."""
    if message.task:
        task = _task(state, message.task)
    elif len(state.questions) == 1:
        task = next(iter(state.questions))
    elif state.questions:
        names = ", ".join(f"`{state.name(each)}`" for each in state.questions)
        raise UsageError(f"the run asks more than one question: {names}", help="name the task that you answer")
    else:
        raise UsageError("the run asks nothing now")
    question = state.questions.get(task)
    if question is None:
        raise UsageError(f"`{state.name(task)}` asks nothing now")
    if message.question and message.question != question.resumes:
        raise UsageError(f"`{state.name(task)}` asks something else by now", help="read its question again")
    schema = read(question.value)["schema"]
    value = with_defaults(schema, message.value)
    if found := problems(schema, value):
        raise UsageError(f"the answer does not fit the form: {found[0]}")
    return Answered(task, msgspec.json.encode(value), message.by, question.resumes)


def with_defaults(schema: dict[str, JSON], value: JSON) -> JSON:
    """`value` with the form's defaults filled in where it says nothing."""
    fields = schema.get("properties")
    if not isinstance(value, dict) or not isinstance(fields, dict):
        return value
    defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
    return {**defaults, **value}
