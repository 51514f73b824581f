"""Laws: it computes what Jinja2 computes, never fails but with a place, asks for no name it does not list, and has the type
that was inferred."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import ChainableUndefined, Undefined, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator.core.expressions import (
    MISSING,
    ExpressionError,
    LimitError,
    TypeFormError,
    can_check,
    check_value,
    evaluate,
    infer,
    parse_expression,
    parse_template,
    parse_type,
    references,
    render,
)


def times(n: int) -> settings:
    """`n` times the examples of the profile in use."""
    return settings(max_examples=settings().max_examples * n)


# --- Expressions with a kind, over names whose values have it. Names of Python's methods are left out. ---

_WORDS = st.text(alphabet="abcxyz 01,-", max_size=6)
_INTS = st.integers(-50, 50)
_ROWS = st.fixed_dictionaries({"a": _INTS, "b": _WORDS, "c": st.fixed_dictionaries({"d": _INTS})})
SCOPES = st.fixed_dictionaries(
    {
        "n": _INTS,
        "f": st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 2)),
        "s": _WORDS,
        "t": _WORDS,
        "yes": st.booleans(),
        "xs": st.lists(_INTS, max_size=5),
        "ws": st.lists(_WORDS, max_size=5),
        "rows": st.lists(_ROWS, max_size=4),
        "m": st.fixed_dictionaries({"p": _INTS, "q": st.fixed_dictionaries({"r": _WORDS})}),
    }
)
TYPES: dict[str, Any] = {
    "n": {"type": "integer"},
    "f": {"type": "number"},
    "s": {"type": "string"},
    "t": {"type": "string"},
    "yes": {"type": "boolean"},
    "xs": {"type": "array", "items": {"type": "integer"}},
    "ws": {"type": "array", "items": {"type": "string"}},
    "rows": parse_type([{"a": "integer", "b": "string", "c": {"d": "integer"}}]).schema,
    "m": parse_type({"p": "integer", "q": {"r": "string"}}).schema,
}


def _pairs(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: pattern.format(*given))


@st.composite
def _expression(draw: st.DrawFn, kind: str, depth: int) -> str:
    """The text of an expression of a kind: num, text, bool, nums, texts or rows."""
    if depth == 0 or draw(st.integers(0, 9)) < 2:
        return draw(_leaf(kind))
    inner = {k: _expression(k, depth - 1) for k in ("num", "text", "bool", "nums", "texts", "rows")}
    forms = [_pairs("({} if {} else {})", inner[kind], inner["bool"], inner[kind]), *_forms(kind, inner)]
    return f"({draw(st.one_of(forms))})"


def _leaf(kind: str) -> st.SearchStrategy[str]:
    return {
        "num": st.one_of(
            st.sampled_from(
                ["n", "f", "m.p", "m['p']", "rows[0].a | default(3)", "xs[-1] | default(0)", "nope | default(7)"]
            ),
            st.integers(0, 9).map(str),
            st.just("2.5"),
        ),
        "text": st.one_of(
            st.sampled_from(["s", "t", "m.q.r", "nope.x[0].y | default('d')", "ws[0] | default('w')"]), _WORDS.map(repr)
        ),
        "bool": st.sampled_from(["yes", "true", "false", "(s is defined)", "(nope.a is not defined)", "(n is none)"]),
        "nums": st.sampled_from(["xs", "[1, n, 3]", "(range(4) | list)", "(range(5, 0, -2) | list)", "[]"]),
        "texts": st.sampled_from(["ws", "['a', s]", "['b']"]),
        "rows": st.sampled_from(["rows", "rows + rows"]),
    }[kind]


_REORDERS = st.sampled_from(["sort(case_sensitive=true)", "unique(case_sensitive=true) | list", "reverse | list"])


def _forms(kind: str, inner: dict[str, st.SearchStrategy[str]]) -> list[st.SearchStrategy[str]]:
    num, text, bool_, nums, texts, rows = (inner[k] for k in ("num", "text", "bool", "nums", "texts", "rows"))
    order = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return {
        "num": [
            _pairs("({} {} {})", num, st.sampled_from(["+", "-", "*", "/", "//", "%"]), num),
            _pairs("{} {} {} {} {}", num, st.sampled_from(["+", "*", "-"]), num, st.sampled_from(["-", "//", "%"]), num),
            _pairs("(-{})", num),
            _pairs("-{} | abs", num),
            _pairs("({}) | round(1)", num),
            _pairs("({}) | int", num),
            _pairs("({}) | length", st.one_of(text, nums, texts, rows)),
            _pairs("({}) | sum", nums),
            _pairs("({}) | max | default({})", nums, num),
            _pairs("(({}) | first) | default({})", nums, num),
            _pairs("({})[{}] | default(1)", nums, st.integers(-4, 4).map(str)),
            _pairs("({}) | sum(attribute='c.d')", rows),
        ],
        "text": [
            _pairs("({} ~ {})", text, text),
            _pairs("({} + {})", text, text),
            _pairs("({}) | {}", text, st.sampled_from(["upper", "lower", "trim", "urlencode", "indent(2)", "replace('a', 'bb')"])),
            _pairs("({})[{}:{}]", text, st.integers(-3, 3).map(str), st.integers(-3, 3).map(str)),
            _pairs("({}) | join('+')", texts),
            _pairs("({}) | join(',')", nums),
            _pairs("({}) * {}", text, st.integers(-1, 3).map(str)),
            _pairs("({}) | last | default({})", texts, text),
            _pairs("({} or {})", text, text),
            _pairs("({}) | string", text),
        ],
        "bool": [
            _pairs("({} {} {})", num, order, num),
            _pairs("({} {} {})", text, order, text),
            _pairs("({} < {} <= {})", num, num, num),
            _pairs("({} {} {})", bool_, st.sampled_from(["and", "or"]), bool_),
            _pairs("(not {})", bool_),
            _pairs("({} {} {})", num, st.sampled_from(["in", "not in"]), nums),
            _pairs("({} in {})", text, st.one_of(text, texts)),
            _pairs("('{}' in m)", st.sampled_from(["p", "zz"])),
            _pairs("({}) == ({})", nums, nums),
            _pairs("({}) is defined", st.one_of(num, text)),
        ],
        "nums": [
            _pairs("({} + {})", nums, nums),
            _pairs("({}) | {}", nums, st.sampled_from(["sort", "sort(reverse=true)", "unique | list", "reverse | list", "list"])),
            _pairs("({})[{}:]", nums, st.integers(-3, 3).map(str)),
            _pairs("({})[::{}]", nums, st.sampled_from(["-1", "2"])),
            _pairs("({}) | map(attribute='a') | list", rows),
            _pairs("({}) | map(attribute='c.d') | list", rows),
            _pairs("[{}, {}]", num, num),
        ],
        "texts": [
            _pairs("({} + {})", texts, texts),
            _pairs("({}) | {}", texts, _REORDERS),
            _pairs("({}) | map(attribute='b') | list", rows),
            _pairs("({}) | list", text),
            st.just("m | list"),
        ],
        "rows": [
            _pairs("({}) | selectattr('a', '{}', {}) | list", rows, order, num),
            _pairs("({}) | rejectattr('c.d', 'gt', {}) | list", rows, num),
            _pairs("({}) | selectattr('a') | list", rows),
            _pairs("({}) | sort(attribute='a')", rows),
            _pairs("({}) | sort(attribute='c.d', reverse=true)", rows),
            _pairs("({}) | unique(attribute='a') | list", rows),
        ],
    }[kind]  # fmt: skip


_KINDS = st.sampled_from(["num", "text", "bool", "nums", "texts", "rows"])
DEEP_EXPRESSIONS = _KINDS.flatmap(lambda kind: _expression(kind, 3))
EXPRESSIONS = _KINDS.flatmap(lambda kind: _expression(kind, 2))
JINJA = ImmutableSandboxedEnvironment(undefined=ChainableUndefined)


def _ours(text: str) -> str:
    """Jinja compares letter case only when asked to; here it always counts."""
    return text.replace("(case_sensitive=true)", "")


def _refusal(attempt: Callable[[], Any]) -> ExpressionError | None:
    """The error of ours that it raises; any other goes through and fails the test."""
    try:
        attempt()
    except ExpressionError as error:
        return error
    return None


def impossible(text: str) -> bool:
    """Whether it holds a division by a constant zero (or the like), refused when read even where it would not be reached."""
    error = _refusal(lambda: parse_expression(text))
    assert error is None or error.message == "division by zero" or isinstance(error, LimitError), error
    return error is not None


def _by_jinja(text: str, scope: dict[str, Any]) -> Any:
    found = JINJA.compile_expression(text, undefined_to_none=False)(**scope)
    return MISSING if isinstance(found, Undefined) else found


@given(DEEP_EXPRESSIONS, SCOPES)
@times(4)
def test_it_computes_what_jinja_computes(text: str, scope: dict[str, Any]) -> None:
    if impossible(_ours(text)):
        return
    if _refusal(lambda: evaluate(_ours(text), scope)):
        # Refused is only what has no result there either: division by zero, numbers beyond a float's.
        with pytest.raises((ZeroDivisionError, OverflowError, TypeError)):
            _by_jinja(text, scope)
        return
    ours = evaluate(_ours(text), scope)
    try:
        theirs = _by_jinja(text, scope)
    except (UndefinedError, ZeroDivisionError, OverflowError):
        # Here `default` also replaces what could not be computed for want of a value, and its argument waits till it is needed.
        assert "default(" in text
        return
    assert ours == theirs, text
    assert type(ours) is type(theirs), text


@given(
    st.lists(st.one_of(st.text(alphabet="ab {}$%\n", max_size=5), EXPRESSIONS.map(lambda e: ("e", e))), max_size=5),
    SCOPES,
)
def test_text_around_expressions_stays_as_it_is(parts: list[Any], scope: dict[str, Any]) -> None:
    pieces = [p if isinstance(p, str) else "${{ " + _ours(p[1]) + " }}" for p in parts]
    template = "#".join(pieces)
    if any(isinstance(p, str) and ("{%" in p or "${{" in p) for p in parts) or "$${{" in template or "{%" in template:
        return
    try:
        values = [p if isinstance(p, str) else evaluate(_ours(p[1]), scope) for p in parts]
        expected = "#".join(
            v if isinstance(v, str) else json.dumps(v, separators=(",", ":"), ensure_ascii=False) for v in values
        )
    except ExpressionError:
        return
    if len(parts) == 1 and not isinstance(parts[0], str):
        assert render(template, scope) == values[0]
    else:
        assert render(template, scope) == expected


@given(SCOPES, EXPRESSIONS, _expression("bool", 2))
def test_tags_do_what_they_do_in_jinja(scope: dict[str, Any], body: str, test: str) -> None:
    text = (
        "a {% for r in rows if r.a > 0 %}${{ loop.index }}:${{ r.b }}{% if " + test + " %}+{% else %}-{% endif %}"
        "{% for x in xs %}${{ x ~ r.a }}{% endfor %};{% else %}none{% endfor %} b"
    )
    try:
        ours = render(_ours(text), scope)
    except ExpressionError:
        return
    assert ours == JINJA.from_string(text.replace("${{", "{{")).render(**scope)


@given(EXPRESSIONS, SCOPES)
@times(4)
def test_a_value_fits_the_type_that_was_inferred(text: str, scope: dict[str, Any]) -> None:
    if impossible(_ours(text)):
        return
    read = parse_expression(_ours(text))
    inferred = infer(read, {**TYPES, "nope": {}})
    try:
        value = evaluate(read, scope)
    except ExpressionError:
        return
    schema = dict(inferred.schema)
    if value is not MISSING and can_check(schema):
        assert check_value(schema, value) == [], (text, schema)
    # What worked must not have been called certain to fail; only comparisons of listed values may be idle.
    assert not inferred.problems, text


@given(EXPRESSIONS, SCOPES)
def test_evaluating_asks_for_no_name_that_is_not_a_reference(text: str, scope: dict[str, Any]) -> None:
    if impossible(_ours(text)):
        return
    read = parse_expression(_ours(text))
    listed = {reference.root for reference in references(read)}
    asked: set[str] = set()

    def resolve(name: str) -> Any:
        asked.add(name)
        return scope.get(name, MISSING)

    _refusal(lambda: evaluate(read, resolve))
    assert asked <= listed


_SIGNS = "${{ }} $${{ {% %} {%- -%} | . , : ( ) [ ] { } ' \" + - * / // % ~ == != < <= > >= = ** && $ ` ? ! @ \\ .. --"
_WORDS_OF_IT = (
    "for if elif else endfor endif in not and or is defined none null optional string number file a b.c x[0] é 𝒳"
)
_CALLS = (
    "range( product( now() default( map( matches( '(a' selectattr( sort( groupby( date( map( 1 0x 1e9 1_0 007 'x' 0..1"
)
_SCRAPS = st.sampled_from(["\n", *f"{_SIGNS} {_WORDS_OF_IT} {_CALLS}".split()])
_NOISE = st.lists(st.one_of(_SCRAPS, st.text(max_size=3)), max_size=14).map(lambda parts: " ".join(parts))
_ANY_SCOPE = st.dictionaries(
    st.sampled_from(["a", "b", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=2), c, max_size=3),
    ),
)


@given(st.one_of(_NOISE, st.text()), _ANY_SCOPE)
@times(100 if os.environ.get("CI") else 15)  # 20,000 under CI
def test_no_text_makes_anything_but_an_error_with_a_place(text: str, scope: dict[str, Any]) -> None:
    for attempt in (
        lambda: evaluate(text, scope, now=1e9),
        lambda: render(text, scope, now=1e9),
        lambda: render("${{ " + text + " }}", scope, now=1e9),
        lambda: infer(parse_template(text), {"a": {}, "b": {"type": "string"}}),
        lambda: infer(parse_expression(text), {"a": {}, "b": {"type": "string"}}),
        lambda: references(parse_template(text)),
        lambda: parse_type(text),
    ):
        error = _refusal(attempt)
        if error is not None:
            assert 0 <= error.start <= error.end <= len("${{ " + text + " }}")
            assert error.message


@given(EXPRESSIONS, _ANY_SCOPE, st.integers(0, 200), st.sampled_from(list("()[]{}'\"|.~+-=!<>%* ab0")))
@times(4)
def test_no_change_of_a_letter_and_no_data_makes_anything_else(
    text: str, scope: dict[str, Any], at: int, c: str
) -> None:
    at = at % (len(text) + 1)
    for broken in (text[:at] + c + text[at:], text[:at] + text[at + 1 :], text):
        data = {**scope, "n": scope.get("a"), "s": scope.get("b"), "xs": scope.get("x")}
        error = _refusal(lambda broken=broken, data=data: evaluate(broken, data))  # type: ignore[misc]
        assert error is None or 0 <= error.start <= error.end <= len(broken)


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=8)
    | st.sampled_from(["string", "number 0..1", "a | b", "optional any"]),
    lambda c: (
        st.lists(c, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "enum", "a", "items", "properties", "default"]), c, max_size=3)
    ),
)


@given(_VALUES, st.booleans())
@times(10)
def test_no_value_makes_anything_but_a_type_or_an_error_with_its_path(value: Any, field: bool) -> None:
    error = _refusal(lambda: parse_type(value, field=field))
    if error is None:
        assert isinstance(parse_type(value, field=field).schema, dict)
        return
    assert isinstance(error, TypeFormError)
    inner = value
    for key in error.path[:-1] if error.on_key else error.path:
        inner = inner[key]
    if error.on_key:
        inner = error.path[-1]
    if isinstance(inner, str):
        assert 0 <= error.start <= error.end <= len(inner)
