"""What goes wrong with an expression: always a message, a place in the text, and a remedy where one is known.

`ExpressionError` and its kinds are what callers see. `Fault` is what an operation raises before it knows its place; the
node that called it adds the place.
"""

from __future__ import annotations

from orchestrator.errors import WhisperFlowError


class ExpressionError(WhisperFlowError):
    """The expression cannot be read or has no result; `start` and `end` are offsets in the text given, end exclusive."""

    def __init__(self, message: str, start: int, end: int, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.start = start
        self.end = end


class MissingValueError(ExpressionError):
    """A value was needed where there is none: the run's `missing_value`."""


class LimitError(ExpressionError):
    """The expression would take more steps or make more data than it may."""


class TypeFormError(ExpressionError):
    """A type is not written as types are; `path` leads to what is wrong inside the value given, offsets are in its text.

    With `on_key` it is the last key of the path itself that is wrong, not what stands under it.
    """

    def __init__(
        self,
        message: str,
        path: tuple[str | int, ...],
        start: int,
        end: int,
        help: str | None = None,
        *,
        on_key: bool = False,
    ) -> None:
        super().__init__(message, start, end, help)
        self.path = path
        self.on_key = on_key


class UnknownNameError(ExpressionError):
    """A name that means nothing where the expression stands."""


class UnknownFieldError(ExpressionError):
    """A field that the type before the dot is known not to have."""


class WrongTypeError(ExpressionError):
    """An operation on a type that it does not take, known before anything runs."""


# Not an error of the program's users: it never leaves this package.
class Fault(Exception):  # noqa: N818
    """An operation's refusal, without a place."""

    kind: type[ExpressionError] = ExpressionError

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help

    def at(self, start: int, end: int) -> ExpressionError:
        return self.kind(self.message, start, end, self.help)


class Absent(Fault):
    """No value where one is needed."""

    kind = MissingValueError


class TooMuch(Fault):
    """Over a limit."""

    kind = LimitError
