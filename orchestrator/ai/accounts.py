"""How a budget becomes an account: its limits, what was spent before, what people raised, and the meters of its days."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.ai.spent import spent_before
from orchestrator.core.budget import Account, Day, Refusal, Reservation, Word, money, reached
from orchestrator.errors import UsageError
from orchestrator.ports.journal import Journal
from orchestrator.ports.meters import Draw
from orchestrator.ports.services import AgentCall
from orchestrator.ports.tool import Question

QUESTION: Final = "budget:"
"""What the keys of questions about budgets begin with."""
RAISE: Final = "raise_by"
_RAISABLE: Final[tuple[Word, ...]] = ("cost", "tokens", "turns", "time", "cost_per_day", "tokens_per_day")


def open_account(name: str, limits: Mapping[str, Any], journal: Journal | None, streams: str) -> Account:
    """`limits` as in `AgentCall.budgets`. Raises UsageError for an amount that is none, JournalError."""
    cost, cost_day = limits.get("cost"), limits.get("cost_per_day")
    account = Account(
        name=name,
        cost_max=_money(cost) if cost is not None else None,
        tokens_max=limits.get("tokens"),
        turns_max=limits.get("turns"),
        time_max=limits.get("time"),
        cost_day_max=_money(cost_day) if cost_day is not None else None,
        tokens_day_max=limits.get("tokens_per_day"),
        currency=limits.get("currency") or _currency(cost if cost is not None else cost_day),
        allow_unpriced=bool(limits.get("allow_unpriced")),
        on_exceeded=limits.get("on_exceeded") or "fail",
    )
    if account.cost_day_max is not None or account.tokens_day_max is not None:
        account.day = Day(meter=limits.get("day") or name, timezone=limits.get("timezone") or "UTC")
    if journal is not None and streams:
        before = spent_before(journal, streams, task=limits.get("task"), timed=account.time_max is not None)
        account.cost_spent, account.tokens_spent = before.cost, before.tokens
        account.turns_spent, account.time_spent = before.turns, before.seconds
        reached(account)  # told when it happened
    return account


def with_own_budget(call: AgentCall, stream: str) -> tuple[dict[str, Any], ...]:
    """The budgets of a call and, inside them, what its agent may spend on this conversation. Said twice, it stands there once."""
    own = call.agent.get("budget")
    name = f"conversation {stream}"
    if not own or any(limits["name"] == name for limits in call.budgets):
        return call.budgets
    day = f"{call.workflow} agent {call.agent_id}"
    return (*call.budgets, {"name": name, "streams": stream, "day": day, "timezone": call.timezone, **own})


# Days


def day_draws(account: Account, wish: Reservation, after: Reservation | None, now: float) -> dict[Word, Draw]:
    """What a request draws on the account's day, by limit; `after` must still fit behind it."""
    if account.day is None:
        return {}
    expires = _day(account.day, now)[1]
    found: dict[Word, Draw] = {}
    for word, amount, kept in (
        ("cost_per_day", wish.cost or 0, after.cost or 0 if after is not None else 0),
        ("tokens_per_day", wish.tokens, after.tokens if after is not None else 0),
    ):
        limit, meter = account.limit(word), day_meter(account, word, now)
        if limit is not None and meter is not None:
            found[word] = Draw(meter=meter, amount=amount, limit=int(limit) - kept, expires=expires)  # type: ignore[index]
    return found


def day_meter(account: Account, word: str, now: float) -> str | None:
    """The meter that counts this calendar day."""
    if account.day is None:
        return None
    what = account.currency if word == "cost_per_day" else "tokens"
    return f"{account.day.meter} {what} on {_day(account.day, now)[0]}"


def _day(day: Day, now: float) -> tuple[str, float]:
    """The date where the workflow lives, and when nobody can ask for it any more."""
    from zoneinfo import ZoneInfo  # few budgets are a day's

    here = datetime.fromtimestamp(now, ZoneInfo(day.timezone))
    return f"{here:%Y-%m-%d}", (here + timedelta(days=2)).timestamp()


# Questions


def question(account: Account, refused: Refusal) -> Question | None:
    """What a person is asked when a limit is reached; None if they were asked and left it as it is."""
    key = question_key(account, refused.word)
    if key in account.raised:
        return None
    kind = "integer" if refused.word in ("tokens", "turns", "tokens_per_day") else "number"
    unit = {"cost": account.currency, "cost_per_day": account.currency, "time": "seconds"}.get(
        refused.word, refused.word.split("_")[0]
    )
    field = {"type": kind, "minimum": 0, "description": f"How much more, in {unit}; 0 ends the task."}
    return Question(
        key=key,
        question=f"Raise the budget? {refused.message[0].upper()}{refused.message[1:]}.",
        schema={"type": "object", "properties": {RAISE: field}, "required": [RAISE], "additionalProperties": False},
    )


def question_key(account: Account, word: str) -> str:
    """Names the question about a limit as it stands now: raised, it is another one."""
    text = f"{account.name}\n{word}\n{account.limit(word)}"
    return QUESTION + hashlib.sha256(text.encode()).hexdigest()[:16]


def budget_answers(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Those to questions about budgets, also of agents behind the one that was asked."""
    last = ((key.rsplit("/", 1)[-1], said) for key, said in answers.items())
    return {key: said for key, said in last if key.startswith(QUESTION)}


def raise_limits(account: Account, answers: Mapping[str, Any]) -> None:
    """Apply what people answered; each answer counts once, however often and in whatever order they come."""
    if not answers:
        return
    for word in _RAISABLE:
        while account.limit(word) is not None and (key := question_key(account, word)) in answers:
            if key in account.raised:
                break
            account.raised.add(key)
            _raise(account, word, answers[key])


def _raise(account: Account, word: Word, answer: Any) -> None:
    by = float(answer.get(RAISE) or 0) if isinstance(answer, Mapping) else 0.0
    account.told = {told for told in account.told if told[0] != word} if by else account.told
    match word:
        case "cost":
            account.cost_max = (account.cost_max or 0) + money(by)
        case "cost_per_day":
            account.cost_day_max = (account.cost_day_max or 0) + money(by)
        case "tokens":
            account.tokens_max = (account.tokens_max or 0) + int(by)
        case "tokens_per_day":
            account.tokens_day_max = (account.tokens_day_max or 0) + int(by)
        case "turns":
            account.turns_max = (account.turns_max or 0) + int(by)
        case "time":
            account.time_max = (account.time_max or 0.0) + by


def _money(cost: Any) -> int:
    """`0.5`, `"$0.50"` or `"0.50 EUR"`."""
    text = str(cost).strip().removeprefix("$").split()[0]
    try:
        return money(text)
    except ArithmeticError:
        raise UsageError(f"budget `cost` is {cost!r}", help="for example $0.50 or 0.50 EUR") from None


def _currency(cost: Any) -> str:
    words = str(cost).split()
    return words[1] if len(words) == 2 else "USD"
