"""Small forms of the language in the one form the Plan has: seconds, counts, plain numbers."""

from __future__ import annotations

from typing import Any

from orchestrator.core.plan import Each, Loop, Retry
from orchestrator.core.units import parse_bytes, parse_count, parse_duration, parse_money


def seconds(value: Any) -> float | None:
    return None if value is None else parse_duration(value)


def budget(said: dict[str, Any] | None) -> dict[str, Any] | None:
    """`{cost, cost_per_day: amount, currency, tokens, turns, tokens_per_day: int, time: seconds, on_exceeded, allow_unpriced}`,
    each only where given."""
    if not said:
        return None
    made: dict[str, Any] = {}
    for key, value in said.items():
        if value is None:
            continue
        if key in ("cost", "cost_per_day"):
            money = parse_money(value)
            made[key] = money.amount
            made["currency"] = money.currency
        elif key == "time":
            made[key] = parse_duration(value)
        elif key in ("tokens", "turns", "tokens_per_day"):
            made[key] = parse_count(value)
        else:
            made[key] = value
    return made


def retry(said: int | dict[str, Any] | None) -> Retry:
    if not said:
        return Retry()
    if isinstance(said, int):
        return Retry(max=said)
    on = said.get("on") or ()
    return Retry(
        max=said.get("max", 0),
        delay=parse_duration(said.get("delay", "1s")),
        backoff=float(said.get("backoff", 2.0)),
        jitter=float(said.get("jitter", 0.2)),
        within=seconds(said.get("for")),
        on=(on,) if isinstance(on, str) else tuple(on),
    )


def each(task: dict[str, Any]) -> Each:
    return Each(
        source=task["foreach"],
        alias=task.get("as", "item"),
        key=expression(task.get("key")),
        max_parallel=task.get("max_parallel", 8),
        enough=task.get("enough"),
        item_after=expression(task.get("item_after")),
        on_item_error=task.get("on_item_error", "fail"),
    )


def loop(said: dict[str, Any]) -> Loop:
    return Loop(
        until=expression(said.get("until")),
        max=said.get("max"),
        times=said.get("times"),
        every=seconds(said.get("every")),
        within=seconds(said.get("for")),
        on_exhausted=said.get("on_exhausted", "fail"),
    )


def expression(said: Any) -> str | None:
    """An expression as text; YAML may have read `true` or `3` as a value."""
    if said is None or isinstance(said, str):
        return said
    return str(said).lower() if isinstance(said, bool) else str(said)


def cache(said: Any) -> float | None:
    return parse_duration(said["ttl"]) if isinstance(said, dict) else None


def model_settings(said: dict[str, Any]) -> dict[str, Any]:
    """`ai_config` or `base_config` with its units undone: durations in seconds, counts as numbers, `stop` a list."""
    made = dict(said)
    for name in ("timeout", "retry_delay", "max_time"):
        if made.get(name) is not None:
            made[name] = parse_duration(made[name])
    for name in ("max_tokens", "context_window"):
        if made.get(name) is not None:
            made[name] = parse_count(made[name])
    if isinstance(made.get("stop"), str):
        made["stop"] = [made["stop"]]
    return made


def agent(said: dict[str, Any]) -> dict[str, Any]:
    """An agent with its units undone and its short forms made long."""
    made = dict(said)
    if isinstance(made.get("ai_config"), dict):
        made["ai_config"] = model_settings(made["ai_config"])
    if made.get("budget") is not None:
        made["budget"] = budget(made["budget"])
    fallback = made.get("fallback")
    if isinstance(fallback, list):
        made["fallback"] = {"models": fallback}
    elif isinstance(fallback, dict):
        on = fallback.get("on")
        made["fallback"] = {
            "models": fallback["models"],
            **({"on": [on] if isinstance(on, str) else on} if on is not None else {}),
            **({"cooldown": parse_duration(fallback["cooldown"])} if fallback.get("cooldown") is not None else {}),
        }
    memory = made.get("memory")
    if isinstance(memory, dict) and memory.get("max_size") is not None:
        made["memory"] = {**memory, "max_size": parse_bytes(memory["max_size"])}
    return made


def worker(said: dict[str, Any]) -> dict[str, Any]:
    """A worker with its units undone; `auth: none` becomes `{none: true}`, `interaction_models` a list."""
    made = dict(said)
    if isinstance(made.get("base_config"), dict):
        made["base_config"] = model_settings(made["base_config"])
    if isinstance(made.get("rate_limits"), dict):
        made["rate_limits"] = {key: parse_count(value or 0) for key, value in made["rate_limits"].items()}
    if made.get("auth") == "none":
        made["auth"] = {"none": True}
    if isinstance(made.get("interaction_models"), str):
        made["interaction_models"] = [made["interaction_models"]]
    return made


def schedule(said: dict[str, Any]) -> dict[str, Any]:
    """A schedule with `every` and `jitter` in seconds."""
    made = dict(said)
    for key in ("every", "jitter"):
        if made.get(key) is not None:
            made[key] = parse_duration(made[key])
    return made


def secrets(said: list[str] | dict[str, dict[str, Any] | None] | None) -> dict[str, dict[str, Any]]:
    """name → where the value is; a bare name is an environment variable."""
    if isinstance(said, list):
        return {name: {"env": name} for name in said}
    return {name: source or {"env": name} for name, source in (said or {}).items()}
