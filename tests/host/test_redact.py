"""No spelling of a secret, however it is cut, gets through; and everything else does, unchanged."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.host.redact import MASK, Redactor, Secret

PASSWORD = "pä$$ wörd/with+all=of\"it'\\&?"
SPELLINGS = {
    "plain": PASSWORD,
    "hex": PASSWORD.encode().hex(),
    "upper hex": PASSWORD.encode().hex().upper(),
    "base64": base64.b64encode(PASSWORD.encode()).decode().rstrip("="),
    "base64 for addresses": base64.urlsafe_b64encode(PASSWORD.encode()).decode().rstrip("="),
    "address": quote(PASSWORD, safe=""),
    "address with slashes": quote(PASSWORD),
    "form": quote_plus(PASSWORD),
    "json": json.dumps(PASSWORD)[1:-1],
    "json with letters": json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
}
secrets_text = st.text(min_size=8, max_size=40)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_is_masked(spelling: str) -> None:
    assert PASSWORD not in Redactor([PASSWORD]).text(f"before {spelling} after")
    assert spelling not in Redactor([PASSWORD]).text(f"before {spelling} after")
    assert MASK in Redactor([PASSWORD]).text(f"before {spelling} after")


@pytest.mark.parametrize("shift", range(6))
def test_base64_is_masked_wherever_in_a_larger_text_it_stands(shift: int) -> None:
    whole = base64.b64encode(b"x" * shift + b"user:correct-horse-battery:more")
    masked = Redactor(["correct-horse-battery"]).bytes(whole)
    core = base64.b64encode(b"rrect-horse-batte")
    assert MASK.encode() in masked
    assert core not in masked


def test_a_long_secret_is_masked_in_wrapped_base64() -> None:
    key = "-----BEGIN KEY-----\n" + "\n".join(f"abcdefghijklmnop{n:04}" * 3 for n in range(20)) + "\n-----END KEY-----"
    wrapped = base64.encodebytes(key.encode())
    assert Redactor([key]).bytes(b"k: " + wrapped).count(b"\n") <= 2


def test_a_line_of_a_long_secret_is_masked_alone() -> None:
    key = "-----BEGIN KEY-----\nabcdefghijklmnopqrstuvwxyz\nzyxwvutsrqponmlkjihg\n-----END KEY-----\n"
    assert Redactor([key]).text("    abcdefghijklmnopqrstuvwxyz") == "    ***"
    assert Redactor([key]).text("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_a_secret_with_a_line_break_at_its_end_is_masked_without_it() -> None:
    assert Redactor(["from-a-file\n"]).text("is from-a-file.") == "is ***."


def test_short_secrets_are_not_looked_for() -> None:
    assert Redactor(["short", "1234567"]).text("short 1234567") == "short 1234567"
    assert not Redactor(["short"])
    assert Redactor(["12345678"])


def test_the_longer_of_two_secrets_wins() -> None:
    both = Redactor(["password", "password-of-root"])
    assert both.text("password-of-root password") == "*** ***"
    stream = both.stream()
    assert stream.feed(b"password") + stream.feed(b"-of-root!") + stream.flush() == b"***!"


def test_every_text_inside_a_value_is_masked() -> None:
    value = {"a": ["the-secret-value", 1, None, {"the-secret-value": True}]}
    assert Redactor(["the-secret-value"]).value(value) == {"a": [MASK, 1, None, {MASK: True}]}


@given(st.data())
def test_cutting_a_stream_anywhere_changes_nothing(data: st.DataObject) -> None:
    secrets = data.draw(st.lists(secrets_text, min_size=1, max_size=3))
    parts = data.draw(
        st.lists(st.one_of(st.sampled_from(secrets), st.text(max_size=12), st.sampled_from([s[:-1] for s in secrets])))
    )
    whole = "".join(parts).encode("utf-8", "surrogatepass")
    redactor = Redactor(secrets)
    stream, out, at = redactor.stream(), b"", 0
    while at < len(whole):
        size = data.draw(st.integers(1, 10))
        out += stream.feed(whole[at : at + size])
        at += size
    assert out + stream.flush() == redactor.bytes(whole)


@given(secrets_text, st.text(max_size=30), st.text(max_size=30))
def test_no_secret_is_left_in_a_text(secret: str, before: str, after: str) -> None:
    masked = Redactor([secret]).text(before + secret + after)
    # What the mask itself spells is no leak.
    assert secret not in masked or secret in before + MASK + after


@given(st.text(), st.binary())
def test_without_secrets_everything_passes_unchanged(text: str, data: bytes) -> None:
    nothing = Redactor()
    assert nothing.text(text) is text
    assert nothing.bytes(data) is data
    assert nothing.stream().feed(data) == data


def test_what_cannot_be_a_secret_is_not_held_back() -> None:
    stream = Redactor(["correct-horse-battery"]).stream()
    assert stream.feed(b"progress: 10%") == b"progress: 10%"
    assert stream.feed(b"it is c") == b"it is "
    assert stream.feed(b"old") == b"cold"


# --- Secret


def test_a_secret_gives_its_value_only_when_asked_for_it() -> None:
    secret = Secret("TOKEN", "s3cr3t-value")
    assert secret.reveal() == "s3cr3t-value"
    assert "s3cr3t" not in repr(secret)
    assert repr(secret) == "<secret TOKEN>"


@pytest.mark.parametrize(
    "attempt",
    [
        str,
        lambda s: f"{s}",
        lambda s: f"{s:>10}",
        lambda s: "%s" % s,  # noqa: UP031
        lambda s: "{}".format(s),  # noqa: UP032
        lambda s: "a" + s,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        bytes,
        list,
    ],
)
def test_a_secret_cannot_be_printed_copied_or_encoded(attempt: object) -> None:
    with pytest.raises(TypeError) as refused:
        attempt(Secret("TOKEN", "s3cr3t-value"))  # type: ignore[operator]
    assert "s3cr3t" not in str(refused.value)


def test_secrets_are_equal_by_name_and_value() -> None:
    assert Secret("A", "value") == Secret("A", "value")
    assert Secret("A", "value") != Secret("A", "other")
    assert Secret("A", "value") != "value"
    assert len({Secret("A", "value"), Secret("A", "value")}) == 1
