"""Facts live and for a whole history: when they are UNKNOWN, and that both are equal at every candle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from indicators.candle import Candle, Timeframe
from indicators.holes import carried_over, flat, holes
from indicators.series import Series, aggregate
from rules.compiled_rules import CompiledRules
from rules.facts import CANDLES_MIN, FactStream, FactTable, FeedError
from rules.load import Ruleset, parse_rules

H1, H4 = Timeframe.H1, Timeframe.H4

Hours = Callable[[Sequence[Sequence[float]]], Series]
Feed = Callable[[Series, frozenset[Timeframe]], list[list[tuple[Timeframe, Candle]]]]
TableOf = Callable[..., FactTable]


@pytest.fixture(scope="module")
def rules(changed: Callable[[str, str], str]) -> CompiledRules:
    """The small rules, reading also whether a candle of 4h closed, and its close two candles ago."""
    text = changed("  close_1h: {indicator", "  closed_4h: {indicator: candle_closed, timeframe: slow}\n"
                   "  close_4h: {indicator: close, timeframe: slow}\n  close_1h: {indicator")  # fmt: skip
    text = text.replace("when: rsi_4h <= 30}", 'when: "closed_4h and close_4h[2] > close_4h"}')
    return parse_rules(text, "f").for_symbol("ETHUSDT")


@pytest.fixture(scope="module")
def wave(hours: Hours) -> Series:
    rows = [(100 + i, 100 + i + 2, 100 + i - 2, 100 + i + 1) for i in (n % 7 for n in range(60))]
    return hours(rows)


def test_a_value_is_unknown_until_its_timeframe_has_seen_enough_candles(
    rules: CompiledRules, wave: Series, table_of: TableOf
) -> None:
    table = table_of(rules, wave, 1)
    known_from = {key: int(np.argmin(np.isnan(table.column(key)))) for key in rules.fact_keys}
    assert known_from["close_1h"] == 0
    assert known_from["close_1h[1]"] == 1
    assert known_from["atr_1h"] == 2
    assert known_from["close_4h"] == 3
    assert known_from["close_4h[2]"] == 11
    assert known_from["width_4h"] == 15
    assert known_from["adx_4h"] == 23


def test_nothing_is_known_before_the_minimum_of_candles_whatever_the_indicator(
    rules: CompiledRules, wave: Series, table_of: TableOf
) -> None:
    table = table_of(rules, wave, 10)
    known_from = {key: int(np.argmin(np.isnan(table.column(key)))) for key in rules.fact_keys}
    assert known_from["close_1h"] == 9
    assert known_from["close_1h[1]"] == 10
    assert known_from["close_4h"] == known_from["closed_4h"] == 39
    assert known_from["close_4h[2]"] == 47
    assert CANDLES_MIN == 200


def test_a_value_is_that_of_the_last_closed_candle_of_its_timeframe(
    rules: CompiledRules, wave: Series, table_of: TableOf
) -> None:
    table, closes = table_of(rules, wave), aggregate(wave, H4).close
    assert table.column("close_4h")[3:12].tolist() == [closes[0]] * 4 + [closes[1]] * 4 + [closes[2]]
    assert table.column("close_4h[2]")[11] == closes[0]
    assert table.column("closed_4h")[3:9].tolist() == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("candles_min", [1, 7])
def test_the_stream_gives_what_the_table_gives(
    rules: CompiledRules, wave: Series, table_of: TableOf, feed_of: Feed, candles_min: int
) -> None:
    table, stream = table_of(rules, wave, candles_min), FactStream(rules, candles_min)
    for index, candles in enumerate(feed_of(wave, rules.timeframes)):
        for timeframe, candle in candles if index % 2 else reversed(candles):
            stream.update(timeframe, candle)
        assert stream.facts() == table.facts_at(index)


def test_before_any_candle_everything_is_unknown(rules: CompiledRules) -> None:
    assert set(FactStream(rules, 1).facts().values()) == {None}


def test_a_timeframe_that_has_fallen_behind_is_unknown_and_not_stale(
    rules: CompiledRules, wave: Series, feed_of: Feed
) -> None:
    stream = FactStream(rules, 1)
    late: list[Candle] = []
    for candles in feed_of(wave, rules.timeframes)[:24]:
        for timeframe, candle in candles:
            if timeframe is H4 and candle.open_time_ms >= int(wave.open_time_ms[16]):
                late.append(candle)
            else:
                stream.update(timeframe, candle)
    facts = stream.facts()
    assert facts["close_1h"] is not None
    assert facts["close_4h"] is facts["adx_4h"] is facts["closed_4h"] is None
    for candle in late:
        stream.update(H4, candle)
    assert stream.facts()["close_4h"] == late[-1].close
    assert stream.facts()["closed_4h"] == 1.0


def test_a_table_whose_longer_candles_end_early_is_unknown_from_there(rules: CompiledRules, wave: Series) -> None:
    table = FactTable(rules, {H1: wave, H4: aggregate(wave.until(20), H4)}, 1)
    assert table.facts_at(22)["close_4h"] is not None
    assert table.facts_at(23)["close_4h"] is None


def test_a_gap_or_a_repeated_candle_is_refused(rules: CompiledRules, wave: Series) -> None:
    stream = FactStream(rules, 1)
    stream.update(H1, wave.candle(0))
    with pytest.raises(FeedError, match="does not follow the one before"):
        stream.update(H1, wave.candle(2))
    with pytest.raises(FeedError, match="does not follow the one before"):
        stream.update(H1, wave.candle(0))
    stream.update(H1, wave.candle(1))
    assert stream.facts()["close_1h"] == wave.candle(1).close


def test_timeframes_that_no_rule_reads_are_passed_over(rules: CompiledRules, wave: Series) -> None:
    stream = FactStream(rules, 1)
    stream.update(Timeframe.D1, wave.candle(0))
    stream.update(Timeframe.D1, wave.candle(0))


def test_a_table_needs_every_timeframe(rules: CompiledRules, wave: Series) -> None:
    with pytest.raises(FeedError, match="candles of 4h are missing"):
        FactTable(rules, {H1: wave}, 1)


def test_a_column_is_read_only_and_only_of_declared_features(
    rules: CompiledRules, wave: Series, table_of: TableOf
) -> None:
    table = table_of(rules, wave)
    with pytest.raises(ValueError, match="read-only"):
        table.column("close_1h")[0] = 1.0
    with pytest.raises(KeyError):
        table.column("unheard_of")


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT"])
def test_over_real_candles_the_shipped_rules_see_the_same_in_both_forms(
    shipped: Ruleset, market: Callable[[str], Series], table_of: TableOf, feed_of: Feed, symbol: str
) -> None:
    series, rules = market(symbol).until(6_000), shipped.for_symbol(symbol)
    table, stream = table_of(rules, series, CANDLES_MIN), FactStream(rules)
    for index, candles in enumerate(feed_of(series, rules.timeframes)):
        for timeframe, candle in candles:
            stream.update(timeframe, candle)
        assert stream.facts() == table.facts_at(index)
    assert None not in table.facts_at(series.length - 1).values()


@pytest.mark.parametrize("missing", [2, 24, 30])
def test_r66_behind_a_hole_stream_and_table_stay_equal_and_only_its_series_begins_anew(
    rules: CompiledRules, hours: Hours, missing: int
) -> None:
    rows = [(100 + i, 100 + i + 2, 100 + i - 2, 100 + i + 1) for i in (n % 7 for n in range(140))]
    whole = hours(rows).candles()
    listed = [*whole[:60], *whole[60 + missing :]]
    found = tuple(holes((candle.open_time_ms for candle in listed), H1))
    full = Series.from_candles("ETHUSDT", H1, carried(listed, missing))
    table = FactTable(rules, {H1: full, H4: aggregate(hours(rows), H4)}, 5, found)
    stream = FactStream(rules, 5)
    slow = {candle.open_time_ms + H4.ms: candle for candle in aggregate(hours(rows), H4).candles()}
    carried_ms = {candle.open_time_ms for candle in carried_over(listed, H1) if candle.carried}
    compared = 0
    before = None
    for candle in carried_over(listed, H1):
        if before is not None and candle.open_time_ms != before + H1.ms:
            stream.restart(H1)
        before = candle.open_time_ms
        for close_ms in sorted(close_ms for close_ms in slow if close_ms <= candle.open_time_ms + H1.ms):
            stream.update(H4, slow.pop(close_ms))
        stream.update(H1, candle)
        index = int(np.searchsorted(full.open_time_ms, candle.open_time_ms))
        assert stream.facts() == table.facts_at(index)
        compared += 1
    assert compared == 140 - (missing if missing > 24 else 0)
    assert {int(ms) for ms in full.open_time_ms[table.carried]} >= carried_ms
    behind = table.facts_at(60 + missing)
    assert (behind["close_1h[1]"] is None) == (missing > 24), "a long hole makes its own series warm up anew"
    assert behind["close_4h"] is not None, "and no other one"


def carried(listed: Sequence[Candle], missing: int) -> list[Candle]:
    """As the backtest has them: carried over whatever is missing."""
    if missing <= 24:
        return carried_over(listed, H1)
    at = next(i for i in range(1, len(listed)) if listed[i].open_time_ms - listed[i - 1].open_time_ms > H1.ms)
    close, first = listed[at - 1].close, listed[at - 1].open_time_ms + H1.ms
    return [*listed[:at], *(flat(first + n * H1.ms, close) for n in range(missing)), *listed[at:]]
