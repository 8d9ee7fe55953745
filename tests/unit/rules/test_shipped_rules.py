"""The shipped rules.yaml: it loads without a warning, and each strategy signals on candles made for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from indicators.candle import Timeframe
from indicators.series import Series
from rules.batch import REASONS, regimes, signals
from rules.compiled_rules import Route
from rules.facts import FactTable
from rules.load import Ruleset, parse_rules
from rules.strategy import Reason, SignalReading

Row = tuple[float, float, float, float]
Rows = list[Row]
Hours = Callable[[Sequence[Sequence[float]]], Series]
TableOf = Callable[..., FactTable]

STRATEGIES = {
    "TREND": "trend_pullback",
    "RANGE": "bollinger_mean_reversion",
    "BREAKOUT": "squeeze_breakout",
}


def candles(closes: Sequence[float], wick: float) -> Rows:
    """Each candle opens at the close before; its wicks reach a little beyond the body."""
    return [
        (opened, max(opened, closed) * (1 + wick), min(opened, closed) * (1 - wick), closed)
        for opened, closed in pairwise([closes[0], *closes])
    ]


def uptrend_with_pullback() -> Rows:
    """Seventy days up in daily waves, 29 hours down to the EMAs of 4h, and one strong candle up."""
    closes = [100 * math.exp(0.0004 * hour) * (1 + 0.012 * math.sin(math.tau * hour / 24)) for hour in range(24 * 70)]
    for hour in range(29):
        closes.append(closes[-1] * (0.995 if hour % 8 < 5 else 1.0055))
    return [*candles(closes, 0.0015), (closes[-1], closes[-1] * 1.0075, closes[-1] * 0.9995, closes[-1] * 1.007)]


def range_with_excursion() -> Rows:
    """Sixty quiet days around 100, a fall below the lower band, and a close back inside."""
    waves = [0.6 * math.sin(math.tau * hour / 14) + 0.2 * math.sin(math.tau * hour / 5) for hour in range(24 * 60)]
    return candles([*(100 + wave for wave in waves), 99.0, 98.0, 98.7], 0.0005)


def squeeze_with_break() -> Rows:
    """Sixty days in wide waves, ten in narrow ones, and four hours up out of the range."""
    wide = [100 + 3 * math.sin(math.tau * hour / 60) for hour in range(24 * 60)]
    narrow = [100 + 0.25 * math.sin(math.tau * hour / 9) for hour in range(24 * 10)]
    return candles([*wide, *narrow, 100.1, 100.4, 100.7, 101.0], 0.0005)


def mirrored(rows: Rows) -> Rows:
    """The same market upside down (for a trend that multiplies: one over the price)."""
    return [(200 - opened, 200 - low, 200 - high, 200 - closed) for opened, high, low, closed in rows]


def inverted(rows: Rows) -> Rows:
    return [(20_000 / opened, 20_000 / low, 20_000 / high, 20_000 / closed) for opened, high, low, closed in rows]


def in_four(opened: float, high: float, low: float, closed: float) -> Rows:
    """Four candles that together make one."""
    return [(opened, high, opened, high), (high, high, low, low), (low, low, low, low), (low, closed, low, closed)]


def on_1h(shipped: Ruleset) -> Ruleset:
    """The same rules with the mean reversion moved to 1h, which takes one line."""
    assert shipped.text.count("  reversion: 4h ") == 1
    return parse_rules(shipped.text.replace("  reversion: 4h ", "  reversion: 1h "), "f")


def last_reading(ruleset: Ruleset, table: FactTable, strategy: str) -> SignalReading:
    rules = ruleset.for_symbol("ETHUSDT")
    before = rules.seek_signal(strategy, table.facts_at(table.length - 2))
    assert before.reason is Reason.NO_SETUP, "the candle before the last gives no signal yet"
    return rules.seek_signal(strategy, table.facts_at(table.length - 1))


def test_it_loads_without_a_warning(shipped: Ruleset) -> None:
    assert shipped.warnings == ()
    assert shipped.timeframes == {Timeframe.H1, Timeframe.H4, Timeframe.D1}


def test_each_regime_has_its_strategy_on_both_sides(shipped: Ruleset) -> None:
    rules = shipped.for_symbol("ETHUSDT")
    for regime, name in STRATEGIES.items():
        assert rules.route(regime) == Route((name,), "ROUTED")
        assert [side.side for side in rules.strategies[name].sides] == ["LONG", "SHORT"]


def test_every_threshold_is_documented_where_it_stands(shipped: Ruleset) -> None:
    section = shipped.text.split("\nthresholds:\n")[1].split("\n\n")[0]
    lines = {line.split(":")[0].strip(): line for line in section.splitlines() if not line.strip().startswith("#")}
    assert set(lines) == set(shipped.definition.thresholds)
    assert [name for name, line in lines.items() if len(line.partition("#")[2]) < 12] == []


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_a_pullback_in_a_trend_gives_a_signal(shipped: Ruleset, hours: Hours, table_of: TableOf, side: str) -> None:
    rows = uptrend_with_pullback() if side == "LONG" else inverted(uptrend_with_pullback())
    table = table_of(shipped.for_symbol("ETHUSDT"), hours(rows))
    reading = last_reading(shipped, table, "trend_pullback")
    assert (reading.reason, reading.side, reading.entry) == (Reason.SIGNAL, side, rows[-1][3])
    sign = 1 if side == "LONG" else -1
    extreme = min(row[2] for row in rows[-4:]) if side == "LONG" else max(row[1] for row in rows[-4:])
    atr = table.column("atr_1h")[-1]
    assert reading.stop == pytest.approx(extreme - sign * 1.5 * atr)
    assert reading.risk is not None
    assert [(round((price - rows[-1][3]) / reading.risk, 9), portion) for price, portion in reading.targets] == [
        (sign * 2.0, 0.5),
        (sign * 3.0, 0.5),
    ]
    assert reading.reward_risk == pytest.approx(2.5)
    assert (track := regimes(table)).names[track.codes[-24]] == "TREND"


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_a_close_back_inside_the_bands_gives_a_signal(
    shipped: Ruleset, hours: Hours, table_of: TableOf, side: str
) -> None:
    rows = range_with_excursion() if side == "LONG" else mirrored(range_with_excursion())
    ruleset = on_1h(shipped)
    table = table_of(ruleset.for_symbol("ETHUSDT"), hours(rows))
    reading = last_reading(ruleset, table, "bollinger_mean_reversion")
    assert (reading.reason, reading.side) == (Reason.SIGNAL, side)
    extreme = min(row[2] for row in rows[-5:]) if side == "LONG" else max(row[1] for row in rows[-5:])
    sign = 1 if side == "LONG" else -1
    assert reading.stop == pytest.approx(extreme - sign * 1.0 * table.column("mr_atr")[-1])
    closes = np.array([row[3] for row in rows[-20:]])
    middle, far = closes.mean(), closes.mean() + sign * 2 * closes.std()
    assert reading.targets == ((pytest.approx(middle), 0.5), (pytest.approx(far), 0.5))
    assert (track := regimes(table)).names[track.codes[-1]] == "RANGE"


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_a_break_out_of_a_squeeze_gives_a_signal(shipped: Ruleset, hours: Hours, table_of: TableOf, side: str) -> None:
    rows = squeeze_with_break() if side == "LONG" else mirrored(squeeze_with_break())
    table = table_of(shipped.for_symbol("ETHUSDT"), hours(rows))
    reading = last_reading(shipped, table, "squeeze_breakout")
    assert (reading.reason, reading.side) == (Reason.SIGNAL, side)
    broken = table.column("range_high_4h" if side == "LONG" else "range_low_4h")[-1]
    sign = 1 if side == "LONG" else -1
    assert sign * (rows[-1][3] - broken) > 0
    assert reading.stop == pytest.approx(broken - sign * 0.75 * table.column("atr_4h")[-1])
    assert reading.reward_risk == pytest.approx(2.0)


def test_the_mean_reversion_signals_only_at_closes_of_its_own_timeframe(
    shipped: Ruleset, hours: Hours, table_of: TableOf
) -> None:
    hourly = [row for candle in range_with_excursion() for row in in_four(*candle)]
    table = table_of(shipped.for_symbol("ETHUSDT"), hours(hourly))
    sides = signals(table, "bollinger_mean_reversion").sides.tolist()
    assert [index - len(sides) for index, side in enumerate(sides) if side][-1:] == [-1]
    assert all((index + 1) % 4 == 0 for index, side in enumerate(sides) if side), "only where a candle of 4h closes"


def test_the_first_target_of_the_mean_reversion_can_be_the_ema(
    shipped: Ruleset, hours: Hours, table_of: TableOf
) -> None:
    ruleset = parse_rules(on_1h(shipped).text.replace("use: mid_band", "use: ema20"), "f")
    table = table_of(ruleset.for_symbol("ETHUSDT"), hours(range_with_excursion()))
    reading = last_reading(ruleset, table, "bollinger_mean_reversion")
    assert reading.targets[0] == (table.column("mr_ema20")[-1], 0.5)


def test_breakouts_can_be_switched_off(shipped: Ruleset) -> None:
    old = "BREAKOUT: {strategy: squeeze_breakout, enabled: true}"
    assert shipped.text.count(old) == 1
    ruleset = parse_rules(shipped.text.replace(old, old.replace("true", "false")), "f")
    assert ruleset.for_symbol("ETHUSDT").route("BREAKOUT") == Route((), "STRATEGY_DISABLED")
    assert [problem.message for problem in ruleset.warnings] == [
        "squeeze_breakout never trades: every regime that leads to it is switched off"
    ]


def test_over_a_year_of_real_candles_every_strategy_signals_now_and_then(
    shipped: Ruleset, market: Callable[[str], Series], table_of: TableOf
) -> None:
    counts: Counter[tuple[str, int]] = Counter()
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"):
        table = table_of(shipped.for_symbol(symbol), market(symbol), 200)
        track = regimes(table)
        codes = track.codes
        for regime, name in STRATEGIES.items():
            sides = signals(table, name).sides * (codes == track.names.index(regime))
            assert not sides[: 200 * 24 - 1].any(), "no signal before 200 daily candles"
            counts.update((name, int(side)) for side in sides[sides != 0])
        share = Counter(track.names[code] for code in codes[200 * 24 :])
        assert all(0.02 < share[regime] / share.total() < 0.60 for regime in track.names), share
    assert set(counts) == {(name, side) for name in STRATEGIES.values() for side in (1, -1)}
    assert all(5 <= count <= 800 for count in counts.values()), counts


def test_in_real_candles_most_refusals_have_an_ordinary_reason(
    shipped: Ruleset, market: Callable[[str], Series], table_of: TableOf
) -> None:
    table = table_of(shipped.for_symbol("XRPUSDT"), market("XRPUSDT"), 200)
    seen = {REASONS[code] for name in STRATEGIES.values() for code in np.unique(signals(table, name).reasons)}
    assert seen == {
        Reason.SIGNAL, Reason.NO_SETUP, Reason.UNKNOWN_FACTS, Reason.NOT_ACCEPTED, Reason.REWARD_RISK_LOW
    }  # fmt: skip
