"""Turns whatever ended a command into an exit code and a few lines that say what happened and what to do."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.excerpt import excerpt
from fsm.cli.invocation import invocation

_STORE_ERRORS = (
    ("DatabaseMissing", Exit.USAGE),
    ("DatabaseDamaged", Exit.VERIFICATION),
    ("SchemaMismatch", Exit.REFUSED),
    ("WrongDatabase", Exit.REFUSED),
    ("LockHeld", Exit.REFUSED),
    ("StoreError", Exit.UNEXPECTED),
)
_LAB_ERRORS = (
    ("fsm.backtest.run", "BacktestError", Exit.USAGE),
    ("exchange.candle_columns", "CandleFileError", Exit.USAGE),
    ("fsm.journal.replay", "ReplayError", Exit.VERIFICATION),
    ("fsm.optimise.parameters", "SearchError", Exit.USAGE),
    ("rules.rewriting", "NoSuchSetting", Exit.USAGE),
)


NO_SUCH_FILE, OURS = "there is no such file", ("config.yaml", "rules.yaml")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed command. ``problems`` are complaints about places in files; then there is no other message."""

    exit: Exit
    code: str
    message: str = ""
    hint: str = ""
    problems: Sequence[Any] = ()

    def document(self) -> dict[str, Any]:
        """The JSON document of a command that failed."""
        if self.problems:
            problems = [
                {"file": found.file, "line": found.line, "column": found.column, "message": found.message}
                for found in self.problems
            ]
            return {"problems": problems}
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


def report(error: BaseException, *, json: bool, debug: bool) -> Exit:
    """Say on stderr what went wrong (with ``json``, as the one document on stdout, too); returns the exit code."""
    failure = judged(error)
    for problem in failure.problems:
        click.echo(str(problem), err=True)
        for line in excerpt(problem.file, problem.line, problem.column):
            click.echo(line, err=True)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
    if failure.message:
        output.line(f"error: {failure.message}", err=True)
    if failure.hint:
        output.line(f"hint: {failure.hint}", err=True)
    if debug and not isinstance(error, click.ClickException):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if json:
        output.document(failure.document())
    return failure.exit


def judged(error: BaseException) -> Failure:
    """What an error means for whoever gave the command."""
    if isinstance(error, CommandError):
        return Failure(error.exits, error.code, error.message, error.hint)
    if isinstance(error, click.ClickException):
        hint = f"{error.ctx.command_path} --help says more" if isinstance(error, click.UsageError) and error.ctx else ""
        return Failure(Exit.USAGE, "USAGE", _said(error), hint)
    if _is(error, "rules.source.yaml_source", "SourceError"):
        problems = getattr(error, "problems", ())
        missing = any(problem.message == NO_SUCH_FILE and Path(problem.file).name in OURS for problem in problems)
        hint = f"`{invocation()} init` writes config.yaml and rules.yaml to begin with" if missing else ""
        return Failure(Exit.USAGE, "PROBLEMS", hint=hint, problems=problems)
    for name, exit_code in _STORE_ERRORS:
        if _is(error, "store.errors", name):
            return Failure(exit_code, name, getattr(error, "message", ""), getattr(error, "hint", ""))
    for module, name, exits in _LAB_ERRORS:
        if _is(error, module, name):
            return Failure(exits, name, str(error), getattr(error, "hint", ""))
    if _is(error, "exchange.errors", "Unreachable"):
        hint = "look at the network, and at the addresses and BINANCE_ENV in .env"
        return Failure(Exit.REFUSED, "UNREACHABLE", f"the exchange cannot be reached: {error}", hint)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return Failure(Exit.INTERRUPTED, "INTERRUPTED", "interrupted")
    return _unexpected(error)


def _said(error: click.ClickException) -> str:
    """A group without a command is answered with those that there are; click has the whole of its help for that."""
    said = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    is_bare = isinstance(error, click.exceptions.NoArgsIsHelpError) or said == "Missing command."
    if context is not None and is_bare and isinstance(context.command, click.Group):
        return f"say which: {', '.join(context.command.list_commands(context))}"
    return said


def _unexpected(error: BaseException) -> Failure:
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return Failure(
            Exit.UNEXPECTED, type(error).__name__, f"{name}{error.strerror}", "check the path and its rights"
        )
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    hint = "this is a fault of the program: run it again with --debug and report what it prints"
    return Failure(Exit.UNEXPECTED, "UNEXPECTED", message, hint)


def _is(error: BaseException, module: str, name: str) -> bool:
    """Whether the error is of that class. An error's class has been loaded, so this never loads a module."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)
