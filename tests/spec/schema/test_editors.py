"""The generated schemas in the programs people use: the language server for YAML, and `check-jsonschema` in CI.

Their verdict on shape is held against ours: what we accept they accept, what we refuse they refuse, on the same line.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.spec.loader import load_document
from orchestrator.spec.shape import check_workflow

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "schemas" / "workflow.schema.json"
GOOD = sorted((ROOT / "workflows").rglob("*.yaml"))
BROKEN = sorted((ROOT / "tests" / "spec" / "shape" / "broken").glob("*.yaml"))
PATIENCE_S = 60


def our_lines(file: Path) -> set[int]:
    """The lines of our findings and of their second labels."""
    findings = check_workflow(load_document(file, tolerant=True))
    return {span.line for one in findings for span in (one.span, *(label.span for label in one.labels))}


_SETTINGS = {
    "yaml": {"validate": True, "schemas": {SCHEMA.as_uri(): ["*.yaml"]}, "schemaStore": {"enable": False}},
}


class LanguageServer:
    """The real yaml-language-server, spoken to over its standard streams."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["yaml-language-server", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        )
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._call(1, "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self._tell("initialized", {})

    def diagnostics(self, file: Path) -> list[dict[str, Any]]:
        """What an editor would underline in the file."""
        uri = file.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": file.read_text()}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                found: list[dict[str, Any]] = message["params"]["diagnostics"]
                return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = int(header.split(b":")[1])
            while stream.readline().strip():
                pass
            self._messages.put(json.loads(stream.read(length)))
        self._messages.put(None)

    def _next(self) -> dict[str, Any]:
        message = self._messages.get(timeout=PATIENCE_S)
        assert message is not None, "the language server ended"
        if "id" in message and "method" in message:  # it asks for its settings
            wanted = [item["section"] for item in message.get("params", {}).get("items", ())]
            self._send({"id": message["id"], "result": [_SETTINGS.get(section) for section in wanted]})
        return message

    def _call(self, number: int, method: str, params: dict[str, Any]) -> None:
        self._send({"id": number, "method": method, "params": params})
        while self._next().get("id") != number:
            pass

    def _tell(self, method: str, params: dict[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()


@pytest.fixture(scope="module")
def server(session_tool_env: dict[str, str]) -> Iterator[LanguageServer]:
    running = LanguageServer(session_tool_env)
    yield running
    running.close()


@pytest.mark.needs_tool("yaml-language-server")
class TestLanguageServer:
    @pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
    def test_examples_are_clean_in_an_editor(self, file: Path, request: pytest.FixtureRequest) -> None:
        server: LanguageServer = request.getfixturevalue("server")
        assert [one["message"] for one in server.diagnostics(file)] == []

    @pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
    def test_broken_files_are_underlined_where_we_point(self, file: Path, request: pytest.FixtureRequest) -> None:
        server: LanguageServer = request.getfixturevalue("server")
        found = server.diagnostics(file)
        lines = {
            line for one in found for line in range(one["range"]["start"]["line"], one["range"]["end"]["line"] + 1)
        }
        assert our_lines(file) & {line + 1 for line in lines}, [one["message"] for one in found]

    def test_only_the_branch_of_the_verb_is_complained_about(
        self, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        server: LanguageServer = request.getfixturevalue("server")
        file = tmp_path / "one.yaml"
        file.write_text("tasks:\n  log:\n    run: git log\n    retires: 3\n")
        found = server.diagnostics(file)
        assert len(found) == 1
        assert "retires" in found[0]["message"]

    def test_what_is_missing_is_said_in_our_words(self, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        server: LanguageServer = request.getfixturevalue("server")
        file = tmp_path / "two.yaml"
        file.write_text("tasks:\n  log: {description: x}\n  pause: {wait: 5 minutes}\n")
        messages = sorted((one["message"] for one in server.diagnostics(file)), reverse=True)
        assert len(messages) == 2
        assert messages[0].startswith("One of these is needed: agent, run, ")
        assert messages[1].startswith("A duration needs its unit")


def check_jsonschema(schema: Path, files: list[Path]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "-o", "json", "--schemafile", str(schema), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_check_jsonschema_accepts_every_example() -> None:
    result = check_jsonschema(SCHEMA, GOOD)
    assert result.returncode == 0, result.stdout


def test_check_jsonschema_refuses_every_broken_file() -> None:
    result = check_jsonschema(SCHEMA, BROKEN)
    refused = {Path(one["filename"]).stem for one in json.loads(result.stdout)["errors"]}
    assert refused == {file.stem for file in BROKEN}


def test_the_schemas_are_schemas() -> None:
    files = sorted(path for path in (ROOT / "schemas").glob("*.json") if "draft-07" in path.read_text())
    command = [sys.executable, "-m", "check_jsonschema", "--check-metaschema", *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
