"""The shape of an explanation: what, why, a bad example, a good one."""

from __future__ import annotations

from textwrap import dedent


def page(text: str, *, bad: str = "", good: str = "") -> str:
    """Markdown; the examples are YAML."""
    parts = [" ".join(paragraph.split()) for paragraph in dedent(text).strip().split("\n\n")]
    for title, example in (("Wrong", bad), ("Right", good)):
        if example:
            parts.append(f"{title}:\n\n```yaml\n{dedent(example).strip(chr(10))}\n```")
    return "\n\n".join(parts)
