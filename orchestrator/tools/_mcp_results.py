"""What a tool server returned, as JSON or text: texts are kept, pictures and files are stored beside the run and described."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

JSON = Any

RESULT_MAX: Final = 256 * 1024
"""Characters that go to a model; a longer result is cut in its middle, and says so."""
STORED: Final = "artifacts/mcp"
"""Below the run's folder."""


def result_value(content: Iterable[Mapping[str, JSON]], structured: JSON, run_dir: Path) -> JSON:
    """Structured content where there is some and nothing but its text beside it, else the texts joined.

    `content` are the protocol's blocks as JSON. Blocks that are no text become a line that says what they are and where they
    are stored.
    """
    blocks = list(content)
    texts = [_block_text(block, run_dir) for block in blocks]
    if structured is not None and all(block.get("type") == "text" for block in blocks):
        return _structured(structured, texts)
    return shortened("\n".join(text for text in texts if text))


def _structured(value: JSON, texts: list[str]) -> JSON:
    # Python servers wrap a plain text into an object because the protocol wants one.
    if isinstance(value, dict) and list(value) == ["result"] and isinstance(value["result"], str):
        value = value["result"]
    if isinstance(value, str):
        return shortened(value)
    size = len(json.dumps(value, ensure_ascii=False))
    return value if size <= RESULT_MAX else shortened("\n".join(texts) or json.dumps(value, ensure_ascii=False))


def shortened(text: str) -> str:
    if len(text) <= RESULT_MAX:
        return text
    half = RESULT_MAX // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def _block_text(block: Mapping[str, JSON], run_dir: Path) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text") or "")
        case "image" | "audio" as kind:
            return _stored(str(kind), block.get("data"), str(block.get("mimeType") or ""), run_dir)
        case "resource":
            return _resource(block.get("resource") or {}, run_dir)
        case "resource_link":
            named = block.get("title") or block.get("name") or "resource"
            return f"[{named}: {block.get('uri')}, not fetched]"
        case other:
            return f"[content of a kind this version does not know: {other}]"


def _resource(resource: Mapping[str, JSON], run_dir: Path) -> str:
    uri = resource.get("uri")
    if isinstance(resource.get("text"), str):
        return f"[{uri}]\n{resource['text']}"
    return _stored(f"{uri}", resource.get("blob"), str(resource.get("mimeType") or ""), run_dir)


def _stored(what: str, data: JSON, media_type: str, run_dir: Path) -> str:
    """Written once under its hash, so that a repeated call stores nothing twice."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return f"[{what} that is no valid base64, dropped]"
    extension = mimetypes.guess_extension(media_type) or ".bin"
    name = f"{hashlib.sha256(raw).hexdigest()[:16]}{extension}"
    folder = run_dir / STORED
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / name).exists():
        (folder / name).write_bytes(raw)
        (folder / name).chmod(0o600)
    return f"[{what}, {media_type or 'unknown type'}, {len(raw)} bytes, stored as {STORED}/{name} in the run's folder]"
