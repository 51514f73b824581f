"""Choosing among named alternatives by counting the words that speak for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestrator.providers.embedded_models import _text

# What people commonly mean by names they give to alternatives; matched by stem.
_BUILT_IN: Final[dict[str, str]] = {
    "support": "help error broken crash fail cannot login password reset bug problem issue stuck working install update",
    "sales": "price pricing buy purchase quote discount order licence license plan upgrade demo trial offer seats cost",
    "billing": "invoice charge refund payment card subscription receipt vat billed money paid",
    "spam": "winner won prize lottery free click viagra crypto investment guaranteed unsubscribe million claim casino",
    "bug": "bug error crash fail broken wrong exception traceback regression incorrect",
    "feature": "feature add support request would like wish could idea suggestion improve allow option",
    "question": "how what why where which question ask wonder possible explain",
    "docs": "documentation readme docs guide tutorial typo example explain manual",
    "security": "security vulnerability secret leak password token injection cve attack exploit unsafe auth",
    "performance": "slow fast latency memory cpu speed performance timeout cache optimise optimize",
    "positive": "good great love excellent happy thanks thank wonderful nice perfect fast helpful pleased enjoy best",
    "negative": "bad terrible hate awful unhappy disappointed slow broken worst poor refund angry useless never",
    "urgent": "urgent immediately asap emergency down outage critical now blocked production",
    "high": "urgent important critical serious blocked deadline severe",
    "low": "minor whenever someday cosmetic trivial small nice",
    "complaint": "complaint disappointed angry unacceptable refund late broken never worst",
    "praise": "thanks great love wonderful excellent recommend happy",
}
_CATCH_ALL: Final = ("other", "neutral", "general", "none", "unknown", "normal", "medium", "misc", "question")


class Choice(NamedTuple):
    label: str
    confidence: float
    """0.5 for a guess, towards 1 the more of the words found speak for this label alone."""


def hints(instructions: str, keywords: Any = None) -> dict[str, list[str]]:
    """Words for labels: from a mapping in the settings, and from lines like `billing: invoice, refund` in instructions."""
    found: dict[str, list[str]] = {}
    for line in re.split(r"[\n;]", instructions):
        if named := re.match(r"^\s*(?:[-*]\s+)?[`'\"]?([A-Za-z][\w -]{0,30}?)[`'\"]?\s*[:=]\s*(.+?,.+)$", line):
            found[named[1]] = [word.strip(" .'\"") for word in named[2].split(",") if word.strip()]
    if isinstance(keywords, Mapping):
        for label, given in keywords.items():
            listed = given.split(",") if isinstance(given, str) else list(given)
            found[str(label)] = found.get(str(label), []) + [str(word).strip() for word in listed]
    return found


def choose(labels: Sequence[str], text: str, hints: Mapping[str, Sequence[str]]) -> Choice:
    """The label with most words in its favour; without any, the catch-all if there is one, else the first."""
    found = _text.telling_words(text)
    scores = [_score(label, found, hints.get(label, ())) for label in labels]
    top = max(scores, default=0.0)
    if top == 0:
        catch_all = [label for label in labels if label.lower() in _CATCH_ALL]
        return Choice(catch_all[0] if catch_all else labels[0], 0.5)
    winner = scores.index(top)
    share = top / sum(scores)
    return Choice(labels[winner], round(0.5 + 0.5 * share * min(1.0, 0.4 + 0.2 * top), 2))


def _score(label: str, found: Sequence[str], hinted: Sequence[str]) -> float:
    own = {_text.stem(word) for word in _text.words(label.replace("_", " "))}
    built_in = {_text.stem(word) for root in own for word in _BUILT_IN.get(root, "").split()}
    built_in |= {_text.stem(word) for word in _BUILT_IN.get(label.lower(), "").split()}
    given = {_text.stem(word) for phrase in hinted for word in _text.words(phrase)}
    return sum(
        2.0 if word in given else 1.5 if word in own else 1.0 for word in found if word in own | built_in | given
    )
