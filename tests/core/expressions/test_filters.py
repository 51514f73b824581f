"""What each filter and function gives, and what it refuses."""

from __future__ import annotations

import pytest

from orchestrator.core.expressions import MISSING, ExpressionError, MissingValueError, evaluate

ROWS = [{"k": "b", "n": 2, "t": {"p": 9}}, {"k": "a", "n": 3, "t": {"p": 1}}, {"k": "b", "n": 1, "t": {"p": 5}}]
SCOPE = {
    "rows": ROWS,
    "s": " One,Two ",
    "ls": "a\nb\r\n\nc\n",
    "m": {"x": 1, "y": None},
    "e": [],
    "big": 2**64 - 1,
    "nul": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nope | default('d')", "d"),
        ("nul | default('d')", "d"),
        ("'' | default('d')", ""),
        ("nope | default(also_nope)", MISSING),
        ("(nope | length) | default(0)", 0),
        ("rows | length + (s | length) + (m | length)", 14),
        ("rows | first", ROWS[0]),
        ("e | first", MISSING),
        ("(rows | last).n", 1),
        ("rows | map(attribute='k') | join('-')", "b-a-b"),
        ("[1, true, null, [2]] | join(' ')", "1 true null [2]"),
        ("s | trim | split(',')", ["One", "Two"]),
        ("s | split", ["One,Two"]),
        ("ls | lines", ["a", "b", "", "c"]),
        ("'' | lines", []),
        ("s | trim | lower ~ (s | upper)", "one,two ONE,TWO "),
        ("s | replace(',', '/')", " One/Two "),
        ("'abcdef' | truncate(4)", "abc…"),
        ("'abcd' | truncate(4)", "abcd"),
        ("'a\nb\n\nc' | indent(2)", "a\n  b\n\n  c"),
        ("s | matches('^ O.*o')", True),
        ("s | matches('(?i)TWO\\s$')", True),
        ("'12' | int + ('3.9' | int) + (2.5 | int)", 17),
        ("'1e3' | float", 1000.0),
        ("12 | string ~ (true | string)", "12true"),
        ("2.567 | round(1)", 2.6),
        ("7 | round", 7),
        ("-3 | abs", 3),
        ("'ab' | list", ["a", "b"]),
        ("m | list", ["x", "y"]),
        ("rows | sort(attribute='t.p') | map(attribute='n')", [3, 1, 2]),
        ("rows | sort('n', true) | map('n')", [3, 2, 1]),
        ("[3, 1, 2] | sort(reverse=true)", [3, 2, 1]),
        ("['b', 'B', 'a'] | sort", ["B", "a", "b"]),
        ("rows | unique('k') | map('n')", [2, 3]),
        ("[[1], [1], {'a': 1}, {'a': 1}] | unique", [[1], {"a": 1}]),
        ("[1, 2] | reverse", [2, 1]),
        ("'ab' | reverse", "ba"),
        ("rows | selectattr('n', '>', 1) | map('n')", [2, 3]),
        ("rows | selectattr('k', 'in', ['a']) | length", 1),
        ("rows | selectattr('zz', 'defined') | length", 0),
        ("rows | selectattr('k', 'matches', '^b') | length", 2),
        ("rows | selectattr('n') | length", 3),
        ("rows | rejectattr('k', 'eq', 'b') | map('n')", [3]),
        ("rows | groupby('k') | map('grouper')", ["a", "b"]),
        ("(rows | groupby('k') | last).list | map('n')", [2, 1]),
        ("rows | sum('n')", 6),
        ("[[1], [2]] | sum(start=[])", [1, 2]),
        ("(rows | max('t.p')).n", 2),
        ("rows | map('n') | min", 1),
        ("e | max", MISSING),
        ("[1, [2, [3]], []] | flatten", [1, 2, [3]]),
        ("m | items", [["x", 1], ["y", None]]),
        ("m | tojson", '{"x":1,"y":null}'),
        ("'é' | tojson", '"é"'),
        ("'{\"a\": [1.5]}' | fromjson", {"a": [1.5]}),
        ("'a b/c&d' | urlencode", "a%20b/c%26d"),
        ("{'q': 'a b', 'n': 1} | urlencode", "q=a+b&n=1"),
        ("'abc' | sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("range(3)", [0, 1, 2]),
        ("range(5, 0, -2)", [5, 3, 1]),
        ("product(a=[1, 2], b=['x'])", [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]),
    ],
)
def test_filters_and_functions(text: str, value: object) -> None:
    assert evaluate(text, SCOPE) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("now()", "2025-03-29T12:00:00+00:00"),
        ("now('Europe/Rome')", "2025-03-29T13:00:00+01:00"),
        ("now() | date", "2025-03-29"),
        ("now() | date('%d %B %Y, %A', 'Asia/Tokyo')", "29 March 2025, Saturday"),
        # The clocks go forward that night: a calendar day keeps the hour, 24 hours do not.
        ("now() | date('%T', 'Europe/Rome', '1d')", "13:00:00"),
        ("now() | date('%T', 'Europe/Rome', '24h')", "14:00:00"),
        ("now() | date('%F %R', plus='-1d12h')", "2025-03-28 00:00"),
        ("0 | date('%FT%TZ %j %V %p %I')", "1970-01-01T00:00:00Z 001 01 AM 12"),
        ("'2025-06-30' | date('%s')", "1751241600"),
        ("'2025-06-30T08:00:00+02:00' | date('%H:%M %z')", "08:00 +0200"),
    ],
)
def test_dates(text: str, value: str) -> None:
    assert evaluate(text, {}, now=1_743_249_600.0) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s + 1", "`+` does not take text and a number"),
        ("m < 1", "`<` does not take a map and a number"),
        ("1 in 2", "`in` does not take a number and a number"),
        ("true + 1", "`+` does not take a boolean and a number"),
        ("s % 2", "`%` does not format text"),
        ("-s", "`-` does not take text"),
        ("1 / e", "`/` does not take a number and a list"),
        ("1 / (e | length)", "division by zero"),
        ("1 | length", "`length` takes a list, text or map, not a number"),
        ("nul | lower", "`lower` takes text, not null"),
        ("s | sum", "`sum` takes a list, not text"),
        ("s | int", "' One,Two ' is not a whole number"),
        ("s | abs", "`abs` takes a number, not text"),
        ("[1, 'a'] | sort", "`sort` cannot order a number and text"),
        ("s | split('')", "`split` cannot split at empty text"),
        ("s | fromjson", "not valid JSON: "),
        ("rows | map('upper')", "`map`: an element has no `upper`"),
        ("rows | selectattr('n', '>')", "`selectattr` with '>' needs the value to compare with"),
        ("s | date", "' One,Two ' is not a date"),
        ("0 | date('%Q')", "`%Q` is not a part of a date format"),
        ("0 | date(tz='Mars')", "unknown time zone 'Mars'"),
        ("0 | date(plus='1 day')", "`plus`: "),
        ("big + 1", "a whole number beyond 64 bits"),
        ("1e308 * 10", "a number beyond what JSON can hold"),
        ("{m: 1}", "a map's keys are text, not a map"),
        ("rows[:'a']", "a slice takes whole numbers, not text"),
        ("range(1.5)", "`range` takes whole numbers, not a number"),
        ("'123456789012345678901' | fromjson", "the JSON holds a whole number beyond 64 bits"),
    ],
)
def test_what_an_operation_does_not_take_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        evaluate(text, SCOPE)
    assert refused.value.message.startswith(message)
    assert not isinstance(refused.value, MissingValueError) or "element" in message


@pytest.mark.parametrize(
    "text",
    [
        "nope + 1",
        "nope ~ 'a'",
        "nope | length",
        "nope < 1",
        "-nope",
        "[nope]",
        "1 in nope",
        "s | replace('a', nope)",
        "rows | map('zz')",
    ],
)
def test_a_missing_value_is_an_error_of_its_own_where_a_value_is_needed(text: str) -> None:
    with pytest.raises(MissingValueError):
        evaluate(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nope == 1", False),
        ("nope != 1", True),
        ("nope and 1", MISSING),
        ("not nope", True),
        ("nope in [1]", False),
        ("nope.a[0]['b'].c", MISSING),
        ("nope[1:2]", MISSING),
        ("1 if nope else 2", 2),
    ],
)
def test_a_missing_value_passes_where_none_is_needed(text: str, value: object) -> None:
    assert evaluate(text, SCOPE) is value or evaluate(text, SCOPE) == value
