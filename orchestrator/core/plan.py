"""The Plan: one immutable, self-contained value that the engine runs. No YAML, no positions, no classes of the language.

A task of the file becomes up to three nested nodes, so that the run machine knows four shapes only:

    leaf      a verb that a kind performs (`run`, `set`, `agent`, `workflow`, …)
    group     `tasks:`; opens its child scope once an attempt
    each      `foreach`; opens its child scope once an item, several at a time
    loop      `loop`; opens its child scope once a round, one after the other

`each` and `loop` nodes have a child scope of exactly one node, the *inner* node, which carries the same id and what is
meant per item or per round (`when` that mentions the item, `retry`, `timeout`, `cache`, `effect`, the verb itself). Example:
`build: {foreach: …, loop: …, tasks: {code: …}}` compiles to each `build` → [loop `build` → [group `build` → [leaf `code`]]].

Templates stay text: every string in `fields`, `env`, `outputs`, `cwd` is a template (`$${{` is a literal `${{`); `when`, `until`,
`source`, `key`, `item_after` are bare expressions. They are parsed by `core.expressions`, cached by text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

PLAN_FORMAT: Final = 1
"""Raised whenever an older engine could misread a newer plan; part of every cache key."""

SOFT: Final = 0
"""A reference under `default` or `is defined`, or `tasks.X.status|reason|error`."""
ORDER: Final = 1
"""`after`, or any other `tasks.X.…`."""
VALUE: Final = 2
"""Any other reference."""

Effect = Literal["pure", "idempotent", "at_least_once", "at_most_once"]
OnError = Literal["fail", "continue", "warn"]


class Need(msgspec.Struct, frozen=True, array_like=True):
    """An edge into a task. With `up` 0 it points to a node of the same scope; else to one of the `up`-th enclosing scope,
    which has settled before this scope opened (compile puts an ORDER or SOFT need on the enclosing node as well).
    """

    index: int
    kind: int
    up: int = 0


class Retry(msgspec.Struct, frozen=True, array_like=True):
    max: int = 0
    """More tries after the first."""
    delay: float = 1.0
    backoff: float = 2.0
    jitter: float = 0.2
    within: float | None = None
    """`retry.for`: seconds for all attempts together."""
    on: tuple[str, ...] = ()
    """Error types worth another try; empty means all but `cancelled`, `missing_value`, `invalid_input`, `denied`, `auth`, `budget`."""


class Each(msgspec.Struct, frozen=True, array_like=True):
    source: str | list[Any] | dict[str, Any]
    """A bare expression, or a literal list or map whose strings are templates."""
    alias: str = "item"
    key: str | None = None
    """Expression over the item; None: the index (the map's key, over a map)."""
    max_parallel: int = 8
    enough: int | None = None
    item_after: str | None = None
    """Expression over the item: the keys of items that settle before this one starts."""
    on_item_error: Literal["fail", "collect"] = "fail"


class Loop(msgspec.Struct, frozen=True, array_like=True):
    until: str | None = None
    max: int | None = None
    times: int | None = None
    every: float | None = None
    """Seconds from the start of one round to the start of the next, at least."""
    within: float | None = None
    """`loop.for`: seconds for all rounds."""
    on_exhausted: Literal["fail", "continue"] = "fail"


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    verb: str
    """A leaf's verb, or `group`, `each`, `loop`."""
    fields: dict[str, Any] = {}
    """The verb's own fields, defaults merged; the shape is the kind's (see `spec/verbs/<verb>.py`)."""
    needs: tuple[Need, ...] = ()
    when: str | None = None
    """On an inner node: evaluated per item or round."""
    scope: int | None = None
    """Child scope of a group, each or loop."""
    each: Each | None = None
    loop: Loop | None = None
    inner: bool = False
    """The one node in the scope of an `each` or `loop` of the same task; it adds nothing to the instance's name."""
    slot: bool = True
    """Counts against `max_parallel` while it runs; False for what never works: set, wait, ask, end and the composites."""
    output: dict[str, Any] | None = None
    """JSON Schema the value must fit."""
    env: dict[str, str] = {}
    cwd: str = "."
    retry: Retry = Retry()
    timeout: float | None = None
    on_error: OnError = "fail"
    effect: Effect = "at_least_once"
    cache: float | None = None
    """Seconds a result may be reused (`cache: {ttl}`)."""
    budget: dict[str, Any] | None = None
    total_budget: dict[str, Any] | None = None
    description: str = ""
    line: int = 0
    """Line in the workflow's file, for messages; 0 if unknown."""
    digest: str = ""
    """Hash of what this task does (not of where it stands): what `rerun --with latest` and `diff` compare."""

    @property
    def composite(self) -> bool:
        return self.scope is not None


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    nodes: tuple[Node, ...]
    outputs: dict[str, Any] | None = None
    """A group's `outputs:` templates; without them its value is `{id: value}` of the inner tasks."""
    parent: int | None = None
    """The enclosing scope; `finally` and `on_failure` have the main scope (0) as parent."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    workflow: str
    """Path below the project root, POSIX style: the workflow's identity."""
    name: str
    scopes: tuple[Scope, ...]
    """Number 0 is `tasks:`."""
    format: int = PLAN_FORMAT
    description: str = ""
    on_failure: int | None = None
    on_finally: int | None = None
    inputs: dict[str, dict[str, Any]] = {}
    """name → JSON Schema (with `default` where there is one)."""
    required: tuple[str, ...] = ()
    outputs: dict[str, Any] = {}
    """name → template (any JSON)."""
    output_types: dict[str, dict[str, Any]] = {}
    env: dict[str, str] = {}
    secrets: dict[str, dict[str, Any]] = {}
    """name → {env: NAME} | {dotenv, key} | {file} | {keyring} | {vault}."""
    agents: dict[str, dict[str, Any]] = {}
    """id → as declared, `config/` and defaults merged."""
    workers: dict[str, dict[str, Any]] = {}
    mcp: dict[str, dict[str, Any]] = {}
    mailboxes: tuple[str, ...] = ()
    schedules: tuple[dict[str, Any], ...] = ()
    wake_on: tuple[dict[str, Any], ...] = ()
    concurrency: dict[str, Any] | None = None
    """{key, max, on_conflict}."""
    budget: dict[str, Any] | None = None
    timezone: str = "UTC"
    timeout: float | None = None
    max_parallel: int = 16
    fail_fast: bool = False
    children: dict[str, Plan] = {}
    """Plans of the workflows that `workflow:` tasks call, by path."""
    not_yet: tuple[str, ...] = ()
    """What the file uses that this version cannot run: one line each, with its place. A run refuses to start."""
    source: str = ""
    """The file's text, for `show`, `diff` and messages of a pinned run."""
    digest: str = ""


def agents_behind(names: Iterable[str], agents: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """These agents and all that they may come to ask or hand over to, each once; names that are not in `agents` left out."""
    found: dict[str, None] = {}
    ahead = list(names)
    while ahead:
        name = ahead.pop(0)
        if name in agents and name not in found:
            found[name] = None
            ahead += [*(agents[name].get("sub_agents") or ()), *(agents[name].get("handoffs") or ())]
    return tuple(found)


_VARIABLE = re.compile(r'"\$(\w+)"|\$\{(\w+)\}')


def command_of(fields: dict[str, Any]) -> str:
    """A `run` task's command as its author wrote it: expressions instead of the variables that carry them."""
    if fields.get("argv") is not None:
        return " ".join(map(str, fields["argv"]))
    values: dict[str, str] = fields.get("values") or {}
    script = str(fields.get("script", ""))
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), script) if values else script


def encode_plan(plan: Plan) -> bytes:
    return msgspec.msgpack.encode(plan)


_decoder = msgspec.msgpack.Decoder(Plan)


def decode_plan(data: bytes) -> Plan:
    """Raises msgspec.DecodeError if `data` is not a plan of this format."""
    return _decoder.decode(data)


def plan_digest(plan: Plan) -> str:
    """SHA-256 over the plan's meaning: children count by their digests; source text and the digest itself do not."""
    bare = msgspec.structs.replace(plan, digest="", source="", children={})
    hasher = hashlib.sha256(msgspec.msgpack.encode(bare, order="sorted"))
    for path in sorted(plan.children):
        hasher.update(path.encode() + b"\0" + plan.children[path].digest.encode())
    return hasher.hexdigest()


def sealed(plan: Plan) -> Plan:
    """The plan with its digest filled in."""
    return msgspec.structs.replace(plan, digest=plan_digest(plan))
