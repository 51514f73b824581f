"""What a run paid for: its model requests, told plainly, and how much of its budget is used up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli import formats
from orchestrator.cli.terminal import Screen, clean_line

if TYPE_CHECKING:
    from orchestrator import RunView
    from orchestrator.ai.ledger import PaidCall
    from orchestrator.core.budget import Account
    from orchestrator.ports.journal import Journal

JSON = Any

CALLS_MAX: Final = 200
_WORDS: Final = ("cost", "tokens", "turns", "time")


@dataclass(slots=True)
class Ledger:
    calls: list[PaidCall] = field(default_factory=list)
    account: Account | None = None
    """The run's budget, and what stands booked on it."""

    @classmethod
    def of(cls, journal: Journal, view: RunView) -> Ledger:
        """A run without agents has an empty one, for which nothing is read."""
        if not journal.rows(prefix=f"{view.run_id}/agent/", limit=1):
            return cls()
        from msgspec.structs import replace

        from orchestrator.ai.accounts import open_account, raise_limits
        from orchestrator.ai.ledger import paid_calls

        found = cls(paid_calls(journal, view.run_id))
        if view.driver is None:
            # Whoever sent them is gone: nobody waits for these any more.
            found.calls = [replace(c, status="unknown") if c.status == "in flight" else c for c in found.calls]
        if view.budget is not None:
            budget = view.budget
            found.account = open_account(budget["name"], budget, journal, budget["streams"])
            raise_limits(found.account, budget["answers"])
        return found

    # In short

    def facts(self, out: Screen) -> Iterator[tuple[str, str]]:
        """Rows for the page of a run."""
        if self.calls:
            yield "calls", f"{'  '.join(self._counts(out))}  (show --calls: each of them)"
        if self.account is not None and (used := list(self._used(out, self.account))):
            yield "budget", ", ".join(used)

    def _counts(self, out: Screen) -> Iterator[str]:
        for word in ("answered", "refused", "failed", "unknown", "in flight"):
            found = [call for call in self.calls if state_of(call) == word]
            if not found:
                continue
            text = f"{len(found)} {word}"
            if word in ("failed", "unknown") and (bound := counted(found)):
                text = out.style(f"{text} (may have cost up to {bound}: the budget counts that)", "yellow")
            yield text

    def _used(self, out: Screen, account: Account) -> Iterator[str]:
        spent = (account.cost_spent, account.tokens_spent, account.turns_spent, account.time_spent)
        for word, used in zip(_WORDS, spent, strict=True):
            limit = account.limit(word)
            if limit is None:
                continue
            percent = used / limit * 100 if limit else 100.0
            text = f"{_amount(word, used, account)} of {_amount(word, limit, account)} ({percent:.0f} %)"
            yield out.style(text, "red" if percent >= 100 else "yellow") if percent >= 80 else text

    # Each call

    def table(self, out: Screen, *, everything: bool = False) -> None:
        if not self.calls:
            out.line("No model was asked.")
        shown = self.calls if everything else self.calls[:CALLS_MAX]
        rows = [_row(call) for call in shown]
        widths = [max((len(row[at]) for row in rows), default=0) for at in range(len(rows[0]) - 1)] if rows else []
        for call, row in zip(shown, rows, strict=True):
            line = "  ".join(
                [*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]
            ).rstrip()
            out.line(out.style(line, "yellow") if state_of(call) in ("failed", "unknown") else line)
        if len(shown) < len(self.calls):
            out.line(out.style(f"… {len(self.calls) - len(shown)} more; --all shows them", "dim"))

    def shown(self, *, rows: bool) -> dict[str, JSON]:
        """For programs, beside the run."""
        states = [state_of(call) for call in self.calls]
        page: dict[str, JSON] = {"calls": {state: states.count(state) for state in dict.fromkeys(states)}}
        if self.account is not None:
            account = self.account
            page["budget"] = {
                "currency": account.currency,
                "spent": {
                    "cost": account.cost_spent / 1e12,
                    "tokens": account.tokens_spent,
                    "turns": account.turns_spent,
                },
                "limits": {word: _plain(word, account) for word in _WORDS if account.limit(word) is not None},
                "on_exceeded": account.on_exceeded,
            }
        if rows:
            page["ledger"] = [
                call.shown() | {"sent_at": formats.iso(call.sent_at), "ended_at": formats.iso(call.ended_at)}
                for call in self.calls
            ]
        return page


def state_of(call: PaidCall) -> str:
    """`answered`, `refused` (the provider did nothing for it), `failed`, `unknown` (a crash cut it off), `in flight`."""
    return "refused" if call.status == "failed" and not call.charged else call.status


def counted(calls: list[PaidCall]) -> str:
    """What budgets count of them; empty if nothing."""
    sums: dict[str, float] = {}
    for call in calls:
        sums[call.currency] = sums.get(call.currency, 0.0) + call.cost_counted
    return " + ".join(formats.money(total, currency) for currency, total in sums.items() if total)


def _row(call: PaidCall) -> list[str]:
    seconds = None if call.ended_at is None else call.ended_at - call.sent_at
    used = f"{formats.count(call.input_tokens or 0)} in, {formats.count(call.output_tokens or 0)} out"
    if call.input_tokens is None:
        used = f"up to {formats.count(call.tokens_counted)} tokens" if call.charged else ""
    cost = formats.money(call.cost, call.currency)
    if call.cost is None and call.cost_counted:
        cost = f"up to {formats.money(call.cost_counted, call.currency)}"
    notes = [call.error, "last turn" if call.last else "", "no AI model" if call.synthetic else ""]
    return [
        formats.instant(call.sent_at),
        clean_line(call.conversation.split("/agent/", 1)[-1].partition(":")[2] or call.conversation),
        clean_line(call.agent),
        clean_line(call.model),
        f"turn {call.turn}",
        state_of(call),
        formats.duration(seconds) if seconds is not None else "",
        used,
        cost,
        ", ".join(note for note in notes if note),
    ]


def _amount(word: str, value: float, account: Account) -> str:
    if word == "cost":
        return formats.money(value / 1e12, account.currency)
    if word == "time":
        return formats.duration(value)
    return f"{formats.count(int(value))} {'requests' if word == 'turns' else word}"


def _plain(word: str, account: Account) -> float:
    limit = account.limit(word) or 0
    return limit / 1e12 if word == "cost" else limit
