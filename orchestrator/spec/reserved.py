"""Names that mean something in every expression, so that no task may have them."""

from __future__ import annotations

from typing import Final

RESERVED_IDS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("inputs", "env", "secrets", "run", "item", "index", "previous", "round", "tasks"),
        "a name",
    ),
    **dict.fromkeys(
        ("and", "or", "not", "in", "is", "if", "else", "elif", "for", "true", "false", "none", "null", "defined"),
        "a word",
    ),
    **dict.fromkeys(("range", "product", "now"), "a function"),
}
"""id → what it is already."""
