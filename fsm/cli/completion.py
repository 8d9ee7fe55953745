"""Prints what a shell needs in order to complete this program's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from fsm.cli import output
from fsm.cli.options import command, current

PROGRAM = "fsm"
WHERE = {
    "bash": 'eval "$(fsm completion bash)"  in ~/.bashrc',
    "zsh": 'eval "$(fsm completion zsh)"  in ~/.zshrc, after compinit',
    "fish": "fsm completion fish > ~/.config/fish/completions/fsm.fish",
}


@command()
@click.argument("shell", type=click.Choice(list(WHERE)))
def completion(shell: str) -> None:
    """Print the completion of commands and options for a shell: bash, zsh or fish.

    bash: eval "$(fsm completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc after compinit. fish: write
    it to ~/.config/fish/completions/fsm.fish. It completes `fsm`, which is installed beside `python -m fsm`.
    """
    from fsm.cli.app import app

    made = get_completion_class(shell)
    assert made is not None, f"click completes {shell}"
    script = made(app, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source().strip()
    if current().json:
        output.document({"shell": shell, "script": script, "use": WHERE[shell]})
    else:
        output.verbatim(script)
