"""Names that mean something in every expression, so that no task may have them."""

from __future__ import annotations

from typing import Final

RESERVED_IDS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("inputs", "env", "secrets", "run", "item", "index", "previous", "round", "loop", "tasks"),
        "a name",
    ),
    **dict.fromkeys(
        ("and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null"),
        "a word",
    ),
    **dict.fromkeys(("range", "product", "now"), "a function"),
}
"""id → what it is already."""
