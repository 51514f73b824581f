"""Workflow files to begin from. Each is valid as it stands, and says what to change; a test validates and runs them."""

from __future__ import annotations

from typing import Final

TEMPLATES: Final[dict[str, str]] = {
    "hello": """\
name: hello
description: Two commands, the second one with what the first one wrote.
inputs:
  name: {type: string, default: world}
tasks:
  greet:
    run: echo "Hello, ${{ inputs.name }}!"
  shout:
    run: tr a-z A-Z
    stdin: ${{ greet }}
outputs:
  greeting: ${{ shout }}
""",
    "agent": """\
name: agent
description: An agent writes about what a command found.
agents:
  # A small program that comes with whisper-flow, not an AI model. To go live: export OPENAI_API_KEY=… and name a real model.
  writer: {model: embedded/writer, instructions: Write one short paragraph.} # LIVE: openai/gpt-5-mini
tasks:
  look: {run: ls -1}
  write:
    agent: writer
    prompt: |
      What is in this folder?
      ${{ look }}
outputs:
  text: ${{ write }}
""",
    "foreach": """\
name: foreach
description: The same work for every item, four at a time, going on when one fails.
inputs:
  names: {type: array, items: {type: string}, default: [ada, grace, edsger]}
tasks:
  each:
    foreach: inputs.names
    as: name
    key: name
    max_parallel: 4
    on_item_error: collect
    run: echo "${{ name }}"
outputs:
  done: ${{ each.ok | map(attribute="value") }}
  failed: ${{ each.failed | map(attribute="key") }}
""",
    "approval": """\
name: approval
description: Prepare something, let a person decide, then act.
tasks:
  prepare: {run: date}
  decide:
    ask: Go on with this?
    show: ${{ prepare }}
    form:
      go: {type: boolean, default: true}
      note: {type: string, default: ''}
    expires: 1d
    on_expired: skip
  act:
    when: decide.go
    run: echo "went on"
    effect: at_most_once
""",
}
