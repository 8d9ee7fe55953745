"""Fetches history into the store, by the exchange's public endpoints: from the beginning, or from where it ended."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.candle_options import Symbols, store_option
from fsm.cli.errors import CommandError, Exit, UnusableFiles
from fsm.cli.options import Command, Options, current
from fsm.cli.progress import Report, reporting
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from exchange.candle_store.downloading import HistorySource
    from exchange.candle_store.series import Series
    from exchange.candle_store.writing import StoreWriter

AGAIN = "what was fetched is kept; run the same command again, and it goes on from there"


class Timeframes(click.ParamType[tuple[str, ...]]):
    """Lengths of candles with commas between them, as in ``1m,1h``."""

    name = "timeframes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        from indicators.candle import Timeframe

        names = value if isinstance(value, tuple) else tuple(name.strip() for name in str(value).split(","))
        unknown = [name for name in names if name not in set(Timeframe)]
        if unknown:
            self.fail(f"{unknown[0]!r} is no timeframe; there are {', '.join(Timeframe)}", param, ctx)
        return tuple(dict.fromkeys(names))


@click.command(cls=Command)
@click.option("--symbols", type=Symbols(), default=(), metavar="A,B", help="symbols instead of those in config.yaml")
@click.option(
    "--timeframes", type=Timeframes(), default=("1h",), metavar="T,T", help="lengths of candles (default: 1h)"
)
@click.option("--from", "from_ms", type=Time(), metavar="TIME", help="beginning (default: that of the symbol)")
@click.option("--to", "to_ms", type=Time(end=True), metavar="TIME", help="end (default: now)")
@click.option("--no-mark", is_flag=True, help="leave the hourly mark prices out")
@click.option("--no-funding", is_flag=True, help="leave the funding rates out")
@store_option
def download(
    symbols: tuple[str, ...],
    timeframes: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    no_mark: bool,
    no_funding: bool,
    data: Path,
) -> None:
    """Fetch candles, hourly mark prices, funding rates and the rules of the symbols. It takes no keys.

    Only what the store does not have is fetched, so a download that was ended goes on where it was, and a hole is asked
    for again. History is mainnet's, whatever BINANCE_ENV is, unless SIM_REST_URL names a running simulator.
    """
    from exchange.candle_store.series import candles_of, funding_of
    from indicators.candle import Timeframe

    options = current()
    wanted: list[Series] = []
    for symbol in symbols or _enabled(options):
        wanted += [candles_of(symbol, Timeframe(name)) for name in timeframes]
        wanted += [] if no_mark else [candles_of(symbol, Timeframe.H1, mark=True)]
        wanted += [] if no_funding else [funding_of(symbol)]
    _run(options, _Wish(tuple(wanted), from_ms, to_ms), data)


@click.command(cls=Command)
@click.option("--symbols", type=Symbols(), default=(), metavar="A,B", help="only these symbols of the store")
@store_option
def update(symbols: tuple[str, ...], data: Path) -> None:
    """Fetch what has come since for every series of the store, and ask again for its holes."""
    from exchange.candle_store.manifest import is_store
    from exchange.candle_store.reading import CandleStore

    entries = CandleStore(data).entries if is_store(data) else {}
    wanted = tuple(series for series in sorted(entries) if not symbols or series.symbol in symbols)
    missing = sorted(set(symbols) - {series.symbol for series in wanted})
    if missing or not wanted:
        raise CommandError(f"{data}: nothing of {', '.join(missing) or 'any symbol'}", "`data download` fetches it")
    _run(current(), _Wish(wanted, None, None, continues=True), data)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What to fetch. ``continues``: from where each series begins in the store."""

    series: tuple[Series, ...]
    from_ms: int | None
    to_ms: int | None
    continues: bool = False

    @property
    def symbols(self) -> list[str]:
        return sorted({series.symbol for series in self.series})


def _enabled(options: Options) -> Sequence[str]:
    from fsm.cli.inputs import named_symbols, read_config

    return named_symbols(read_config(options, needs_keys=False))


def _run(options: Options, wish: _Wish, data: Path) -> None:
    from exchange.candle_store.writing import StoreWriter
    from exchange.environment import history_url
    from exchange.errors import ExchangeError
    from exchange.sim.playback.rulebook import Rulebook
    from fsm.bootstrap import public_history
    from fsm.config import read_environment
    from fsm.live.context.clock import MachineClock

    environment = read_environment(
        options.env_path, os.environ, required=options.env_file is not None, needs_keys=False
    )
    source = history_url(environment.addresses)

    async def fetched(report: Report, writer: StoreWriter) -> list[str]:
        async with public_history(source, MachineClock()) as history:
            return await _fetch(history, writer, wish, report)

    with reporting(json=options.json, level="warning") as report, StoreWriter(data) as writer:
        before = writer.entries
        try:
            problems = asyncio.run(fetched(report, writer))
        except ExchangeError as error:
            told = f"{source} does not answer as it should: {error}"
            raise CommandError(told, AGAIN, exits=Exit.REFUSED, code="UNREACHABLE") from error
        rows = list(_rows(wish, writer, {series: entry.rows for series, entry in before.items()}))
    missing = Rulebook.read([data]).missing(
        sorted({series.symbol for series in wish.series if series in writer.entries})
    )
    if options.json:
        document = {"store": str(data), "source": source, "series": rows, "problems": problems}
        output.document({**document, "missing_rules": missing})
    else:
        columns = ("series", "new", "rows", "from", "to", "missing")
        table = [
            [_cell(row[name]) for name in ("series", "rows_new", "rows", "from_ms", "to_ms", "missing")] for row in rows
        ]
        output.table(columns, table, right=("new", "rows", "missing"))
        if missing:
            output.line(f"Before it can be backtested: {missing}.")
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
    if problems:
        raise UnusableFiles


async def _fetch(history: HistorySource, writer: StoreWriter, wish: _Wish, report: Report) -> list[str]:
    """Raises ExchangeError; what concerns one series alone is returned."""
    from exchange.candle_columns import CandleFileError
    from exchange.candle_store.downloading import Download
    from exchange.errors import Refusal
    from exchange.rule_files import RuleKind

    now_ms = await history.now_ms()
    rules = await history.rules(wish.symbols)
    problems = [_unlisted(symbol, rules.known) for symbol in wish.symbols if symbol not in rules.known]
    writer.say(RuleKind.SYMBOLS, rules.symbols, now_ms)
    writer.say(RuleKind.FUNDING, rules.funding, now_ms)
    work = Download(history, writer)
    for series in wish.series:
        if series.symbol not in rules.known:
            continue
        entry = writer.entries.get(series)
        from_ms = entry.first_ms if wish.continues and entry is not None else wish.from_ms
        try:
            await work.series(series, from_ms, min(wish.to_ms or now_ms, now_ms), partial(report, series.name))
        except (Refusal, CandleFileError) as error:
            problems.append(f"{series.name}: {error}")
    return problems


def _unlisted(symbol: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(symbol, sorted(known), n=1, cutoff=0.6)
    return f"{symbol}: the exchange does not list it" + (f"; did you mean {near[0]}?" if near else "; look at its name")


def _rows(wish: _Wish, writer: StoreWriter, before: dict[Series, int]) -> Iterator[dict[str, Any]]:
    for series in wish.series:
        entry = writer.entries.get(series)
        if entry is not None:
            yield {
                "series": series.name,
                "rows_new": entry.rows - before.get(series, 0),
                "rows": entry.rows,
                "from_ms": entry.first_ms,
                "to_ms": entry.last_ms,
                "missing": entry.missing,
            }


def _cell(value: object) -> str:
    """A time, a count or a name."""
    if not isinstance(value, int):
        return str(value)
    return shown(value) if value > 10**11 else f"{value:,}"
