"""One circuit breaker per provider: when it is plainly down, nobody asks it until one probe came through."""

from __future__ import annotations

from typing import Final, Literal

from orchestrator.ports.clock import Clock

FAILURES_MAX: Final = 5
"""Failures in a row, over all loops, that open it."""
OPEN_S: Final = 10.0
"""How long it stays open at first; it doubles with every probe that fails."""
OPEN_S_MAX: Final = 120.0
COUNTED: Final = frozenset({"outage", "overloaded", "timeout"})
"""Errors that speak against the provider as a whole. Any other answer shows that it is alive."""

State = Literal["closed", "open", "half-open"]


class Breaker:
    """closed: everybody may ask; open: nobody, for a while; half-open: one probe is out, the others wait for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._open_s = OPEN_S
        self._opened_at: float | None = None
        self._probing = False
        self.last_error = ""

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "half-open" if self._probing or self._left() <= 0 else "open"

    def wait(self) -> float:
        """Seconds until asking may be worthwhile; 0 if it is now."""
        if self._opened_at is None:
            return 0.0
        if self._probing:
            return max(self._open_s / 4, 1.0)
        return max(self._left(), 0.0)

    def admit(self) -> float:
        """As `wait`; 0 means: ask now. Whoever comes first once it has been open long enough is the probe, and must tell
        what came of it by `succeeded`, `failed` or `released`."""
        left = self.wait()
        if not left and self._opened_at is not None:
            self._probing = True
        return left

    def succeeded(self) -> None:
        """The provider answered, be it with a refusal of this one request."""
        self._failures, self._open_s, self._opened_at, self._probing = 0, OPEN_S, None, False

    def failed(self, error: str) -> bool:
        """It did not. True if that opened the breaker."""
        self._failures += 1
        self.last_error = error
        if self._probing:
            self._open_s = min(self._open_s * 2, OPEN_S_MAX)
        elif self._opened_at is not None or self._failures < FAILURES_MAX:
            # Requests that were out when it opened say nothing new.
            return False
        self._opened_at, self._probing = self._clock.monotonic(), False
        return True

    def released(self) -> None:
        """The request was called off: nothing is known, another may be the probe."""
        self._probing = False

    def _left(self) -> float:
        assert self._opened_at is not None
        return self._opened_at + self._open_s - self._clock.monotonic()


class Breakers:
    """The breakers of one process, by provider (and address, where workers name several)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def of(self, key: str) -> Breaker:
        found = self._breakers.get(key)
        if found is None:
            found = self._breakers[key] = Breaker(self._clock)
        return found

    def states(self) -> dict[str, State]:
        """Of every provider that was ever asked."""
        return {key: breaker.state for key, breaker in sorted(self._breakers.items())}
