"""What a rule sees: the loaded workflow, every text in it that holds expressions, and which names mean something there."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from orchestrator.core.expressions import (
    Expression,
    ExpressionError,
    Reference,
    Template,
    parse_expression,
    parse_template,
    references,
)
from orchestrator.spec.compile_graph import Analysis, ScopeSite, Site, find
from orchestrator.spec.compile_references import EXPRESSIONS, STATIC, Path, texts_in
from orchestrator.spec.diagnostics import Diagnostic, Label, Severity, Span
from orchestrator.spec.suggest import sentence, suggest

if TYPE_CHECKING:
    from orchestrator.spec.load import Workflow
    from orchestrator.spec.loader import Document

ALWAYS: Final = ("inputs", "env", "secrets", "run", "tasks")
"""Names that mean something everywhere."""
TRIGGER_NAMES: Final = ("event", "mail", "file", "webhook", "workflow")
"""What matched, in triggers and `wait` entries."""

COMPARISONS_MAX: Final = 50_000
"""Of a mistyped name with a known one, in one file: about half a second."""
_IN_TASKS: Final = ("item", "index", "previous", "round")


class Text:
    """A text of the file with expressions in it; read once, when somebody asks."""

    def __init__(
        self, path: Path, text: str, bare: bool, site: Site | None = None, field: str = "", *, triggers: bool = False
    ) -> None:
        self.path = path
        self.text = text
        self.bare = bare
        """The whole text is one expression."""
        self.site = site
        """The task it belongs to."""
        self.field = field
        """The task's field, or the top-level key."""
        self.triggers = triggers
        """`event`, `mail` and `file` mean something here."""

    @cached_property
    def read(self) -> Expression | Template | None:
        """None if it cannot be parsed: `error` says why."""
        return None if isinstance(self._read, ExpressionError) else self._read

    @property
    def error(self) -> ExpressionError | None:
        return self._read if isinstance(self._read, ExpressionError) else None

    @cached_property
    def _read(self) -> Expression | Template | ExpressionError:
        try:
            return parse_expression(self.text) if self.bare else parse_template(self.text)
        except ExpressionError as error:
            return error

    @property
    def references(self) -> tuple[Reference, ...]:
        """Empty where the text cannot be parsed."""
        return references(self.read) if self.read is not None else ()


class RuleContext:
    """Given to every rule. `partial`: parts with a wrong shape were left out, so what seems unused may be used there, and
    the names in `lost` may be known."""

    def __init__(self, workflow: Workflow, *, partial: bool = False, lost: Container[str] = ()) -> None:
        self.workflow = workflow
        self.partial = partial
        self.lost = lost
        self.kept: dict[str, object] = {}
        """What rules share: found by the first that asks."""
        self._said: dict[Site, dict[str, Any]] = {}
        self._comparisons = COMPARISONS_MAX

    @property
    def document(self) -> Document:
        return self.workflow.document

    @cached_property
    def data(self) -> dict[str, Any]:
        return self.workflow.data

    @cached_property
    def analysis(self) -> Analysis:
        return self.workflow.analysis

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        return tuple(self.analysis.sites())

    def said(self, site: Site) -> dict[str, Any]:
        """A task as the file has it, without defaults."""
        found = self._said.get(site)
        if found is None:
            value: Any = self.data
            for part in site.path:
                value = value[part]
            found = self._said[site] = value
        return found

    # --- places -----------------------------------------------------------------------------------------------------------

    def key(self, path: Path) -> Span:
        return self.document.key_span(path)

    def value(self, path: Path) -> Span:
        """A value that stands on one line, else its key."""
        span = self.document.value_span(path)
        return span if span.line == span.end_line else self.document.key_span(path)

    def part(self, path: Path, start: int, end: int) -> Span:
        """A part of a text, by offsets in its value; an empty part is the whole value."""
        return self.document.position_in(path, start, end - start) if end > start else self.value(path)

    def label(self, path: Path, text: str) -> Label:
        return Label(self.key(path), text)

    def finding(self, code: str, severity: Severity, message: str, span: Span, **more: Any) -> Diagnostic:
        return Diagnostic(code=code, severity=severity, message=message, file=self.document.file, span=span, **more)

    # --- near names -------------------------------------------------------------------------------------------------------

    def near(self, wanted: str, known: Collection[str]) -> list[str]:
        """Near names, as long as somebody will read them: a file with thousands of unknown names gets them for the first."""
        if self._comparisons < len(known):
            return []
        self._comparisons -= len(known)
        return suggest(wanted, known)

    def did_you_mean(self, wanted: str, known: Collection[str]) -> str | None:
        return sentence(self.near(wanted, known))

    # --- texts ------------------------------------------------------------------------------------------------------------

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Every text with expressions, in the order of the file's tasks, then the rest."""
        return (*(text for site in self.sites for text in self._of_site(site)), *self._of_top())

    def texts_of(self, site: Site) -> tuple[Text, ...]:
        return tuple(self._of_site(site))

    def _of_site(self, site: Site) -> Iterator[Text]:
        for field, value in self.said(site).items():
            path = (*site.path, field)
            if field == "loop":
                until = value.get("until") if isinstance(value, dict) else None
                if isinstance(until, str):
                    yield Text((*path, "until"), until, True, site, "until")
            elif field in EXPRESSIONS or (field == "foreach" and isinstance(value, str)):
                if isinstance(value, str):
                    yield Text(path, value, True, site, field)
            elif field == "wait" and not isinstance(value, str):
                entries = value if isinstance(value, list) else [value]
                for index, entry in enumerate(entries):
                    where = (*path, index) if isinstance(value, list) else path
                    yield from _matcher(entry, where, site, field)
            elif field not in STATIC and field not in site.verb.verbatim:
                for inner, text in texts_in(value, path):
                    yield Text(inner, text, False, site, field)

    def _of_top(self) -> Iterator[Text]:
        data = self.data
        for field in ("outputs", "env", "concurrency", "mcp", "defaults", "agents"):
            for path, text in texts_in(data.get(field), (field,)):
                yield Text(path, text, False, None, field)
        for field in ("schedules", "wake_on"):
            entries = data.get(field)
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                yield from _matcher(entry, (field, index), None, field)

    # --- names ------------------------------------------------------------------------------------------------------------

    def meaning(self, text: Text, name: str) -> Site | bool:
        """The task that a name stands for in a text, True for what is no task but known, False for nothing."""
        if name in ALWAYS or (text.triggers and name in TRIGGER_NAMES):
            return True
        site = text.site
        if text.field == "defaults" and name in _IN_TASKS:
            return True  # said for tasks that may well have items and rounds
        if site is None:
            return self.analysis.main.sites.get(name, False) if self.analysis.main is not None else False
        if site.inner is not None and text.field in ("until", "outputs") and name in site.inner.sites:
            return site.inner.sites[name]
        if text.field == "until" and name == site.id:
            return site
        return name in self._round_names(text, site) or find(site, name) or False

    def known(self, text: Text) -> list[str]:
        """Every name that means something in a text, the nearest first, tasks before the rest: for suggestions."""
        names: dict[str, None] = {}
        site = text.site
        if site is not None and site.inner is not None and text.field in ("until", "outputs"):
            names.update(dict.fromkeys(site.inner.sites))
        scope: ScopeSite | None = site.scope if site is not None else self.analysis.main
        while scope is not None:
            names.update(dict.fromkeys(scope.sites))
            scope = scope.parent
        if site is not None:
            names.pop(site.id, None)
            names.update(dict.fromkeys(self._round_names(text, site)))
        names.update(dict.fromkeys((*ALWAYS, *(TRIGGER_NAMES if text.triggers else ()))))
        return list(names)

    def _round_names(self, text: Text, site: Site) -> set[str]:
        """What `foreach` and `loop` of a task, and of those around it, add."""
        names: set[str] = set()
        at: Site | None = site
        while at is not None:
            own_source = at is site and text.field == "foreach"
            if at.alias is not None and not own_source:
                names.update((at.alias, "index"))
            if "loop" in at.task and not own_source:
                names.update(("previous", "round"))
            at = at.scope.owner
        return names


def _matcher(entry: Any, path: Path, site: Site | None, field: str) -> Iterator[Text]:
    if not isinstance(entry, dict):
        return
    for key, value in entry.items():
        if key in ("when", "key"):
            if isinstance(value, str):
                yield Text((*path, key), value, True, site, field, triggers=True)
        else:
            for inner, text in texts_in(value, (*path, key)):
                yield Text(inner, text, False, site, field, triggers=True)
