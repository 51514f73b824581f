"""From text to an object that fits a JSON Schema: found where the text says it, composed where it does not, always valid."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orchestrator.providers.embedded_models import _choice, _judge, _text

JSON = Any
DEPTH_MAX: Final = 12
ITEMS_DEFAULT: Final = 5

_TITLES: Final = frozenset(["title", "name", "subject", "headline", "heading", "label", "topic"])
_SCORES: Final = frozenset(["score", "points", "rating", "grade", "quality", "stars", "mark"])
_ADVICE: Final = frozenset(["critique", "feedback", "advice", "comment", "suggestion", "improvement", "change"])
_VERDICTS: Final = frozenset(
    "ok okay accepted accept approve approved pass passed good valid done".split()  # noqa: SIM905
)
_TAGS: Final = frozenset(["tag", "keyword", "topic", "label", "category", "word", "theme"])
_COUNTS: Final = frozenset(["count", "total", "length", "number", "words"])


@dataclass(slots=True, frozen=True)
class Source:
    material: str
    asked: str = ""
    hints: Mapping[str, Sequence[str]] = field(default_factory=dict)
    root: Mapping[str, JSON] = field(default_factory=dict)
    """The whole schema, for `$ref`."""


def as_json(schema: dict[str, JSON], source: Source) -> str:
    return json.dumps(fill(schema, replace(source, root=schema)), ensure_ascii=False)


def fill(schema: JSON, source: Source, name: str = "", depth: int = 0) -> JSON:
    """A value for `schema`; `name` is the property it is for and says what to look for."""
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return None
    if "$ref" in schema:
        return fill(_resolved(schema["$ref"], source.root), source, name, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _chosen(schema["enum"], source, name)
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return _alternative(schema[word], source, name, depth)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object":
        return _object(schema, source, depth)
    if kind == "array":
        return _array(schema, source, name, depth)
    if kind in ("number", "integer"):
        return _number(schema, source, name, kind)
    if kind == "boolean":
        return _boolean(source, name)
    return _string(schema, source, name) if kind == "string" else None


def _resolved(ref: str, root: Mapping[str, JSON]) -> JSON:
    found: JSON = root
    for step in ref.removeprefix("#/").split("/"):
        found = found.get(step, {}) if isinstance(found, Mapping) else {}
    return found


def _alternative(choices: list[JSON], source: Source, name: str, depth: int) -> JSON:
    consts = [choice["const"] for choice in choices if isinstance(choice, dict) and "const" in choice]
    if len(consts) == len(choices):
        return _chosen(consts, source, name)
    kept = [choice for choice in choices if not (isinstance(choice, dict) and choice.get("type") == "null")]
    return fill(kept[0] if kept else choices[0], source, name, depth + 1)


def _chosen(choices: list[JSON], source: Source, name: str) -> JSON:
    stated = labelled(source.material, name)
    for choice in choices:
        if stated is not None and str(choice).lower() == stated.lower():
            return choice
    by_label = {str(choice): choice for choice in choices if choice is not None}
    if not by_label:
        return None
    return by_label[_choice.choose(list(by_label), source.material, source.hints).label]


def _object(schema: dict[str, JSON], source: Source, depth: int) -> dict[str, JSON]:
    properties: dict[str, JSON] = schema.get("properties", {})
    value = {name: fill(inner, source, name, depth + 1) for name, inner in properties.items()}
    value = {n: v for n, v in value.items() if v is not None or _may_be_null(properties[n])}
    labels = _labels_of(properties)
    if labels and isinstance(value.get("confidence"), (int, float)):
        sure = _choice.choose(labels, source.material, source.hints).confidence
        value["confidence"] = _clamped(sure, properties["confidence"])
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict) and not properties:
        value = {word.lower(): fill(rest, source, word, depth + 1) for word in _text.keywords(source.material, 3)}
    return value


def _may_be_null(schema: JSON) -> bool:
    if not isinstance(schema, dict):
        return False
    if any(_may_be_null(choice) for word in ("anyOf", "oneOf") for choice in schema.get(word, ())):
        return True
    return schema.get("type") == "null" or None in schema.get("enum", ()) or schema.get("const", "") is None


def _labels_of(properties: Mapping[str, JSON]) -> list[str]:
    for inner in properties.values():
        if isinstance(inner, dict) and "enum" in inner:
            return [str(choice) for choice in inner["enum"] if choice is not None]
    return []


def _array(schema: dict[str, JSON], source: Source, name: str, depth: int) -> list[JSON]:
    low, high = (
        int(schema.get("minItems", 0)),
        int(schema.get("maxItems", max(ITEMS_DEFAULT, schema.get("minItems", 0)))),
    )
    items = schema.get("items", {"type": "string"})
    if isinstance(items, dict) and "enum" in items:
        return (list(items["enum"]) * low)[: max(low, min(high, 1))]
    pieces = _pieces(source.material, high)
    if isinstance(items, dict) and items.get("type", "string") == "string" and _about(name, _TAGS):
        pieces = [word.lower() for word in _text.keywords(source.material, max(low, min(high, ITEMS_DEFAULT)))]
    while len(pieces) < low:
        pieces.append(pieces[0] if pieces else source.material or source.asked)
    made = [fill(items, replace(source, material=piece), name.rstrip("s"), depth + 1) for piece in pieces[:high]]
    return _distinct(made) if _names_itself(items) else made


def _names_itself(items: JSON) -> bool:
    """Whether the objects of a list have an `id` that may be any text."""
    own = items.get("properties", {}).get("id") if isinstance(items, dict) else None
    return isinstance(own, dict) and not {"enum", "const", "maxLength", "pattern", "format"} & set(own)


def _pieces(material: str, count: int) -> list[str]:
    """What a list is made of: the material's own lines, or its telling sentences."""
    if _text.is_list(material):
        return _text.lines(material)[:count]
    found = _text.sentences(material)
    if len(found) == 1:
        found = [part.strip() for part in re.split(r",|;|\band\b", found[0]) if _text.telling_words(part)] or found
    return _text.best(found, count)


def _distinct(made: list[JSON]) -> list[JSON]:
    """Objects with an `id` get different ones."""
    seen: dict[str, int] = {}
    for one in made:
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            seen[one["id"]] = seen.get(one["id"], 0) + 1
            if seen[one["id"]] > 1:
                one["id"] += f"_{seen[one['id']]}"
    return made


def _number(schema: dict[str, JSON], source: Source, name: str, kind: str) -> float | int:
    stated = labelled(source.material, name)
    numbers = re.findall(r"-?\d+(?:[.,]\d{3})*(?:\.\d+)?", stated if stated is not None else "")
    if numbers:
        value = float(numbers[0].replace(",", ""))
    elif _about(name, _SCORES) or ("minimum" in schema and "maximum" in schema and not _about(name, _COUNTS)):
        low, high = float(schema.get("minimum", 0)), float(schema.get("maximum", 10))
        value = round(low + (high - low) * _judge.judge(source.material).score, 2)
    elif _about(name, _COUNTS):
        value = float(len(_text.words(source.material)) if "word" in name else len(_pieces(source.material, 10_000)))
    else:
        found = re.findall(r"-?\d+(?:\.\d+)?", source.material)
        value = float(found[0]) if found else 0.0
    clamped = _clamped(value, schema)
    return int(clamped) if kind == "integer" or float(clamped).is_integer() else clamped


def _clamped(value: float, schema: JSON) -> float:
    if "exclusiveMinimum" in schema:
        value = max(value, schema["exclusiveMinimum"] + 1)
    if "exclusiveMaximum" in schema:
        value = min(value, schema["exclusiveMaximum"] - 1)
    return float(min(max(value, schema.get("minimum", value)), schema.get("maximum", value)))


def _boolean(source: Source, name: str) -> bool:
    stated = labelled(source.material, name)
    if stated is not None and stated.lower() in ("yes", "no", "true", "false", "on", "off"):
        return stated.lower() in ("yes", "true", "on")
    if _about(name, _VERDICTS):
        return _judge.judge(source.material).score >= 0.8
    own = {_text.stem(word) for word in _text.words(name.replace("_", " "))}
    return bool(own & set(_text.telling_words(source.material)))


def _string(schema: dict[str, JSON], source: Source, name: str) -> str:
    if (form := schema.get("format")) in _FORMATS:
        pattern, otherwise = _FORMATS[form]
        found = re.search(pattern, source.material)
        return found[0].rstrip(".,;") if found else otherwise
    value = labelled(source.material, name) or _composed(source, name, str(schema.get("description", "")))
    return _fitted(value, int(schema.get("minLength", 0)), schema.get("maxLength"), source, name)


def _fitted(value: str, low: int, high: int | None, source: Source, name: str) -> str:
    while len(value) < low:
        value = f"{value} {_text.clipped(source.material, 200) or name or 'text'}".strip()
    if high is None or len(value) <= high:
        return value
    at_a_word = _text.clipped(value, high)
    return at_a_word if len(at_a_word) >= low else value[:high]


def _composed(source: Source, name: str, description: str) -> str:
    about = {_text.stem(word) for word in _text.words(name.replace("_", " "))}
    if about & {"id", "slug", "key", "code"}:
        return "_".join(word.lower() for word in _text.keywords(source.material, 3)) or "item"
    if about & {_text.stem(word) for word in _ADVICE}:
        return _judge.judge(source.material).advice
    if about & {_text.stem(word) for word in _TITLES}:
        return _text.sentence_case(_text.clipped(next(iter(_text.lines(source.material)), ""), 60).rstrip("."))
    if about & {"languag", "language", "lang", "locale"}:
        return "en"
    count = 1 if "one" in _text.words(description) or about & {"reason", "why", "not", "don", "when"} else 3
    return " ".join(_text.best(_text.sentences(source.material), count, f"{name} {description}")) or source.asked


_FORMATS: Final[dict[Any, tuple[str, str]]] = {
    "date": (r"\b\d{4}-\d\d-\d\d\b", "2000-01-01"),
    "date-time": (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)", "2000-01-01T00:00:00Z"),
    "time": (r"\b\d\d:\d\d(?::\d\d)?\b", "00:00:00"),
    "duration": (r"\bP(?:\d+[DWMY])*(?:T(?:\d+[HMS])+)?", "PT1H"),
    "email": (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "nobody@example.org"),
    "uri": (r"https?://[^\s\"'<>)]+", "https://example.org/"),
}


def labelled(text: str, name: str) -> str | None:
    """What a text says after `name:`; `invoice_number` finds `Invoice number: 17`."""
    spoken = r"[\s_-]*".join(re.escape(word) for word in _text.words(name.replace("_", " ")))
    if not spoken:
        return None
    found = re.search(rf"(?im)^[\W_]*{spoken}[\"'*_`]*\s*[:=]\s*(.+?)[\s,]*$", text)
    return found[1].strip().strip("\"'`*").strip() if found else None


def _about(name: str, names: frozenset[str]) -> bool:
    return bool({_text.stem(word) for word in _text.words(name.replace("_", " "))} & {_text.stem(one) for one in names})
