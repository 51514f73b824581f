"""What is an expression, how tightly operators bind, and how a mistake is shown."""

from __future__ import annotations

import pytest

from orchestrator.core.expressions import MISSING, ExpressionError, evaluate, parse_expression, parse_template

SCOPE = {"a": 1, "b": 2, "x": {"y": [10, 20], "if": "kept"}, "s": "text"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 | abs", 2),
        ("1 ~ 2 * 3", "16"),
        ("10 - 2 - 3", 5),
        ("7 // 2 * 2", 6),
        ("not a == 2", True),
        ("a == 1 and b == 2 or s == 'no'", True),
        ("a < b <= 2 < 3", True),
        ("a < b > 5", False),
        ("1 in [1, 2] and 3 not in [1, 2]", True),
        ("'yes' if a == 1 else 'no'", "yes"),
        ("'yes' if a == 2", MISSING),
        ("1 if a == 2 else 2 if b == 3 else 3", 3),
        ("x.y[0] + x['y'][-1] + x.y.1", 50),
        ("x.y[5]", MISSING),
        ("x.nothing.at.all[3]", MISSING),
        ("x.if", "kept"),
        ("s[1:3]", "ex"),
        ("x.y[::-1]", [20, 10]),
        ("{'k': a, 'l': [b, {}]}", {"k": 1, "l": [2, {}]}),
        ("(1, 2)", [1, 2]),
        ("(1,)", [1]),
        ("()", []),
        ("'a' 'b'", "ab"),
        ("0x10 + 0b11 + 0o7 + 1_000", 1026),
        ("1.5e2", 150.0),
        (r"'\x41\u00e9\n\'\d'", "Aé\n'\\d"),
        ("True and not False and None is none and null is none", True),
        ("a is defined and nope is not defined", True),
        ("nope.deep is defined", False),
        ("(nope ~ 'x') is defined", False),
        ("a or b", 1),
        ("'' or b", 2),
        ("a and s", "text"),
        ("'x' * 3", "xxx"),
        ("[1] + [2]", [1, 2]),
        ("7 % 3", 1),
        ("-7 // 2", -4),
        ("4 / 2", 2.0),
    ],
)
def test_expressions_read_as_in_jinja(text: str, value: object) -> None:
    found = evaluate(text, SCOPE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message", "at", "help"),
    [
        ("a == = 3", "`=` does not compare", "=", "write `==`"),
        ("a && b", "`&&` is not an operator here", "&&", "write `and`"),
        ("a || b", "`||` is not an operator here", "||", "write `or`"),
        ("!a", "`!` is not an operator here", "!", "write `not`"),
        ("a ? b : c", "`?` is not an operator here", "?", "write `a if condition else b`, or `x | default(y)`"),
        ("2 ** 3", "powers are not in the language", "**", "multiply instead"),
        ("a and", "the expression ends too early", "and", None),
        ("(a", "`(` without its `)`", "(", None),
        ("[1, 2", "`[` without its `]`", "[", None),
        ("a b", "unexpected `b`", "b", "a name has no spaces; join conditions with `and` or `or`"),
        ("'abc", "text without its closing quote", "'abc", "add ' at the end"),
        ("$HOME", "`$` inside an expression", "$", "write the name alone, without `$` and braces"),
        ("007", "the number 007 starts with 0", "007", "write 7"),
        ("12ab", "`12ab` is neither a number nor a name", "12ab", None),
        ("a.", "a name is missing after `.`", ".", "other keys: `x['the key']`"),
        ("a | uper", "unknown filter `uper`", "uper", "did you mean `upper`?"),
        ("a | count", "unknown filter `count`", "count", "did you mean `length`?"),
        ("a | regex_search('x')", "unknown filter `regex_search`", "regex_search", "did you mean `matches(re)`?"),
        ("upper(a)", "unknown function `upper`", "upper", "write `x | upper`"),
        ("rnge(3)", "unknown function `rnge`", "rnge", "did you mean `range`?"),
        ("x.items()", "values have no methods", "items", "write `x | items`"),
        ("s.strip()", "values have no methods", "strip", "only filters and functions can be called"),
        ("a is defind", "`is defind` is not a test here", "defind", "did you mean `defined`?"),
        ("a | first.id", "`.` cannot follow a filter", ".", "put it in brackets: `(a | first).id`"),
        ("a | truncate", "`truncate` needs its argument `n`", "truncate", "write `truncate(n)`"),
        ("a | lower(1)", "`lower` takes no arguments", "lower(1)", "write `lower`"),
        ("a | sort(revers=true)", "`sort` has no argument `revers`", "sort(revers=true)", "did you mean `reverse`?"),
        ("a | join(sep=1, sep=2)", "the argument `sep` is given twice", "join(sep=1, sep=2)", None),
        ("a | default", "`default` needs its argument `v`", "default", "write `default(v)`"),
        ("product([1])", "`product` takes named lists", "product([1])", "write `product(name=list, …)`"),
        ("{1: 2}", "a map's keys are text", "1", "write it in quotes"),
        ("a[]", "an index is missing in `[]`", "[]", None),
        ("a[1:2:3:4]", "a slice has at most three parts", "[1:2:3:4]", "write `x[from:to:step]`"),
        ("${{ a }}", "this field holds an expression already, without `${{ }}`", "${{", "write it bare: `a`"),
        ("a + not b", "`not` cannot stand here", "not", "put it in brackets: `(not x)`"),
        (r"'\ud800'", r"`\ud800` is not a character", r"\ud800", None),
        ("s | matches('(a')", "pattern, character 2: `(` without its `)`", "'(a'", None),
        (r"s | matches('\bx')", r"`\b` in quotes is a backspace", r"'\bx'", r"write `\\b` for the border of a word"),
        ("s | selectattr('a', 'like', 1)", "'like' is not a comparison", "'a'", None),
    ],
)
def test_a_mistake_is_named_at_its_place_with_the_remedy(text: str, message: str, at: str, help: str | None) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    error = refused.value
    assert error.message == message
    assert text[error.start : error.end] == at
    if help is not None:
        assert error.help == help


def test_an_empty_expression_is_refused() -> None:
    for text in ("", "  ", "\n"):
        with pytest.raises(ExpressionError, match="the expression is empty"):
            parse_expression(text)


def test_the_same_text_is_read_once() -> None:
    assert parse_expression("a.b + 1") is parse_expression("a.b + 1")
    assert parse_template("x ${{ a }}") is parse_template("x ${{ a }}")


def test_places_in_a_template_are_places_in_its_whole_text() -> None:
    text = "first\nsecond ${{ a | lowr }}"
    with pytest.raises(ExpressionError) as refused:
        parse_template(text)
    assert text[refused.value.start : refused.value.end] == "lowr"
