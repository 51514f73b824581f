"""Expressions in shell text: a small lexer decides how each can be handed over safely, or that it cannot.

A value never becomes shell text. It travels in an environment variable, and where the expression stood the script says

    echo ${{ a }} x/${{ a }}.txt      →   echo "$WHISPER_V1" x/"$WHISPER_V1".txt
    echo "for ${{ a }}" <<EOF …       →   echo "for ${WHISPER_V1}" …

so that spaces, quotes and `$(…)` in it are only characters. Refused: single quotes and quoted here-documents (the shell would
not look inside), `${…}`, arithmetic, `eval` and `bash -c` (the shell would read the value once more).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from orchestrator.core.expressions.faults import ExpressionError
from orchestrator.core.expressions.tokens import tokenize

VARIABLE: Final = "WHISPER_V"

COMMAND, DOUBLE, HEREDOC, COMMENT, SINGLE, RAW_HEREDOC, PARAMETER, ARITHMETIC = (
    "command", "double", "heredoc", "comment", "single", "raw heredoc", "parameter", "arithmetic",
)  # fmt: skip

_REFUSED: Final = {
    SINGLE: "an expression inside single quotes: the shell takes what is in them as it is",
    RAW_HEREDOC: "an expression inside a here-document with a quoted end word: the shell takes it as it is",
    PARAMETER: "an expression inside `${…}`",
    ARITHMETIC: "an expression inside arithmetic: the shell would read its value as code",
}
_EVALUATED: Final = "the shell would read this value as code"
_PROGRAMS: Final = {
    "-c": frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "python", "python3", "su", "script"}),
    "-e": frozenset({"perl", "ruby", "node"}),
    "-r": frozenset({"php"}),
}
_COMPARISONS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_BLOCK: Final = re.compile(r"\{%-?\s*(?:for|if|elif|else|endif|endfor)\b")
_ORDINARY: Final = re.compile(r"[A-Za-z0-9_./:=,@%+\[\]{}!?*~^-]+")
"""Characters that only make words longer."""
_HEREDOC: Final = re.compile(r"<<(-?)[ \t]*((?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s'\"\\;|&<>()])+)")


def rewrite(text: str) -> tuple[str, dict[str, str]]:
    """The script with variables in the place of expressions, and variable → expression source.

    Raises ExpressionError (offsets in `text`) for the first expression that has no safe place or cannot be read.
    """
    script, values, found = _lexed(text)
    if found:
        raise found[0]
    return script, dict(values)


def problems(text: str) -> list[ExpressionError]:
    """Every expression of a shell text that has no safe place."""
    return list(_lexed(text)[2])


@lru_cache(maxsize=16_384)
def _lexed(text: str) -> tuple[str, tuple[tuple[str, str], ...], tuple[ExpressionError, ...]]:
    """Script, (variable, source) of each value, problems. The rules and the compiler ask for the same texts."""
    lexer = _Lexer(text)
    lexer.run()
    return "".join(lexer.out), tuple((name, source) for source, name in lexer.values.items()), tuple(lexer.problems)


def variable_for(source: str) -> str:
    """A name people would give the variable: `fetch.items[0].url` → `URL`."""
    words = re.findall(r"[A-Za-z_][A-Za-z0-9_]*", source.split("|")[0])
    return words[-1].upper() if words else "VALUE"


@dataclass(slots=True)
class _Context:
    """What the lexer is inside of. `close` ends a command context; `end` ends a here-document."""

    kind: str
    close: str = ""
    end: int = 0
    depth: int = 0
    words: list[str] = field(default_factory=list)
    word: str = ""
    testing: bool = False
    compared: bool = False
    tested: list[tuple[int, int, str]] = field(default_factory=list)

    def finish_word(self) -> None:
        if not self.word:
            return
        if self.word == "[[":
            self.testing, self.compared, self.tested = True, False, []
        elif self.word in _COMPARISONS and self.testing:
            self.compared = True
        self.words.append(self.word[:100])
        self.word = ""

    def finish_command(self) -> None:
        self.finish_word()
        self.words.clear()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.values: dict[str, str] = {}
        self.problems: list[ExpressionError] = []
        self.stack: list[_Context] = [_Context(COMMAND)]
        self.heredocs: list[tuple[str, bool, bool]] = []  # end word, tabs stripped, quoted

    @property
    def top(self) -> _Context:
        return self.stack[-1]

    @property
    def command(self) -> _Context:
        """The innermost command, whatever quotes are open in it."""
        return next(one for one in reversed(self.stack) if one.kind == COMMAND)

    def run(self) -> None:
        if block := _BLOCK.search(self.text):
            help = "write the text in `env:`, where blocks are possible, and use the variable here"
            self.problems.append(ExpressionError("blocks cannot stand in shell text", *block.span(), help))
        while self.at < len(self.text):
            if self.text[self.at] != "$":
                self._step()
            elif self.text.startswith("$${{", self.at):
                self.out.append("${{")
                self.at += 4
                self.top.word += "$"
            elif self.text.startswith("${{", self.at):
                self._expression()
            else:
                self._step()
        self._finish_test(self.stack[0])

    def _step(self) -> None:
        kind = self.top.kind
        if kind == COMMAND:
            self._in_command()
        elif kind == COMMENT:
            if self.text[self.at] == "\n":
                self.stack.pop()
            else:
                self._copy(1)
        elif kind in (SINGLE, RAW_HEREDOC):
            self._in_raw()
        else:
            self._in_quotes()

    def _copy(self, length: int) -> None:
        self.out.append(self.text[self.at : self.at + length])
        self.at += length

    def _push(self, context: _Context, length: int) -> None:
        self._copy(length)
        self.stack.append(context)

    # --- the kinds of places --------------------------------------------------------------------------------------------

    def _in_command(self) -> None:
        char, top = self.text[self.at], self.top
        if ordinary := _ORDINARY.match(self.text, self.at):
            top.word += ordinary.group()
            self._copy(ordinary.end() - self.at)
        elif char == "\\":
            self._backslash()
        elif char == "'" or self.text.startswith("$'", self.at):
            self.top.word += "'"
            self._push(_Context(SINGLE, close="\\" if char == "$" else ""), 2 if char == "$" else 1)
        elif char in '"$`' and self._opens():
            pass
        elif char == top.close:
            self._close()
        elif char == "(":
            arithmetic = self.text.startswith("((", self.at) and not top.words and not top.word
            top.word += "("
            context = _Context(ARITHMETIC, depth=2) if arithmetic else _Context(COMMAND, close=")")
            self._push(context, 2 if arithmetic else 1)
        elif char == "#" and not top.word:
            self._push(_Context(COMMENT), 1)
        elif char == "<" and self.text.startswith("<<", self.at):
            self._redirection()
        elif char == "\n":
            self._newline()
        elif char in ";|&":
            self._end_word()
            if not top.testing:
                top.words.clear()
            self._copy(1)
        elif char in " \t\r":
            self._end_word()
            self._copy(1)
        else:
            top.word += char
            self._copy(1)

    def _in_quotes(self) -> None:
        """Double quotes, here-documents, `${…}` and arithmetic: the shell looks for `$` and backslashes."""
        char, top = self.text[self.at], self.top
        if top.kind == HEREDOC and self.at >= top.end:
            self.stack.pop()
        elif char == "\\":
            self._backslash()
        elif (char, top.kind) in (('"', DOUBLE), ("}", PARAMETER)):
            self._close()
        elif top.kind == ARITHMETIC and char in "()":
            top.depth += 1 if char == "(" else -1
            self._copy(1)
            if top.depth <= 0:
                self.stack.pop()
        elif char in '$`"' and (char != '"' or top.kind != HEREDOC) and self._opens():
            pass
        else:
            self._copy(1)

    def _in_raw(self) -> None:
        top = self.top
        if top.kind == RAW_HEREDOC:
            if self.at >= top.end:
                self.stack.pop()
            else:
                self._copy(1)
        elif self.text[self.at] == "\\" and top.close:
            self._copy(2)
        elif self.text[self.at] == "'":
            self._close()
        else:
            self._copy(1)

    def _opens(self) -> bool:
        """Quotes and substitutions that may begin in a command as well as in double quotes."""
        self.command.word += "$"
        if self.text[self.at] == '"':
            self._push(_Context(DOUBLE), 1)
        elif self.text[self.at] == "`":
            if any(one.close == "`" for one in self.stack):
                self._back_to("`")
            else:
                self._push(_Context(COMMAND, close="`"), 1)
        elif self.text.startswith("$((", self.at):
            self._push(_Context(ARITHMETIC, depth=2), 3)
        elif self.text.startswith("$(", self.at):
            self._push(_Context(COMMAND, close=")"), 2)
        elif self.text.startswith("${", self.at):
            self._push(_Context(PARAMETER), 2)
        else:
            self._copy(1)
        return True

    def _back_to(self, close: str) -> None:
        while self.top.close != close:
            self.stack.pop()
        self._close()

    def _close(self) -> None:
        if self.top.kind == COMMAND:
            self._finish_test(self.top)
        self._copy(1)
        self.stack.pop()

    def _backslash(self) -> None:
        if self.text.startswith("${{", self.at + 1):
            start = self.at
            self._copy(1)
            self.problems.append(
                ExpressionError(
                    "a backslash before an expression", start, start + 1, "write `$${{` for a literal `${{`"
                )
            )
        else:
            self.command.word += "\\"
            self._copy(2)

    def _redirection(self) -> None:
        self.top.finish_word()
        if self.text.startswith("<<<", self.at):
            self._copy(3)
        elif (found := _HEREDOC.match(self.text, self.at)) and "${{" not in found.group():
            word = found.group(2)
            quoted = any(char in word for char in "'\"\\")
            self.heredocs.append((re.sub(r"['\"\\]", "", word), bool(found.group(1)), quoted))
            self._copy(found.end() - self.at)
        else:
            self._copy(2)

    def _newline(self) -> None:
        self._end_word()
        if not self.top.testing:
            self.top.words.clear()
        self._copy(1)
        # The bodies follow one another; the last opened context is left first, so they go on the stack in reverse.
        start, bodies = self.at, list[_Context]()
        for word, tabs, quoted in self.heredocs:
            start = self._heredoc_end(start, word, tabs)
            bodies.append(_Context(RAW_HEREDOC if quoted else HEREDOC, end=start))
        self.heredocs.clear()
        self.stack.extend(reversed(bodies))

    def _heredoc_end(self, start: int, word: str, tabs: bool) -> int:
        """The offset of the line that ends the body, or of the end of the text."""
        while start < len(self.text):
            stop = self.text.find("\n", start)
            stop = len(self.text) if stop < 0 else stop
            line = self.text[start:stop]
            if (line.lstrip("\t") if tabs else line).rstrip("\r") == word:
                return stop
            start = stop + 1
        return len(self.text)

    def _end_word(self) -> None:
        top = self.top
        if top.word == "]]":
            self._finish_test(top)
        top.finish_word()

    def _finish_test(self, context: _Context) -> None:
        context.finish_word()
        if context.testing and context.compared:
            for start, end, source in context.tested:
                self._refuse(
                    "in `[[ … -eq … ]]` " + _EVALUATED,
                    start,
                    end,
                    source,
                    "use `[ … -eq … ]`, which only reads numbers",
                )
        context.testing = False

    # --- expressions ----------------------------------------------------------------------------------------------------

    def _expression(self) -> None:
        start, top = self.at, self.top
        try:
            _, stop = tokenize(self.text, start + 3, "}}")
        except ExpressionError as error:
            self.problems.append(error)
            self.at = max(error.end, start + 3)
            return
        source, end = self.text[start + 3 : stop].strip(), stop + 2
        self.at = end
        if top.kind in _REFUSED:
            self._refuse(_REFUSED[top.kind], start, end, source)
        elif (evaluator := self._evaluator()) is not None:
            self._refuse(f"an expression in the program text of `{evaluator}`: {_EVALUATED}", start, end, source)
        name = self.values.setdefault(source, f"{VARIABLE}{len(self.values) + 1}")
        self.out.append(f'"${name}"' if top.kind == COMMAND else f"${{{name}}}")
        self.command.word += "$"
        if self.command.testing:
            self.command.tested.append((start, end, source))

    def _evaluator(self) -> str | None:
        """`eval`, or the interpreter whose program text the current word is."""
        words = self.command.words
        if "eval" in words[:2]:
            return "eval"
        if not words or not words[-1].startswith("-"):
            return None
        option = "-" + words[-1][-1]
        for word in words:
            program = word.rsplit("/", 1)[-1]
            if program in _PROGRAMS.get(option, ()):
                return f"{program} {words[-1]}"
        return None

    def _refuse(self, message: str, start: int, end: int, source: str, instead: str | None = None) -> None:
        name = variable_for(source)
        help = (
            instead or f"hand it over: `env: {{{name}: '${{{{ {source} }}}}'}}`, and write `\"${name}\"` in the script"
        )
        self.problems.append(ExpressionError(message, start, end, help))
