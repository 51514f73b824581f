"""What makes a short text good, as far as counting can tell: five marks, and the advice that goes with each that is missing.

The critic gives the advice, the writer knows how to take it, so that a loop of the two gets better round by round.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from orchestrator.providers.embedded_models import _text

WORDS_MIN: Final = 20
WORDS_MAX: Final = 120

OPEN: Final = "Open with one short sentence that says what it is."
LONGER: Final = "Make it longer: say more of what it is about."
SHORTER: Final = "Make it shorter."
EXAMPLE: Final = "Add one figure or example."
READER: Final = "Speak to the reader as you."
NEXT: Final = "End with what to do next."
CONTENT: Final = "Nothing to change."

ADVICE: Final = (OPEN, LONGER, SHORTER, EXAMPLE, READER, NEXT)

_IMPERATIVES: Final = _text.word_set(
    "try start join read ask order write see visit book call sign get take open run install download reply send "
    "come choose contact learn"
)


class Judgement(NamedTuple):
    score: float
    """0 to 1."""
    advice: str
    """The first thing to change."""
    missing: tuple[str, ...]


def judge(text: str) -> Judgement:
    """Empty text scores 0."""
    sentences = _text.sentences(text)
    if not sentences:
        return Judgement(0.0, LONGER, (LONGER,))
    length = len(_text.words(text))
    missing: list[str] = []
    if len(_text.words(sentences[0])) > 16:
        missing.append(OPEN)
    if length < WORDS_MIN:
        missing.append(LONGER)
    elif length > WORDS_MAX:
        missing.append(SHORTER)
    if not re.search(r"\d|for example|such as", text.lower()):
        missing.append(EXAMPLE)
    if not {"you", "your"} & set(_text.words(text)):
        missing.append(READER)
    if (_text.words(sentences[-1]) or [""])[0] not in _IMPERATIVES:
        missing.append(NEXT)
    return Judgement(1 - len(missing) / 5, missing[0] if missing else CONTENT, tuple(missing))
