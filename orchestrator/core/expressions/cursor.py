"""A place in a list of tokens: what stands here, going on, and saying what was expected instead."""

from __future__ import annotations

from typing import NoReturn

from orchestrator.core.expressions.faults import ExpressionError
from orchestrator.core.expressions.tokens import END, NAME, OP, Token


class Cursor:
    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.token = tokens[0]

    def advance(self) -> Token:
        token = self.token
        self.at += 1
        self.token = self.tokens[self.at]
        return token

    def is_op(self, sign: str) -> bool:
        return self.token.type == OP and self.token.value == sign

    def is_word(self, word: str) -> bool:
        return self.token.type == NAME and self.token.value == word

    def take(self, sign: str) -> bool:
        if self.is_op(sign):
            self.advance()
            return True
        return False

    def expect(self, sign: str, where: str) -> None:
        if not self.take(sign):
            raise ExpressionError(f"`{sign}` is missing {where}", *self.place())

    def close(self, sign: str, opening: int) -> int:
        if self.is_op(sign):
            return self.advance().end
        if self.token.type != END:
            self.unexpected(f"expected `,` or `{sign}`")
        raise ExpressionError(f"`{self.text[opening]}` without its `{sign}`", opening, opening + 1)

    def place(self) -> tuple[int, int]:
        """The current token, or the last one where there is none any more."""
        if self.token.type == END and self.at:
            last = self.tokens[self.at - 1]
            return last.start, last.end
        return self.token.start, self.token.end

    def unexpected(self, expected: str = "") -> NoReturn:
        if self.token.type == END:
            raise ExpressionError("the expression ends too early", *self.place(), expected or None)
        if self.is_op("="):
            raise ExpressionError("`=` does not compare", *self.place(), "write `==`")
        shown = self.text[self.token.start : self.token.end]
        raise ExpressionError(f"unexpected `{shown[:40]}`", *self.place(), expected or None)
