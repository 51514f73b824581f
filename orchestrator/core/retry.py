"""When to try again: pure arithmetic over the policy, the failure and the attempt's identity."""

from __future__ import annotations

import hashlib
from typing import Final

from orchestrator.core.events import Failure
from orchestrator.core.plan import Node, Retry

NEVER_BY_DEFAULT: Final = frozenset(
    {"cancelled", "missing_value", "invalid_input", "denied", "auth", "budget", "context_too_long"}
)
"""Errors that another identical try cannot mend; `retry.on` may name them all the same."""

DELAY_S_MAX: Final = 3600.0
SHORTEST_TRY_S: Final = 0.02
"""Less than this of `retry.for` is not worth another try; timers may also fire a little early."""


def spread(identity: str) -> float:
    """A number in [-1, 1) that depends on nothing but `identity`, so that a replay waits the same time."""
    digest = hashlib.blake2b(identity.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**63 - 1.0


def retry_at(
    policy: Retry, failure: Failure, *, failures: int, identity: str, started: float, now: float
) -> float | None:
    """The instant of the next try after the `failures`-th failure (from 1), or None if there is none.

    delay · backoff^(failures − 1), spread by ± jitter, never earlier than the other side asked for (`retry_after`).
    """
    if failures > policy.max:
        return None
    allowed = failure.type in policy.on if policy.on else failure.type not in NEVER_BY_DEFAULT
    if not allowed:
        return None
    exponent = min(failures - 1, 64)
    delay = min(policy.delay * policy.backoff**exponent, DELAY_S_MAX)
    delay *= 1 + policy.jitter * spread(f"{identity}:{failures}")
    if failure.retry_after is not None:
        delay = max(delay, failure.retry_after)
    at = now + max(delay, 0.0)
    if policy.within is not None and at + SHORTEST_TRY_S > started + policy.within:
        return None
    return at


def time_left(node: Node, started: float, now: float, worked: float = 0.0) -> float | None:
    """Seconds that an attempt begun at `now` may take: `timeout`, and what `retry.for` leaves of all; None without a bound.

    `worked`: seconds that the same attempt has worked already, before a person was asked.
    """
    within, timeout = node.retry.within, node.timeout
    if timeout is not None:
        timeout = max(timeout - worked, 0.0)
    if within is None:
        return timeout
    left = max(started + within - now, 0.0)
    return left if timeout is None else min(timeout, left)


def out_of_time(node: Node, started: float, now: float) -> str:
    """Why an attempt was ended at `now`, in a sentence."""
    within = node.retry.within
    if within is not None and (node.timeout is None or now >= started + within):
        return f"not done within {within:g} s, all attempts together"
    return f"not done within {node.timeout:g} s"
