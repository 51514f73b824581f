"""Text with `${{ expression }}`, `{% for %}` and `{% if %}` to a tree.

`$${{` is a literal `${{`; `{{ x }}` and `${HOME}` are text. `{%` opens a tag only before a space, a `-` or a tag's word, so
that formats such as `{%H}` stay text. A tag alone on its line takes the whole line with it; `{%-` and `-%}` eat all white
space on their side.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from orchestrator.core.expressions.faults import ExpressionError
from orchestrator.core.expressions.folding import Folder
from orchestrator.core.expressions.functions import KEYWORDS
from orchestrator.core.expressions.nodes import Branch, For, If, Node, Output, Text
from orchestrator.core.expressions.parser import Parser
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.tokens import END, NAME, tokenize

BLOCKS_MAX: Final = 16
"""`{% for %}` and `{% if %}` inside each other."""

_TAGS: Final = ("for", "if", "elif", "else", "endfor", "endif")
_MARK = re.compile(r"\$?\$\{\{|\{%-?(?=\s|(?:for|if|elif|else|endfor|endif)\b)")


def has_marks(text: str) -> bool:
    """Whether `text` may be more than plain text."""
    return "${{" in text or "{%" in text


class _Block:
    """A `{% for %}` or `{% if %}` that is still open, and the parts read into it so far."""

    def __init__(self, word: str, start: int, end: int) -> None:
        self.word = word
        self.start = start
        self.end = end
        self.parts: list[Node] = []
        self.branches: list[Branch] = []
        self.test: Node | None = None
        self.names: tuple[str, ...] = ()
        self.source: Node | None = None
        self.condition: Node | None = None
        self.body: tuple[Node, ...] | None = None
        """The parts before `{% else %}`, once that was met."""


class TemplateReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.folder = Folder(text)
        self.blocks = [_Block("", 0, 0)]
        self.at = 0

    def parts(self) -> tuple[Node, ...]:
        while (mark := _MARK.search(self.text, self.at)) is not None:
            start, end = mark.span()
            if mark.group().startswith("$$"):
                self._text(self.at, start)
                self.blocks[-1].parts.append(Text(start, end, "${{"))
                self.at = end
            elif mark.group() == "${{":
                self._text(self.at, start)
                self._output(start, end)
            else:
                self._tag(start, end)
        self._text(self.at, len(self.text))
        block = self.blocks[-1]
        if block.word:
            message = f"`{{% {block.word} %}}` without its `{{% end{block.word} %}}`"
            raise ExpressionError(message, block.start, block.end)
        return tuple(block.parts)

    def _text(self, start: int, stop: int) -> None:
        if start < stop:
            self.blocks[-1].parts.append(Text(start, stop, self.text[start:stop]))

    def _output(self, start: int, inside: int) -> None:
        tokens, stop = tokenize(self.text, inside, "}}")
        if tokens[0].type == END:
            raise ExpressionError("the expression is empty", start, stop + 2, "a literal `${{` is written `$${{`")
        expression = Parser(self.text, tokens, self.folder).whole()
        self.blocks[-1].parts.append(Output(start, stop + 2, expression))
        self.at = stop + 2

    def _tag(self, start: int, inside: int) -> None:
        tokens, stop = tokenize(self.text, inside, "%}")
        dashed = self.text.startswith("-", stop)
        end = stop + 2 + dashed
        self._text_before(start, end, dashed=self.text[inside - 1] == "-")
        self.at = self._after(start, end, dashed)
        word = tokens[0].value if tokens[0].type == NAME else None
        if word not in _TAGS:
            self._unknown(word, start, end)
        parser = Parser(self.text, tokens, self.folder)
        parser.advance()
        match word:
            case "if":
                self._open(_Block("if", start, end)).test = parser.whole()
            case "for":
                self._for(self._open(_Block("for", start, end)), parser)
            case "elif":
                self._elif(parser.whole(), start, end)
            case _:
                if parser.token.type != END:
                    raise ExpressionError(
                        f"`{word}` stands alone in its tag", parser.token.start, parser.token.end,
                        "another condition is written `{% elif … %}`" if word == "else" else None,
                    )  # fmt: skip
                self._else(start, end) if word == "else" else self._close(str(word)[3:], start, end)

    def _text_before(self, start: int, end: int, dashed: bool) -> None:
        stop = start
        if dashed:
            stop = max(self.at, len(self.text[:start].rstrip())) if self.at < start else self.at
        elif self._alone(start, end):
            stop = max(self.at, self.text.rfind("\n", 0, start) + 1)
        self._text(self.at, stop)

    def _after(self, start: int, end: int, dashed: bool) -> int:
        """Where the text goes on."""
        if dashed:
            while end < len(self.text) and self.text[end].isspace():
                end += 1
        elif self._alone(start, end):
            line_end = self.text.find("\n", end)
            end = len(self.text) if line_end < 0 else line_end + 1
        return end

    def _alone(self, start: int, end: int) -> bool:
        """Whether nothing but blanks stands beside the tag on its line (or lines, for a tag of several)."""
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", end)
        after = self.text[end : len(self.text) if line_end < 0 else line_end]
        return not self.text[line_start:start].strip(" \t") and not after.strip(" \t\r")

    def _open(self, block: _Block) -> _Block:
        if len(self.blocks) > BLOCKS_MAX:
            raise ExpressionError(f"blocks nested more than {BLOCKS_MAX} deep", block.start, block.end)
        self.blocks.append(block)
        return block

    def _for(self, block: _Block, parser: Parser) -> None:
        names: list[str] = []
        while True:
            token = parser.token
            if token.type != NAME or token.value in KEYWORDS or token.value == "loop":
                raise ExpressionError(
                    "a name is missing after `for`",
                    *_span(token.start, token.end, block),
                    "write `{% for x in list %}`",
                )
            if token.value in names:
                raise ExpressionError(f"the name `{token.value}` is given twice", token.start, token.end)
            names.append(token.value)
            parser.advance()
            if not parser.take(","):
                break
        if not parser.is_word("in"):
            token = parser.token
            raise ExpressionError(
                "`in` is missing", *_span(token.start, token.end, block), "write `{% for x in list %}`"
            )
        parser.advance()
        block.names = tuple(names)
        block.source = parser.operation(1)
        if parser.is_word("if"):
            parser.advance()
            block.condition = parser.whole()
        elif parser.token.type != END:
            raise ExpressionError("unexpected text in `for`", parser.token.start, parser.token.end)

    def _elif(self, test: Node, start: int, end: int) -> None:
        block = self._expected("if", "elif", start, end)
        if block.body is not None:
            raise ExpressionError("`{% elif %}` after `{% else %}`", start, end)
        self._branch(block, end)
        block.test = test

    def _else(self, start: int, end: int) -> None:
        block = self.blocks[-1]
        if not block.word:
            raise ExpressionError("`{% else %}` without its `{% if %}` or `{% for %}`", start, end)
        if block.body is not None:
            raise ExpressionError("a second `{% else %}`", start, end)
        if block.word == "if":
            self._branch(block, end)
        block.body = tuple(block.parts)
        block.parts = []

    def _close(self, word: str, start: int, end: int) -> None:
        block = self._expected(word, f"end{word}", start, end)
        self.blocks.pop()
        if word == "if":
            if block.body is None:
                self._branch(block, end)
            node: Node = If(block.start, end, tuple(block.branches), tuple(block.parts))
        else:
            assert block.source is not None
            body, otherwise = (block.parts, ()) if block.body is None else (block.body, block.parts)
            node = For(block.start, end, block.names, block.source, block.condition, tuple(body), tuple(otherwise))
        self.blocks[-1].parts.append(node)

    def _branch(self, block: _Block, end: int) -> None:
        assert block.test is not None
        block.branches.append(Branch(block.test.start, end, block.test, tuple(block.parts)))
        block.parts = []

    def _expected(self, word: str, tag: str, start: int, end: int) -> _Block:
        block = self.blocks[-1]
        if block.word == word:
            return block
        if block.word:
            message = f"`{{% {tag} %}}` inside an open `{{% {block.word} %}}`"
            raise ExpressionError(message, start, end, f"close it first: `{{% end{block.word} %}}`")
        raise ExpressionError(f"`{{% {tag} %}}` without its `{{% {word} %}}`", start, end)

    def _unknown(self, word: str | None, start: int, end: int) -> NoReturn:
        help = (did_you_mean(word, _TAGS) if word else None) or "the tags are for, if, elif, else, endfor, endif"
        shown = f"unknown tag `{word}`" if word else "a tag needs its word"
        raise ExpressionError(shown, start, end, f"{help}; a literal `{{%` is written `${{{{ '{{%' }}}}`")


def _span(start: int, end: int, block: _Block) -> tuple[int, int]:
    return (start, end) if end > start else (block.start, block.end)
