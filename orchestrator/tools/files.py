"""`files.*`: what is in the project, read, listed, searched, written, edited and deleted, inside the declared roots.

Configuration: `tools: {files: {roots: [path | {path, write}]}}`, by default the project. `.git`, `.whisper-flow` and `.env` are
closed unless a root lies in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from orchestrator.errors import TaskError
from orchestrator.ports.tool import Tool, ToolContext
from orchestrator.tools import _file_reading, _file_searching, _file_writing
from orchestrator.tools._declared import Declaration, DeclaredSource, Run, arguments, flag, text, whole
from orchestrator.tools._places import Places, closed_to, places_of

JSON = Any

_PATH: Final = text("Path of the file, from the working folder.", minLength=1)
_FOLDER: Final = text("Folder to look in, from the working folder. Default: the working folder itself.")
_GLOB: Final = text("Only paths that fit this glob, such as `*.py` (names) or `src/**/*.py` (paths below the folder).")

DECLARATIONS: Final = (
    Declaration(
        name="files.read",
        description="Read a text file, or some of its lines. A last line in brackets says what was left out.",
        parameters=arguments(
            ["path"],
            path=_PATH,
            start=whole("First line to read, from 1."),
            end=whole("Last line to read."),
        ),
        effect="pure",
    ),
    Declaration(
        name="files.list",
        description="List what is in a folder; folders end with `/`, links with `@`.",
        parameters=arguments(
            path=_FOLDER, pattern=_GLOB, recursive=flag("Whether to look into the folders below. Default: no.")
        ),
        effect="pure",
    ),
    Declaration(
        name="files.search",
        description="Find lines by a text or a regular expression (without look-around and back-references); exactly one of both.",
        parameters=arguments(
            text=text("Text to find, exactly as it stands.", minLength=1),
            pattern=text("Regular expression to find within a line.", minLength=1),
            path=text("Folder or file to search. Default: the working folder."),
            glob=_GLOB,
            ignore_case=flag("Whether capitals do not matter. Default: they do."),
            most=whole("Most matches to give. Default: 200.", maximum=_file_searching.MATCHES_MAX),
        ),
        effect="pure",
    ),
    Declaration(
        name="files.write",
        description="Write a whole text file; folders on the way are made.",
        parameters=arguments(
            ["path", "content"],
            path=_PATH,
            content=text("Everything that the file shall hold."),
            replace=flag("Whether a file that is there already is replaced. Default: yes."),
        ),
        effect="idempotent",
    ),
    Declaration(
        name="files.edit",
        description="Replace a text in a file. It must stand there exactly once, spaces and line breaks included.",
        parameters=arguments(
            ["path", "old", "new"],
            path=_PATH,
            old=text("Text that is in the file.", minLength=1),
            new=text("Text to put in its place."),
            all=flag("Whether to replace it everywhere. Default: no."),
        ),
        effect="idempotent",
    ),
    Declaration(
        name="files.delete",
        description="Delete one file.",
        parameters=arguments(["path"], path=_PATH),
        effect="idempotent",
    ),
)


class FileTools(DeclaredSource):
    prefix = "files"
    declarations = DECLARATIONS

    async def opened(self, context: ToolContext, chosen: Sequence[Declaration]) -> list[Tool]:
        import asyncio  # whoever only looks at what is declared above needs none of it

        places = await asyncio.to_thread(places_of, context)
        where = f"It may use these folders: {places.named()}"
        return [
            one.tool(
                context, _run_of(one.name, replace(places, closed=closed_to(one.name, context)), context), note=where
            )
            for one in chosen
        ]


def _run_of(name: str, places: Places, context: ToolContext) -> Run:
    async def run(given: dict[str, JSON], call_id: str) -> JSON:
        import asyncio

        # Files may be slow, and searching is work: neither belongs on the loop.
        return await asyncio.to_thread(_called(name, places, given, context, call_id))

    return run


def _called(name: str, places: Places, given: dict[str, JSON], context: ToolContext, call_id: str) -> Any:
    match name.partition(".")[2]:
        case "read":
            return partial(_file_reading.read, places, given["path"], given.get("start"), given.get("end"))
        case "list":
            return partial(
                _file_reading.listing,
                places,
                given.get("path") or ".",
                given.get("pattern"),
                bool(given.get("recursive")),
            )
        case "search":
            return partial(_search, places, given)
        case "write":
            over = given.get("replace", True)
            return partial(_file_writing.write, places, given["path"], given["content"], replace=over)
        case "edit":
            return partial(
                _file_writing.edit,
                places,
                given["path"],
                given["old"],
                given["new"],
                every=bool(given.get("all")),
                notes=context.run_dir / "edits",
                mark=f"{context.key}\n{call_id}",
            )
        case _:
            return partial(_file_writing.delete, places, given["path"])


def _search(places: Places, given: dict[str, JSON]) -> dict[str, JSON]:
    if ("text" in given) == ("pattern" in given):
        raise TaskError("tool", "give either `text` or `pattern`")
    ignore_case = bool(given.get("ignore_case"))
    fitting = (
        _file_searching.text_fits(given["text"], ignore_case)
        if "text" in given
        else _file_searching.pattern_fits(given["pattern"], ignore_case)
    )
    return _file_searching.search(
        places,
        given.get("path") or ".",
        fitting=fitting,
        glob=given.get("glob"),
        most=given.get("most") or _file_searching.MATCHES_MAX,
    )


TOOLS = FileTools()
