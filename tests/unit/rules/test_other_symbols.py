"""Another symbol's features in expressions: read as of the close that is decided on, live and over arrays alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from indicators.candle import Candle, Timeframe
from indicators.holes import Hole
from indicators.series import Series, aggregate
from rules.compiled_rules import CompiledRules
from rules.facts import FactStream, FactTable
from rules.features import CandlesRead, OtherCandles
from rules.load import Ruleset, parse_rules
from rules.source.yaml_source import SourceError
from rules.warmup import in_words

TEXT = """\
version: 1
timeframes: {entry: 1h}
features:
  close_1h: {indicator: close, timeframe: 1h}
  high_1h: {indicator: high, timeframe: 1h}
  close_4h: {indicator: close, timeframe: 4h}
  mean_4h: {indicator: ema, timeframe: 4h, period: 3}
  closed_4h: {indicator: candle_closed, timeframe: 4h}
strategies:
  ride:
    long:
      setup:
        - {id: leads, when: "CONDITION"}
      stop: close_1h * 0.98
"""
READS = "BTCUSDT.close_4h > BTCUSDT.mean_4h[1] and close_1h / BTCUSDT.close_1h > 0 and BTCUSDT.closed_4h"
LOOKS_BACK = (
    "highest(BTCUSDT.close_1h / BTCUSDT.high_1h, 3) < 2 and count(BTCUSDT.close_1h > BTCUSDT.high_1h[1], 4) < 3"
)
BTC_1H, BTC_4H = OtherCandles("BTCUSDT", Timeframe.H1), OtherCandles("BTCUSDT", Timeframe.H4)


def rules_of(condition: str = READS) -> Ruleset:
    return parse_rules(TEXT.replace("CONDITION", condition), "rules.yaml")


def problem_of(condition: str) -> tuple[int, str]:
    with pytest.raises(SourceError) as refused:
        rules_of(condition)
    [problem] = refused.value.problems
    line = TEXT.splitlines()[problem.line - 1]
    return max(problem.column - line.index("CONDITION") - 1, 0), problem.message


def wave(hours: Callable[[Sequence[Sequence[float]]], Series], length: int, size: float) -> Series:
    chance = np.random.default_rng(7)
    opens = size + np.cumsum(chance.normal(0, size / 100, length))
    closes = opens + chance.normal(0, size / 100, length)
    return hours(
        [
            (a, max(a, b) + size / 200, min(a, b) - size / 200, b)
            for a, b in zip(opens.tolist(), closes.tolist(), strict=True)
        ]
    )


def tables(rules: CompiledRules, own: Series, other: Series) -> dict[CandlesRead, Series]:
    return {
        read: aggregate(other if isinstance(read, OtherCandles) else own, Timeframe(str(read).split()[-1]))
        for read in rules.candles
    }


def closing(series: Mapping[CandlesRead, Series]) -> dict[int, list[tuple[CandlesRead, Candle]]]:
    found: dict[int, list[tuple[CandlesRead, Candle]]] = {}
    for read, each in series.items():
        for candle in each.candles():
            found.setdefault(candle.open_time_ms + read.ms, []).append((read, candle))
    return found


@pytest.mark.parametrize("condition", [READS, LOOKS_BACK])
@pytest.mark.parametrize("candles_min", [1, 9])
def test_stream_and_table_read_another_symbol_alike(
    hours: Callable[[Sequence[Sequence[float]]], Series], condition: str, candles_min: int
) -> None:
    rules = rules_of(condition).for_symbol("SOLUSDT")
    series = tables(rules, wave(hours, 60, 100.0), wave(hours, 60, 50_000.0))
    table, stream, feed = FactTable(rules, series, candles_min), FactStream(rules, candles_min), closing(series)
    known = 0
    for index, open_ms in enumerate(table.candle_ms.tolist()):
        for read, candle in feed[open_ms + Timeframe.H1.ms]:
            stream.update(read, candle)
        assert stream.facts() == table.facts_at(index)
        assert stream.warming() == table.warming_at(index)
        known += all(value is not None for value in stream.facts().values())
    assert known > 20


def test_it_is_the_other_symbol_s_value_and_never_a_later_one(
    hours: Callable[[Sequence[Sequence[float]]], Series],
) -> None:
    rules = rules_of().for_symbol("SOLUSDT")
    other = wave(hours, 40, 50_000.0)
    series = tables(rules, wave(hours, 40, 100.0), other)
    table = FactTable(rules, series, 1)
    long = aggregate(other, Timeframe.H4).close
    assert table.column("BTCUSDT.close_4h")[3:9].tolist() == [long[0]] * 4 + [long[1]] * 2
    for count in range(8, 40, 5):
        cut = {read: each.until(count if read.ms == Timeframe.H1.ms else count // 4) for read, each in series.items()}
        assert FactTable(rules, cut, 1).facts_at(count - 1) == table.facts_at(count - 1)


def test_it_is_unknown_while_the_other_symbol_s_candle_is_missing_and_known_again_once_it_is_there(
    hours: Callable[[Sequence[Sequence[float]]], Series],
) -> None:
    rules = rules_of("BTCUSDT.close_1h > BTCUSDT.high_1h[1]").for_symbol("SOLUSDT")
    series = tables(rules, wave(hours, 12, 100.0), wave(hours, 12, 50_000.0))
    own, other = series[Timeframe.H1].candles(), series[BTC_1H].candles()
    stream = FactStream(rules, 1)
    for index in range(10):
        stream.update(Timeframe.H1, own[index])
        if index != 6:
            for candle in other[6:8] if index == 7 else [other[index]]:
                stream.update(BTC_1H, candle)
        known = stream.facts()["BTCUSDT.close_1h"]
        assert known == (None if index == 6 else other[index].close)


def test_a_series_that_ends_early_or_begins_late_leaves_the_rest_unknown(
    hours: Callable[[Sequence[Sequence[float]]], Series],
) -> None:
    rules = rules_of("BTCUSDT.close_1h > BTCUSDT.high_1h").for_symbol("SOLUSDT")
    series = tables(rules, wave(hours, 12, 100.0), wave(hours, 12, 50_000.0))
    series[BTC_1H] = series[BTC_1H].since(int(series[BTC_1H].open_time_ms[4])).until(5)
    known = ~np.isnan(FactTable(rules, series, 1).column("BTCUSDT.close_1h"))
    assert known.tolist() == [False] * 4 + [True] * 5 + [False] * 3


def test_a_long_hole_restarts_the_other_symbol_s_indicators_alone(
    hours: Callable[[Sequence[Sequence[float]]], Series],
) -> None:
    rules = rules_of("BTCUSDT.close_1h > BTCUSDT.high_1h[1]").for_symbol("SOLUSDT")
    own, other = wave(hours, 60, 100.0), wave(hours, 60, 50_000.0)
    hole = Hole(timeframe=Timeframe.H1, first_ms=int(other.open_time_ms[10]), count=30)
    table = FactTable(rules, tables(rules, own, other), 1, (), {"BTCUSDT": (hole,)})
    assert np.isnan(table.column("BTCUSDT.high_1h[1]")[10:41]).all()
    assert not np.isnan(table.column("BTCUSDT.high_1h[1]")[41:]).any()
    assert not np.isnan(table.column("close_1h")).any()
    assert not table.carried.any()


def test_warm_up_names_the_symbol() -> None:
    rules = rules_of("BTCUSDT.close_4h > BTCUSDT.mean_4h").for_symbol("SOLUSDT")
    [short] = {FactStream(rules, 200).warming()["ride"]}
    assert short == "BTCUSDT 4h: 0 of 200"
    told = in_words(f"WARMING_UP {short}", 1_704_067_200_000)
    assert told is not None
    assert told.startswith("warming up: 0 of 200 candles of BTCUSDT 4h have closed")


def test_the_file_says_which_candles_it_needs() -> None:
    rules = rules_of(f"{READS} and 1000PEPEUSDT.close_4h > 0")
    assert rules.other_symbols == ("1000PEPEUSDT", "BTCUSDT")
    assert rules.timeframes == {Timeframe.H1, Timeframe.H4}
    own = rules.for_symbol("SOLUSDT")
    assert own.timeframes == {Timeframe.H1}
    assert set(own.others) == {BTC_1H, BTC_4H, OtherCandles("1000PEPEUSDT", Timeframe.H4)}
    assert rules.warnings[0].message.startswith("high_1h is not used")


@pytest.mark.parametrize(
    ("condition", "column", "message"),
    [
        ("close_1h > 0 and BTCUSDT.closed_1h > 0", 17, "closed_1h is no feature"),
        ("BTCUSDT.entry > 0", 0, "entry is no feature"),
        ("BTC.close_1h > 0", 0, "BTC is no symbol"),
        ("1 < btcusdt.close_1h", 4, "btcusdt is no symbol"),
        ("close_1h.real > 0", 0, "close_1h is no symbol"),
        ("BTCUSDT.close_1h > close_1h", 0, "prices of BTCUSDT and the symbol itself have no common measure"),
        ("0 < BTCUSDT.close_1h - close_1h", 4, "no common measure"),
        ("max(BTCUSDT.close_1h, ETHUSDT.close_1h) > 0", 0, "prices of BTCUSDT and ETHUSDT"),
        ("BTCUSDT.closed_4h[1]", 0, "BTCUSDT.closed_4h has no earlier candles"),
        ("highest(close_1h / BTCUSDT.close_1h, 3) > 0", 0, "looks back over candles of one symbol"),
        ("BTCUSDT.close_1h.high > 0", 0, "is no symbol"),
    ],
)
def test_what_cannot_be_read_of_another_symbol_is_refused_with_its_column(
    condition: str, column: int, message: str
) -> None:
    found, told = problem_of(condition)
    assert message in told
    assert found == column


def test_a_price_of_another_symbol_is_no_stop() -> None:
    with pytest.raises(SourceError, match="a price of BTCUSDT"):
        parse_rules(TEXT.replace("CONDITION", READS).replace("close_1h * 0.98", "BTCUSDT.close_1h * 0.98"), "f")


def test_a_decimal_point_in_what_looks_back_names_no_symbol() -> None:
    found = rules_of("crosses_above(close_1h, highest(0.5 * close_1h + 0.4 * high_1h, 3)[1])").for_symbol("SOLUSDT")
    assert found.others == ()
    assert "highest((0.5 * close_1h) + (0.4 * high_1h), 3)[2]" in found.fact_keys


def test_a_ratio_of_two_symbols_may_cross() -> None:
    found = rules_of("crosses_above(close_1h / BTCUSDT.close_1h, 0.002)").for_symbol("SOLUSDT")
    assert {"BTCUSDT.close_1h", "BTCUSDT.close_1h[1]"} <= set(found.fact_keys)


def test_a_definition_keeps_whose_price_it_is() -> None:
    text = TEXT.replace("strategies:", "define:\n  lead: 0.5 * BTCUSDT.close_1h + 0.5 * BTCUSDT.high_1h\nstrategies:")
    with pytest.raises(SourceError, match="no common measure"):
        parse_rules(text.replace("CONDITION", "close_1h > lead"), "f")
    assert parse_rules(text.replace("CONDITION", "BTCUSDT.close_1h > lead"), "f").other_symbols == ("BTCUSDT",)
