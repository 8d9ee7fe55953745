"""`shadow`: rules files that run beside the live one without orders, how they do, and taking one up."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import chosen, data_option
from fsm.cli.control import confirm
from fsm.cli.errors import CommandError, Exit, VerificationFailed
from fsm.cli.inputs import read_inputs
from fsm.cli.names import a_shadow
from fsm.cli.options import Group, Options, current
from fsm.cli.times import shown

if TYPE_CHECKING:
    from fsm.backtest.shadows import ShadowFigures, ShadowFolder
    from rules.load import Ruleset

_NUMBERS = ("trades", "open", "net", "R", "the bot's trades", "its net")


@click.group("shadow", cls=Group)
def shadow() -> None:
    """Rules files that run beside the live one without orders. Each with a book and limits of its own."""


@shadow.command("add")
@click.argument("named", nargs=-1, required=True, metavar="[NAME] FILE")
@click.option("--balance", type=click.FloatRange(10), metavar="USDT", help="its book (default: the bot's equity now)")
def add(named: tuple[str, ...], balance: float | None) -> None:
    """Let FILE run beside the live rules from now on. NAME is what it is called (default: as the file).

    It keeps the file and config.yaml as they are now; later edits do not change it.
    """
    if len(named) > 2:
        raise click.UsageError("give a name and a file, or the file alone")
    file = Path(named[-1])
    name = named[0] if len(named) == 2 else file.name.partition(".")[0]
    inputs = read_inputs(_with_rules(file), needs_keys=False)
    with _errors():
        folder = _folder()
        wanted = None if balance is None else Decimal(str(balance))
        made = folder.add(name, file, inputs.rules, inputs.config.text, wanted)
    if current().json:
        output.document({"shadow": made})
    else:
        output.line(
            f"{name} runs beside the live rules, for signals of candles that close after {shown(made.began_ms)} UTC, "
            f"with {made.balance_usdt:,.2f} USDT of its own. `shadow list` shows how it does."
        )


@shadow.command("list")
def list_shadows() -> None:
    """List the shadows and how they do, beside the bot in the same time. Without a running bot they are brought up
    to date first."""
    from store.lock import holder

    with _errors():
        folder = _folder()
        running = holder(folder.db) is not None
        found = list(folder.all()) if running else [_refreshed(folder, name, ()) for name in folder.names()]
    if current().json:
        output.document({"shadows": found})
    else:
        _print(found)


@shadow.command("refresh")
@click.argument("names", nargs=-1, metavar="[NAME]…", shell_complete=a_shadow)
@data_option
def refresh(names: tuple[str, ...], data: tuple[Path, ...]) -> None:
    """Decide up to the newest candle of the bot. A running bot does it by itself at each close."""
    with _errors():
        folder = _folder()
        found = [_refreshed(folder, name, data) for name in names or folder.names()]
    if current().json:
        output.document({"shadows": found})
    else:
        _print(found)


@shadow.command("remove")
@click.argument("name", shell_complete=a_shadow)
def remove(name: str) -> None:
    """End a shadow. Its files and its journal are deleted."""
    with _errors():
        _folder().remove(name)
    if current().json:
        output.document({"removed": name})
    else:
        output.line(f"the shadow {name} is gone")


@shadow.command("promote")
@click.argument("name", shell_complete=a_shadow)
@click.option("--yes", is_flag=True, help="do not ask")
@data_option
def promote(name: str, data: tuple[Path, ...], *, yes: bool) -> None:
    """Make a shadow's rules the live ones. The road of every edit: check, tests, difference, your word.

    The old file stays beside it. A running bot takes the new one as it takes any edit: what allows more may wait for
    `reload confirm`.
    """
    options = current()
    with _errors():
        folder = _folder()
        found = folder.figures(name)
        candidate = folder.rules_path(name)
    inputs = read_inputs(_with_rules(candidate), needs_keys=False)
    _require_tests(options, candidate, inputs.rules)
    if not options.json:
        from fsm.cli.rules_diff import tell_difference

        tell_difference(options.rules_path, candidate, data, (), None, None)
        output.line()
        _print([found])
    if not yes:
        if options.json or not (sys.stdin.isatty() and output.is_terminal()):
            hint = "read the difference, then add --yes"
            raise CommandError("nobody can be asked here", hint, exits=Exit.REFUSED, code="NOT_CONFIRMED")
        confirm(f"Make these {options.rules_path}?")
    kept = _take_up(options.rules_path, candidate, name)
    if options.json:
        output.document({"promoted": name, "rules": str(options.rules_path), "kept": kept})
    else:
        output.line()
        output.line(
            f"{options.rules_path} is now that of {name}; the old one is kept as {', '.join(kept)}. A running bot "
            "takes it within seconds, and says so; what allows more may wait for `reload confirm`."
        )


def _require_tests(options: Options, candidate: Path, rules: Ruleset) -> None:
    """Its own tests, or those of the rules that it replaces. Raises VerificationFailed with each that fails."""
    from rules.testing.file import path_of_tests, read_tests
    from rules.testing.run import failures

    own, present = path_of_tests(candidate), path_of_tests(options.rules_path)
    path = own if own.exists() else present
    if not path.exists():
        return
    file = read_tests(path)
    if path is present and not file.guard:
        return  # they are to say what an edit changes, not to keep it away
    failed = [str(each) for test in file.tests if test.at_ms is None for each in failures(test, file, rules)]
    for text in failed:
        click.echo(text, err=True)
    if failed:
        click.echo(f"nothing was changed: {output.counted(len(failed), 'expectation')} of {path} failed", err=True)
        raise VerificationFailed


def _take_up(live: Path, candidate: Path, name: str) -> list[str]:
    """Tests first, so that no look finds the new rules with tests of the old ones. Each file is replaced whole."""
    from rules.testing.file import path_of_tests

    kept = []
    pairs: Sequence[tuple[Path, Path]] = ((path_of_tests(candidate), path_of_tests(live)), (candidate, live))
    for source, target in pairs:
        if not source.exists():
            continue
        if target.exists():
            kept.append(str(shutil.copy2(target, _free(target, name))))
        fresh = target.with_name(f".{target.name}.new")
        fresh.write_bytes(source.read_bytes())
        os.replace(fresh, target)
    return kept


def _free(target: Path, name: str) -> Path:
    """A name beside it that nothing has."""
    wanted, number = target.with_name(f"{target.name}.before-{name}"), 1
    while wanted.exists():
        number += 1
        wanted = target.with_name(f"{target.name}.before-{name}-{number}")
    return wanted


def _folder() -> ShadowFolder:
    from fsm.backtest.shadows import ShadowFolder

    return ShadowFolder(current().database_path())


def _refreshed(folder: ShadowFolder, name: str, data: tuple[Path, ...]) -> ShadowFigures:
    folders, instead = chosen(data)
    return folder.refresh(name, (*folders, *instead))


def _with_rules(file: Path) -> Options:
    return replace(current(), rules=file)


@contextmanager
def _errors() -> Iterator[None]:
    """A shadow's own errors as errors of the command."""
    from fsm.backtest.shadows import ShadowError

    try:
        yield
    except ShadowError as error:
        raise CommandError(str(error), "`shadow list` shows what there is") from error


def _print(found: list[ShadowFigures]) -> None:
    if not found:
        output.line("there is no shadow; `shadow add NAME FILE` begins one")
        return
    rows = [
        (
            each.name, each.file, shown(each.began_ms), shown(each.to_ms), each.trades, each.open,
            f"{each.net_pnl_usdt:+,.2f}", f"{each.r:+.2f}", each.live_trades, f"{each.live_net_pnl_usdt:+,.2f}",
        )
        for each in found
    ]  # fmt: skip
    output.table(("shadow", "from", "since UTC", "up to UTC", *_NUMBERS), rows, right=_NUMBERS)
    for each in found:
        if each.problem:
            output.line(f"{each.name}: {each.problem}")
        elif each.database:
            output.line(f"{each.name}: `compare {_folder().db} {each.database}` says which trades differ, and why")
