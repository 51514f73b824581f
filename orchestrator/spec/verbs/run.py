"""`run:` runs a command. Plan fields:

    {script, values: {NAME: template}, shell, args, stdin}   a text, given to a shell; expressions stand in it as "$NAME"
    {argv, stdin}                                            a list: no shell; an element that is a list splices

`values` are handed over by environment, so that no value is ever read as shell text. `args` become `"$@"`. `stdin` is absent
or any value: text as it is, anything else as JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator.spec.models_tasks import CachedTask
from orchestrator.spec.models_values import BY_KIND, LIST, TEXT, optional
from orchestrator.spec.verbs._verb import Lowering, Task, Verb


class RunTask(CachedTask):
    """Run a command."""

    run: Annotated[
        Annotated[str, TEXT, Field(min_length=1)] | Annotated[list[Any], LIST, Field(min_length=1)], BY_KIND
    ] = Field(description="Text for a shell, or a list of words that is started without a shell.")
    shell: Literal["bash", "sh", "python"] = Field(
        "bash", description="Who reads the text. `bash` runs with `-eo pipefail`; without bash, `sh -e` is used."
    )
    args: list[Any] = optional(description='Arguments of the script: `"$@"`.')
    stdin: Any = optional(description="Standard input: text as it is, anything else as JSON. For values of any size.")


def fields(task: Task, lowering: Lowering) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if isinstance(task["run"], list):
        made["argv"] = [_word(word, lowering, "run", index) for index, word in enumerate(task["run"])]
    else:
        made["script"], made["values"] = lowering.shell(task["run"])
        made["shell"] = task.get("shell", "bash")
        made["args"] = [_word(word, lowering, "args", index) for index, word in enumerate(task.get("args") or ())]
    if "stdin" in task:
        made["stdin"] = task["stdin"]
    return made


def _word(word: Any, lowering: Lowering, *path: str | int) -> Any:
    return word if isinstance(word, str | list | dict) else lowering.typed(word, *path)


VERB = Verb(
    name="run",
    model=RunTask,
    fields=fields,
    value="standard output without the last line break; JSON if `output` is given or `$WHISPER_OUTPUT` was written",
    effect="at_least_once",
    verbatim=frozenset({"shell"}),
)
