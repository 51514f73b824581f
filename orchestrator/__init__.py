"""whisper-flow: AI agents and ordinary commands together, as durable workflows declared in YAML.

    from orchestrator import ExecutionEngine, compile_plan, load_workflow

    plan = compile_plan(load_workflow("workflows/hello.yaml"))
    async with ExecutionEngine() as engine:
        result = await engine.run(plan, inputs={"name": "you"})

Everything named in `__all__` is the public Python API. Each name is imported when it is first asked for, so that
`import orchestrator` costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

# Not from `typing`: importing that would double the time of `whisper-flow --version`. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from orchestrator.bootstrap import ExecutionEngine as ExecutionEngine
    from orchestrator.bootstrap import verify as verify
    from orchestrator.bootstrap import worker_manager as worker_manager
    from orchestrator.core.plan import Plan as Plan
    from orchestrator.delegates.catalogue import catalogue as catalogue
    from orchestrator.delegates.loading import attach_delegate as attach_delegate
    from orchestrator.delegates.loading import listens_to as listens_to
    from orchestrator.delegates.manager import DelegateManager as DelegateManager
    from orchestrator.engine.handle import RunHandle as RunHandle
    from orchestrator.engine.views import RunResult as RunResult
    from orchestrator.engine.views import RunView as RunView
    from orchestrator.engine.views import TaskView as TaskView
    from orchestrator.errors import InvalidInputsError as InvalidInputsError
    from orchestrator.errors import NotFoundError as NotFoundError
    from orchestrator.errors import NotYetError as NotYetError
    from orchestrator.errors import RunBusyError as RunBusyError
    from orchestrator.errors import TaskError as TaskError
    from orchestrator.errors import UsageError as UsageError
    from orchestrator.errors import WhisperFlowError as WhisperFlowError
    from orchestrator.ports.delegate import DelegateContext as DelegateContext
    from orchestrator.spec.compile import compile_plan as compile_plan
    from orchestrator.spec.diagnostics import Diagnostic as Diagnostic
    from orchestrator.spec.diagnostics import DiagnosticsError as DiagnosticsError
    from orchestrator.spec.graph import graph as graph
    from orchestrator.spec.load import Workflow as Workflow
    from orchestrator.spec.load import load_workflow as load_workflow
    from orchestrator.spec.plan_cache import load_plan as load_plan
    from orchestrator.spec.validate import validate as validate
    from orchestrator.workers.manager import WorkerManager as WorkerManager

_WHERE = {
    "DelegateContext": "ports.delegate",
    "DelegateManager": "delegates.manager",
    "Diagnostic": "spec.diagnostics",
    "DiagnosticsError": "spec.diagnostics",
    "ExecutionEngine": "bootstrap",
    "InvalidInputsError": "errors",
    "NotFoundError": "errors",
    "NotYetError": "errors",
    "Plan": "core.plan",
    "RunBusyError": "errors",
    "RunHandle": "engine.handle",
    "RunResult": "engine.views",
    "RunView": "engine.views",
    "TaskError": "errors",
    "TaskView": "engine.views",
    "UsageError": "errors",
    "WhisperFlowError": "errors",
    "WorkerManager": "workers.manager",
    "Workflow": "spec.load",
    "attach_delegate": "delegates.loading",
    "catalogue": "delegates.catalogue",
    "compile_plan": "spec.compile",
    "graph": "spec.graph",
    "listens_to": "delegates.loading",
    "load_plan": "spec.plan_cache",
    "load_workflow": "spec.load",
    "validate": "spec.validate",
    "verify": "bootstrap",
    "worker_manager": "bootstrap",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"orchestrator.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
