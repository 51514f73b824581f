"""Values reach a shell as values: whatever they hold, the script that runs is the one that was written."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.expressions.faults import ExpressionError
from orchestrator.spec.shell_text import problems, rewrite

V = '"$WHISPER_V1"'
Q = "${WHISPER_V1}"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("echo ${{ a }}", f"echo {V}"),
        ("echo x/${{ a }}.txt", f"echo x/{V}.txt"),
        ("echo ${{ a }}${{ a }}", f"echo {V}{V}"),
        ('echo "hi ${{ a }}!"', f'echo "hi {Q}!"'),
        ("X=${{ a }} cmd", f"X={V} cmd"),
        ('echo "$(cat ${{ a }})"', f'echo "$(cat {V})"'),
        ('echo "$(cat "${{ a }}")"', f'echo "$(cat "{Q}")"'),
        ("echo `cat ${{ a }}`", f"echo `cat {V}`"),
        ('echo "`cat ${{ a }}`"', f'echo "`cat {V}`"'),
        ("cat <<EOF\nhi ${{ a }} \"x\"\nEOF\necho ${{ a }}", f'cat <<EOF\nhi {Q} "x"\nEOF\necho {V}'),
        ("cat <<-EOF\n\thi ${{ a }}\n\tEOF\necho '1'", f"cat <<-EOF\n\thi {Q}\n\tEOF\necho '1'"),
        ("cat <<A <<B\n'${{ a }}\nA\n${{ a }}\nB\necho ${{ a }}", f"cat <<A <<B\n'{Q}\nA\n{Q}\nB\necho {V}"),
        ("cat <<< ${{ a }}", f"cat <<< {V}"),
        ("echo it\\'s ${{ a }}", f"echo it\\'s {V}"),
        ("echo 'it' ${{ a }}", f"echo 'it' {V}"),
        ("echo $'it\\'s' ${{ a }}", f"echo $'it\\'s' {V}"),
        ("echo \"it's\" ${{ a }}", f"echo \"it's\" {V}"),
        ("# don't\necho ${{ a }}", f"# don't\necho {V}"),
        ("echo a#'b' ${{ a }}", f"echo a#'b' {V}"),
        ("echo ${HOME} $X ${X:-'y'} ${{ a }}", f"echo ${{HOME}} $X ${{X:-'y'}} {V}"),
        ("echo $((1 + (2))) ${{ a }}", f"echo $((1 + (2))) {V}"),
        ("(cd ${{ a }} && ls) | wc", f"(cd {V} && ls) | wc"),
        ("case ${{ a }} in x) echo 1;; *) echo ${{ a }};; esac", f"case {V} in x) echo 1;; *) echo {V};; esac"),
        ("[ ${{ a }} -eq 1 ]", f"[ {V} -eq 1 ]"),
        ("[[ ${{ a }} == x* ]] && echo ${{ a }}", f"[[ {V} == x* ]] && echo {V}"),
        ("[[ -f x ]]; [ ${{ a }} -eq 1 ]", f"[[ -f x ]]; [ {V} -eq 1 ]"),
        ("echo $${{ a }}", "echo ${{ a }}"),
        ("f() { echo ${{ a }}; }", f"f() {{ echo {V}; }}"),
        ("arr=(${{ a }} b)", f"arr=({V} b)"),
        ("echo ${{ a | default('}}') }}", f"echo {V}"),
        ("printf '{%s}\\n' ${{ a }}", f"printf '{{%s}}\\n' {V}"),
        ("grep -c x ${{ a }}", f"grep -c x {V}"),
    ],
)  # fmt: skip
def test_an_expression_becomes_a_quoted_variable(text: str, script: str) -> None:
    assert rewrite(text)[0] == script


def test_the_same_expression_is_one_variable_and_others_are_others() -> None:
    script, values = rewrite('echo ${{ a.b }} "${{ c }}" ${{a.b}}')
    assert script == 'echo "$WHISPER_V1" "${WHISPER_V2}" "$WHISPER_V1"'
    assert values == {"WHISPER_V1": "a.b", "WHISPER_V2": "c"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo '${{ a }}'", "single quotes"),
        ("echo $'${{ a }}'", "single quotes"),
        ("cat <<'EOF'\n${{ a }}\nEOF", "here-document"),
        ("cat <<\\EOF\n${{ a }}\nEOF", "here-document"),
        ("echo ${X:-${{ a }}}", "inside `${…}`"),
        ("echo $((${{ a }} + 1))", "arithmetic"),
        ("((x = ${{ a }}))", "arithmetic"),
        ("[[ ${{ a }} -gt 3 ]]", "-eq"),
        ("[[ 3 -gt ${{ a }} && x == y ]]\necho", "-eq"),
        ("eval ${{ a }}", "eval"),
        ('bash -c "rm ${{ a }}"', "bash -c"),
        ("sudo /bin/sh -ec ${{ a }}", "sh -ec"),
        ("python3 -c \"print('${{ a }}')\"", "python3 -c"),
        ('ls | perl -e "${{ a }}"', "perl -e"),
        ("echo \\${{ a }}", "backslash"),
        ("{% for x in y %}echo{% endfor %}", "blocks"),
        ("echo ${{ a", "missing"),
        ("echo ${{ a ? b }}", "not an operator"),
    ],
)
def test_an_expression_without_a_safe_place_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rewrite(text)
    assert message in str(caught.value)
    assert caught.value.help
    assert 0 <= caught.value.start < caught.value.end <= len(text)


def test_the_remedy_shows_the_form_with_a_variable() -> None:
    with pytest.raises(ExpressionError) as caught:
        rewrite("jq '.x == ${{ fetch.items[0].url }}'")
    assert (
        caught.value.help
        == "hand it over: `env: {URL: '${{ fetch.items[0].url }}'}`, and write `\"$URL\"` in the script"
    )


def test_every_problem_is_reported() -> None:
    assert len(problems("echo '${{ a }}' '${{ b }}' ${{ c }}")) == 2


FRAMES = [
    "printf %s ${{ a }}",
    'printf %s "${{ a }}"',
    "printf %s '' ${{ a }} ''",
    'printf %s "$(printf %s ${{ a }})"',
    "cat <<E\n${{ a }}\nE",
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FRAMES), st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=20)
)
def test_a_value_arrives_as_it_is_whatever_it_holds(frame: str, value: str) -> None:
    script, values = rewrite(frame)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **dict.fromkeys(values, value)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, check=True)
    assert done.stdout.decode().removesuffix("\n" if frame.startswith("cat") else "") == value


PIECES = [
    "'", '"', "`", "$(", ")", "((", "))", "${", "}", "${{ a }}", "\\", "\n", "<<E", "E\n", "#", " ", "x", "$'", "[[", "]]", " -eq ",
    "$${{", "{%", ";",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_text_is_read_to_its_end(text: str) -> None:
    found = problems(text)
    for error in found:
        assert 0 <= error.start <= error.end <= len(text)
    if found:
        return
    script, values = rewrite(text)
    assert bool(values) == ("${{ a }}" in text.replace("$${{", ""))
    assert all(source == "a" for source in values.values())
    assert len(script) >= len(text.replace("$${{", "").replace("${{ a }}", ""))
