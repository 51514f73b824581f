"""A run's inputs as the command line gives them: `-p name=value`, `--params-file`, `WHISPER_FLOW_INPUT_NAME`, `.env`.

The nearer wins: `-p`, then the file, then the environment, then the project's `.env`; defaults are the engine's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from orchestrator.cli.typed import NotOfTypeError, typed
from orchestrator.errors import NotFoundError, UsageError

ENV_PREFIX: Final = "WHISPER_FLOW_INPUT_"
Schemas = Mapping[str, dict[str, Any]]


def collect(
    schemas: Schemas,
    pairs: Iterable[str],
    params_file: Path | None,
    project: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    with_dotenv: bool = True,
) -> dict[str, Any]:
    """The inputs that were given, typed by the workflow's input schemas. Raises UsageError, naming where a bad one came from."""
    from orchestrator.host.dotenv import read_dotenv

    found: dict[str, Any] = {}
    for origin, source in (
        (".env", read_dotenv(project / ".env") if with_dotenv else {}),
        ("the environment", environ),
    ):
        for name, schema in schemas.items():
            text = source.get(ENV_PREFIX + name.upper())
            if text is not None:
                found[name] = _typed(text, name, schema, f"{ENV_PREFIX}{name.upper()} in {origin}")
    if params_file is not None:
        found.update(read_params(params_file))
    for pair in pairs:
        name, value = parse_pair(pair, schemas)
        found[name] = value
    for name in found:
        _refuse_unknown(name, schemas)
    return found


def parse_pair(pair: str, schemas: Schemas, *, what: str = "input") -> tuple[str, Any]:
    """`name=value`, `name=@file` (the file's text), `name=@-` (standard input), `name=@@text` (a text that begins with @)."""
    name, equals, text = pair.partition("=")
    if not equals or not name:
        raise UsageError(f"`{pair}` is not `name=value`", help="write `-p name=value`")
    _refuse_unknown(name, schemas, what)
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        text = _read_text(text[1:], f"-p {name}")
    return name, _typed(text, name, schemas[name], f"-p {name}", what)


def read_params(file: Path) -> dict[str, Any]:
    """A JSON or YAML file (by its suffix; `-` is JSON on standard input) that holds an object of inputs."""
    text = _read_text(str(file), "--params-file")
    if file.suffix in (".yaml", ".yml"):
        value = _yaml(text, file)
    else:
        import json

        try:
            value = json.loads(text)
        except ValueError as error:
            raise UsageError(f"--params-file {file} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"--params-file {file} does not hold an object of inputs")
    return value


def _yaml(text: str, file: Path) -> Any:
    from orchestrator.spec.diagnostics import DiagnosticsError
    from orchestrator.spec.loader import load_document

    try:
        return load_document(text.encode(), file=str(file)).data
    except DiagnosticsError as error:
        # Not a workflow that is invalid: an argument of this call.
        raise UsageError(f"--params-file {error.message}", help=error.help) from None


def _typed(text: str, name: str, schema: dict[str, Any], where: str, what: str = "input") -> Any:
    try:
        return typed(text, schema)
    except NotOfTypeError as error:
        raise UsageError(f"{what} `{name}` ({where}): {error}") from None


def _refuse_unknown(name: str, schemas: Schemas, what: str = "input") -> None:
    if name in schemas:
        return
    from orchestrator.spec.suggest import did_you_mean

    known = ", ".join(f"`{one}`" for one in list(schemas)[:10])
    whole = "workflow" if what == "input" else "form"
    remedy = did_you_mean(name, schemas) or (f"its {what}s are {known}" if schemas else f"it takes no {what}s")
    raise UsageError(f"the {whole} has no {what} `{name}`", help=remedy)


def _read_text(source: str, where: str) -> str:
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"{where}: there is no file {source!r}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where}: {source!r} is not text in UTF-8") from None
    except OSError as error:
        raise UsageError(f"{where}: {source!r} cannot be read: {error.strerror}") from None
