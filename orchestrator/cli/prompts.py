"""Asking the person in front of the terminal: a form's fields one after the other, typed by their schemas.

The lines are read through the event loop, so that the run goes on behind a question and Ctrl-C still stops it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.cli import formats
from orchestrator.cli.terminal import Screen, clean, clean_line, cut
from orchestrator.cli.typed import NotOfTypeError, typed, wanted

JSON = Any
ReadLine = Callable[[], Awaitable[str]]
"""The next line without its end. Raises EOFError when there is none."""

SHOWN_MAX = 4000


class TerminalLines:
    """Lines of standard input, read without blocking the loop."""

    def __init__(self) -> None:
        self._buffer = b""

    async def __call__(self) -> str:
        while b"\n" not in self._buffer:
            data = await self._bytes()
            if not data:
                raise EOFError
            self._buffer += data
        row, _, self._buffer = self._buffer.partition(b"\n")
        return row.decode("utf-8", "replace").rstrip("\r")

    async def _bytes(self) -> bytes:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        fd = sys.stdin.fileno()
        loop.add_reader(fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(fd)
        return os.read(fd, 65536)


async def ask_form(question: dict[str, Any], screen: Screen, read: ReadLine, *, told: str | None = None) -> JSON:
    """Ask `{question, schema, show, …}` of a task and return the answer, typed but not yet validated as a whole.

    A field with `x-unless: other` is not asked for where `other` was answered with yes. `told` is why the last answer was
    refused. Raises EOFError if the person leaves (Ctrl-D).
    """
    schema = question.get("schema") or {}
    for row in _opening(question, screen, told):
        screen.line(row)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return await ask_value("answer", schema, screen, read)
    required = set(schema.get("required", ()))
    answer: dict[str, JSON] = {}
    for name, field in properties.items():
        if answer.get(field.get("x-unless")) is True:
            continue
        value = await ask_value(name, field, screen, read, optional=name not in required)
        if value is not _NOTHING:
            answer[name] = value
    return answer


_NOTHING = object()


def _opening(question: dict[str, Any], screen: Screen, told: str | None) -> list[str]:
    if told is not None:
        return [f"  {screen.style('not accepted', 'red')}: {clean(told)}"]
    rows = [f"{screen.style('?', 'yellow', 'bold')} {screen.style(clean(str(question.get('question', ''))), 'bold')}"]
    if question.get("expires_at"):
        rows[0] += screen.style(f"  (until {formats.instant(question['expires_at'])})", "dim")
    if question.get("show") is not None:
        text = clean(formats.value_text(question["show"], indent=2))
        rows += [f"  {screen.style('│', 'dim')} {row}" for row in text[:SHOWN_MAX].splitlines()]
        if len(text) > SHOWN_MAX:
            rows.append(screen.style(f"  │ … {formats.count(len(text) - SHOWN_MAX)} characters more", "dim"))
    return rows


async def ask_value(
    name: str, schema: dict[str, Any], screen: Screen, read: ReadLine, *, optional: bool = False
) -> JSON:
    """One field until its type is right; an empty line takes the default, or leaves an optional field out."""
    label = prompt_text(name, schema, screen, optional=optional)
    while True:
        screen.write(label)
        try:
            text = await read()
        except EOFError:
            screen.line()
            raise
        if text == "" and "default" in schema:
            return schema["default"]
        if text == "" and optional:
            return _NOTHING
        try:
            return typed(text, schema)
        except NotOfTypeError as error:
            screen.line(f"  {screen.style(clean(str(error)), 'red')}")


def prompt_text(name: str, schema: dict[str, Any], screen: Screen, *, optional: bool = False) -> str:
    """`  send [y/N] `, `  text (text) [the draft…] `."""
    described = f"  {screen.style(clean_line(str(schema['description'])), 'dim')}" if schema.get("description") else ""
    default = schema.get("default", _NOTHING)
    if schema.get("type") == "boolean":
        choice = {True: "Y/n", False: "y/N"}.get(default, "y/n") if isinstance(default, bool) else "y/n"
        return f"  {name}{described} [{choice}] "
    shown = ""
    if default is not _NOTHING:
        shown = f" [{cut(clean_line(formats.value_text(default)), 40)}]"
    elif optional:
        shown = " [leave out]"
    return f"  {name} ({clean_line(wanted(schema))}){described}{shown}: "
