"""`http:` makes one request. Plan fields: `{method, url, expect: [status or "2xx"], …}` and, where given, `query`, `headers`,
one of `json`, `body`, `form`, and `auth` (`{bearer}` or `{username, password}`), `follow` (true, or the most redirects).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.core.plan import Effect
from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import (
    BY_KIND,
    FLAG,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    Natural,
    ScalarText,
    Strict,
    not_together,
    optional,
)
from orchestrator.spec.verbs._verb import Lowering, Task, Verb

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
_REQUEST_LINE = re.compile(r"([A-Z]+)\s+(\S.*)", re.DOTALL)


class HttpAuth(Strict):
    """Who is asking."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["bearer"]}, {"required": ["username"]}],
            "dependencies": {"password": ["username"]},
        }
    )

    bearer: str = optional(description="A token.")
    username: str = optional(description="User name for basic authentication.")
    password: str = optional(description="Password for basic authentication.")

    @model_validator(mode="after")
    def one_way(self) -> HttpAuth:
        given = [name for name in ("bearer", "username", "password") if name in self.model_fields_set]
        if "bearer" in given and len(given) > 1:
            raise PydanticCustomError("wf_together", "", {"first": "bearer", "second": given[1]})
        if not given or given == ["password"]:
            raise PydanticCustomError("wf_exactly_one", "", {"of": ["bearer", "username"], "given": []})
        return self


class Request(Strict):
    """One request."""

    model_config = not_together(("json", "body"), ("json", "form"), ("body", "form"))

    method: Method = Field("GET", description="What to do.")
    url: str = Field(description="Address.")
    query: dict[str, Any] = optional(description="Parameters after the `?`.")
    headers: dict[str, ScalarText] = optional(description="Headers.")
    json_: Any = optional(alias="json", description="Body as JSON.")
    body: Any = optional(description="Body as text.")
    form: dict[str, Any] = optional(description="Body as a form.")
    auth: HttpAuth = optional(description="Who is asking.")
    follow: Annotated[Annotated[bool, FLAG] | Annotated[Natural, NUMBER], BY_KIND] = Field(
        False, description="Whether redirects are followed, or how many. Every address is checked."
    )

    @model_validator(mode="after")
    def one_body(self) -> Request:
        given = [
            name for name in ("json", "body", "form") if ("json_" if name == "json" else name) in self.model_fields_set
        ]
        if len(given) > 1:
            raise PydanticCustomError("wf_together", "", {"first": given[0], "second": given[1]})
        return self


StatusCode = Annotated[
    Annotated[int, NUMBER, Field(ge=100, le=599)] | Annotated[str, TEXT, Field(pattern=r"^[1-5](xx|\d\d)$")], BY_KIND
]


class HttpTask(CachedTask):
    """Make one HTTP request."""

    http: Annotated[Annotated[str, TEXT] | Annotated[Request, MAP], BY_KIND] = Field(
        description="Address, `METHOD address`, or the request in detail."
    )
    expect: Annotated[
        Annotated[int, NUMBER, Field(ge=100, le=599)]
        | Annotated[str, TEXT, Field(pattern=r"^[1-5](xx|\d\d)$")]
        | Annotated[list[StatusCode], LIST],
        BY_KIND,
    ] = Field("2xx", description="Status codes that are a success: `200`, `2xx` or a list.")


def request(task: Task) -> dict[str, Any]:
    """The request in its long form."""
    said = task["http"]
    if isinstance(said, dict):
        return {"method": "GET", **said}
    line = _REQUEST_LINE.fullmatch(said.strip())
    return {"method": line[1], "url": line[2]} if line else {"method": "GET", "url": said}


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    made = request(task)
    if "headers" in made:
        made["headers"] = {
            name: lowering.typed(value, "http", "headers", name) for name, value in (made["headers"] or {}).items()
        }
    expect = task.get("expect", "2xx")
    made["expect"] = expect if isinstance(expect, list) else [expect]
    return made


def effect(task: Task) -> Effect:
    """`pure` for GET, HEAD and OPTIONS, `idempotent` for PUT and DELETE, else `at_most_once`"""
    method = request(task)["method"]
    if method in ("GET", "HEAD", "OPTIONS"):
        return "pure"
    return "idempotent" if method in ("PUT", "DELETE") else "at_most_once"


VERB = Verb(
    name="http",
    model=HttpTask,
    fields=fields,
    value="the body: JSON if it is JSON, else text; `tasks.x.response` has status and headers",
    effect=effect,
    verbatim=frozenset({"expect"}),
)
