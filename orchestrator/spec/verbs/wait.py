"""`wait:` waits for a time, or for something to happen. Plan fields: `{for: seconds or template}` for a time; else
`{matchers: [matcher], expires, on_expired}`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from orchestrator.spec.models_tasks import TaskBase
from orchestrator.spec.models_values import DurationTemplate, optional
from orchestrator.spec.models_waits import WaitFor
from orchestrator.spec.verbs._verb import Lowering, Task, Verb, on_expired, seconds
from orchestrator.spec.verbs.ask import OnExpired


class WaitTask(TaskBase):
    """Wait for a time, or until something happens."""

    wait: WaitFor = Field(description="A duration, a matcher, or a list of matchers of which the first wins.")
    expires: DurationTemplate = optional(description="How long to wait at most.")
    on_expired: OnExpired = Field("fail", description="When nothing came: fail, skip, or take this value.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    what = task["wait"]
    if isinstance(what, dict) and set(what) == {"for"}:
        what = what["for"]
    if isinstance(what, str):
        return {"for": seconds(what)}
    matchers = what if isinstance(what, list) else [what]
    lowering.later("`wait` for anything but a duration", "wait")
    return {
        "matchers": matchers,
        "expires": None if task.get("expires") is None else seconds(task["expires"]),
        "on_expired": on_expired(task.get("on_expired")),
    }


VERB = Verb(
    name="wait",
    model=WaitTask,
    fields=fields,
    value="`{kind, …what matched}`",
    effect="pure",
    slot=False,
)
