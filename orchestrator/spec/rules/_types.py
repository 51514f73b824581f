"""What every task's value may be, as far as the file says: JSON Schemas for the names that expressions use.

`{}` is anything. Nothing here guesses: a shape is only as narrow as the declarations make it certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from orchestrator.core.expressions import ExpressionError, field_schema, infer, type_schema
from orchestrator.core.expressions.shapes import ANY, INTEGER, TEXT, Shape, elements, kinds, union
from orchestrator.core.status import TASK_WORDS
from orchestrator.spec.compile_cycles import ordered
from orchestrator.spec.compile_graph import ScopeSite, Site
from orchestrator.spec.compile_references import Path
from orchestrator.spec.rules._context import RuleContext, Text

if TYPE_CHECKING:
    from orchestrator.spec.load import Workflow

DEPTH_MAX: Final = 40
NULL: Final[Shape] = {"type": "null"}
_MAYBE_TEXT: Final[Shape] = {"type": ["string", "null"]}
FACTS: Final[Shape] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": list(TASK_WORDS)},
        "reason": _MAYBE_TEXT,
        "error": {"type": ["object", "null"]},
        "attempts": INTEGER,
        "duration": {"type": ["number", "null"]},
        "stdout": _MAYBE_TEXT,
        "stderr": _MAYBE_TEXT,
        "exit_code": {"type": ["integer", "null"]},
        "answered_by": _MAYBE_TEXT,
    },
}


def closed(properties: Mapping[str, Shape]) -> Shape:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_of(said: Any, *, field: bool = False) -> Shape:
    """The schema of a type; anything if it is not written as types are (another rule says so)."""
    try:
        return field_schema(said) if field else type_schema(said)
    except ExpressionError:
        return ANY


class Types:
    """The shapes of one workflow's names; each task's is found once, when somebody asks."""

    def __init__(
        self, context: RuleContext, callers: tuple[str, ...] = (), outputs: dict[str, Shape] | None = None
    ) -> None:
        self.context = context
        self._callers = callers or (context.workflow.identity,)
        self._outputs = outputs if outputs is not None else {}
        self._values: dict[Site, Shape] = {}
        self._items: dict[Site, Shape] = {}
        self._sources: dict[Site, Shape] = {}
        self._rounds: dict[Site, Shape] = {}
        self._prepared = False
        self._filled = False
        self._shared: dict[str, Shape] = {}

    # --- names ------------------------------------------------------------------------------------------------------------

    def env(self, text: Text) -> Mapping[str, Shape]:
        return _Names(self, text)

    def named(self, text: Text, name: str) -> Shape | None:
        """The shape of a name in a text; None if it means nothing there."""
        found = self.context.meaning(text, name)
        if found is False:
            return None
        if isinstance(found, Site):
            own = found is text.site and text.field == "until"
            return self.inner_value(found) if own else self.value(found)
        if name in ("inputs", "secrets", "tasks"):
            return self._shared_shape(name)
        if name == "env":
            return self._env(text.site)
        if name == "run":
            return {"type": "object"}
        return self._of_item(text, name)

    def _shared_shape(self, name: str) -> Shape:
        if name not in self._shared:
            make = {"inputs": self._inputs, "secrets": self._secrets, "tasks": self._tasks}[name]
            self._shared[name] = make()
        return self._shared[name]

    def _inputs(self) -> Shape:
        shapes: dict[str, Shape] = {}
        said = self.context.data.get("inputs")
        for name, one in said.items() if isinstance(said, dict) else ():
            schema = dict(schema_of(one, field=True))
            optional = schema.pop("optional", False)
            shapes[name] = union([schema, NULL]) if optional or schema.pop("default", NULL) is None else schema
        return closed(shapes)

    def _secrets(self) -> Shape:
        said = self.context.data.get("secrets")
        return closed(dict.fromkeys(said, TEXT) if isinstance(said, list | dict) else {})

    def _tasks(self) -> Shape:
        return {"type": "object", "properties": dict.fromkeys((site.id for site in self.context.sites), FACTS)}

    def _env(self, site: Site | None) -> Shape:
        names = set(self.context.data.get("env") or ())
        while site is not None:
            names.update(site.task.get("env") or ())
            site = site.scope.owner
        return closed(dict.fromkeys(sorted(names), TEXT))

    def _of_item(self, text: Text, name: str) -> Shape:
        site = text.site
        if name == "round":
            return INTEGER
        own_source = text.field == "foreach"
        while site is not None:
            if not own_source and site.alias == name:
                return self.item(site)
            if not own_source and name == "previous" and "loop" in site.task:
                return self.previous(site)
            site, own_source = site.scope.owner, False
        return ANY

    # --- items and rounds -------------------------------------------------------------------------------------------------

    def source(self, site: Site) -> Shape:
        """What a task's `foreach` goes over."""
        if site not in self._sources:
            self._sources[site] = self._source(site)
        return self._sources[site]

    def _source(self, site: Site) -> Shape:
        said = self.context.said(site).get("foreach")
        path = (*site.path, "foreach")
        if isinstance(said, str):
            return self.of_text(Text(path, said, True, site, "foreach"))
        return self.of_tree(said, path, site, "foreach")

    def item(self, site: Site) -> Shape:
        if site not in self._items:
            self._items[site] = self._item(site)
        return self._items[site]

    def _item(self, site: Site) -> Shape:
        source = self.source(site)
        if kinds(source) == {"object"}:
            properties = source.get("properties") or {}
            others = source.get("additionalProperties")
            values = [*properties.values(), *([others] if isinstance(others, Mapping) else [])]
            open_map = others is not False and not isinstance(others, Mapping)
            return closed({"key": TEXT, "value": ANY if open_map else union(values)})
        return elements(source) if kinds(source) == {"array"} else ANY

    def previous(self, site: Site) -> Shape:
        """The round before: the inner tasks' values of a group without outputs; nothing is promised in the first round."""
        # While the round itself is typed its tasks are not all known yet; what is known then must not be kept.
        if not self._filled:
            return ANY
        if site not in self._rounds:
            self._rounds[site] = self._previous(site)
        return self._rounds[site]

    def _previous(self, site: Site) -> Shape:
        if site.inner is None or site.task.get("outputs"):
            return ANY
        shapes = {name: union([self.value(inner), NULL]) for name, inner in site.inner.sites.items()}
        return union([closed(shapes), NULL])

    # --- values -----------------------------------------------------------------------------------------------------------

    def value(self, site: Site) -> Shape:
        """What a task's id stands for, seen from outside."""
        if "foreach" not in site.task:
            return self.inner_value(site)
        each = union([self.inner_value(site), NULL])
        over = kinds(self.source(site)) & {"array", "object"}
        facts = {name: {"type": "array"} for name in ("ok", "failed")}
        found: list[Shape] = []
        if "array" in over:
            # `.ok` and `.failed` are asked of the list itself.
            found += [{"type": "array", "items": each}, closed(facts)]
        if "object" in over:
            found.append({"type": "object", "properties": facts, "additionalProperties": each})
        return {"anyOf": found} if found else ANY

    def inner_value(self, site: Site) -> Shape:
        """The same for one item or round."""
        self._prepare()
        return self._values.get(site, ANY)

    def _prepare(self) -> None:
        """Every task after those it needs, so that nothing here is deeper than the groups of the file."""
        if self._prepared:
            return
        self._prepared = True
        analysis = self.context.analysis
        for scope in (analysis.main, analysis.on_failure, analysis.on_finally):
            if scope is not None:
                self._fill(scope)
        self._filled = True

    def _fill(self, scope: ScopeSite) -> None:
        for site in ordered(scope).done:  # tasks on a cycle stay unknown
            if site.inner is not None:
                self._fill(site.inner)
            shape = self._of_verb(site)
            self._values[site] = shape if _shallow(shape) else ANY

    def _of_verb(self, site: Site) -> Shape:
        task = site.task
        if task.get("output_schema") is not None:
            return task["output_schema"] if isinstance(task["output_schema"], dict) else ANY
        if task.get("output") is not None:
            return schema_of(task["output"])
        match site.verb.name:
            case "agent":
                return TEXT
            case "send":
                return closed({"id": TEXT, "thread": TEXT})
            case "ask":
                return self._answer(task)
            case "set":
                return self.of_tree(self.context.said(site).get("set"), (*site.path, "set"), site, "set")
            case "tasks":
                return self._group(site)
            case "workflow":
                return self._called(site)
        return ANY

    def _answer(self, task: dict[str, Any]) -> Shape:
        form = task.get("form")
        if not isinstance(form, dict):
            return closed({"approve": {"type": "boolean"}})
        shapes = {name: schema_of(one, field=True) for name, one in form.items()}
        return closed(shapes)

    def _group(self, site: Site) -> Shape:
        said = self.context.said(site)
        outputs = said.get("outputs")
        if isinstance(outputs, dict) and outputs:
            return self.of_tree(outputs, (*site.path, "outputs"), site, "outputs")
        assert site.inner is not None
        return closed({name: union([self.value(inner), NULL]) for name, inner in site.inner.sites.items()})

    def _called(self, site: Site) -> Shape:
        if site.task.get("detach"):
            return closed({"run_id": TEXT})
        child = called(self.context.workflow, site)
        if child is None or child.identity in self._callers:
            return ANY
        if child.identity not in self._outputs:
            outputs = child.data.get("outputs")
            types = Types(RuleContext(child), (*self._callers, child.identity), self._outputs)
            tree = outputs if isinstance(outputs, dict) else {}
            self._outputs[child.identity] = types.of_tree(tree, ("outputs",), None, "outputs")
        return self._outputs[child.identity]

    # --- texts ------------------------------------------------------------------------------------------------------------

    def of_text(self, text: Text) -> Shape:
        return ANY if text.read is None else infer(text.read, self.env(text)).schema

    def of_tree(self, value: Any, path: Path, site: Site | None, field: str) -> Shape:
        """The shape of a value whose texts are templates."""
        if isinstance(value, str):
            if "${{" not in value and "{%" not in value:
                return {"type": "string", "const": value}
            return self.of_text(Text(path, value, False, site, field))
        if isinstance(value, dict):
            return closed({key: self.of_tree(one, (*path, key), site, field) for key, one in value.items()})
        if isinstance(value, list):
            items = [self.of_tree(one, (*path, index), site, field) for index, one in enumerate(value[:100])]
            return {"type": "array", "items": union(items) if items and len(value) <= 100 else ANY}
        from orchestrator.core.expressions.shapes import of_value

        return of_value(value)


def _shallow(shape: Shape) -> bool:
    """Whether a shape is not nested so deeply that looking into it costs more than it says."""
    level: list[Any] = [shape]
    for _ in range(DEPTH_MAX):
        inner: dict[int, Any] = {}
        for one in level:
            for part in one.values() if isinstance(one, Mapping) else one:
                if isinstance(part, Mapping | list):
                    inner[id(part)] = part
        level = list(inner.values())
        if not level:
            return True
    return False


class _Names(Mapping[str, Any]):
    """The names of one text, looked up when met: a file may have thousands."""

    def __init__(self, types: Types, text: Text) -> None:
        self._types = types
        self._text = text

    def __getitem__(self, name: str) -> Shape:
        found = self._types.named(self._text, name)
        # A name that means nothing is said by its own rule; here it may be anything.
        return ANY if found is None else found

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def types_of(context: RuleContext) -> Types:
    """The types of a workflow, kept with its context."""
    found = context.kept.get("types")
    if not isinstance(found, Types):
        found = context.kept["types"] = Types(context)
    return found


def called(workflow: Workflow, site: Site) -> Workflow | None:
    """The workflow that a `workflow:` task calls, if it can be read; what is wrong with the call is said elsewhere."""
    from orchestrator.errors import WhisperFlowError

    try:
        child = workflow.child(site.task["workflow"])
    except WhisperFlowError:
        return None
    return child if child.has_shape else None
