"""The root of the command line: which commands there are, how they are loaded, and how they end."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from fsm.cli import failures, outlet, output
from fsm.cli.errors import Exit, NotReady, UnusableFiles, VerificationFailed
from fsm.cli.examples import FIRST
from fsm.cli.names import meant
from fsm.cli.options import Group, Options, value_options, write_examples
from fsm.cli.shown import CLOSED, Shown, shown_on, stand_in_for_closed

DEFAULT_COMMAND = "run"

COMMANDS: dict[str, str] = {
    "run": "fsm.cli.run:run",
    "init": "fsm.cli.init:init",
    "check": "fsm.cli.check:check",
    "doctor": "fsm.cli.doctor:doctor",
    "config": "fsm.cli.config:config",
    "show-config": "fsm.cli.config:show_config",
    "status": "fsm.cli.status:status",
    "top": "fsm.cli.top:top",
    "positions": "fsm.cli.positions:positions",
    "limits": "fsm.cli.limits:limits",
    "trades": "fsm.cli.trades:trades",
    "show-trades": "fsm.cli.trades:trades",
    "pause": "fsm.cli.control:pause",
    "resume": "fsm.cli.control:resume",
    "flatten": "fsm.cli.control:flatten",
    "halt": "fsm.cli.control:halt",
    "release": "fsm.cli.control:release",
    "full-size": "fsm.cli.control:full_size",
    "ack": "fsm.cli.control:ack",
    "reduce": "fsm.cli.by_hand:reduce",
    "move-stop": "fsm.cli.by_hand:move_stop",
    "move-target": "fsm.cli.by_hand:move_target",
    "reload": "fsm.cli.reload:reload",
    "commands": "fsm.cli.commands:commands",
    "audit": "fsm.cli.audit:audit",
    "why": "fsm.cli.why:why",
    "replay": "fsm.cli.replay:replay",
    "rules": "fsm.cli.rules:rules",
    "backtest": "fsm.cli.backtest:backtest",
    "backtesting": "fsm.cli.backtest:backtest",
    "runs": "fsm.cli.runs:runs",
    "show": "fsm.cli.runs:show",
    "compare": "fsm.cli.compare:compare",
    "execution": "fsm.cli.execution:execution",
    "optimise": "fsm.cli.optimise:optimise",
    "sweep": "fsm.cli.optimise:optimise",
    "lookahead": "fsm.cli.lookahead:lookahead",
    "drift": "fsm.cli.drift:drift",
    "shadow": "fsm.cli.shadow:shadow",
    "worker": "fsm.cli.worker:worker",
    "data": "fsm.cli.data:data",
    "parity": "fsm.cli.proofs.parity:parity",
    "graph": "fsm.cli.graph:graph",
    "modelcheck": "fsm.cli.proofs.modelcheck:modelcheck",
    "crashsweep": "fsm.cli.proofs.crashsweep:crashsweep",
    "torture": "fsm.cli.proofs.torture:torture",
    "naked": "fsm.cli.proofs.naked:naked",
    "db": "fsm.cli.db:db",
    "bundle": "fsm.cli.bundle:bundle",
    "completion": "fsm.cli.completion:completion",
}
"""Name → where it is. Aliases name the same place twice and are listed once."""


_DOCUMENTED = r'''^def {name}\([^"]*?\) -> None:\n    """(.*?)"""'''
"""A command's function and its text, in the source of its module."""


class Root(Group):
    """Loads a command's module when it is asked for, and gives every ending its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        places = dict(reversed([(place, name) for name, place in COMMANDS.items()]))
        return [name for name, place in COMMANDS.items() if places[place] == name]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of each command, read from the source: loading all of them takes half a second."""
        names = self.list_commands(ctx)
        room = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, click.Command(name, help=self._help(ctx, name)).get_short_help_str(room)) for name in names]
            )

    def _help(self, ctx: click.Context, name: str) -> str:
        module, attribute = COMMANDS[name].split(":")
        place = Path(__file__).parents[2] / module.replace(".", "/")
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        with suppress(OSError):
            found = re.search(
                _DOCUMENTED.format(name=attribute), source.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
            )
            if found is not None:
                return found[1]
        command = self.get_command(ctx, name)
        return "" if command is None else command.help or ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(ctx, formatter, FIRST)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if ctx.resilient_parsing else _with_command(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            near = [f"{group} {error.command_name}" for group in self._groups_with(ctx, error.command_name)]
            if not near:
                listed = self.list_commands(ctx)
                known = listed if meant(error.command_name, listed) else [*COMMANDS]
                raise click.exceptions.NoSuchCommand(error.command_name, None, known, ctx) from None
            raise click.exceptions.NoSuchCommand(
                error.command_name,
                f"No such command {error.command_name!r}. Did you mean {' or '.join(near)}?",
                ctx=ctx,
            ) from None

    def _groups_with(self, ctx: click.Context, verb: str) -> list[str]:
        """The nouns that have this verb: `verify` alone may be meant for `audit verify`."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [name for name, each in found if isinstance(each, click.Group) and verb in each.commands]

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command line and exit, always: nothing a command raises gets past this."""
        given = list(sys.argv[1:] if args is None else args)
        options = Options(json="--json" in given)
        is_closed, before = stand_in_for_closed(), sys.stdout
        sys.stdout, shown = shown_on(before)
        name = prog_name or "python -m fsm"
        try:
            code = self._code(given, options, name, complete_var, extra)
            sys.stdout.flush()
            if shown is not None and (shown.lost is not None or is_closed) and not outlet.is_open():
                code = _incomplete(code, shown, is_closed=is_closed)
        finally:
            outlet.close_outlets()
            sys.stdout = before
        sys.exit(code)

    def _code(
        self, given: list[str], options: Options, name: str, complete_var: str | None, extra: dict[str, Any]
    ) -> int:
        try:
            super().main(given, name, complete_var, standalone_mode=False, **{"obj": options, **extra})
        except click.exceptions.Exit as ended:
            return ended.exit_code
        except VerificationFailed:
            return int(Exit.VERIFICATION)
        except UnusableFiles:
            return int(Exit.USAGE)
        except NotReady:
            return int(Exit.REFUSED)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(Exit.UNEXPECTED)
        except BaseException as error:
            return int(failures.report(error, json=options.json, debug=options.debug))
        return int(Exit.FINE)


def _with_command(args: list[str]) -> list[str]:
    """The arguments with the default command put in where none is named, before its own options if there are any."""
    position = 0
    takes_value, flags = value_options(), ("--json", "--debug")
    while position < len(args):
        argument = args[position]
        if argument in takes_value:
            position += 2
        elif argument in flags or argument.partition("=")[0] in takes_value:
            position += 1
        elif argument in ("--help", "--version"):
            return args
        else:
            break
    if position < len(args) and not args[position].startswith("-"):
        return args
    return [*args[:position], DEFAULT_COMMAND, *args[position:]]


def _incomplete(code: int, shown: Shown, *, is_closed: bool) -> int:
    """What the command did is done; that not all of it was shown is told, but not to whoever runs `head`."""
    if not shown.reader_left:
        why = CLOSED if is_closed else str(shown.lost and shown.lost.strerror)
        with suppress(OSError):
            click.echo(f"error: not everything could be shown: {why}", err=True)
            click.echo("hint: what the command does is done; its output is what is missing", err=True)
    return code or int(Exit.UNEXPECTED)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("fsm-futures-bot")
    except PackageNotFoundError:
        found = "unknown: not installed"
    if context.ensure_object(Options).json:
        output.document({"version": found})
    else:
        output.line(f"fsm {found}")
    context.exit()


@click.group(cls=Root)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="print it")
def app() -> None:
    """A trading bot for Binance USDT-M futures whose every decision is a state transition you can read and replay.

    Without a command it runs the bot. The options below go before a command or after it.

    Exit codes: 0 fine, 1 unexpected failure, 2 bad usage or files, 3 refused, 4 a verification failed.
    """
