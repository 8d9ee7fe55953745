"""Puts two runs side by side: what they came to, each trade that differs, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.inputs import read_config
from fsm.cli.options import Options, command, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from fsm.backtest.comparing.causes import Finding
    from fsm.backtest.comparing.inputs import Input
    from fsm.backtest.comparing.side import Side, Span

SHOWN_MAX = 40
INPUTS_SHOWN = 12
DAY_MS = 86_400_000


@command()
@click.argument("a", required=False)
@click.argument("b", required=False)
@candle_options
@click.option(
    "--from", "from_ms", type=Time(), metavar="TIME", help="compare from here on (rules files: run from here)"
)
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="compare up to here")
@click.option("--data-b", type=click.Path(path_type=Path), multiple=True, metavar="DIR", help="B's candles, if others")
@click.option(
    "--live", "of_a_bot", is_flag=True, help="the bot's database against a backtest of its candles, rules and settings"
)
@click.option("--days", type=click.IntRange(1), help="with --live: the newest so many days")
@click.option("--confirm/--no-confirm", default=True, help="run again with one cause at a time")
def compare(
    a: str | None,
    b: str | None,
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    data_b: tuple[Path, ...],
    of_a_bot: bool,
    days: int | None,
    confirm: bool,
) -> None:
    """Compare two runs, databases or rules files. Which trades differ and why; exit 4 where any does.

    A cause is confirmed by running A again with that alone. With --live one bot's database is compared with a
    backtest of what it saw.
    """
    options = current()
    if of_a_bot != (a is None) or (b is None and not of_a_bot):
        raise click.UsageError("name two runs, databases or rules files, or ask for --live")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        folders, instead = chosen(data)
        theirs = tuple(data_b) or (*folders, *instead)
        made = _Sides(options, stack, scratch, (*folders, *instead), symbols)
        if of_a_bot:
            one = made.open("live", options.database_path())
            other, span = made.backtest_of(one, from_ms, to_ms, days)
        else:
            assert a is not None
            assert b is not None
            one, other = made.side(a, from_ms, to_ms), made.side(b, from_ms, to_ms)
            span = _asked(one.span.overlap(other.span), from_ms, to_ms)
        kept = (*folders, *instead)
        found = _compared(one, other, span, kept, theirs, scratch, confirm=confirm, of_a_bot=of_a_bot)
    if options.json:
        output.document(found.document())
    else:
        found.print()
    if found.findings:
        raise VerificationFailed


class _Sides:
    """Gets the sides: a database that is there, or one that a backtest of a rules file makes."""

    def __init__(
        self, options: Options, stack: ExitStack, scratch: Path, folders: tuple[Path, ...], symbols: tuple[str, ...]
    ) -> None:
        self._options, self._stack, self._scratch = options, stack, scratch
        self._folders, self._symbols = folders, symbols
        self._count = 0

    def open(self, name: str, path: Path) -> Side:
        from fsm.backtest.comparing.side import CannotCompare, read_side
        from store.database import open_store

        store = self._stack.enter_context(open_store(path, mode="read"))
        try:
            return read_side(name, store)
        except CannotCompare as error:
            raise CommandError(str(error), error.hint) from error

    def side(self, given: str, from_ms: int | None, to_ms: int | None) -> Side:
        from fsm.backtest.runs import RunNameError, find_run

        if given.endswith((".yaml", ".yml")):
            return self._run(given, from_ms, to_ms)
        try:
            return self.open(given, find_run(given))
        except RunNameError as error:
            raise CommandError(str(error)) from error

    def _run(self, rules_path: str, from_ms: int | None, to_ms: int | None) -> Side:
        from fsm.backtest.run import BacktestError, Request, run_backtest
        from rules.load import load_rules

        self._count += 1
        path = self._scratch / f"rules-{self._count}.sqlite"
        config = read_config(self._options, needs_keys=False)
        with reporting(json=self._options.json, level="warning") as progress:
            try:
                request = Request(
                    config=config,
                    rules=load_rules(rules_path),
                    data=self._folders,
                    symbols=self._symbols,
                    from_ms=from_ms,
                    to_ms=to_ms,
                    db=path,
                )
                run_backtest(request, progress=progress)
            except BacktestError as error:
                raise CommandError(str(error)) from error
        return self.open(rules_path, path)

    def backtest_of(self, live: Side, from_ms: int | None, to_ms: int | None, days: int | None) -> tuple[Side, Span]:
        """The same candles, rules and settings through the backtest."""
        from fsm.backtest.comparing.rerun import CannotRepeat, Repeater

        if days is not None:
            from_ms = max(from_ms or 0, live.span.to_ms - days * DAY_MS)
        span = _asked(live.span, from_ms, to_ms)
        path = self._scratch / "backtest.sqlite"
        try:
            Repeater(live, live, span, self._folders, self._folders, self._scratch).with_inputs((), keep=path)
        except CannotRepeat as error:
            hint = "`--data` names a folder with marks and funding of that time"
            raise CommandError(f"the bot's candles cannot be run through the backtest: {error}", hint) from error
        return self.open("backtest", path), span


def _asked(span: Span, from_ms: int | None, to_ms: int | None) -> Span:
    from fsm.backtest.comparing.side import Span

    asked = span.overlap(Span(from_ms or span.from_ms, to_ms or span.to_ms))
    if asked.from_ms >= asked.to_ms:
        raise CommandError("the two have no time in common", "compare runs of the same time")
    return asked


def _compared(
    a: Side,
    b: Side,
    span: Span,
    folders: tuple[Path, ...],
    theirs: tuple[Path, ...],
    scratch: Path,
    *,
    confirm: bool,
    of_a_bot: bool,
) -> _Comparison:
    from fsm.backtest.comparing.causes import causes
    from fsm.backtest.comparing.inputs import differing_funding, differing_inputs
    from fsm.backtest.comparing.matching import differences
    from fsm.backtest.comparing.rerun import Repeater

    inputs, found = differing_inputs(a, b, span), differences(a.trades, b.trades, span)
    if of_a_bot:
        from fsm.backtest.comparing.confirming import held_against

        repeated = Repeater(a, a, span, folders, folders, scratch).with_injected if confirm else None
        return _Comparison(a, b, span, inputs, *held_against(a, b, span, inputs, repeated))
    if theirs != folders:
        inputs += differing_funding(a.symbols, folders, theirs, span)
    again = None
    if confirm and a.ran is not None and found:
        again = Repeater(a, b, span, folders, theirs, scratch).with_inputs
    findings, why = causes(a, b, found, inputs, again)
    return _Comparison(a, b, span, inputs, findings, why)


class _Comparison:
    """What was found, for people and for programs."""

    def __init__(
        self, a: Side, b: Side, span: Span, inputs: Sequence[Input], findings: list[Finding], why: str
    ) -> None:
        self.findings = findings
        self._sides, self._span, self._inputs, self._why = (a, b), span, inputs, why
        self._inside = [
            [row for row in side.trades if span.from_ms <= row.signal_candle_ms < span.to_ms] for side in (a, b)
        ]

    def document(self) -> dict[str, Any]:
        from fsm.backtest.comparing.side import net

        return {
            "a": self._sides[0].name,
            "b": self._sides[1].name,
            "from_ms": self._span.from_ms,
            "to_ms": self._span.to_ms,
            "identical": not self.findings,
            "trades": {name: len(rows) for name, rows in zip("ab", self._inside, strict=True)},
            "net_pnl_usdt": {name: net(rows) for name, rows in zip("ab", self._inside, strict=True)},
            "inputs": self._inputs,
            "not_confirmed": self._why,
            "unexplained": sum(1 for found in self.findings if found.cause.source == "UNEXPLAINED"),
            "differences": [
                {
                    "kind": found.difference.kind,
                    "symbol": found.difference.symbol,
                    "signal_candle_ms": found.difference.candle_ms,
                    "side": found.difference.side,
                    "trade": {"a": _id(found.difference.a), "b": _id(found.difference.b)},
                    "fields": {name: {"a": a, "b": b} for name, (a, b) in found.difference.fields.items()},
                    "net_pnl_usdt": dict(zip("ab", found.difference.pnl, strict=True)),
                    "cause": found.cause,
                }
                for found in self.findings
            ],
        }

    def print(self) -> None:
        for text in self._head():
            output.line(text)
        if not self.findings:
            output.line("no trade differs")
            return
        output.line()
        rows = [_row(found) for found in self.findings[:SHOWN_MAX]]
        output.table(("signal candle UTC", "symbol", "side", "", "net in A", "net in B", "first"), rows, right=_RIGHT)
        if len(self.findings) > SHOWN_MAX:
            output.line(f"… and {len(self.findings) - SHOWN_MAX} more; --json has all")
        output.heading("Why")
        for text in _reasons(self.findings):
            output.line(text)
        if self._why:
            output.line(f"Not confirmed by running again: {self._why}.")

    def _head(self) -> Iterator[str]:
        from fsm.backtest.comparing.side import net

        for name, side, rows in zip("AB", self._sides, self._inside, strict=True):
            yield f"{name}: {side.name}: {output.counted(len(rows), 'trade')}, net {net(rows):+,.2f} USDT"
        yield f"signals of {shown(self._span.from_ms)} to {shown(self._span.to_ms - 1)} UTC"
        for each in self._inputs[:INPUTS_SHOWN]:
            when = f" from {shown(each.at_ms)} on" if each.at_ms is not None else ""
            yield f"differs: {each.source.replace('_', ' ').lower()} {each.path}{when}: {each.a} in A, {each.b} in B"
        if len(self._inputs) > INPUTS_SHOWN:
            yield f"… and {len(self._inputs) - INPUTS_SHOWN} more inputs that differ; --json has all"


_RIGHT = ("net in A", "net in B")
_KINDS = {"ONLY_A": "only in A", "ONLY_B": "only in B", "DIFFERS": "differs"}


def _row(found: Finding) -> tuple[object, ...]:
    difference = found.difference
    first = next(iter(difference.fields), "")
    a, b = difference.pnl
    return (
        shown(difference.candle_ms), difference.symbol, difference.side, _KINDS[difference.kind],
        _amount(a, difference.a), _amount(b, difference.b), first.replace("_", " "),
    )  # fmt: skip


def _amount(amount: Decimal, row: object) -> str:
    return "" if row is None else f"{amount:+,.2f}"


def _id(row: Any) -> str | None:
    return None if row is None else row.id


def _reasons(findings: Sequence[Finding]) -> Iterator[str]:
    """Each cause once, with how many trades it made and how the first of them came about."""
    groups: dict[tuple[str, str, bool, tuple[str, ...]], list[Finding]] = {}
    for found in findings:
        cause = found.cause
        groups.setdefault((cause.source, cause.path, cause.confirmed, cause.together), []).append(found)
    for (_, _, confirmed, together), members in groups.items():
        first = members[0]
        mark = "confirmed" if confirmed else "not confirmed"
        beside = f", together with {', '.join(together)}" if together else ""
        where = f"{first.difference.symbol} at {shown(first.difference.candle_ms)}"
        how = f" First {where}: {first.cause.how}." if first.cause.how else f" First {where}."
        yield f"{output.counted(len(members), 'trade')} ({mark}{beside}): {first.cause.told}.{how}"
