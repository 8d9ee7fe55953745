"""Facts over candles that were stored: what the rules read at candles of which the journal keeps no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from indicators.candle import Candle, Timeframe
from indicators.holes import Hole, flat
from indicators.series import Series, SeriesError
from rules.compiled_rules import CompiledRules
from rules.facts import CANDLES_MIN, Facts, FactTable, FeedError
from rules.features import CandlesRead, length_of, symbol_of
from rules.language.scalar import known
from rules.regime import RegimeState

Row = tuple[int, float, float, float, float, float]
"""Open time, open, high, low, close and volume."""

ReadRows = Callable[[str, str, int, bool], Iterable[Row]]
"""Stored candles of a symbol and timeframe up to the one that opened at a time, oldest first; from the first that the
indicators were fed, or where it is asked for, from the first of all."""


def hole_of(facts_json: str) -> Hole:
    """A hole from the facts of its event."""
    return msgspec.json.decode(facts_json, type=Hole)


def past_table(
    rules: CompiledRules,
    symbol: str,
    read: ReadRows,
    holes: Mapping[str, Sequence[Hole]],
    closed_ms: int,
    candles_min: int = CANDLES_MIN,
) -> FactTable | None:
    """The facts at every stored entry candle that had closed; None where the stored candles make no series."""

    def stored(candles: CandlesRead) -> Series:
        whose, timeframe = symbol_of(candles, symbol), length_of(candles)
        return Series.from_candles(whose, timeframe, _candles(read, whose, timeframe, closed_ms, holes.get(whose, ())))

    try:
        series = {candles: stored(candles) for candles in rules.candles}
        return FactTable(rules, series, candles_min, holes.get(symbol, ()), holes)
    except (SeriesError, FeedError):
        return None


def symbols_read(rules: CompiledRules, symbol: str) -> set[str]:
    """Whose candles the rules of a symbol read."""
    return {symbol_of(candles, symbol) for candles in rules.candles}


def row_of(table: FactTable, open_ms: int) -> int:
    """The row of an entry candle that is not before the first."""
    return (open_ms - int(table.candle_ms[0])) // table.rules.entry_timeframe.ms


def seen_at(
    table: FactTable, facts: Mapping[str, float | None], regime: RegimeState, first_ms: int, candle_ms: int
) -> tuple[Facts, RegimeState]:
    """Facts and regime at a candle, from those at an earlier one. Of the moment of a decision nothing can be said."""
    rules, found = table.rules, dict(facts)
    for index in range(row_of(table, first_ms) + 1, row_of(table, candle_ms) + 1):
        open_ms = int(table.candle_ms[index])
        if table.carried[index]:
            continue
        if open_ms == candle_ms or rules.classifier.is_due(regime, open_ms):
            found = table.facts_at(index)
            regime = rules.classify(found, regime, open_ms)
    return rules.with_regime(found, regime) | dict.fromkeys(rules.moment_words), regime


def values_at(table: FactTable, name: str, ends_ms: Sequence[int]) -> list[float | None]:
    """What a feature was at each of these times, ascending: at the entry candle that had closed last, if that is no
    longer ago than one such candle lasts."""
    column, entry_ms = table.column(name), table.rules.entry_timeframe.ms
    closes_ms = table.candle_ms + entry_ms
    rows = np.searchsorted(closes_ms, np.array(ends_ms, dtype=np.int64), side="right") - 1
    fresh = (
        end_ms - int(closes_ms[row]) < entry_ms if row >= 0 else False
        for end_ms, row in zip(ends_ms, rows, strict=True)
    )
    return [known(column.item(row)) if is_fresh else None for row, is_fresh in zip(rows, fresh, strict=True)]


def agrees(table: FactTable, facts: Mapping[str, float | None], regime: RegimeState, candle_ms: int) -> bool:
    """Whether the stored candles give the facts that were recorded at a candle."""
    if not table.length or int(table.candle_ms[0]) > candle_ms:
        return False
    rules = table.rules
    first = rules.with_regime(table.facts_at(row_of(table, candle_ms)), regime)
    return first == {key: value for key, value in facts.items() if key not in rules.moment_words}


def _candles(read: ReadRows, symbol: str, timeframe: Timeframe, closed_ms: int, holes: Sequence[Hole]) -> list[Candle]:
    """With flat ones where a hole was too long to be carried: the indicators begin anew behind those."""
    long = [hole for hole in holes if hole.timeframe is timeframe and hole.restarts]
    found = {row[0]: Candle(*row) for row in read(symbol, timeframe.value, closed_ms - timeframe.ms, bool(long))}
    for hole in long:
        before = found.get(hole.first_ms - timeframe.ms)
        if before is not None:
            for open_ms in range(hole.first_ms, min(hole.end_ms, closed_ms), timeframe.ms):
                found.setdefault(open_ms, flat(open_ms, before.close))
    return [found[open_ms] for open_ms in sorted(found)]
