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
        wish, material = _text.instruction_and_material(prompt)
        more = [files_of(request), *(result.content for result in tool_results(request))]
        material = "\n\n".join([material, *(text for text in more if text)])
        if request.output_schema is not None:
            source = _objects.Source(material, wish or request.instructions)
            return Reply(_objects.as_json(request.output_schema, source))
        return Reply(written(prompt, wish, material))


def written(prompt: str, wish: str, material: str) -> str:
    found = _text.lines(prompt)
    if found and found[-1] in (*_judge.ADVICE, _judge.CONTENT):
        draft = "\n".join(found[1:-1]).strip()
        return improved(draft or copy_of(found[0]), found[-1], found[0])
    commits = [match for line in material.splitlines() if (match := _COMMIT.match(line))]
    if len(commits) >= 2 or (commits and len(commits) == len(_text.lines(material))):
        return release_notes([match[2] for match in commits])
    if _text.is_list(material):
        return notes(wish, _text.lines(material))
    sentences = _text.sentences(material)
    if len(sentences) <= 1:
        return copy_of(material)
    return notes(wish, _text.best(sentences, 5, wish))


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


def _heading(wish: str, points: list[str]) -> str:
    stripped = re.sub(
        r"(?i)^(?:please\s+)?(?:write|make|draft|compose|create|prepare|turn|summari[sz]e|merge|combine|report)\b\s*"
        r"(?:me\s+|us\s+)?(?:an?\s+|the\s+)?|\s*\b(?:from|of|for|into|about|with|out of)\s+(?:these|this|the following)\b.*$",
        "",
        wish,
    ).strip(" :.")
    if stripped and len(_text.words(stripped)) <= 12:
        return _text.sentence_case(stripped)
    about = _text.topics("\n".join(points), 3)
    return f"About {_listed(about)}" if about else "Notes"


def copy_of(brief: str) -> str:
    """A first draft: the brief, turned from an order into a statement."""
    subject = re.sub(
        r"(?i)^(?:please\s+)?(?:(?:announce|say|tell|explain|write|report)\s+that\s+|(?:write|draft|compose|create)\s+)"
        r"|^(?:an?\s+|the\s+)?(?:[\w-]+\s+)?(?:pitch|text|note|copy|post|paragraph|advert|page|blurb|story)\s+(?:for|about|on)\s+",
        "",
        brief.strip(),
    ).rstrip(".!: ")
    return _text.sentence_case(subject or "Something new") + ("" if subject.endswith("?") else ".")


def improved(draft: str, advice: str, brief: str) -> str:
    """The draft with one piece of advice taken."""
    about = _text.topics(copy_of(brief), 2) or ["it"]
    if advice == _judge.OPEN:
        return f"This is about the {_listed(about)}. {draft}"
    if advice == _judge.LONGER:
        return f"{draft} It says what is new, whom it concerns and from when, so that nobody has to ask twice about {about[0]}."
    if advice == _judge.SHORTER:
        return " ".join(_text.best(_text.sentences(draft), 4, brief))
    if advice == _judge.EXAMPLE:
        return _before_last(draft, f"For example, one look is enough to know about {about[-1]}.")
    if advice == _judge.READER:
        return _before_last(draft, "You need to do nothing for it.")
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
