"""How a command ends: the exit codes, and the errors that commands raise on purpose."""

from __future__ import annotations

from enum import IntEnum

import click


class Exit(IntEnum):
    """Exit codes that scripts may rely on."""

    FINE = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    VERIFICATION = 4
    INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended


class CommandError(click.ClickException):
    """A command cannot do what it was asked. ``hint`` says what to do about it; ``code`` names it for programs."""

    def __init__(self, message: str, hint: str = "", *, exits: Exit = Exit.USAGE, code: str = "USAGE") -> None:
        super().__init__(message)
        self.hint = hint
        self.exits = exits
        self.code = code


class NotReady(Exception):
    """The bot must not be started like this. The command has said why; only the exit code is left to give."""


class VerificationFailed(Exception):
    """What was verified is not as it should be. The command has said what; only the exit code is left to give."""


class UnusableFiles(Exception):
    """Some of the files cannot be used. The command has named each; only the exit code is left to give."""
