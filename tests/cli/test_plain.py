"""The plain renderer on recorded streams: one line for each change."""

from __future__ import annotations

from typing import Any

from inline_snapshot import snapshot

from orchestrator.cli.renderers.ending import Ending
from orchestrator.cli.renderers.plain import HEARTBEAT, PlainRenderer
from tests.cli.conftest import Told
from tests.cli.streams import ASKING, AT, DIGEST, FAILING, FAN_OUT, begins, done, ended, started, stream, task


def told(screen: Told, events: list[dict[str, Any]], ending: Ending | None = None, **options: Any) -> str:
    renderer = PlainRenderer(screen, **options)
    renderer.begin("digest", "workflows/digest.yaml")
    for event in events:
        renderer.show(event)
    if ending is not None:
        renderer.end(ending)
    return screen.text


def test_each_change_is_a_line_and_the_end_sums_up(screen: Told) -> None:
    ending = Ending(
        status="succeeded",
        run_id="7f3a00000000",
        cost_max="$0.50",
        artifacts=[("out/digest.md", 2048)],
        next_commands=[("whisper-flow show 7f3a00", "its tasks and values")],
    )
    assert told(screen, DIGEST, ending) == snapshot("""\
      ● digest  workflows/digest.yaml
 0:00 ● run 7f3a00 started  2026-07-01 14:03:00 UTC
 0:00 ● fetch  started  curl example
 0:03 ✓ fetch  3.1s  42 lines
 0:03 ● cluster  started  sorter openai/gpt-5-mini
 0:11 ✓ cluster  8.4s  $0.004  3 topics
 0:11 ● write  started  writer openai/gpt-5
 0:32 ✓ write  21.0s  $0.027  The quarter…

✓ digest succeeded  in 32.6s · $0.031 of $0.50 · 18.2k tokens · 3 succeeded
  run       7f3a00000000
  slowest   write 21.0s
  artefact  out/digest.md (2.0 KiB)
  next      whisper-flow show 7f3a00  its tasks and values
""")


def test_a_failure_shows_the_last_lines_and_the_cause_first(screen: Told) -> None:
    ending = Ending(
        status="failed",
        run_id="7f3a00000000",
        next_commands=[
            ("whisper-flow rerun 7f3a00 --from fetch", "nothing to reuse"),
            ("whisper-flow why 7f3a00 fetch", ""),
        ],
    )
    assert told(screen, FAILING, ending) == snapshot("""\
      ● digest  workflows/digest.yaml
 0:00 ● run 7f3a00 started  2026-07-01 14:03:00 UTC
 0:00 ● fetch  started
 0:01 ↻ fetch  attempt 1 of 2 failed: exit code 7  again in 1.0s
 0:02 ● fetch  attempt 2 of 2
 0:03 ✗ fetch  failed  3.0s  attempt 2 of 2
 0:03     │ connecting
 0:03     │ no route
 0:03     exit code 7: no route
 0:03     help: look at the network
 0:03 ⊘ write  blocked  `fetch` failed

✗ fetch failed  attempt 2 of 2
    │ connecting
    │ no route
    exit code 7: no route
    help: look at the network

✗ digest failed  in 3.0s · 1 failed, 1 blocked
  run       7f3a00000000
  next      whisper-flow rerun 7f3a00 --from fetch  nothing to reuse
            whisper-flow why 7f3a00 fetch
""")


def test_items_and_rounds_stand_below_their_task(screen: Told) -> None:
    assert told(screen, FAN_OUT) == snapshot("""\
      ● digest  workflows/digest.yaml
 0:00 ● run 7f3a00 started  2026-07-01 14:03:00 UTC
 0:00       ● build[a]#1.code  started
 0:00   ● build[b.x]  started
 0:00   ✓ build[b.x]  0.4s
 0:00       ✓ build[a]#1.code  0.6s
 0:00   ✓ build[a]  0.7s  1 round
 0:00   ⚠ build[c]  failed, forgiven  0.1s
 0:00       exit code 1
 0:00 ✓ build  0.9s  3 items, 1 failed
""")


def test_questions_holds_and_who_answered_are_told(screen: Told) -> None:
    assert told(screen, ASKING) == snapshot("""\
      ● digest  workflows/digest.yaml
 0:00 ● run 7f3a00 started  2026-07-01 14:03:00 UTC; its models are small programs, not an AI model
 0:00 ⏸ publish  asks: Publish it?  until 15:03:00 UTC
 0:00 ⏸ waiting: for a person
 0:09 ✓ publish  9.0s  by ada  {"approve":true}
 0:09 ⏸ hold `user` by ada: lunch; nothing new starts
 0:09 ● hold `user` cleared
""")


def test_a_quiet_run_gets_a_heartbeat_that_names_what_is_open(screen: Told) -> None:
    events = stream((0.0, "run_started", started()), *((1.0, "task_started", begins(f"t{n}")) for n in range(7)))
    renderer = PlainRenderer(screen)
    for event in events:
        renderer.show(event)
    before = screen.text
    renderer.tick(AT + 1.0 + HEARTBEAT - 0.1)
    assert screen.text == before
    renderer.tick(AT + 1.0 + HEARTBEAT)
    renderer.tick(AT + 1.5 + HEARTBEAT)
    assert screen.text[len(before) :].splitlines() == [
        " 0:31 ◌ still at work: t0 (30.0s), t1 (30.0s), t2 (30.0s), t3 (30.0s), t4 (30.0s) and 2 more"
    ]


def test_what_commands_write_is_told_only_when_asked_for(screen: Told) -> None:
    events = stream(
        (0.0, "run_started", started()),
        (0.0, "task_started", begins("fetch")),
        (0.5, "task_log", task("fetch", stream="stdout", text="one\ntwo\n")),
    )
    assert "two" not in told(screen, events)
    assert "fetch │ one\n" in told(screen, events, verbose=True)


def test_control_characters_of_tasks_never_reach_the_screen(screen: Told) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\r\x08"
    failure = {"type": "exit", "message": evil, "help": evil}
    events = stream(
        (0.0, "run_started", started(name=evil)),
        (0.0, "task_started", begins("fetch", detail=evil)),
        (0.1, "task_log", task("fetch", stream="stdout", text=evil)),
        (0.2, "task_retrying", task("fetch", attempt=1, of=2, failure=failure, retry_at=AT + 1)),
        (0.3, "task_asked", task("ask", question=evil, schema={}, show=evil, to=[], expires_at=None)),
        (0.4, "hold_set", {"name": evil, "by": evil, "reason": evil}),
        (0.5, "task_skipped", task("skip", reason=evil)),
        (0.6, "task_failed", task("fetch", failure=failure, forgiven=False, status="failed", duration=1.0, tail=evil)),
        (0.7, "run_ended", {"status": "failed", "failure": failure, "message": evil}),
    )
    text = told(screen, events, Ending(status="failed", run_id="7f3a", message=evil), verbose=True)
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\u202e" not in text
    assert "gnp.exe" in text


def test_events_of_a_newer_engine_are_passed_over(screen: Told) -> None:
    events = stream((0.0, "run_started", started()), (0.1, "task_teleported", task("fetch", where="moon")))
    assert "teleported" not in told(screen, events)


def test_lines_are_kept_back_while_a_person_is_asked(screen: Told) -> None:
    renderer = PlainRenderer(screen)
    renderer.hold()
    for event in DIGEST:
        renderer.show(event)
    assert screen.text == ""
    renderer.release()
    assert "cluster" in screen.text


def test_a_rerun_says_of_what_and_starts_only_what_is_done_again(screen: Told) -> None:
    events = stream(
        (0.0, "run_started", started(trigger={"kind": "rerun", "of": "3cb780905e31"})),
        (0.0, "task_started", begins("fetch")),
        (0.0, "task_started", begins("build")),
        (0.0, "task_succeeded", done("fetch", 0.0, "42 lines", reused="3cb780905e31")),
        (2.0, "task_succeeded", done("build", 2.0)),
        (2.0, "task_started", begins("last")),
        (2.0, "run_ended", ended("succeeded", 2.0)),
    )
    assert told(screen, events) == snapshot("""\
      ● digest  workflows/digest.yaml
 0:00 ● run 7f3a00 started, a rerun of 3cb780  2026-07-01 14:03:00 UTC
 0:00 ✓ fetch  reused from run 3cb780  42 lines
 0:00 ● build  started
 0:02 ✓ build  2.0s
 0:02 ● last  started
""")


def test_an_attempt_after_a_crash_is_not_counted_against_what_was_granted(screen: Told) -> None:
    events = stream((0.0, "run_started", started(resumed=True)), (0.0, "task_started", begins("fetch", attempt=2)))
    assert "● fetch  attempt 2\n" in told(screen, events)


def test_what_an_agent_may_not_do_is_a_line_and_so_is_what_it_changes(screen: Told) -> None:
    def call(error: str, effect: str, tool: str, **arguments: Any) -> dict[str, Any]:
        name = tool.replace(".", "_")
        return task("write", name=name, tool=tool, arguments=arguments, error=error, effect=effect, seconds=0.01)

    refused = "denied: `shell` wants a person's permission, and nobody is here to be asked; go on without it"
    events = [
        (0.0, "run_started", started()),
        (1.0, "task_started", begins("write", "agent", detail="writer")),
        (2.0, "task_tool_ended", call("", "pure", "files.read", path="a.md")),
        (3.0, "task_tool_ended", call("", "idempotent", "files.write", path="a.md", content="Hi")),
        (4.0, "task_tool_ended", call(refused, "at_most_once", "shell", argv=["rm", "a.md"])),
        (5.0, "task_tool_ended", call("tool: no such file", "pure", "files.read", path="b.md")),
    ]
    ending = Ending(status="succeeded", run_id="7f3a00000000")
    assert told(screen, stream(*events), ending) == snapshot("""\
      ● digest  workflows/digest.yaml
 0:00 ● run 7f3a00 started  2026-07-01 14:03:00 UTC
 0:01 ● write  started  writer
 0:03 ● write  tool files.write path: a.md, content: Hi  10ms
 0:04 ⚠ write  denied: shell ["rm", "a.md"]
 0:04     `shell` wants a person's permission, and nobody is here to be asked

✓ digest succeeded  in 5.0s
  run       7f3a00000000
  denied    1 tool call of write  `whisper-flow tools workflows/digest.yaml` shows what each agent may do
""")
