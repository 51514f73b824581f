"""One finding for each thing that is wrong with a file's shape, in the words of the language.

WF201 wrong kind of value   WF202 field missing     WF203 unknown field     WF204 no verb    WF205 two verbs
WF206 bad name              WF207 value not allowed WF208 unit              WF209 reserved   WF210 fields that need or
exclude each other          WF211 id used twice     WF212 wrapped expression
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.spec.diagnostics import Diagnostic, Edit, Label, Span, shown
from orchestrator.spec.loader import Document
from orchestrator.spec.shape_fields import field_of, model_at, names_of
from orchestrator.spec.shape_words import Path, dotted, kind_word, listed, owner, place, plain_list, tag_word
from orchestrator.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from orchestrator.spec.project_config import Origin


@dataclass(slots=True)
class Checked:
    """A value that did not fit its model, and where it stands."""

    document: Document
    base: Path
    """From the top of the file to the value."""
    data: Any
    model: Any
    """The type the value was checked against."""
    fields_noun: str = ""
    """What unknown fields are not fields of: "`agent` tasks"."""
    elsewhere: Callable[[str], str | None] = lambda name: None
    """Help for a field that exists somewhere else."""


def explain(checked: Checked, error: Any) -> Diagnostic:
    """The finding for one error of the validation library (`ErrorDetails`)."""
    path, in_key = _real_path(checked.data, error["loc"])
    make = _BY_TYPE.get(error["type"], _not_allowed)
    if error["input"] is None and make is not _missing and not in_key:
        make = _no_value
    return make(checked, path, in_key, error)


def _real_path(data: Any, loc: tuple[str | int, ...]) -> tuple[Path, bool]:
    """The part of a library's location that is in the file (unions add their tags), and whether a key is meant."""
    if loc and loc[-1] == "[key]":
        return _real_path(data, loc[:-1])[0], True
    path: list[str | int] = []
    at = data
    for part in loc:
        if isinstance(at, dict) and part in at:
            at = at[part]
        elif isinstance(at, list) and isinstance(part, int):
            at = at[part] if part < len(at) else None
        elif isinstance(part, str) and part.startswith("<") and part.endswith(">"):
            continue
        else:
            at = None  # a missing field: it ends the path
        path.append(part)
    return tuple(path), False


def diagnostic(document: Document, code: str, message: str, span: Span, **more: Any) -> Diagnostic:
    return Diagnostic(code=code, severity="error", message=message, file=document.file, span=span, **more)


def small_span(document: Document, path: Path) -> Span:
    """The value if it stands on one line, else its key."""
    span = document.value_span(path)
    return span if span.line == span.end_line else document.key_span(path)


def around(document: Document, path: Path, start: Path | None = None) -> tuple[Label, ...]:
    """The second label: the task, agent or worker that a place belongs to."""
    noun, owner_path = owner(path)
    if not owner_path or owner_path == path or document.key_span(owner_path) == document.key_span(path):
        return ()
    return (Label(document.key_span(owner_path), f"in this {noun.partition(' `')[0]}"),)


def _value_at(data: Any, path: Path) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _unknown(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    name = str(path[-1])
    model = model_at(checked.model, checked.data, path[:-1])
    legal = names_of(model) if model is not None else []
    holder = place(full[:-1])
    noun = checked.fields_noun if len(path) == 1 and checked.fields_noun else ""
    label = (
        f"not a field of {noun}" if noun else f"not a field of {holder}" if full[:-1] else "not a field of a workflow"
    )
    help = did_you_mean(name, legal) or (checked.elsewhere(name) if len(path) == 1 else None)
    return diagnostic(
        document,
        "WF203",
        f"unknown field `{name}`" + (f" in {holder}" if full[:-1] else ""),
        document.key_span(full),
        label=label,
        labels=around(document, full),
        help=help,
        fix=_rename(document, full, name, legal),
    )


def _rename(document: Document, full: Path, name: str, legal: list[str]) -> tuple[Edit, ...] | None:
    """Safe only if it is a matter of case or hyphens: then no other field can have been meant."""
    same = [word for word in legal if word.casefold() == name.casefold().replace("-", "_")]
    siblings = _value_at(document.data, full[:-1])
    if len(same) != 1 or not isinstance(siblings, dict) or same[0] in siblings:
        return None
    return (Edit(document.key_span(full), same[0]),)


def _missing(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    name = str(path[-1])
    model = model_at(checked.model, checked.data, path[:-1])
    field = field_of(model, name) if model is not None else None
    return diagnostic(
        document,
        "WF202",
        f"{place(full[:-1])} has no `{name}`",
        document.key_span(full[:-1]),
        label=f"`{name}` is missing",
        labels=around(document, full[:-1]),
        help=f"`{name}`: {_first_sentence(field.description)}" if field is not None and field.description else None,
    )


def _first_sentence(text: str) -> str:
    sentence = text.split(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "list_type": "a list",
    "wf_scalar": "text",
    "wf_expression": "an expression",
}


def _wrong_kind(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    value = error["input"]
    if error["type"] == "union_tag_invalid":
        wanted = plain_list([tag_word(tag.strip("'")) for tag in error["ctx"]["expected_tags"].split(", ")])
    else:
        wanted = _WANTED[error["type"]]
    if in_key:
        return diagnostic(
            document, "WF201", f"the key `{value}` of {place(full)} must be text", document.key_span((*full, value))
        )
    return diagnostic(
        document,
        "WF201",
        f"{place(full)} must be {wanted}, not {kind_word(value)}",
        small_span(document, full),
        label=f"expected {wanted}",
        labels=around(document, full),
        help=_kind_help(document, full, value, wanted),
    )


def _no_value(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    return diagnostic(
        document,
        "WF201",
        f"{place(full)} has no value",
        document.key_span(full),
        label="nothing stands here",
        labels=around(document, full),
        help="give it a value, or take the key away",
    )


def _kind_help(document: Document, full: Path, value: Any, wanted: str) -> str | None:
    if wanted.startswith("text") and isinstance(value, bool | int | float):
        return f"quote it: `'{document.raw(full)}'`"
    if wanted == "a list" and isinstance(value, str):
        return (
            f"write a list: `[{value}]`"
            if len(value) < 40 and "\n" not in value
            else "write a list: `- ` before each entry"
        )
    if wanted == "a map" and isinstance(value, list) and full[-1] in ("tasks", "finally", "on_failure"):
        return "give each task an id instead of a dash: `log: {run: git log}`"
    if "number" in wanted and isinstance(value, str) and value.isdigit():
        return f"write `{value}` without quotes"
    if "number" in wanted and isinstance(value, str) and "${{" in value:
        return "it must be known before the run: expressions are not possible here"
    return None


def _said(raw: str | None) -> str | None:
    """As written, but no longer than a line; None if that cannot be shown."""
    return shown(raw) if raw is not None else None


def _literal(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    value = error["input"]
    allowed = [word.strip("'") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
    said = _said(document.raw(full)) if isinstance(value, str | int | float) else None
    return diagnostic(
        document,
        "WF207",
        f"`{said}` is not a value of {place(full)}" if said is not None else f"{place(full)} must be {listed(allowed)}",
        small_span(document, full),
        label=f"expected {listed(allowed)}" if len(allowed) <= 12 else "",
        labels=around(document, full),
        help=did_you_mean(str(value), allowed) if isinstance(value, str) else None,
    )


_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _bound(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    words, key = _BOUNDS[error["type"]]
    limit = error["ctx"][key]
    limit = int(limit) if float(limit).is_integer() else limit
    return diagnostic(
        document,
        "WF207",
        f"{place(full)} must be {words} {limit}",
        small_span(document, full),
        labels=around(document, full),
    )


def _empty(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    return diagnostic(
        document, "WF207", f"{place(full)} is empty", small_span(document, full), labels=around(document, full)
    )


_PATTERNS = {
    "python": ("`module:function`", "for example `python: reports.weekly:build`"),
    "expect": ("a status such as `200` or `2xx`", None),
    "currency": ("three capital letters", "for example `USD`"),
}


def _not_allowed(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    wanted, help = _PATTERNS.get(name, ("", None))
    said = _said(document.raw(full))
    return diagnostic(
        document,
        "WF207",
        f"`{said}` is not a value of {place(full)}" if said is not None else f"{place(full)} is not right",
        small_span(document, full),
        label=f"expected {wanted}" if wanted else error["msg"][:1].lower() + error["msg"][1:],
        labels=around(document, full),
        help=help,
    )


def _name(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    value = str(error["input"])
    where = f"a name in {place(full[:-1])}" if in_key else place(full)
    return bad_name(document, full, value, where, in_key=in_key)


def bad_name(document: Document, full: Path, value: str, where: str, *, in_key: bool = True) -> Diagnostic:
    span = document.key_span(full) if in_key else small_span(document, full)
    fixed = value.replace("-", "_").replace(" ", "_")
    hyphen = "-" in value and fixed.replace("_", "a").isalnum() and not fixed[:1].isdigit()
    return diagnostic(
        document,
        "WF206",
        f"`{value}` cannot be {where}",
        span,
        label="a hyphen would read as minus" if hyphen else "letters, digits and `_`, not beginning with a digit",
        help=f"write `{fixed}`" if hyphen else None,
    )


def _unit(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    return diagnostic(
        document,
        "WF208",
        f"{place(full)}: {error['ctx']['reason']}",
        small_span(document, full),
        labels=around(document, full),
        help=error["ctx"]["help"] or None,
    )


def _wrapped(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    bare = error["ctx"]["bare"]
    return diagnostic(
        document,
        "WF212",
        f"{place(full)} holds an expression, so it is written without `${{{{ }}}}`",
        small_span(document, full),
        labels=around(document, full),
        help=f"write `{path[-1]}: {bare}`" if bare and len(bare) < 80 else "take `${{` and `}}` away",
    )


def _loop_bound(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    return diagnostic(
        document,
        "WF210",
        f"{place(full)} has no bound",
        document.key_span(full),
        label="it might never end",
        labels=around(document, full),
        help="add `max: 10` (or `times`, or `for: 1h`)",
    )


def _together(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    first, second = error["ctx"]["first"], error["ctx"]["second"]
    return exclusive(document, full, first, second)


def exclusive(document: Document, full: Path, first: str, second: str) -> Diagnostic:
    return diagnostic(
        document,
        "WF210",
        f"`{first}` and `{second}` of {place(full)} exclude each other",
        document.key_span((*full, *second.split("."))),
        label="this one",
        labels=(Label(document.key_span((*full, *first.split("."))), "and this one"),),
        help="keep one of them",
    )


def _exactly_one(checked: Checked, path: Path, in_key: bool, error: Any) -> Diagnostic:
    document, full = checked.document, (*checked.base, *path)
    of, given = error["ctx"]["of"], error["ctx"]["given"]
    if len(given) > 1:
        return exclusive(document, full, given[0], given[1])
    said = [str(key) for key in error["input"]] if isinstance(error["input"], dict) else []
    near = next((hint for key in said if (hint := did_you_mean(key, of))), None)
    return diagnostic(
        document,
        "WF210",
        f"{place(full)} needs one of {listed(of)}",
        small_span(document, full),
        labels=around(document, full),
        help=near,
    )


_BY_TYPE: dict[str, Callable[[Checked, Path, bool, Any], Diagnostic]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _literal,
    "union_tag_invalid": _wrong_kind,
    "too_short": _empty,
    "string_too_short": _empty,
    "wf_name": _name,
    "wf_resource_id": _name,
    "wf_task_id": _name,
    "wf_duration": _unit,
    "wf_size": _unit,
    "wf_money": _unit,
    "wf_count": _unit,
    "wf_wrapped": _wrapped,
    "wf_loop_bound": _loop_bound,
    "wf_together": _together,
    "wf_exactly_one": _exactly_one,
    **dict.fromkeys(_WANTED, _wrong_kind),
    **dict.fromkeys(_BOUNDS, _bound),
}


def declared_twice(noun: str, name: str, here: Origin, before: Origin) -> Diagnostic:
    """An id that two files of `config/` declare: neither is nearer, so there is no winner."""
    return diagnostic(
        here.document,
        "WF211",
        f"{noun.rstrip('s')} `{name}` is declared twice",
        here.document.key_span(here.path),
        label="again here",
        labels=(Label(before.document.key_span(before.path), "first here", file=before.document.file),),
        help="rename one of them",
    )


__all__ = [
    "Checked",
    "around",
    "bad_name",
    "declared_twice",
    "diagnostic",
    "dotted",
    "exclusive",
    "explain",
    "small_span",
]
