"""`whisper-flow completion SHELL`: the script that lets a shell complete commands, options, runs and tasks."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from orchestrator.cli.command import Command, root
from orchestrator.cli.main import COMPLETION_VARIABLE
from orchestrator.cli.session import current

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of SHELL. To install it:

    \b
    bash   whisper-flow completion bash > ~/.local/share/bash-completion/completions/whisper-flow
    zsh    whisper-flow completion zsh > "${fpath[1]}/_whisper-flow"
    fish   whisper-flow completion fish > ~/.config/fish/completions/whisper-flow.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root(), {}, "whisper-flow", COMPLETION_VARIABLE)
    # `source()` would look for the shell first; whoever asks for a script may install it elsewhere.
    current().out.write(script.source_template % script.source_vars())
