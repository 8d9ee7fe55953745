"""Runs one side again with one thing of the other's: what that alone changes is what it was the cause of."""

from __future__ import annotations

import gzip
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from exchange.candle_files import CANDLE_HEADER, FUNDING_HEADER, CandleFolders
from fsm.backtest.comparing.inputs import Input, Source
from fsm.backtest.comparing.lived_orders import as_filled
from fsm.backtest.comparing.matching import Key, differing
from fsm.backtest.comparing.side import ALL, Side, Span
from fsm.backtest.injecting import NOTHING, Injected
from fsm.backtest.rules_through import ToldRules, told_rules
from fsm.backtest.run import BacktestError, Request, run_backtest
from fsm.config import Config, read_environment, stored_settings
from fsm.config.settings import Settings, settings_of
from fsm.journal.candle_holes import stored_holes
from indicators.candle import Timeframe
from indicators.holes import RESTART_ABOVE, Hole
from rules.changes import ABSENT
from rules.load import Ruleset, stored_rules
from rules.source.yaml_source import SourceError
from store import queries
from store.database import Store, open_store
from store.trade_rows import TradeRow

_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")
_UP_TO_1H = ("1m", "3m", "5m", "15m", "30m", "1h")

Trades = dict[Key, TradeRow]
Triggers = dict[Key, frozenset[tuple[str, Decimal]]]
"""Of each trade, what its conditional orders were for, and at which price each waited."""


class CannotRepeat(Exception):
    """The run cannot be had again from what is at hand."""


class Repeater:
    """Runs A again, with some inputs of B's. ``folders`` have what no journal keeps: marks and funding of each."""

    def __init__(
        self, a: Side, b: Side, span: Span, folders: tuple[Path, ...], theirs: tuple[Path, ...], scratch: Path
    ) -> None:
        self._a, self._b, self._span = a, b, a.ran or span
        self._scratch = scratch
        self._folders = {id(a): folders, id(b): theirs}

    def with_inputs(self, changed: Sequence[Input], keep: Path | None = None) -> Trades:
        """The trades of A where these were as in B; ``keep`` is where its database stays. Raises CannotRepeat."""
        settings, rules = self._settings(changed), self._rules(changed)
        candles = self._b if any(each.source is Source.CANDLES for each in changed) else self._a
        told = told_rules((self._b if any(each.source is Source.SYMBOL_RULES for each in changed) else self._a).store)
        funding = self._b if any(each.source is Source.FUNDING for each in changed) else self._a
        try:
            with TemporaryDirectory(dir=self._scratch) as folder:
                data = self._data(Path(folder), candles, funding)
                return self._run(settings, rules, data, told, keep or Path(folder) / "again.sqlite")
        except (BacktestError, SourceError, OSError) as error:
            raise CannotRepeat(str(error)) from error

    def with_injected(self, injected: Injected) -> tuple[Trades, Triggers]:
        """The trades of A had it lived through this, and where its stops and targets lay. Raises CannotRepeat."""
        try:
            with TemporaryDirectory(dir=self._scratch) as folder:
                data, told = self._data(Path(folder), self._a, self._a), told_rules(self._a.store)
                settings, rules = self._settings(()), self._rules(())
                path = Path(folder) / "again.sqlite"
                trades = self._run(settings, rules, data, told, path, injected=injected)
                with open_store(path, mode="read") as store:
                    return {key: filled_of(store, row) for key, row in trades.items()}, triggers_of(store)
        except (BacktestError, SourceError, OSError) as error:
            raise CannotRepeat(str(error)) from error

    def with_rules(self, rules: Ruleset, settings: Settings, symbols: Sequence[str], keep: Path) -> None:
        """Over what A saw, other rules and settings altogether; the journal stays in ``keep``. Raises CannotRepeat."""
        try:
            with TemporaryDirectory(dir=self._scratch) as folder:
                data = self._data(Path(folder), self._a, self._a)
                self._run(settings, rules, data, told_rules(self._a.store), keep, tuple(symbols))
        except (BacktestError, SourceError, OSError) as error:
            raise CannotRepeat(str(error)) from error

    def _run(
        self,
        settings: Settings,
        rules: Ruleset,
        data: Path,
        told: tuple[ToldRules, ...],
        db: Path,
        symbols: tuple[str, ...] = (),
        injected: Injected = NOTHING,
    ) -> Trades:
        environment, text = read_environment(None, {"BINANCE_ENV": "sim"}), _as_yaml(settings.plain())
        run_backtest(
            Request(  # decided with the very numbers that the text says, or a replay would spell them otherwise
                config=Config(settings=stored_settings(text, "settings"), environment=environment, text=text),
                rules=rules,
                data=(data,),
                symbols=symbols or self._a.symbols,
                from_ms=self._span.from_ms,
                to_ms=self._span.to_ms,
                db=db,
                native=self._a.ran is None,
                anchors=None if self._a.ran is not None else _anchors(self._a),
                told=told,
                injected=injected,
            )
        )
        with open_store(db, mode="read") as store:
            return {(row.symbol, row.signal_candle_ms, row.side): row for row in queries.trades(store, limit=ALL)}

    def _settings(self, changed: Sequence[Input]) -> Settings:
        plain = self._a.settings.plain()
        theirs = self._b.settings.plain()
        for each in changed:
            if each.source is Source.SETTING:
                plain = with_path(plain, theirs, each.path)
        return settings_of(plain)

    def _rules(self, changed: Sequence[Input]) -> Ruleset:
        paths = [each.path for each in changed if each.source is Source.RULES]
        if not paths:
            return stored_rules(self._a.rules[0].text, self._a.name)
        data = self._a.rules_data
        for path in paths:
            data = with_path(data, self._b.rules_data, path)
        return stored_rules(_as_yaml(data), self._a.name)

    def _is_read(self, timeframe: str) -> bool:
        """A bot's coarse candles are the exchange's own; those of a backtest are made of the fine ones anew."""
        return self._a.ran is None or timeframe in _UP_TO_1H

    def _data(self, folder: Path, candles: Side, funding: Side) -> Path:
        """A folder with the candles that one side kept, and the marks and the funding that its folders have."""
        (folder / "mark").mkdir()
        marks = CandleFolders(self._folders[id(candles)])
        rates = CandleFolders(self._folders[id(funding)])
        for symbol in self._a.symbols_read:
            holes = stored_holes(candles.store, symbol)
            for timeframe in (each for each in candles.timeframes(symbol) if self._is_read(each)):
                carried = {at_ms for hole in holes if hole.timeframe.value == timeframe for at_ms in _opens_of(hole)}
                rows = [row for row in sorted(candles.candles(symbol, timeframe).items()) if row[0] not in carried]
                _write(folder / f"{symbol}-{timeframe}.csv.gz", CANDLE_HEADER, rows)
            if (mark := marks.mark(symbol)) is not None:
                columns = zip(mark.open, mark.high, mark.low, mark.close, mark.volume, strict=True)
                numbers = [tuple(map(repr, map(float, row))) for row in columns]
                marked = list(zip(map(int, mark.open_time_ms), numbers, strict=True))
                _write(folder / "mark" / f"{symbol}-mark-1h.csv.gz", CANDLE_HEADER, marked)
            if (rate := rates.funding(symbol)) is not None:
                paid = [(int(at), (repr(float(each)),)) for at, each in zip(rate.time_ms, rate.rate, strict=True)]
                _write(folder / f"{symbol}-funding.csv.gz", FUNDING_HEADER, paid)
        return folder


def _opens_of(hole: Hole) -> range:
    """Of candles that no exchange ever delivered: what is stored there was carried on by the bot, and is again."""
    return range(hole.first_ms, hole.end_ms, hole.timeframe.ms)


def filled_of(store: Store, row: TradeRow) -> TradeRow:
    """A trade with the times of its fills."""
    return as_filled(row, queries.fills(store, trade_id=row.id, limit=ALL))


def triggers_of(store: Store) -> Triggers:
    found: dict[Key, set[tuple[str, Decimal]]] = {}
    rows = store.connection.execute(
        "SELECT t.symbol, t.signal_candle_ms, t.side, o.purpose, o.trigger_price FROM orders o"
        " JOIN trades t ON t.id = o.trade_id WHERE o.trigger_price IS NOT NULL"
    )
    for symbol, candle_ms, side, purpose, price in rows:
        key = (str(symbol), int(str(candle_ms)), str(side))
        found.setdefault(key, set()).add((str(purpose), Decimal(str(price))))
    return {key: frozenset(each) for key, each in found.items()}


def _anchors(side: Side) -> dict[str, dict[Timeframe, int]]:
    """Where the indicators of a bot began. A hole that restarted them moved that on; a backtest restarts there, too."""
    found: dict[str, dict[Timeframe, int]] = {}
    for row in queries.anchors(side.store):
        timeframe = Timeframe(row.timeframe)
        opens_ms = sorted(side.candles(row.symbol, row.timeframe))
        place = bisect_left(opens_ms, row.first_ms)
        is_behind_hole = place > 0 and (row.first_ms - opens_ms[place - 1]) // timeframe.ms - 1 > RESTART_ABOVE
        found.setdefault(row.symbol, {})[timeframe] = opens_ms[0] if is_behind_hole else row.first_ms
    return found


def _write(path: Path, header: str, rows: Sequence[tuple[int, tuple[str, ...]]]) -> None:
    lines = [header, *(",".join((str(at_ms), *numbers)) for at_ms, numbers in rows), ""]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 1, mtime=0))


def _as_yaml(data: Any) -> str:
    """As JSON, which is YAML."""
    return msgspec.json.format(msgspec.json.encode(data), indent=1).decode()


def with_path(ours: Any, theirs: Any, path: str) -> Any:
    """Our structure with what theirs has at one path; without it where theirs has nothing there."""
    steps = [step[1:-1] if step.startswith("[") else step for step in _STEP.findall(path)]
    return _with(ours, theirs, steps)


def _with(ours: Any, theirs: Any, steps: Sequence[str]) -> Any:
    if not steps:
        return theirs
    step, *rest = steps
    if isinstance(ours, list):
        number = int(step)
        return [_with(each, theirs[number], rest) if at == number else each for at, each in enumerate(ours)]
    there = theirs.get(step, ABSENT) if isinstance(theirs, Mapping) else ABSENT
    if there is ABSENT:
        return {key: value for key, value in ours.items() if key != step}
    return {**ours, step: _with(ours.get(step), there, rest)}


def same(one: TradeRow | None, other: TradeRow | None) -> bool:
    """Whether a trade came out the same, or is in neither."""
    return (one is None and other is None) or (one is not None and other is not None and not differing(one, other))


Rerun = Callable[[Sequence[Input]], Trades]
