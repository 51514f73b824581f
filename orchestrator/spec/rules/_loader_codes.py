"""Explanations of what the loader finds (WF1xx)."""

from __future__ import annotations

from typing import Final

from orchestrator.spec.diagnostics import Severity
from orchestrator.spec.rules import Rule
from orchestrator.spec.rules._page import page


def _code(
    code: str, name: str, summary: str, text: str, *, bad: str = "", good: str = "", severity: Severity = "error"
) -> Rule:
    return Rule(code, name, summary, page(text, bad=bad, good=good), severity)


_READING: Final = (
    _code(
        "WF101", "syntax", "The text is not valid YAML.",
        """YAML could not read the file. The place is where the reading stopped; the cause may be a line above: a bracket or a
        quote that was never closed, a line that is indented differently from its neighbours, a missing space after a colon.

        Nothing after that place was looked at, so more findings may follow once it is repaired.""",
        bad="tasks:\n  log: {run: git log\n  notes: {run: cat}", good="tasks:\n  log: {run: git log}\n  notes: {run: cat}",
    ),
    _code(
        "WF102", "unreadable", "The file cannot be read.",
        """There is no such file, it is a directory, a pipe or a device, or this user may not read it. Workflows are ordinary
        files; reading one never waits.""",
    ),
    _code(
        "WF103", "too-big", "The file is larger than the limit.",
        """A workflow file may have 16 MiB. Data belongs in files of its own that tasks read; large workflows are split with
        `workflow:` tasks.""",
    ),
    _code(
        "WF104", "not-utf8", "The file is not UTF-8.",
        "Workflow files are UTF-8. An editor can save a file as UTF-8; `iconv -f latin1 -t utf-8` converts one.",
    ),
    _code(
        "WF105", "control-character", "A control character stands in the file.",
        """YAML allows tabs and line ends, no other control characters. They come from copied terminal output or binary data.
        Inside double quotes they can be written as escapes.""",
        good='text: "an escape: \\u001b"',
    ),
    _code(
        "WF106", "byte-order-mark", "The file begins with a byte order mark.",
        "It is skipped. Some tools show it as a strange first character; save the file as plain UTF-8.", severity="info",
    ),
    _code(
        "WF107", "carriage-returns", "Lines end in carriage returns.",
        """YAML reads them as line feeds, also inside texts, so a script works. Other tools and diffs may stumble; with git,
        `*.yaml text eol=lf` in `.gitattributes` keeps them away.""", severity="info",
    ),
    _code(
        "WF108", "tab-indentation", "A tab indents a line.",
        "YAML does not allow tabs for indentation, because editors do not agree on their width. Use two spaces a level.",
    ),
    _code(
        "WF109", "several-documents", "The file holds more than one document.",
        "A line `---` begins another document. One file is one workflow: its path is its identity.",
        bad="name: a\ntasks: {x: {run: echo}}\n---\nname: b\ntasks: {x: {run: echo}}",
    ),
    _code("WF110", "empty", "The file is empty.", "There is nothing in it but comments. `whisper-flow new` writes a first workflow."),
    _code(
        "WF111", "duplicate-key", "A key stands twice in one mapping.",
        """YAML readers keep one of the two and say nothing, so half of the file would be ignored. Rename or remove one.""",
        bad="tasks:\n  build: {run: make}\n  build: {run: make test}",
        good="tasks:\n  build: {run: make}\n  test: {run: make test}",
    ),
    _code(
        "WF112", "key-not-text", "A key is not a text.",
        """Keys are texts. A number, a boolean or null as a key needs quotes. A mapping as a key mostly comes from `{{ x }}`
        without quotes: YAML reads the braces.""",
        bad="env: {1: one}\nprompt: {{ topic }}", good="env: {'1': one}\nprompt: ${{ topic }}",
    ),
    _code(
        "WF113", "tag", "A YAML tag is used.",
        """`!name` is a tag: it tells YAML to build something special of a value. This language has no use for tags, so a `!` at
        the start of a value is a text that lost its quotes, or something from another tool.""",
        bad="prompt: !important answer briefly", good="prompt: '!important answer briefly'",
    ),
    _code(
        "WF114", "unknown-alias", "An alias repeats something that is not marked.",
        """`*name` repeats the value that is marked `&name` further up. A text that begins with `*` needs quotes. An alias inside
        its own value would never end.""",
        bad="prompt: *later", good="prompt: '*later'",
    ),
    _code(
        "WF115", "alias-bomb", "Aliases repeat too much.",
        "Aliases of aliases grow exponentially: a few lines can stand for gigabytes. A file may repeat 100,000 values.",
    ),
    _code(
        "WF116", "too-deep", "Values are nested too deeply.",
        "100 levels are allowed. Nobody writes so many on purpose: a row of brackets that is text needs quotes.",
    ),
    _code("WF117", "too-many-values", "The file holds too many values.", "1,000,000 are allowed. Keep data in files of its own."),
    _code(
        "WF118", "merge-key", "`<<` merges something that is no mapping.",
        "`<<: *name` takes over the keys of the mapping marked `&name`; the mapping's own keys win.",
        good="x-slow: &slow {timeout: 1h}\ntasks:\n  build:\n    <<: *slow\n    run: make",
    ),
    _code(
        "WF119", "unfit-number", "A number that JSON, or 64 bits, cannot hold.",
        "All values are JSON. `.inf`, `.nan`, and integers beyond 64 bits do not fit; in quotes they are texts.",
        bad="set: {id: 123456789012345678901234567890}", good="set: {id: '123456789012345678901234567890'}",
    ),
    _code(
        "WF120", "not-a-mapping", "The file is not a mapping.", "A workflow is a mapping.",
        good="name: hello\ntasks:\n  hi: {run: echo hello}",
    ),
    _code(
        "WF121", "directive", "A YAML directive is used.",
        "Lines that start with `%` before the document are not used here; only `%YAML 1.2` is let pass.",
    ),
)  # fmt: skip

_EATEN: Final = (
    _code(
        "WF131", "comma-in-text", "A comma ended a text inside `{ }`.",
        """Inside `{ }` and `[ ]` a comma separates values. The rest of the text became a key of its own, without a value. `--fix`
        puts quotes around the whole text.""",
        bad="agents:\n  writer: {model: openai/gpt-5-mini, instructions: Be kind, be short}",
        good="agents:\n  writer: {model: openai/gpt-5-mini, instructions: 'Be kind, be short'}",
    ),
    _code(
        "WF132", "hash-in-text", "A ` #` cut off the rest of a text.",
        """A space and `#` begin a comment, also in the middle of a sentence. The finding appears when the `#` touches the next
        word, or stands in a field of prose. If a comment was meant, write `# ` with a space, or put it on a line of its own.""",
        bad="prompt: Review pull request #12 carefully", good="prompt: 'Review pull request #12 carefully'", severity="warning",
    ),
    _code(
        "WF133", "colon-in-text", "A `: ` stands inside a text without quotes.",
        "A colon and a space end a key. A text that contains them needs quotes, or a block below `|`. `--fix` adds the quotes.",
        bad="prompt: Answer with one word: yes or no", good="prompt: 'Answer with one word: yes or no'",
    ),
    _code(
        "WF134", "text-starts-with-punctuation", "A text begins with a character that YAML keeps for itself.",
        """A value cannot begin with `*`, `&`, `!`, `%`, `@`, a backtick, `>`, `|`, `[` or `{` unless the YAML meaning is meant:
        alias, anchor, tag, directive, two reserved characters, two kinds of blocks, list, mapping. In quotes it is text.""",
        bad="prompt: [draft] Write an announcement", good="prompt: '[draft] Write an announcement'",
    ),
    _code(
        "WF135", "expression-in-flow", "An expression inside `{ }` or `[ ]` has no quotes.",
        """YAML reads the braces of `${{ … }}` as a mapping once it is inside `{ }` or `[ ]`. On a line of its own no quotes are
        needed.""",
        bad="tasks:\n  a: {set: ${{ inputs.x }}}", good="inputs: {x: string}\ntasks:\n  a: {set: '${{ inputs.x }}'}",
    ),
    _code(
        "WF136", "text-after-quotes", "Text follows a closing quote.",
        """A value that begins with a quote ends at the next one of its kind. Inside single quotes `''` is one quote, inside double
        quotes `\\"` is one. A block below `|` needs neither.""",
        bad='ask: "Really" send it?', good="ask: '\"Really\" send it?'",
    ),
    _code(
        "WF137", "unused-anchor", "An anchor marks a text that nothing repeats.",
        "`&name` at the start of a value marks it for `*name`. If nothing repeats it, it was probably meant as text.",
        bad="prompt: &co is a company name?", good="prompt: '&co is a company name?'", severity="warning",
    ),
)  # fmt: skip

_SUPPRESSION: Final = (
    _code(
        "WF141", "suppression-without-reason", "A suppression comment gives no reason.",
        """`# wf: ignore[WF701] reason` hides findings of that code on its line, or on the next one if it stands alone. The reason
        is for the people who read the file later; without it the comment hides nothing.""",
        bad="env: {TOKEN: abc123def456}  # wf: ignore[WF701]",
        good="env: {TOKEN: abc123def456}  # wf: ignore[WF701] a public demo token",
    ),
    _code(
        "WF142", "unused-suppression", "A suppression comment hides nothing.",
        "The finding it names does not occur at that place (any more), or the code does not exist. Remove the comment.",
        severity="warning",
    ),
)  # fmt: skip

RULES: Final = (*_READING, *_EATEN, *_SUPPRESSION)
