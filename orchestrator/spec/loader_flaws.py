"""The loader's findings in words: flaws of the tree, directives, and text that YAML ate without an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from orchestrator.spec.diagnostics import Diagnostic, Edit, Label, shown
from orchestrator.spec.loader_causes import quoted
from orchestrator.spec.loader_eaten import eaten_text
from orchestrator.spec.loader_tree import Flaw, Tree
from orchestrator.spec.positions import LineIndex

_DIRECTIVE: Final = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r))*+(%[^\r\n]*)")
_YAML_12: Final = re.compile(r"%YAML[ \t]+1\.2[ \t]*(?:#.*)?")


def check_directives(text: str, file: str) -> Diagnostic | None:
    """`%TAG` and its like are refused before libyaml sees them: it takes quadratic time for many."""
    found = _DIRECTIVE.match(text)
    if found is None:
        return None
    start, end = found.span(1)
    following = _DIRECTIVE.match(text, end)
    if _YAML_12.fullmatch(found.group(1)) and following is None:
        return None
    return Diagnostic(
        code="WF121",
        severity="error",
        message=f"`{found.group(1).split()[0][:20]}` is a YAML directive, and directives are not used here",
        file=file,
        span=LineIndex(text).span(start, end),
        help="remove the line",
    )


def no_document(file: str) -> Diagnostic:
    return Diagnostic(
        code="WF110",
        severity="error",
        message="the file is empty",
        file=file,
        help="`whisper-flow new` writes a first workflow",
    )


def describe_all(tree: Tree, document: Any) -> Iterator[Diagnostic]:
    lines = document.lines
    for flaw in tree.flaws:
        yield describe(flaw, lines, document.file)
    if not isinstance(tree.data, dict):
        yield _not_a_mapping(tree, document)
    odd = [(flaw.start, flaw.end) for flaw in tree.flaws if flaw.code == "WF112"]
    valueless = [one for one in tree.valueless if not any(a <= one.key_node[0] < b for a, b in odd)]
    yield from eaten_text(tree._replace(valueless=valueless), document)


def describe(flaw: Flaw, lines: LineIndex, file: str) -> Diagnostic:
    message, label, other, help, fix = _WORDS[flaw.code](flaw, lines)
    return Diagnostic(
        code=flaw.code,
        severity="error",
        message=message,
        file=file,
        span=lines.span(flaw.start, flaw.end),
        label=label,
        labels=(Label(lines.span(*flaw.other), other),) if flaw.other and other else (),
        help=help,
        fix=fix,
    )


_Words = tuple[str, str, str, str | None, tuple[Edit, ...] | None]
"""Message, label, label of the other place, help, fix."""


def _several_documents(flaw: Flaw, lines: LineIndex) -> _Words:
    return (
        "a second document in one file",
        "begins here",
        "",
        "one file holds one document: split the file, or remove the `---`",
        None,
    )


def _duplicate(flaw: Flaw, lines: LineIndex) -> _Words:
    return f"duplicate key `{shown(flaw.text)}`", "again here", "first here", "rename or remove one of the two", None


def _odd_key(flaw: Flaw, lines: LineIndex) -> _Words:
    source = lines.text[flaw.start : flaw.end]
    if flaw.start and lines.text[flaw.start - 1] == "{" and source.startswith("{"):
        help = "quote the whole value; an expression is written `${{ … }}`"
        return "a value cannot start with `{{`", "YAML reads two mappings", "", help, None
    if source[:1] in ("{", "["):
        return (
            "a key must be a text",
            "this is a " + ("mapping" if source[0] == "{" else "list"),
            "",
            "if it is text, quote it",
            None,
        )
    if not source:
        return "a key must be a text", "there is no key before the colon", "", "write one", None
    if source.startswith("*"):
        return "a key must be a text", "this alias stands for something else", "", None, None
    kind = (
        "null"
        if source in ("~", "null", "Null", "NULL")
        else "a boolean"
        if source.lower() in ("true", "false")
        else "a number"
    )
    fix = (Edit(lines.span(flaw.start, flaw.end), quoted(source)),)
    return f"the key `{shown(source)}` is {kind}, not a text", "", "", f"quote it: {quoted(shown(source))}", fix


def _tag(flaw: Flaw, lines: LineIndex) -> _Words:
    return (
        f"the tag `{shown(flaw.text)}`: tags are not used in this language",
        "",
        "",
        "if it is text, put the whole value in quotes",
        None,
    )


def _alias(flaw: Flaw, lines: LineIndex) -> _Words:
    help = "if it is text, put the whole value in quotes"
    if flaw.other is not None:
        return f"`*{shown(flaw.text)}` repeats a value inside itself", "", "", help, None
    return (
        f"`*{shown(flaw.text)}` repeats a value, but nothing above is marked `&{shown(flaw.text)}`",
        "",
        "",
        help,
        None,
    )


def _alias_bomb(flaw: Flaw, lines: LineIndex) -> _Words:
    return f"the aliases of this file repeat more than {flaw.text} values", "at this one", "", "repeat less", None


def _too_deep(flaw: Flaw, lines: LineIndex) -> _Words:
    return (
        f"nested more than {flaw.text} levels deep",
        "",
        "",
        "use sub-workflows; a `[` or `{` that is text needs quotes",
        None,
    )


def _too_many(flaw: Flaw, lines: LineIndex) -> _Words:
    return (
        f"the file holds more than {flaw.text} values",
        "at this one",
        "",
        "split it into sub-workflows, and keep data in files of its own",
        None,
    )


def _merge(flaw: Flaw, lines: LineIndex) -> _Words:
    return "`<<` can only merge mappings", "", "this is none", "write `<<: *name`, or a list of such names", None


def _number(flaw: Flaw, lines: LineIndex) -> _Words:
    fix = (Edit(lines.span(flaw.start, flaw.end), quoted(flaw.text)),)
    return f"`{shown(flaw.text)}` is no number that JSON and 64 bits can hold", "", "", "if it is text, quote it", fix


_WORDS: Final[dict[str, Callable[[Flaw, LineIndex], _Words]]] = {
    "WF109": _several_documents,
    "WF111": _duplicate,
    "WF112": _odd_key,
    "WF113": _tag,
    "WF114": _alias,
    "WF115": _alias_bomb,
    "WF116": _too_deep,
    "WF117": _too_many,
    "WF118": _merge,
    "WF119": _number,
}


def _not_a_mapping(tree: Tree, document: Any) -> Diagnostic:
    kind = "a list" if isinstance(tree.data, list) else "a single value"
    return Diagnostic(
        code="WF120",
        severity="error",
        message=f"the file holds {kind}, not a mapping",
        file=document.file,
        span=document.key_span(()),
        help="start with `name: …` and `tasks:`",
    )
