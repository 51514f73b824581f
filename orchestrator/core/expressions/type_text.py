"""Types written as text: `number 0..10`, `support | sales | spam`, `optional map(string) -- description` → JSON Schema."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from orchestrator.core.expressions.faults import TypeFormError
from orchestrator.core.expressions.suggestions import did_you_mean
from orchestrator.core.expressions.values import INT_MAX, INT_MIN

Schema = dict[str, Any]

_FILE: Final[Schema] = {
    "type": "object",
    "format": "file",
    "properties": {
        "path": {"type": "string"},
        "name": {"type": "string"},
        "size": {"type": "integer", "minimum": 0},
        "media_type": {"type": "string"},
        "sha256": {"type": "string"},
    },
    "required": ["path", "name", "size", "media_type", "sha256"],
    "additionalProperties": False,
}
PRIMITIVES: Final[dict[str, Schema]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "datetime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string", "format": "duration"},
    "url": {"type": "string", "format": "uri"},
    "email": {"type": "string", "format": "email"},
    "file": _FILE,
    "any": {},
}
_LENGTHS: Final = frozenset({"string", "url", "email"})
_ELSEWHERE: Final = {
    "str": "`string`", "text": "`string`", "int": "`integer`", "float": "`number`", "double": "`number`",
    "bool": "`boolean`", "flag": "`boolean`", "timestamp": "`datetime`", "uri": "`url`", "path": "`file`",
    "list": "`[string]` for a list of texts", "array": "`[string]` for a list of texts",
    "object": "`{name: string}`, or `map(string)` for any names", "dict": "`{name: string}`, or `map(string)`",
    "map": "`map(string)`", "json": "`any`", "enum": "`red | green`", "true": "`boolean`", "false": "`boolean`",
}  # fmt: skip
NESTING_MAX: Final = 16
_TEXT_MAX: Final = 20_000

_TOKEN = re.compile(
    r"""\s*(?:
    ('[^']*'|"[^"]*")
    |(-?\d+(?:\.\d+)?(?=\.\.|[\s|()]|$))
    |(\.\.)
    |([|()])
    |([^\s|()'".,]+(?:\.[^\s|()'".,]+)*)
    )""",
    re.VERBOSE,
)


class Type(msgspec.Struct, frozen=True):
    """A type that has been read."""

    schema: Schema
    """JSON Schema (2020-12)."""
    optional: bool = False


class _Token(NamedTuple):
    type: str
    text: str
    start: int
    end: int


def read_type_text(text: str, path: tuple[str | int, ...] = ()) -> Type:
    """Raises TypeFormError with `path` and offsets in `text`."""
    if len(text) > _TEXT_MAX:
        raise TypeFormError(f"a type of more than {_TEXT_MAX:,} characters", path, 0, len(text))
    core_end, description = _described(text)
    start = len(text) - len(text.lstrip())
    optional = text.startswith("optional ", start)
    if optional:
        start += len("optional ")
    reader = _Reader(text, start, core_end, path)
    schema = dict(reader.whole())
    if description:
        schema["description"] = description
    return Type(schema, optional)


def _described(text: str) -> tuple[int, str]:
    """Where the type ends and its description, which starts after the first ` -- ` outside quotes."""
    quote = ""
    for at, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == " " and text.startswith(" -- ", at):
            return at, text[at + 4 :].strip()
    return len(text), ""


class _Reader:
    def __init__(self, text: str, start: int, end: int, path: tuple[str | int, ...]) -> None:
        self.text = text
        self.path = path
        self.tokens = self._tokens(start, end)
        self.at = 0
        self.depth = 0

    def whole(self) -> Schema:
        if self._now().type == "end":
            raise self._error("the type is empty", self._now(), "for example `string`")
        schema = self._core()
        token = self._now()
        if token.type == "end":
            return schema
        help = "a description stands after ` -- `" if token.type == "word" else None
        if token.text == "..":
            help = "a range is written `number 0..10`"
        raise self._error(f"unexpected `{token.text}` after the type", token, help)

    def _tokens(self, start: int, end: int) -> list[_Token]:
        tokens: list[_Token] = []
        at = start
        while self.text[at:end].strip():
            found = _TOKEN.match(self.text, at, end)
            if found is None:
                at += len(self.text[at:end]) - len(self.text[at:end].lstrip())
                token = _Token("", self.text[at], at, at + 1)
                help = "add the closing quote" if token.text in "'\"" else "alternatives are written `a | b`"
                raise self._error(f"unexpected `{token.text}` in a type", token, help)
            kind = ("quoted", "number", "..", "sign", "word")[found.lastindex - 1]  # type: ignore[operator]
            tokens.append(_Token(kind, found.group(found.lastindex), *found.span(found.lastindex)))  # type: ignore[arg-type]
            at = found.end()
        tokens.append(_Token("end", "", end, end))
        return tokens

    def _core(self) -> Schema:
        first = self._now()
        terms = [self._term()]
        while self._now().text == "|" and self._now().type == "sign":
            self.at += 1
            terms.append(self._term())
        if len(terms) > 1:
            return self._alternatives(terms, first)
        if "const" not in terms[0]:
            return terms[0]
        if first.type == "word" and first.text != "null":
            raise self._unknown(first)
        raise self._error("a single alternative", first, f"write `{first.text} | …`, or a JSON Schema with `enum`")

    def _term(self) -> Schema:
        token = self._now()
        self.at += 1
        match token.type:
            case "quoted":
                return {"const": token.text[1:-1]}
            case "number":
                return {"const": self._number(token)}
            case "word" if token.text == "map" and self._now().text == "(":
                return self._map()
            case "word" if token.text in PRIMITIVES:
                return self._primitive(token)
            case "word" if token.text == "null":
                return {"const": None}
            case "word":
                if token.text in ("true", "false"):
                    raise self._error(f"`{token.text}` is not an alternative", token, "write `boolean`")
                if self._now().text == "(":
                    raise self._unknown(token)
                return {"const": token.text}
            case "end":
                raise self._error(
                    "the type ends too early", self.tokens[max(self.at - 2, 0)], "a type is missing after it"
                )
            case _:
                raise self._error(f"unexpected `{token.text}` in a type", token)

    def _map(self) -> Schema:
        opening = self._now()
        self.at += 1
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise self._error(f"`map` nested more than {NESTING_MAX} deep", opening)
        inner = self._core()
        if self._now().text != ")":
            raise self._error("`(` without its `)`", opening)
        self.at += 1
        self.depth -= 1
        return {"type": "object", "additionalProperties": inner}

    def _primitive(self, token: _Token) -> Schema:
        schema = dict(PRIMITIVES[token.text])
        low = high = None
        first = self._now()
        if first.type == "number" and self.tokens[self.at + 1].type == "..":
            low = self._number(first)
            self.at += 1
        if self._now().type != "..":
            return schema
        self.at += 1
        if self._now().type == "number":
            high = self._number(self._now())
            self.at += 1
        if low is None and high is None:
            raise self._error("a range without numbers", first, "write `0..10`, `0..` or `..10`")
        if low is not None and high is not None and high < low:
            raise self._error(f"the range {low}..{high} is empty", first, f"write `{high}..{low}`")
        return schema | self._bounds(token, first, low, high)

    def _bounds(self, token: _Token, place: _Token, low: float | None, high: float | None) -> Schema:
        if token.text in ("integer", "number"):
            names = ("minimum", "maximum")
        elif token.text in _LENGTHS:
            names = ("minLength", "maxLength")
            for bound in (low, high):
                if bound is not None and (not isinstance(bound, int) or bound < 0):
                    raise self._error("a length is a whole number from 0", place)
        else:
            raise self._error(
                f"`{token.text}` has no range", place, "`integer` and `number` have values, `string` a length"
            )
        return {name: bound for name, bound in zip(names, (low, high), strict=True) if bound is not None}

    def _number(self, token: _Token) -> int | float:
        value = float(token.text) if "." in token.text else int(token.text) if len(token.text) < 25 else INT_MAX + 1
        if not INT_MIN <= value <= INT_MAX:
            raise self._error("the number is too large", token)
        return value

    def _alternatives(self, terms: list[Schema], first: _Token) -> Schema:
        for i, term in enumerate(terms):
            if any(_same_term(term, other) for other in terms[:i]):
                raise self._error("an alternative is given twice", self._place_of(term, first))
        if {} in terms:
            raise self._error("`any` leaves no alternative", first, "write `any` alone")
        constants = [term["const"] for term in terms if "const" in term]
        others = [term for term in terms if "const" not in term]
        if not others:
            return _enumeration(constants)
        if all(set(other) == {"type"} for other in others) and constants in ([], [None]):
            names = [*(other["type"] for other in others), *(["null"] if constants else [])]
            return {"type": names}
        branches = list(others)
        if constants == [None]:
            branches.append({"type": "null"})
        elif constants:
            branches.insert(0, _enumeration(constants))
        return {"anyOf": branches}

    def _place_of(self, term: Schema, first: _Token) -> _Token:
        shown = term.get("const", term.get("type"))
        same = [token for token in self.tokens if token.text.strip("'\"") == str(shown)]
        return same[-1] if same else first

    def _unknown(self, token: _Token) -> TypeFormError:
        known = _ELSEWHERE.get(token.text.lower())
        help = f"did you mean {known}?" if known else did_you_mean(token.text, PRIMITIVES)
        return self._error(f"unknown type `{token.text}`", token, help or f"the types are {', '.join(PRIMITIVES)}")

    def _now(self) -> _Token:
        return self.tokens[self.at]

    def _error(self, message: str, token: _Token, help: str | None = None) -> TypeFormError:
        end = max(token.end, min(token.start + 1, len(self.text)))
        return TypeFormError(message, self.path, token.start, end, help)


def _same_term(a: Schema, b: Schema) -> bool:
    return a == b and [type(part) for part in a.values()] == [type(part) for part in b.values()]


def _enumeration(constants: list[Any]) -> Schema:
    names = {str: "string", int: "number", float: "number", type(None): "null"}
    kinds = list(dict.fromkeys(names[type(constant)] for constant in constants))
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": constants}
