"""`run` with real shells: what is passed in, what comes out, and how it fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.kinds.conformance import NOW, SECRET, KindConformance, World


def script(text: str, **more: Any) -> dict[str, Any]:
    return {"script": text, "values": {}, "shell": "bash", "args": [], **more}


class TestRun(KindConformance):
    verb = "run"
    fields: ClassVar[dict[str, Any]] = script("echo hello")
    leaking_fields: ClassVar[dict[str, Any]] = script(
        'echo "$TOKEN"; echo "$TOKEN" >&2; printf "{\\"t\\": \\"$TOKEN\\"}" > "$WHISPER_OUTPUT"'
    )


async def test_the_value_is_what_was_printed_without_blank_ends(world: World) -> None:
    done = await world.succeed("run", script("printf '\\n  indented\\nlast  \\n\\n'"))
    assert done.value == "  indented\nlast"
    assert done.meta["exit_code"] == 0


async def test_with_an_output_type_the_printed_json_is_the_value(world: World) -> None:
    done = await world.succeed("run", script("echo '{\"a\": [1, 2]}'"), output_schema={"type": "object"})
    assert done.value == {"a": [1, 2]}


@pytest.mark.parametrize("schema", [{"type": "string"}, {"enum": ["ok", "bad"]}, {"type": ["string", "null"]}])
async def test_an_output_type_that_takes_text_takes_it_unquoted(world: World, schema: dict[str, Any]) -> None:
    assert (await world.succeed("run", script("echo ok"), output_schema=schema)).value == "ok"


async def test_text_that_should_have_been_json_names_the_place(world: World) -> None:
    error = await world.fail("run", script("echo 'a: 1'"), output_schema={"type": "object"})
    assert error.type == "invalid_output"
    assert "standard output is not one JSON value" in str(error)
    assert "'a: 1'" in str(error)
    assert error.meta["stdout"] == "a: 1\n"


@pytest.mark.parametrize("text", ["NaN", "[1, Infinity]", "{} {}", "", "[" * 100_000])
async def test_what_is_not_exactly_one_json_value_is_refused(world: World, text: str) -> None:
    fields = script("cat", stdin=text)
    assert (await world.fail("run", fields, output_schema={"type": "array"})).type == "invalid_output"


async def test_the_output_file_wins_over_what_was_printed(world: World) -> None:
    done = await world.succeed("run", script('echo talk; echo \'{"n": 1}\' > "$WHISPER_OUTPUT"'))
    assert done.value == {"n": 1}
    assert done.meta["stdout"] == "talk\n"


async def test_an_output_file_of_an_earlier_try_is_not_read(world: World) -> None:
    assert (await world.fail("run", script('echo 1 > "$WHISPER_OUTPUT"; exit 1'))).type == "exit"
    assert (await world.succeed("run", script("echo text"))).value == "text"


@pytest.mark.parametrize(
    "wrong", ['ln -s /etc/passwd "$WHISPER_OUTPUT"', 'mkfifo "$WHISPER_OUTPUT"', 'mkdir "$WHISPER_OUTPUT"']
)
async def test_an_output_file_that_is_no_file_is_refused(world: World, wrong: str) -> None:
    assert (await world.fail("run", script(wrong))).type == "invalid_output"


async def test_values_reach_the_script_untouched_whatever_they_hold(world: World) -> None:
    nasty = 'a\'; rm -rf "$HOME"; $(id) `id` \\ \n\t*'
    done = await world.succeed("run", script('printf "[%s]" "$WF_1"', values={"WF_1": nasty}))
    assert done.value == f"[{nasty}]"


async def test_values_that_are_no_text_are_passed_as_json(world: World) -> None:
    values = {"A": {"x": [1, "ü"]}, "B": True, "C": None, "D": 1.5}
    done = await world.succeed("run", script('echo "$A $B $C $D"', values=values))
    assert done.value == '{"x":[1,"ü"]} true null 1.5'


async def test_a_value_over_the_limit_names_stdin(world: World) -> None:
    error = await world.fail("run", script("true", values={"BIG": "x" * 65_537}))
    assert error.type == "invalid_input"
    assert "64 KiB" in str(error)
    assert error.help is not None
    assert "stdin" in error.help
    await world.succeed("run", script("true", values={"FITS": "x" * 65_536}))


async def test_a_zero_character_is_refused_not_cut(world: World) -> None:
    assert (await world.fail("run", script("true", values={"A": "x\0y"}))).type == "invalid_input"
    assert (await world.fail("run", {"argv": ["echo", "x\0y"]})).type == "invalid_input"


@pytest.mark.parametrize(
    ("given", "read"), [("plain text", "plain text"), ({"a": 1}, '{"a":1}'), (None, ""), ([], "[]")]
)
async def test_stdin_is_text_as_it_is_and_anything_else_as_json(world: World, given: Any, read: str) -> None:
    assert (await world.succeed("run", script("cat", stdin=given))).value == read


async def test_args_are_the_scripts_arguments(world: World) -> None:
    done = await world.succeed("run", script('printf "<%s>" "$#" "$@"', args=["a b", ["c", 1], "$HOME"]))
    assert done.value == "<4><a b><c><1><$HOME>"


async def test_a_list_runs_without_a_shell_and_lists_in_it_splice(world: World) -> None:
    done = await world.succeed("run", {"argv": ["printf", "<%s>", ["a b", "$HOME"], [], 3, {"k": 1}]})
    assert done.value == '<a b><$HOME><3><{"k":1}>'


async def test_an_empty_list_of_words_is_refused(world: World) -> None:
    assert (await world.fail("run", {"argv": [[]]})).type == "invalid_input"


async def test_a_script_stops_at_the_first_failure_also_inside_a_pipe(world: World) -> None:
    assert (await world.fail("run", script("false; echo on"))).meta["exit_code"] == 1
    assert (await world.fail("run", script("false | cat"))).meta["exit_code"] == 1


async def test_sh_stops_at_the_first_failure(world: World) -> None:
    assert (await world.fail("run", script("false; echo on", shell="sh"))).meta["stdout"] == ""


async def test_without_bash_sh_reads_the_script(world: World, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    done = await world.succeed("run", script("echo $0 $1", args=["x"]), env={"PATH": str(tmp_path / "bin")})
    assert done.value == "whisper-flow x"


async def test_python_is_a_shell_too(world: World) -> None:
    fields = script("import sys; print(sys.argv[1:], sys.stdin.read())", shell="python", args=["a"], stdin="in")
    assert (await world.succeed("run", fields)).value == "['a'] in"


@pytest.mark.parametrize("shell", ["bash", "sh", "python"])
async def test_a_very_long_script_runs_like_a_short_one(world: World, shell: str) -> None:
    lines = "# a comment of some length\n" * 10_000
    end = "import sys; print('done', sys.argv[1])" if shell == "python" else "echo done $1"
    assert (await world.succeed("run", script(lines + end, shell=shell, args=["x"]))).value == "done x"


async def test_the_environment_is_the_base_one_the_tasks_and_what_it_is_told(world: World) -> None:
    os.environ["NOT_FOR_TASKS"] = "1"
    try:
        done = await world.succeed("run", script("env"), env={"MINE": "yes"}, number=3, key="the-key")
    finally:
        del os.environ["NOT_FOR_TASKS"]
    seen = dict(line.split("=", 1) for line in done.value.splitlines())
    assert "NOT_FOR_TASKS" not in seen
    assert seen["MINE"] == "yes"
    assert seen["PATH"] == os.environ["PATH"]
    told = {name: value for name, value in seen.items() if name.startswith("WHISPER_")}
    assert told == {
        "WHISPER_RUN_ID": "r1",
        "WHISPER_TASK": "t",
        "WHISPER_ATTEMPT": "3",
        "WHISPER_IDEMPOTENCY_KEY": "the-key",
        "WHISPER_RUN_DIR": str(world.root / "run"),
        "WHISPER_OUTPUT": told["WHISPER_OUTPUT"],
    }


async def test_it_runs_in_the_tasks_folder(world: World, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert (await world.succeed("run", script("pwd"), cwd=tmp_path / "sub")).value == str(tmp_path / "sub")
    error = await world.fail("run", script("pwd"), cwd=tmp_path / "gone")
    assert error.type == "invalid_input"
    assert str(error).startswith("cannot work in gone:")


async def test_a_failure_says_the_code_and_the_last_complaint(world: World) -> None:
    error = await world.fail("run", script("echo so far; echo first >&2; printf 'the cause\\n\\n' >&2; exit 42"))
    assert (error.type, str(error)) == ("exit", "exit code 42: the cause")
    assert error.meta == {"stdout": "so far\n", "stderr": "first\nthe cause\n\n", "exit_code": 42}


async def test_an_end_by_a_signal_is_named(world: World) -> None:
    assert str(await world.fail("run", script("kill -KILL $$"))) == "ended by SIGKILL (exit code 137)"


async def test_a_missing_command_is_named(world: World) -> None:
    error = await world.fail("run", {"argv": ["no-such-program", "x"]})
    assert (error.type, str(error), error.meta["exit_code"]) == ("exit", "command not found: no-such-program", 127)


async def test_the_timeout_ends_it_and_keeps_what_was_said(world: World) -> None:
    error = await world.fail("run", script("echo begun; sleep 600"), deadline=NOW + 0.3)
    assert error.type == "timeout"
    assert "0.3 s" in str(error)
    assert error.meta["stdout"] == "begun\n"


async def test_output_is_published_as_it_comes_and_kept_as_logs(world: World) -> None:
    await world.succeed("run", script("echo out; printf '\\033[31mred\\033[0m \\342\\200\\256' >&2"))
    assert world.logged() == "out\n"
    assert world.logged("stderr") == "␛[31mred␛[0m <U+202E>"
    assert (world.root / "logs" / "t.1" / "stdout.log").read_text() == "out\n"


async def test_long_output_is_shortened_in_what_is_known_of_the_task(world: World) -> None:
    done = await world.succeed("run", {"argv": [sys.executable, "-c", "print('a' * 200_000)"]})
    assert len(done.value) == 200_000
    assert len(done.meta["stdout"]) < 66_000
    assert done.meta["stdout_truncated"] is True


async def test_a_printed_secret_is_masked_in_value_meta_log_and_failure(world: World) -> None:
    done = await world.succeed("run", script('echo "is $T"'), env={"T": SECRET}, secrets=(SECRET,))
    assert done.value == "is ***"
    error = await world.fail("run", script('echo "no $T" >&2; exit 1'), env={"T": SECRET}, secrets=(SECRET,))
    assert str(error) == "exit code 1: no ***"
    assert SECRET not in repr(error.meta)
    assert SECRET not in repr(world.published)
