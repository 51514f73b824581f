"""Why YAML could not read a file: the cause a person can act on, recognised from libyaml's terse answer and the text around it.

Most syntax errors of this language are texts that YAML reads as punctuation (grammar, rule 1): these come first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orchestrator.spec.diagnostics import Diagnostic, Edit, Label, shown
from orchestrator.spec.positions import LineIndex

_KEY: Final = re.compile(r"[ \t]*(?:- +)*(?P<key>\"[^\"]*\"|'[^']*'|[^\s\"'#\[\]{}][^:#]*?)[ \t]*:(?=[ \t])[ \t]*")


class _Scene(NamedTuple):
    """What libyaml said, and where: `at` is its problem, `opened` the construct it was in (both offsets)."""

    file: str
    lines: LineIndex
    problem: str
    context: str
    at: int
    opened: int | None

    @property
    def text(self) -> str:
        return self.lines.text

    @property
    def char(self) -> str:
        return self.char_at(self.at)

    def char_at(self, offset: int) -> str:
        """Empty at the end of the text."""
        return self.text[offset : offset + 1]

    @property
    def line_start(self) -> int:
        return self.lines.starts[self.lines.place(self.at)[0] - 1]

    @property
    def line_end(self) -> int:
        return self.line_start + len(self.lines.line_text(self.lines.place(self.at)[0]).rstrip())

    @property
    def before(self) -> str:
        """The line up to the problem."""
        return self.text[self.line_start : self.at]

    def error(self, code: str, message: str, start: int, end: int, **more: Any) -> Diagnostic:
        return Diagnostic(
            code=code, severity="error", message=message, file=self.file, span=self.lines.span(start, end), **more
        )

    def mark(self, start: int, end: int, text: str) -> tuple[Label, ...]:
        return (Label(self.lines.span(start, end), text),)


def explain_syntax_error(error: Any, text: str, file: str) -> Diagnostic:
    """The diagnostic for a `yaml.YAMLError` that libyaml raised on `text`."""
    lines = LineIndex(text)
    mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    at = min(mark.index, len(text)) if mark is not None else len(text)
    scene = _Scene(
        file,
        lines,
        getattr(error, "problem", None) or str(error),
        getattr(error, "context", None) or "",
        at,
        opened.index if opened is not None else None,
    )
    for recognise in _CAUSES:
        if (found := recognise(scene)) is not None:
            return found
    return _unknown(scene)


def quoted(text: str) -> str:
    """`text` as a YAML scalar that stays what it is."""
    return "'" + text.replace("'", "''") + "'"


# --- causes, the most telling first -------------------------------------------------------------------------------------


def _tab(scene: _Scene) -> Diagnostic | None:
    if scene.char != "\t" or scene.before.strip():
        return None
    end = (
        scene.at + len(scene.text[scene.at : scene.line_end]) - len(scene.text[scene.at : scene.line_end].lstrip("\t"))
    )
    message = "a tab cannot indent: YAML wants spaces"
    fix = (Edit(scene.lines.span(scene.at, end), "  " * max(end - scene.at, 1)),)
    return scene.error(
        "WF108", message, scene.at, max(end, scene.at + 1), help="use two spaces for each level", fix=fix
    )


def _cannot_start(scene: _Scene) -> Diagnostic | None:
    if "cannot start any token" not in scene.problem or scene.char not in "%@`":
        return None
    return _indicator(scene, scene.at, "is kept for other uses")


def _block_header(scene: _Scene) -> Diagnostic | None:
    if scene.context != "while scanning a block scalar" or scene.opened is None:
        return None
    return _indicator(scene, scene.opened, "begins a block of text on the lines below")


def _reference(scene: _Scene) -> Diagnostic | None:
    if scene.context not in ("while scanning an alias", "while scanning an anchor") or scene.opened is None:
        return None
    meaning = "repeats a value marked elsewhere" if "alias" in scene.context else "marks a value for use elsewhere"
    return _indicator(scene, scene.opened, meaning)


def _indicator(scene: _Scene, start: int, meaning: str) -> Diagnostic:
    """A value that starts with a character YAML keeps for itself."""
    char = scene.char_at(start)
    named = "a backtick" if char == "`" else f"`{char}`"
    line_start = scene.lines.starts[scene.lines.place(start)[0] - 1]
    in_flow = any(bracket in scene.text[line_start:start] for bracket in "[{")
    end = scene.line_end if scene.lines.place(start)[0] == scene.lines.place(scene.at)[0] else start + 1
    value = scene.text[start:end]
    safe = not in_flow and " #" not in value and len(value) > 1
    return scene.error(
        "WF134",
        f"a value cannot start with {named}",
        start,
        start + 1,
        label=f"in YAML {named} {meaning}",
        help=f"quote it: {quoted(shown(value))}" if safe else "put the whole value in quotes",
        fix=(Edit(scene.lines.span(start, end), quoted(value)),) if safe else None,
    )


def _expression(scene: _Scene) -> Diagnostic | None:
    if not scene.before.endswith("$") or scene.char != "{":
        return None
    start = scene.at - 1
    end = scene.text.find("}}", start, scene.line_end)
    end = end + 2 if end > 0 else scene.at + 1
    expression = scene.text[start:end]
    alone = bool(re.search(r"[:,\[]\s*$", scene.text[scene.line_start : start])) and end > scene.at + 1
    alone = alone and bool(re.match(r"\s*[,}\]]", scene.text[end : scene.line_end] or "x"))
    return scene.error(
        "WF135",
        "an expression inside `{ }` or `[ ]` needs quotes",
        start,
        end,
        label="YAML reads its braces as a mapping",
        help=f"quote it: {quoted(shown(expression))}" if alone else "quote the whole value",
        fix=(Edit(scene.lines.span(start, end), quoted(expression)),) if alone else None,
    )


def _second_quotes(scene: _Scene) -> Diagnostic | None:
    before = scene.before.rstrip()
    if not before.endswith(('"', "'")) or not scene.problem.startswith("did not find expected"):
        return None
    close = scene.line_start + len(before) - 1
    quote = scene.char_at(close)
    other = "single" if quote == '"' else "double"
    inside = "doubled (`''`)" if quote == "'" else 'written as `\\"`'
    end = max(scene.line_end, scene.at + 1)
    return scene.error(
        "WF136",
        f"text after the closing `{quote}`",
        scene.at,
        end,
        label="YAML expects the value to be over",
        labels=scene.mark(close, close + 1, "the text ends here"),
        help=f"put the whole value in {other} quotes, or in a block below `|`; inside {quote}…{quote} a {quote} is {inside}",
    )


def _colon(scene: _Scene) -> Diagnostic | None:
    not_allowed = scene.problem.startswith("mapping values are not allowed")
    in_flow = "flow" in scene.context and scene.char == ":"
    if not (not_allowed or in_flow):
        return None
    key = _KEY.match(scene.text, scene.line_start, scene.at)
    if in_flow and scene.opened is not None and _bare_key(scene) and scene.opened < scene.line_start:
        return _unclosed(scene, None)
    if in_flow:
        return _colon_in_flow(scene)
    if key is None or key.end() > scene.at:
        return _misplaced_key(scene)
    start, end = key.end(), scene.line_end
    value = scene.text[start:end]
    safe = " #" not in value and value[:1] not in ("'", '"')
    return scene.error(
        "WF133",
        f"`: ` inside the text of `{shown(key.group('key'))}`",
        scene.at,
        scene.at + 1,
        label="YAML reads this colon as the end of a key",
        help=f"quote it: {quoted(shown(value))}" if safe else "put the whole value in quotes, or in a block below `|`",
        fix=(Edit(scene.lines.span(start, end), quoted(value)),) if safe else None,
    )


def _bare_key(scene: _Scene) -> bool:
    """The line up to the problem looks like a key of a block mapping: the bracket above was forgotten."""
    return re.fullmatch(r"\s*(?:- +)?[A-Za-z_][\w-]*", scene.before) is not None


def _colon_in_flow(scene: _Scene) -> Diagnostic:
    start = max(scene.text.rfind(mark, scene.line_start, scene.at) for mark in (": ", "{", "[", ",")) + 1
    start += len(scene.text[start : scene.at]) - len(scene.text[start : scene.at].lstrip())
    rest = re.compile(r"[^,\[\]{}#\r\n\"']*").match(scene.text, scene.at)
    end = rest.end() if rest else scene.at + 1
    value = scene.text[start:end].rstrip()
    end = start + len(value)
    safe = scene.text[end : end + 1] in ("}", ",", "]") and not any(c in value for c in "'\"{}[]")
    return scene.error(
        "WF133",
        "`: ` inside a text",
        scene.at,
        scene.at + 1,
        label="YAML reads this colon as the end of a key",
        help=f"quote it: {quoted(shown(value))}" if safe else "put the whole value in quotes",
        fix=(Edit(scene.lines.span(start, end), quoted(value)),) if safe else None,
    )


def _misplaced_key(scene: _Scene) -> Diagnostic:
    """A key below a line that already has a value, or below `name:value` without its space."""
    start = scene.line_start + len(scene.before) - len(scene.before.lstrip())
    name = scene.text[start : scene.at].strip()
    line = scene.lines.place(scene.at)[0]
    above = _line_above(scene, line)
    where = scene.lines.starts[above - 1] if above else 0
    upper = scene.lines.line_text(above) if above else ""
    tight = re.match(r"\s*(?:- +)?[A-Za-z_][\w-]*:(?=[^\s/])", upper)
    if tight:
        colon = where + tight.end() - 1
        fix = (Edit(scene.lines.span(colon + 1, colon + 1), " "),)
        return scene.error(
            "WF101", "no space after the colon", colon, colon + 1, label="YAML reads the whole line as text",
            help="write a space after it", fix=fix,
        )  # fmt: skip
    indent = len(upper) - len(upper.lstrip())
    return scene.error(
        "WF101",
        f"`{shown(name)}` cannot be a key here",
        start,
        scene.at,
        label="this line continues the value above" if above else "",
        labels=scene.mark(where + indent, where + len(upper.rstrip()), "which starts here") if above else (),
        help="line it up with its neighbours; if it is text, put the whole text in a block below `|`",
    )


def _brackets(scene: _Scene) -> Diagnostic | None:
    """A bracket never closed, one too many, or text behind a value that began with one."""
    if scene.char and scene.char in "]}" and scene.problem.startswith("did not find expected"):
        if "flow" not in scene.context:
            return scene.error("WF101", f"one `{scene.char}` too many", scene.at, scene.at + 1, help="remove it")
        return _unclosed(scene, f"`{scene.char}` closes nothing that is open here")
    if "flow" in scene.context and scene.opened is not None:
        if _line_above(scene, scene.lines.place(scene.at)[0]) and not scene.before.strip():
            return _unclosed(scene, None)
        return scene.error(
            "WF101",
            "a comma or a closing bracket is missing",
            scene.at,
            min(scene.at + 1, len(scene.text)),
            label="before this",
            labels=scene.mark(scene.opened, scene.opened + 1, "opened here"),
            help="if this is text, put the whole value in quotes",
        )
    return _text_after_bracket(scene)


def _unclosed(scene: _Scene, message: str | None) -> Diagnostic | None:
    if scene.opened is None:
        return None
    char = scene.char_at(scene.opened)
    if char not in ("[", "{"):
        return None
    if message is None:
        return scene.error(
            "WF101", f"this `{char}` is never closed", scene.opened, scene.opened + 1,
            help=f"close it with `{']' if char == '[' else '}'}`; if it is text, put the whole value in quotes",
        )  # fmt: skip
    labels = scene.mark(scene.opened, scene.opened + 1, "opened here")
    return scene.error("WF101", message, scene.at, scene.at + 1, labels=labels, help="close the brackets in order")


def _text_after_bracket(scene: _Scene) -> Diagnostic | None:
    before = scene.before.rstrip()
    key = _KEY.match(scene.text, scene.line_start, scene.at)
    if key is None or not before.endswith(("]", "}")) or scene.char_at(key.end()) not in ("[", "{"):
        return None
    start, end = key.end(), scene.line_end
    value, char = scene.text[start:end], scene.char_at(start)
    safe = " #" not in value
    return scene.error(
        "WF134",
        f"a text cannot start with `{char}`",
        start,
        start + 1,
        label=f"in YAML `{char}` begins a {'list' if char == '[' else 'mapping'}",
        labels=scene.mark(scene.at, end, "so this text has no place"),
        help=f"quote it: {quoted(shown(value))}" if safe else "put the whole value in quotes",
        fix=(Edit(scene.lines.span(start, end), quoted(value)),) if safe else None,
    )


def _no_colon(scene: _Scene) -> Diagnostic | None:
    if "could not find expected ':'" not in scene.problem or scene.opened is None:
        return None
    line = scene.lines.place(scene.opened)[0]
    content = scene.lines.line_text(line)
    start = scene.opened
    end = scene.lines.starts[line - 1] + len(content.rstrip())
    tight = re.match(r"[A-Za-z_][\w-]*:(?=\S)", content.strip())
    if tight:
        colon = start + tight.end() - 1
        return scene.error(
            "WF101", "no space after the colon", colon, colon + 1, label="YAML reads the whole line as text",
            help="write a space after it", fix=(Edit(scene.lines.span(colon + 1, colon + 1), " "),),
        )  # fmt: skip
    return scene.error(
        "WF101", "a key without `:`", start, max(end, start + 1), label="a key was expected on this line",
        help="write `key: value`; if the line belongs to the text above, indent it deeper and begin the text with `|`",
    )  # fmt: skip


def _open_quote(scene: _Scene) -> Diagnostic | None:
    if "quoted scalar" not in scene.context or "unexpected" not in scene.problem or scene.opened is None:
        return None
    quote = scene.char_at(scene.opened)
    return scene.error(
        "WF101", f"this `{quote}` is never closed", scene.opened, scene.opened + 1,
        help=f"close it; a text that only begins with {quote} needs the other kind of quotes around it",
    )  # fmt: skip


def _escape(scene: _Scene) -> Diagnostic | None:
    if (
        "escape" not in scene.problem
        and "hexdecimal" not in scene.problem
        and "Unicode character code" not in scene.problem
    ):
        return None
    escape = scene.text[scene.at : scene.at + 2] if scene.char == "\\" else scene.char
    return scene.error(
        "WF101", f"`{escape}` is no escape that YAML knows", scene.at, scene.at + len(escape),
        help="write `\\\\` for a backslash, or use single quotes, where it is an ordinary character",
    )  # fmt: skip


def _list_on_key_line(scene: _Scene) -> Diagnostic | None:
    if not scene.problem.startswith("block sequence entries are not allowed"):
        return None
    return scene.error(
        "WF101", "a list cannot begin on the line of its key", scene.at, scene.at + 1,
        help="put `- ` on the next line; if it is text, put the whole value in quotes",
    )  # fmt: skip


def _indentation(scene: _Scene) -> Diagnostic | None:
    if scene.before.strip() or "block" not in scene.context or scene.at >= len(scene.text) or scene.opened is None:
        return None
    in_list = "'-'" in scene.problem
    labels = scene.mark(scene.opened, scene.opened + 1, "the " + ("list" if in_list else "mapping") + " begins here")
    message = "a list item was expected here" if in_list else "this line's indentation fits no line above"
    return scene.error(
        "WF101", message, scene.at, max(scene.line_end, scene.at + 1), labels=labels,
        help="line it up with its neighbours",
    )  # fmt: skip


def _directive(scene: _Scene) -> Diagnostic | None:
    if "directive" not in scene.context + scene.problem and "YAML document" not in scene.problem:
        return None
    return scene.error(
        "WF121",
        "this YAML directive cannot be read",
        scene.at,
        scene.at + 1,
        help="remove the line that starts with `%`",
    )


def _tag(scene: _Scene) -> Diagnostic | None:
    if "tag" not in scene.context + scene.problem:
        return None
    start = scene.opened if scene.opened is not None else scene.at
    if scene.text[start : start + 1] != "!":
        start = scene.at
    return scene.error(
        "WF113", "tags are not used in this language", start, start + 1, label="`!` begins a tag in YAML",
        help="if it is text, put the whole value in quotes",
    )  # fmt: skip


def _unknown(scene: _Scene) -> Diagnostic:
    more = (
        scene.mark(scene.opened, scene.opened + 1, scene.context) if scene.opened is not None and scene.context else ()
    )
    end = min(scene.at + 1, len(scene.text))
    return scene.error("WF101", f"not valid YAML: {scene.problem}", scene.at, end, labels=more)


def _line_above(scene: _Scene, line: int) -> int | None:
    """The nearest line above that is neither empty nor a comment."""
    for number in range(line - 1, 0, -1):
        content = scene.lines.line_text(number).strip()
        if content and not content.startswith("#"):
            return number
    return None


_CAUSES: Final[tuple[Callable[[_Scene], Diagnostic | None], ...]] = (
    _directive,
    _tab,
    _cannot_start,
    _block_header,
    _reference,
    _tag,
    _expression,
    _open_quote,
    _escape,
    _second_quotes,
    _colon,
    _brackets,
    _no_colon,
    _list_on_key_line,
    _indentation,
)
