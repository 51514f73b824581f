"""Control flow as people write it: YAML in, what the run came to out."""

from __future__ import annotations

from typing import Any


async def test_a_task_runs_after_what_it_refers_to(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          b: {set: "${{ a + 1 }}"}
          a: {set: 1}
        outputs: {b: "${{ b }}"}
    """)
    assert result.status == "succeeded"
    assert result.outputs == {"b": 2}


async def test_a_failure_blocks_what_needs_it_and_nothing_else(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 3}
          needs: {set: "${{ bad }}"}
          after: {after: bad, set: 1}
          free: {set: 2}
    """)
    assert result.status == "failed"
    assert {name: task.status for name, task in result.tasks.items()} == {
        "bad": "failed", "needs": "blocked", "after": "blocked", "free": "succeeded",
    }  # fmt: skip
    assert result.failure["type"] == "exit"
    assert result.tasks["bad"].meta["exit_code"] == 3


async def test_a_forgiven_failure_counts_as_a_skip_below(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: 'echo seen; exit 3', on_error: continue}
          needs: {set: "${{ bad }}"}
          after: {after: bad, set: "${{ tasks.bad.stdout | trim }} ${{ tasks.bad.exit_code }}"}
          other: {set: "${{ bad | default('none') }}"}
    """)
    assert result.status == "succeeded"
    assert result.tasks["needs"].status == "skipped"
    assert result.tasks["after"].value == "seen 3"
    assert result.tasks["other"].value == "none"


async def test_a_warned_failure_ends_the_run_with_warnings(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 1, on_error: warn}
          good: {set: 1}
    """)
    assert result.status == "warned"
    assert result.tasks["bad"].status == "warned"


async def test_when_false_skips_and_a_value_edge_passes_it_on(run: Any) -> None:
    result = await run("""
        name: t
        inputs: {n: {type: integer, default: 1}}
        tasks:
          a: {when: inputs.n > 5, set: 1}
          b: {set: "${{ a }}"}
          c: {after: a, set: 3}
          d: {set: "${{ a | default(7) }}"}
    """)
    assert result.status == "succeeded"
    assert [result.tasks[name].status for name in "abcd"] == ["skipped", "skipped", "succeeded", "succeeded"]
    assert result.tasks["d"].value == 7
    assert "inputs.n = 1" in result.tasks["a"].reason


async def test_foreach_gives_values_in_item_order_with_ok_and_failed(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each:
            foreach: [3, 1, 2]
            key: item
            on_item_error: collect
            run: 'test "${{ item }}" != 1 && echo "${{ item * 10 }}"'
            output: integer
          sum: {set: "${{ each.ok | map(attribute='value') | sum }}"}
          bad: {set: "${{ each.failed | map(attribute='key') }}"}
          whole: {set: "${{ each }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["sum"].value == 50
    assert result.tasks["bad"].value == ["1"]
    assert result.tasks["whole"].value == [30, None, 20]
    assert result.tasks["each[1]"].status == "failed"


async def test_foreach_over_a_map_gives_a_map(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: {a: 1, b: 2}, set: "${{ item.key }}${{ item.value }}"}
        outputs: {o: "${{ each }}"}
    """)
    assert result.outputs == {"o": {"a": "a1", "b": "b2"}}


async def test_an_empty_foreach_succeeds(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [], set: "${{ item }}"}
          n: {set: "${{ each | length }}"}
    """)
    assert result.status == "succeeded"
    assert result.tasks["n"].value == 0


async def test_an_item_that_fails_fails_the_foreach(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [1, 2, 3], max_parallel: 1, run: 'test "${{ item }}" != 2'}
    """)
    assert result.status == "failed"
    assert result.tasks["each"].status == "failed"
    assert "each[1]" in result.failure["message"]
    assert "each[2]" not in result.tasks


async def test_enough_items_end_the_rest(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each: {foreach: [0, 0, 30], enough: 2, run: 'sleep "${{ item }}"'}
    """)
    assert result.status == "succeeded"
    assert result.tasks["each[2]"].status == "cancelled"


async def test_items_wait_for_the_items_they_name(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          each:
            foreach: [{id: a, needs: [b]}, {id: b, needs: []}]
            key: item.id
            item_after: item.needs
            set: "${{ item.id }}"
    """)
    tasks = result.tasks
    assert result.status == "succeeded", result.failure
    assert tasks["each[a]"].started_at >= tasks["each[b]"].ended_at


async def test_a_group_is_a_scope_with_outputs(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          base: {set: 5}
          group:
            tasks:
              one: {set: "${{ base + 1 }}"}
              two: {set: "${{ one + 1 }}"}
            outputs: {total: "${{ one + two }}"}
          plain:
            tasks:
              one1: {set: 1}
          after: {set: "${{ group.total }} ${{ plain.one1 }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["after"].value == "13 1"
    assert result.tasks["group.two"].value == 7


async def test_a_loop_goes_on_until_its_condition_holds_and_keeps_its_history(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          grow:
            loop: {until: step.n >= 3, max: 10}
            tasks:
              step: {set: {n: "${{ (previous.step.n | default(0)) + 1 }}", round: "${{ round }}"}}
          best: {set: "${{ tasks.grow.history | map(attribute='step.n') }}"}
          last: {set: "${{ grow.step.round }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["best"].value == [1, 2, 3]
    assert result.tasks["last"].value == 3


async def test_a_loop_of_one_task_sees_its_own_value(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          n: {loop: {until: n >= 4, max: 9}, set: "${{ (previous | default(0)) + 2 }}"}
        outputs: {n: "${{ n }}", rounds: "${{ tasks.n.history }}"}
    """)
    assert result.outputs == {"n": 4, "rounds": [2, 4]}


async def test_an_exhausted_loop_fails_unless_it_may_go_on(run: Any) -> None:
    text = """
        name: t
        tasks:
          n: {{loop: {{until: n >= 99, max: 2{more}}}, set: "${{{{ round }}}}"}}
    """
    assert (await run(text.format(more=""))).status == "failed"
    gone_on = await run(text.format(more=", on_exhausted: continue"))
    assert gone_on.status == "succeeded"
    assert gone_on.tasks["n"].value == 2


async def test_times_needs_no_condition(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          n: {loop: {times: 3}, set: "${{ round }}"}
        outputs: {h: "${{ tasks.n.history }}"}
    """)
    assert result.outputs == {"h": [1, 2, 3]}


async def test_groups_in_a_foreach_run_their_loops_each(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          build:
            foreach: [{id: a, goal: 1}, {id: b, goal: 3}]
            as: job
            key: job.id
            on_item_error: collect
            tasks:
              rounds:
                loop: {until: n.v >= job.goal, max: 5}
                tasks:
                  n: {set: {v: "${{ round }}", job: "${{ job.id }}"}}
            outputs: {rounds: "${{ tasks.rounds.history | length }}", id: "${{ job.id }}"}
        outputs: {built: "${{ build.ok | map(attribute='value.rounds') }}", whole: "${{ build }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.outputs["built"] == [1, 3]
    assert result.outputs["whole"][1] == {"rounds": 3, "id": "b"}
    assert "build[b].rounds#3.n" in result.tasks


async def test_retry_tries_again_and_says_which_attempt(run: Any, project: Any) -> None:
    result = await run("""
        name: t
        tasks:
          flaky:
            run: 'echo x >> tries; test "$(wc -l < tries)" -ge 3'
            retry: {max: 3, delay: 1ms}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["flaky"].attempts == 3


async def test_retry_stops_after_the_last_attempt(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 1, retry: {max: 2, delay: 1ms}}
    """)
    assert result.status == "failed"
    assert result.tasks["bad"].attempts == 3


async def test_retry_on_names_the_errors_worth_another_try(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 1, retry: {max: 2, delay: 1ms, on: [timeout]}}
    """)
    assert result.tasks["bad"].attempts == 1


async def test_a_timeout_ends_an_attempt(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          slow: {run: sleep 30, timeout: 200ms}
    """)
    assert result.status == "failed"
    assert result.failure["type"] == "timeout"
    assert result.tasks["slow"].duration < 10


async def test_a_group_out_of_time_takes_its_tasks_with_it(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          group:
            timeout: 300ms
            tasks:
              slow: {run: sleep 30}
          other: {set: 1}
    """)
    assert result.tasks["group"].status == "failed"
    assert result.tasks["group.slow"].status == "cancelled"
    assert result.failure["type"] == "timeout"


async def test_finally_runs_whatever_happened_and_knows_it(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: exit 1}
        on_failure:
          told: {set: "${{ run.error.type }}"}
        finally:
          note: {set: "${{ run.status }} ${{ tasks.bad.status }}"}
    """)
    assert result.status == "failed"
    assert result.tasks["note"].value == "failed failed"
    assert result.tasks["told"].value == "exit"


async def test_on_failure_stays_away_from_a_good_run(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          good: {set: 1}
        on_failure:
          told: {set: 1}
        finally:
          note: {set: "${{ good }}"}
    """)
    assert result.status == "succeeded"
    assert "told" not in result.tasks
    assert result.tasks["note"].value == 1


async def test_a_failing_finally_warns(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          good: {set: 1}
        finally:
          note: {run: exit 1}
    """)
    assert result.status == "warned"


async def test_end_ends_the_run_and_cancels_the_rest(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          a: {set: 1}
          stop: {when: a == 1, end: succeeded, message: enough}
          slow: {run: sleep 30}
        finally:
          note: {set: "${{ run.status }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.message == "enough"
    assert result.tasks["slow"].status == "cancelled"
    assert result.tasks["note"].value == "succeeded"


async def test_end_failed_fails_the_run(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          stop: {end: failed, message: no}
    """)
    assert result.status == "failed"


async def test_fail_fast_cancels_what_still_runs(run: Any) -> None:
    result = await run("""
        name: t
        fail_fast: true
        tasks:
          bad: {run: exit 1}
          slow: {run: sleep 30}
    """)
    assert result.status == "failed"
    assert result.tasks["slow"].status == "cancelled"
    assert result.failure["type"] == "exit"


async def test_the_run_itself_has_a_timeout(run: Any) -> None:
    result = await run("""
        name: t
        timeout: 300ms
        tasks:
          slow: {run: sleep 30}
    """)
    assert result.status == "failed"
    assert result.failure["type"] == "timeout"


async def test_listed_order_chains_plain_commands(run: Any, project: Any) -> None:
    result = await run("""
        name: t
        order: listed
        tasks:
          one: {run: echo 1 >> log}
          two: {run: echo 2 >> log}
          three: {run: cat log}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["three"].value == "1\n2"


async def test_a_subworkflow_has_typed_inputs_and_outputs(run: Any, plan: Any) -> None:
    plan("""
        name: child
        inputs: {n: integer}
        tasks:
          double: {set: "${{ inputs.n * 2 }}"}
        outputs: {twice: "${{ double }}"}
    """, name="parts/child")  # fmt: skip
    result = await run("""
        name: t
        tasks:
          call: {workflow: workflows/parts/child.yaml, inputs: {n: 21}}
        outputs: {n: "${{ call.twice }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.outputs == {"n": 42}


async def test_a_failing_subworkflow_fails_its_task(run: Any, plan: Any) -> None:
    plan("name: child\ntasks:\n  bad: {run: exit 4}\n", name="parts/child")
    result = await run("""
        name: t
        tasks:
          call: {workflow: workflows/parts/child.yaml}
    """)
    assert result.status == "failed"


async def test_output_types_are_checked(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          bad: {run: 'echo ''{"n": "x"}''', output: {n: integer}}
    """)
    assert result.status == "failed"
    assert result.failure["type"] == "invalid_output"
    assert "n" in result.failure["message"]


async def test_a_missing_value_fails_the_task_that_needs_it(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          a: {run: 'echo "{}"', output: {b: optional string}}
          c: {set: "x ${{ a.b }}"}
    """)
    assert result.status == "failed"
    assert result.failure["type"] == "missing_value"


async def test_a_cached_result_is_taken_over(run: Any, project: Any) -> None:
    text = """
        name: t
        tasks:
          a: {run: 'echo x >> count; wc -l < count', cache: {ttl: 1h}}
    """
    assert (await run(text)).tasks["a"].value == "1"
    again = await run(text)
    assert again.tasks["a"].value == "1"
    assert again.tasks["a"].reused == "cache"


async def test_values_travel_in_files_when_they_are_large(run: Any) -> None:
    result = await run("""
        name: t
        tasks:
          big: {run: 'head -c 300000 /dev/zero | tr "\\0" x'}
          size: {run: wc -c, stdin: "${{ big }}"}
    """)
    assert result.status == "succeeded", result.failure
    assert result.tasks["size"].value == "300000"
