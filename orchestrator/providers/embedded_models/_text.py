"""Reading plain text: sentences, lines of a list, the words that matter."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS: Final = word_set(
    "a about above after again all also am an and any are as at be because been before being between both but by "
    "can could did do does doing down each few for from had has have having he her here hers him his how i if in "
    "into is it its just me more most my no nor not now of off on once only or other our ours out over own please "
    "same she should so some such than that the their theirs them then there these they this those through to too "
    "under until up very was we were what when where which while who whom why will with would you your yours write "
    "text following short brief draft note notes pitch sentence sentences paragraph summary summarise summarize"
)

ORDERS: Final = word_set(
    "write summarise summarize make draft translate split sort classify merge combine list extract review turn describe "
    "explain compose prepare name give say tell find compare rewrite shorten look decide pick choose answer create report "
    "please announce read note improve"
)

_AFTER_SMALL_WORD: Final = r"\b(?:[Tt]he|[Aa]n?|[Oo]ur|[Yy]our|of|in|at|about|every|from)\s+([^\W\d_][\w-]*)"
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])[\"'”’)]?\s+(?=[\"'“‘(]?[^\W\d_a-z]|\d)")
_BULLET: Final = re.compile(r"^\s*(?:[-*•+]|\d+[.)])\s+")
_RUNNING_ON: Final = re.compile(r"\s*(?![0-9a-f]{7,40}\b)(?!\w+(?:\([^)]*\))?!?:)[a-z]")
"""A line that goes on with the one before it: lower case, and neither a commit's hash nor `word:`."""
_ABBREVIATION: Final = re.compile(r"\b(?:e\.g|i\.e|etc|vs|Mr|Mrs|Ms|Dr|St|No|approx)\.$")
_TOKEN: Final = re.compile(r"\w{1,6}|[^\w\s]")


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def telling_words(text: str) -> list[str]:
    """Words that carry meaning, in order, roughly stemmed so that `reviews` meets `review`."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS and (len(word) > 2 or word.isdigit())]


def stem(word: str) -> str:
    for ending in ("ingly", "edly", "ing", "ies", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def lines(text: str) -> list[str]:
    """Lines that hold something, without bullets."""
    return [_BULLET.sub("", line).strip() for line in text.splitlines() if line.strip()]


def is_list(text: str) -> bool:
    """Two bullets or more; or three lines that each begin anew and mostly do not end like a sentence in running text."""
    found = [line for line in text.splitlines() if line.strip()]
    bulleted = sum(bool(_BULLET.match(line)) for line in found)
    if bulleted >= 2 and bulleted * 2 >= len(found):
        return True
    ended = sum(line.rstrip().endswith((".", "!", "?", ",", ";")) for line in found)
    running_on = sum(bool(_RUNNING_ON.match(line)) for line in found[1:])
    return len(found) >= 3 and ended * 2 < len(found) and running_on * 4 <= len(found)


def sentences(text: str) -> list[str]:
    """Sentences of running text; headings and list items stand as they are."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        for block in [paragraph] if not is_list(paragraph) else paragraph.splitlines():
            pieces = _SENTENCE_END.split(" ".join(_BULLET.sub("", block).split()))
            held = ""
            for piece in pieces:
                held = f"{held} {piece}".strip()
                if not _ABBREVIATION.search(held):
                    found.append(held)
                    held = ""
            found.append(held)
    return [sentence for sentence in found if _WORD.search(sentence)]


def best(candidates: list[str], count: int, about: str = "") -> list[str]:
    """The `count` candidates that say most, in their own order: those whose words come up often, without repeating others."""
    weights = Counter(word for candidate in candidates for word in set(telling_words(candidate)))
    asked = set(telling_words(about))
    chosen: list[int] = []
    said: set[str] = set()

    def worth(index: int) -> tuple[float, int]:
        own = set(telling_words(candidates[index]))
        if not own:
            return (-1.0, -index)
        fresh = sum(weights[word] * (2 if word in asked else 1) for word in own - said)
        length = len(words(candidates[index]))
        return (fresh / (len(own) ** 0.5 + max(length - 30, 0)) + (0.5 if index == 0 else 0.0), -index)

    while len(chosen) < min(count, len(candidates)):
        index = max((i for i in range(len(candidates)) if i not in chosen), key=worth)
        chosen.append(index)
        said |= set(telling_words(candidates[index]))
    return [candidates[index] for index in sorted(chosen)]


def keywords(text: str, count: int) -> list[str]:
    """The words that come up most, as they are written first; ties in order of appearance."""
    written: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word in _WORD.findall(text):
        lower = word.lower()
        if lower in STOP_WORDS or len(lower) < 3 or lower.isdigit():
            continue
        root = stem(lower)
        written.setdefault(root, word)
        counts[root] += 1
    order = {root: at for at, root in enumerate(written)}
    ranked = sorted(counts, key=lambda root: (-counts[root], order[root]))
    return [written[root] for root in ranked[:count]]


def clipped(text: str, length: int) -> str:
    """At most `length` characters, cut at a word."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    cut = text[: max(length - 1, 0)]
    return (cut.rsplit(" ", 1)[0] if " " in cut[length // 2 :] else cut).rstrip(" ,;:.") + ("…" if length else "")


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def count_tokens(text: str) -> int:
    """About what a tokeniser would make of it; the same for the same text, always."""
    return len(_TOKEN.findall(text))


class Asked(NamedTuple):
    """A prompt in its two parts; with nothing that looks like a wish, all of it is material and `wish` is empty."""

    wish: str
    material: str


def instruction_and_material(prompt: str) -> Asked:
    """A first line that ends in a colon, begins like an order, or stands as a title over running text is what is asked."""
    prompt = prompt.strip()
    head, _, rest = (part.strip() for part in prompt.partition("\n"))
    if rest and not _BULLET.match(head):
        order = head.endswith(":") or (words(head) or [""])[0] in ORDERS
        title = len(words(head)) <= 12 and not head.endswith((".", "!", "?", ",")) and not is_list(f"{head}\n{rest}")
        return Asked(head, rest) if order or title else Asked("", prompt)
    asked, colon, material = head.partition(": ")
    if colon and (words(asked) or [""])[0] in ORDERS and len(words(asked)) <= 12 and len(words(material)) >= 3:
        return Asked(asked.strip(), material.strip())
    return Asked("", prompt)


def topics(text: str, count: int) -> list[str]:
    """What a text is about, as far as small words give it away: what follows an article or a preposition, then keywords."""
    found = [word for word in re.findall(_AFTER_SMALL_WORD, text) if word.lower() not in STOP_WORDS]
    found += [word if word.isupper() else word.lower() for word in keywords(text, count)]
    return list(dict.fromkeys(word for word in found if len(word) > 2))[:count]
