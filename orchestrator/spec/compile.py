"""From a workflow to the Plan that the engine runs.

plan = compile_plan(load_workflow("workflows/x.yaml"))      # DiagnosticsError carries every finding
"""

from __future__ import annotations

import os
from typing import Any

from orchestrator.core.plan import Plan, sealed
from orchestrator.spec import compile_values
from orchestrator.spec.compile_nodes import NodeBuilder
from orchestrator.spec.compile_site import SiteLowering, input_schemas
from orchestrator.spec.diagnostics import DiagnosticsError, has_errors
from orchestrator.spec.inline_keys import masked_source
from orchestrator.spec.load import Workflow, load_workflow


def compile_plan(workflow: Workflow | str | os.PathLike[str]) -> Plan:
    """The Plan of a workflow, its called workflows included. Raises DiagnosticsError if anything in it is wrong."""
    from orchestrator.spec.validate import validate

    opened = workflow if isinstance(workflow, Workflow) else load_workflow(workflow)
    findings = validate(opened)
    if has_errors(findings):
        raise DiagnosticsError(findings)
    return lower(opened)


def lower(workflow: Workflow) -> Plan:
    """The Plan of a workflow that is known to be valid."""
    return _Lowering({}).plan(workflow)


class _Lowering:
    """One compilation: every workflow in it is compiled once, whoever calls it."""

    def __init__(self, done: dict[str, Plan]) -> None:
        self._done = done

    def plan(self, workflow: Workflow) -> Plan:
        identity = workflow.identity
        if identity not in self._done:
            self._done[identity] = sealed(self._compile(workflow))
        return self._done[identity]

    def _compile(self, workflow: Workflow) -> Plan:
        site = SiteLowering(workflow, self.plan)
        builder = NodeBuilder(site.fields, site.env, site.output, site.line, site.behind)
        analysis = workflow.analysis
        assert analysis.main is not None
        main = builder.add(analysis.main, None)
        assert main == 0
        on_failure = builder.add(analysis.on_failure, 0) if analysis.on_failure is not None else None
        on_finally = builder.add(analysis.on_finally, 0) if analysis.on_finally is not None else None
        inputs, required = input_schemas(workflow.data)
        data = workflow.data
        return Plan(
            workflow=workflow.identity,
            name=workflow.title,
            description=data.get("description") or "",
            scopes=builder.scopes,
            on_failure=on_failure,
            on_finally=on_finally,
            inputs=inputs,
            required=required,
            outputs=data.get("outputs") or {},
            env=site.top_env(),
            secrets=compile_values.secrets(data.get("secrets")),
            agents=site.agents,
            workers={name: compile_values.worker(worker) for name, worker in workflow.workers.items()},
            mcp=workflow.mcp,
            mailboxes=workflow.mailboxes,
            **_run_settings(workflow),
            children=site.children,
            not_yet=site.not_yet(),
            source=masked_source(workflow.document),
        )


def _run_settings(workflow: Workflow) -> dict[str, Any]:
    data = workflow.data
    budget = data.get("budget") or workflow.config.data.get("budget")
    concurrency = data.get("concurrency")
    return {
        "schedules": tuple(compile_values.schedule(one) for one in data.get("schedules") or ()),
        "wake_on": tuple(data.get("wake_on") or ()),
        "concurrency": None if concurrency is None else {"key": None, "max": 1, "on_conflict": "queue", **concurrency},
        "budget": compile_values.budget(budget),
        "timezone": data.get("timezone", "UTC"),
        "timeout": compile_values.seconds(data.get("timeout")),
        "max_parallel": data.get("max_parallel", 16),
        "fail_fast": data.get("fail_fast", False),
    }
