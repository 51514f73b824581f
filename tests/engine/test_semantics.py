"""What the grammar's rules mean where they meet: items, rounds, groups, phases, forgiveness, facts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InvalidInputsError


def statuses(result: Any) -> dict[str, str]:
    return {name: task.status for name, task in result.tasks.items()}


# --- items


async def test_each_item_is_retried_on_its_own(run: Any, project: Path) -> None:
    result = await run("""
        name: t
        tasks:
          each:
            foreach: [a, b]
            key: item
            retry: {max: 2, delay: 1ms}
            run: 'echo x >> "log-${{ item }}"; test "${{ item }}" = a || test "$(wc -l < "log-${{ item }}")" -ge 3'
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["each[a]"].attempts == 1
    assert result.tasks["each[b]"].attempts == 3


async def test_each_item_has_the_timeout_to_itself(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [0, 30], timeout: 400ms, on_item_error: collect, run: 'sleep "${{ item }}"; echo ok'}
          errors: {set: "${{ each.failed | map(attribute='error.type') }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert statuses(result)["each[0]"] == "succeeded"
    assert result.tasks["errors"].value == ["timeout"]


async def test_when_that_names_the_item_is_asked_for_each_and_else_once(run: Any) -> None:
    result = await run("""
        name: t
        inputs: {go: {type: boolean, default: false}}
        tasks:
          some: {foreach: [1, 2, 3], when: item != 2, set: "${{ item }}"}
          nothing: {foreach: [1, 2], when: inputs.go, set: "${{ item }}"}
          ok: {set: "${{ some.ok | map(attribute='item') }}"}
    """)
    assert result.status == "succeeded", result.failure
    found = statuses(result)
    assert [found[f"some[{at}]"] for at in range(3)] == ["succeeded", "skipped", "succeeded"]
    assert found["nothing"] == "skipped"
    assert "nothing[0]" not in found
    assert result.tasks["some"].value == [1, None, 3]
    assert result.tasks["ok"].value == [1, 3]


async def test_nested_foreach_sees_both_items_by_their_names(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          outer:
            foreach: [1, 2]
            tasks:
              inner: {foreach: [10, 20], as: n, set: "${{ item }}:${{ n }}:${{ index }}"}
            outputs: {all: "${{ inner }}", mine: "${{ item }}", at: "${{ index }}"}
        outputs: {all: "${{ outer | map(attribute='all') }}", at: "${{ outer | map(attribute='at') }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.outputs == {"all": [["1:10:0", "1:20:1"], ["2:10:0", "2:20:1"]], "at": [0, 1]}


async def test_enough_that_cannot_be_reached_fails_without_trying_the_rest(run: Any, project: Path) -> None:
    result = await run("""
        name: t
        tasks:
          each:
            foreach: [a, b, c, d]
            enough: 3
            max_parallel: 1
            on_item_error: collect
            run: 'echo x >> log; exit 1'
    """)
    assert result.status == "failed"
    assert "enough" in result.failure["message"]
    assert (project / "log").read_text() == "x\nx\n"


async def test_more_than_enough_items_asked_for_fails_at_once(run: Any, project: Path) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [a, b], enough: 3, run: 'echo x >> log'}
    """)
    assert result.status == "failed"
    assert not (project / "log").exists()


async def test_a_failing_item_lets_running_ones_finish(run: Any, project: Path) -> None:
    result = await run("""
        name: t
        tasks:
          each:
            foreach: [bad, good, later]
            key: item
            max_parallel: 2
            run: |
              if test "${{ item }}" = bad; then until test -e begun; do sleep 0.02; done; exit 1; fi
              touch begun; sleep 0.3; touch "done-${{ item }}"
    """)
    assert result.status == "failed"
    assert statuses(result)["each[good]"] == "succeeded"
    assert "each[later]" not in statuses(result)
    assert (project / "done-good").exists()


async def test_facts_of_items_can_be_read(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [1, 2], on_item_error: collect, run: 'exit "${{ item - 1 }}"'}
          facts:
            after: each
            set:
              items: "${{ tasks.each.items | map(attribute='status') }}"
              status: "${{ tasks.each.status }}"
              keys: "${{ tasks.each.items | map(attribute='key') }}"
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["facts"].value == {
        "items": ["succeeded", "failed"], "status": "succeeded", "keys": ["0", "1"],
    }  # fmt: skip


async def test_a_wait_sleeps_for_each_item(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [1, 2, 3], wait: 20ms}
          after: {after: each, set: "${{ tasks.each.items | map(attribute='status') }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["after"].value == ["succeeded"] * 3


# --- rounds and time


async def test_retry_for_bounds_all_attempts_together(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          slow: {run: sleep 30, retry: {max: 50, delay: 1ms, for: 400ms}}
          quick: {run: exit 1, retry: {max: 5000, delay: 20ms, backoff: 1, for: 300ms}}
    """)
    assert result.status == "failed"
    slow, quick = result.tasks["slow"], result.tasks["quick"]
    assert (slow.attempts, slow.failure["type"]) == (1, "timeout")
    assert 1 < quick.attempts < 50
    assert quick.failure["type"] == "exit"


async def test_loop_for_ends_the_rounds_and_every_spaces_them(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          timed: {loop: {for: 150ms, every: 40ms}, set: "${{ round }}"}
          spaced: {loop: {times: 3, every: 50ms}, set: "${{ round }}"}
        outputs: {timed: "${{ tasks.timed.history | length }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert 2 <= result.outputs["timed"] <= 4
    assert result.tasks["spaced"].duration >= 0.1


async def test_a_loop_that_fails_in_a_round_ends_with_its_error_and_history(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          work: {loop: {times: 3}, on_error: continue, run: 'test "${{ round }}" != 2 && echo "${{ round }}"'}
          told:
            after: work
            set: {status: "${{ tasks.work.status }}", error: "${{ tasks.work.error.type }}", history: "${{ tasks.work.history }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["told"].value == {"status": "failed", "error": "exit", "history": ["1", None]}


# --- groups


async def test_a_group_is_retried_whole_and_its_second_attempt_is_named(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          group:
            retry: {max: 1, delay: 1ms}
            tasks:
              first: {run: 'echo x >> log; wc -l < log'}
              second: {run: 'test "${{ first }}" -ge 2; echo "${{ first }}"'}
          after: {set: "${{ group.second }}"}
    """)
    assert result.status == "succeeded", result.failure
    found = statuses(result)
    assert (found["group.second"], found["group~2.second"]) == ("failed", "succeeded")
    assert result.tasks["after"].value == "2"
    assert result.tasks["group"].attempts == 2


async def test_inner_tasks_follow_the_rule_for_tasks_outside(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 1, on_error: continue}
          off: {when: false, set: 1}
          group:
            tasks:
              needs: {set: "${{ bad }}"}
              wants: {set: "${{ off }}"}
              soft: {set: "${{ bad | default('none') }} ${{ tasks.bad.status }}"}
              free: {set: 4}
    """)
    assert result.status == "succeeded", result.failure
    found = statuses(result)
    assert found["group.needs"] == found["group.wants"] == "skipped"
    assert result.tasks["group.soft"].value == "none failed"
    assert found["group"] == "succeeded"
    assert result.tasks["group"].value == {"needs": None, "wants": None, "soft": "none failed", "free": 4}


async def test_a_group_whose_outside_need_failed_is_blocked_with_all_it_holds(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 1}
          group: {tasks: {inner: {set: "${{ bad }}"}, other: {set: 1}}}
          each: {foreach: [1], set: "${{ bad }}${{ item }}"}
    """)
    found = statuses(result)
    assert (found["group"], found["each"]) == ("blocked", "blocked")
    assert "group.inner" not in found
    assert "bad" in result.tasks["group"].reason


async def test_composites_may_be_forgiven(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          group: {on_error: continue, tasks: {one: {run: exit 1}, two: {after: one, set: 2}}}
          each: {on_error: continue, foreach: [1], run: exit 2}
          rounds: {on_error: warn, loop: {times: 2}, run: exit 3}
          after: {after: [group, each, rounds], set: "${{ tasks.group.status }} ${{ tasks.each.status }} ${{ tasks.rounds.status }}"}
          value: {set: "${{ group.two }}"}
    """)
    assert result.status == "warned", result.failure
    assert result.tasks["after"].value == "failed failed warned"
    assert statuses(result)["value"] == "skipped"


# --- phases


async def test_finally_reads_skipped_and_failed_tasks_with_defaults_and_comes_last(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: 'echo m >> log; exit 1'}
          off: {when: false, set: 1}
        on_failure:
          told: {run: 'echo f >> log'}
        finally:
          note:
            run: 'echo l >> log; cat log'
            env: {SEEN: "${{ bad | default('no value') }} ${{ tasks.off.status }} ${{ run.error.message }}"}
          seen: {set: "${{ bad | default('no value') }} ${{ off | default(0) }} ${{ tasks.off.status }} ${{ run.error.type }}"}
    """)
    assert result.status == "failed"
    assert result.tasks["note"].value == "m\nf\nl"
    assert result.tasks["seen"].value == "no value 0 skipped exit"


async def test_a_finally_that_must_not_fail_fails_the_run(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          good: {set: 1}
        finally:
          must: {run: exit 1, on_error: fail}
    """)
    assert result.status == "failed"
    assert "must" in result.failure["message"]


async def test_outputs_of_skipped_tasks_are_null(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          off: {when: false, set: 1}
          on: {set: 2}
        outputs: {off: "${{ off }}", on: "${{ on }}", text: "x${{ off | default('-') }}"}
    """)
    assert result.status == "succeeded"
    assert result.outputs == {"off": None, "on": 2, "text": "x-"}


async def test_end_inside_items_rounds_and_groups_ends_the_run(run: Any) -> None:
    for body in (
        "{foreach: [1, 2], tasks: {stop: {when: item == 1, end: succeeded, message: enough}, wait1: {wait: 1h}}}",
        "{loop: {times: 3}, tasks: {stop: {when: round == 2, end: succeeded, message: enough}}}",
        "{tasks: {inner: {tasks: {stop: {end: succeeded, message: enough}}}, wait1: {wait: 1h}}}",
    ):
        result = await run(
            f"name: t\ntasks:\n  outer: {body}\n  other: {{after: outer, set: 1}}\nfinally:\n  last: {{set: 1}}\n"
        )
        assert (result.status, result.message) == ("succeeded", "enough"), result.failure
        found = statuses(result)
        assert (found["outer"], found["other"], found["last"]) == ("cancelled", "cancelled", "succeeded")


# --- order, bounds, facts of the run


async def test_starts_come_in_the_order_of_the_file(run: Any, project: Path) -> None:
    result = await run("""
        name: t
        max_parallel: 1
        tasks:
          c: {run: echo c >> log}
          a: {run: echo a >> log}
          b: {run: echo b >> log}
          each: {foreach: [3, 1, 2], run: 'echo "${{ item }}" >> log'}
    """)
    assert result.status == "succeeded"
    assert (project / "log").read_text().split() == ["c", "a", "b", "3", "1", "2"]


async def test_one_at_a_time_means_one_process_at_a_time(run: Any, project: Path) -> None:
    result = await run("""
        name: t
        max_parallel: 1
        tasks:
          each: {foreach: [1, 2, 3, 4], max_parallel: 4, run: 'mkdir lock; sleep 0.02; rmdir lock'}
          group: {tasks: {a: {run: 'mkdir lock; rmdir lock'}, b: {run: 'mkdir lock; rmdir lock'}}}
    """)
    assert result.status == "succeeded", result.failure


async def test_defaults_reach_tasks_and_the_nearer_wins(run: Any) -> None:
    result = await run("""
        name: t
        defaults: {tasks: {retry: {max: 2, delay: 1ms}, env: {A: far, B: far}}, run: {on_error: continue}}
        tasks:
          bad: {run: exit 1, env: {A: near}}
          told: {run: 'echo "$A $B"', env: {A: near}}
          once: {run: exit 1, retry: 0}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["bad"].attempts == 3
    assert result.tasks["once"].attempts == 1
    assert result.tasks["told"].value == "near far"


async def test_facts_of_the_run_can_be_read(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          facts:
            set: {status: "${{ run.status }}", trigger: "${{ run.trigger.kind }}", attempt: "${{ run.attempt }}", of: "${{ run.workflow }}"}
        finally:
          last: {set: "${{ run.cost }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["facts"].value == {
        "status": "running", "trigger": "manual", "attempt": 1, "of": "workflows/flow.yaml",
    }  # fmt: skip
    assert result.tasks["last"].value is None


async def test_the_run_knows_when_it_began_as_people_write_it(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          began: {set: "${{ run.started_at }}"}
          day: {set: "${{ run.started_at | date('%Y') }}"}
          due: {set: "${{ run.scheduled_at }}"}
    """)
    assert result.status == "succeeded", result.failure
    began = datetime.fromisoformat(result.tasks["began"].value)
    assert began.utcoffset() == timedelta(0)
    assert str(began.year) == result.tasks["day"].value
    assert result.tasks["due"].value is None


async def test_a_cached_result_of_other_inputs_is_not_taken(run: Any) -> None:
    text = """
        name: t
        inputs: {n: integer}
        tasks:
          a: {run: 'echo x >> count; echo "${{ inputs.n }}"', cache: {ttl: 1h}}
          each: {foreach: [1, 2], cache: {ttl: 1h}, run: 'echo x >> items; echo "${{ item }}"'}
    """
    first, second, third = [await run(text, n=n) for n in (1, 2, 1)]
    assert [one.tasks["a"].value for one in (first, second, third)] == ["1", "2", "1"]
    assert [one.tasks["a"].reused for one in (first, second, third)] == [None, None, "cache"]
    assert third.tasks["each[1]"].reused == "cache"


# --- other workflows


async def test_another_try_of_a_subworkflow_is_another_run(run: Any, plan: Any, engine: Any) -> None:
    plan("name: child\ntasks:\n  a: {run: 'echo x >> log; test \"$(wc -l < log)\" -ge 2'}\n", name="child")
    result = await run("""
        name: t
        tasks:
          call: {workflow: workflows/child.yaml, retry: {max: 2, delay: 1ms}}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["call"].attempts == 2
    children = engine.runs(parent=result.run_id)
    assert sorted(row.status for row in children) == ["failed", "succeeded"]


async def test_a_subworkflow_out_of_time_is_cancelled(run: Any, plan: Any, engine: Any) -> None:
    plan("name: child\ntasks:\n  a: {wait: 1h}\n", name="child")
    result = await run("""
        name: t
        tasks:
          call: {workflow: workflows/child.yaml, timeout: 300ms}
    """)
    assert result.failure["type"] == "timeout"
    (child,) = engine.runs(parent=result.run_id)
    handle = engine.driving(child.stream)
    assert handle is None or (await handle.wait()).status == "cancelled"
    assert engine.inspect(child.stream).status == "cancelled"


async def test_a_rerun_takes_over_what_a_subworkflow_came_to(engine: Any, plan: Any, project: Path) -> None:
    plan("name: child\ntasks:\n  a: {run: 'echo x >> child.log; echo 1'}\noutputs: {a: '${{ a }}'}\n", name="child")
    compiled = plan("""
        name: t
        tasks:
          call: {workflow: workflows/child.yaml}
          bad: {run: 'test -e fixed; echo "${{ call.a }}"'}
    """)
    first = await engine.run(compiled)
    assert first.status == "failed"
    (project / "fixed").touch()
    second = await (await engine.rerun(first.run_id, failed=True)).wait()
    assert second.status == "succeeded", second.failure
    assert second.tasks["call"].reused == first.run_id
    assert (project / "child.log").read_text() == "x\n"


async def test_a_rerun_goes_by_the_attempt_that_counted(engine: Any, plan: Any, project: Path) -> None:
    compiled = plan("""
        name: t
        tasks:
          group:
            retry: {max: 1, delay: 1ms}
            tasks:
              first: {run: 'echo x >> first.log; wc -l < first.log', output: integer}
              second: {run: 'test "${{ first }}" -ge 2; echo "${{ first }}"'}
          off: {when: false, set: 1}
          beside: {after: off, run: 'echo x >> beside.log'}
          last: {run: 'echo "${{ group.second }}"'}
    """)
    first = await engine.run(compiled)
    assert first.status == "succeeded", first.failure
    assert first.tasks["group"].failure is None
    again = await (await engine.rerun(first.run_id, from_task="last")).wait()
    assert again.status == "succeeded", again.failure
    assert again.tasks["last"].value == "2"
    assert again.tasks["group.second"].reused == first.run_id
    assert (project / "first.log").read_text() == "x\nx\n"
    assert (project / "beside.log").read_text() == "x\n"


async def test_an_input_that_a_rerun_does_not_know_is_refused(engine: Any, plan: Any) -> None:
    first = await engine.run(
        plan("name: t\ninputs: {n: {type: integer, default: 1}}\ntasks:\n  a: {set: '${{ inputs.n }}'}\n")
    )
    with pytest.raises(InvalidInputsError, match="m"):
        await engine.rerun(first.run_id, inputs={"m": 2})
