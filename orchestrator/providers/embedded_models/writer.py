"""`embedded/writer`: fills templates. Notes from a list, release notes from commits, a short text from a brief, and a better
one when a critic's advice comes with it.
"""

from __future__ import annotations

import re
from typing import Final

from orchestrator.ports.chat_model import ChatRequest
from orchestrator.providers.embedded_models import _judge, _objects, _text
from orchestrator.providers.embedded_models._reply import Reply, files_of, prompt_of, tool_results

LINES_MAX: Final = 40

_COMMIT: Final = re.compile(r"^\s*(?:[*-]\s+)?([0-9a-f]{7,40})\s+(?:\([^)]*\)\s+)?(\S.*)$")
_PREFIX: Final = re.compile(r"^(\w+)(?:\([^)]*\))?!?:\s+(.*)$")
_SECTIONS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    (
        "New",
        frozenset(
            ["add", "adds", "added", "new", "feat", "feature", "introduce", "allow", "support", "create", "offer"]
        ),
    ),
    (
        "Fixed",
        frozenset(
            ["fix", "fixes", "fixed", "bug", "bugfix", "repair", "correct", "hotfix", "resolve", "prevent", "avoid"]
        ),
    ),
    ("Removed", frozenset(["remove", "removes", "removed", "drop", "delete", "deprecate", "revert"])),
    ("Changed", frozenset()),
)


class Writer:
    def reply(self, request: ChatRequest) -> Reply:
        prompt = prompt_of(request)
        asked, material = _text.instruction_and_material(prompt)
        more = [files_of(request), *(result.content for result in tool_results(request))]
        material = "\n\n".join([material, *(text for text in more if text)])
        if request.output_schema is not None:
            return Reply(_objects.as_json(request.output_schema, _objects.Source(material, asked)))
        return Reply(written(prompt, asked, material))


def written(prompt: str, asked: str, material: str) -> str:
    found = _text.lines(prompt)
    if found and found[-1] in (*_judge.ADVICE, _judge.CONTENT):
        draft = "\n".join(found[1:-1]).strip()
        return improved(draft or copy_of(asked), found[-1], found[0])
    commits = [match for line in material.splitlines() if (match := _COMMIT.match(line))]
    if len(commits) >= 2 or (commits and len(commits) == len(_text.lines(material))):
        return release_notes([match[2] for match in commits])
    if _text.is_list(material):
        return notes(asked, _text.lines(material))
    if material == asked or len(_text.sentences(material)) <= 1:
        return copy_of(material)
    return notes(asked, _text.best(_text.sentences(material), 5, asked))


def release_notes(subjects: list[str]) -> str:
    """Commits by what they did, in the order of the log."""
    sections: dict[str, list[str]] = {title: [] for title, _ in _SECTIONS}
    for subject in subjects[:LINES_MAX]:
        prefixed = _PREFIX.match(subject)
        verb, said = (prefixed[1].lower(), prefixed[2]) if prefixed else ((_text.words(subject) or [""])[0], subject)
        title = next(title for title, verbs in _SECTIONS if verb in verbs or not verbs)
        sections[title].append(_text.sentence_case(said.rstrip(".")))
    blocks = [f"## {title}\n\n" + "\n".join(f"- {s}" for s in said) for title, said in sections.items() if said]
    left = len(subjects) - LINES_MAX
    return "\n\n".join(["# Release notes", *blocks, *([f"…and {left} more changes."] if left > 0 else [])])


def notes(asked: str, points: list[str]) -> str:
    """A heading from what was asked, then the points."""
    return "\n".join([f"# {_heading(asked, points)}", "", *(f"- {_text.sentence_case(p)}" for p in points[:LINES_MAX])])


def _heading(asked: str, points: list[str]) -> str:
    stripped = re.sub(
        r"(?i)^(?:please\s+)?(?:write|make|draft|compose|create|prepare|turn|summari[sz]e|merge|combine|report)\b\s*"
        r"(?:me\s+|us\s+)?(?:an?\s+|the\s+)?|\s*\b(?:from|of|for|into|about|with|out of)\s+(?:these|this|the following)\b.*$",
        "",
        asked,
    ).strip(" :.")
    if stripped and len(_text.words(stripped)) <= 10:
        return _text.sentence_case(stripped)
    return _text.sentence_case(" ".join(_text.keywords("\n".join(points), 3)) or "Notes")


def copy_of(brief: str) -> str:
    """A first draft: the brief as a statement, and what it is about."""
    subject = re.sub(r"(?i)^(?:please\s+)?(?:write|draft|compose|create)\s+", "", brief.strip()).rstrip(".!?: ")
    about = _text.keywords(brief, 3)
    second = f" It is about {_listed(about)}." if about else ""
    return f"{_text.sentence_case(subject or 'Something new')}.{second}"


def improved(draft: str, advice: str, brief: str) -> str:
    """The draft with one piece of advice taken."""
    about = _text.keywords(brief, 4) or ["it"]
    if advice == _judge.OPEN:
        return f"This is about {_listed(about[:3])}. {draft}"
    if advice == _judge.LONGER:
        return f"{draft} It brings {_listed(about)} together in one place, so that nothing has to be looked for twice."
    if advice == _judge.SHORTER:
        return " ".join(_text.best(_text.sentences(draft), 4, brief))
    if advice == _judge.EXAMPLE:
        return _before_last(draft, f"It helps with everyday things, for example {about[0].lower()}.")
    if advice == _judge.READER:
        return _before_last(draft, f"You see at once what {about[0].lower()} means for you.")
    return f"{draft} Try it today." if advice == _judge.NEXT else draft


def _before_last(draft: str, sentence: str) -> str:
    """A closing call to act stays last."""
    found = _text.sentences(draft)
    if found and _judge.NEXT not in _judge.judge(draft).missing:
        return " ".join([*found[:-1], sentence, found[-1]])
    return f"{draft} {sentence}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


MODEL = Writer()
