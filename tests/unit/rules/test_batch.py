"""Deciding over a whole history equals deciding candle by candle, and never looks ahead (R47)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from indicators.series import Series
from rules.batch import REASONS, regimes, signal_sides, signals
from rules.compiled_rules import CompiledRules
from rules.facts import FactTable
from rules.load import Ruleset, SourceError, stored_rules
from rules.regime import RegimeState
from rules.regime_track import RegimeTrack
from rules.strategy import Reason
from tests.effort import examples

TableOf = Callable[..., FactTable]
SIDES = {"LONG": 1, "SHORT": -1, None: 0}


def scalar_regimes(table: FactTable, rules: CompiledRules, start: RegimeState | None = None) -> list[RegimeState]:
    states, state = [], start or RegimeState()
    for index, candle_ms in enumerate(table.candle_ms.tolist()):
        state = rules.classify(table.facts_at(index), state, candle_ms)
        states.append(state)
    return states


def assert_same_regimes(table: FactTable, track: RegimeTrack, states: list[RegimeState]) -> None:
    assert [track.names[code] for code in track.codes] == [state.regime for state in states]
    assert [track.state_at(index) for index in range(table.length)] == states
    runs = [index for index in range(table.length) if states[index] is not ([track.start, *states])[index]]
    assert list(track.runs) == runs
    assert list(track.states) == [states[run] for run in runs]


@pytest.fixture(scope="module", params=["BTCUSDT", "DOGEUSDT"])
def real(
    request: pytest.FixtureRequest, shipped: Ruleset, market: Callable[[str], Series], table_of: TableOf
) -> FactTable:
    return table_of(shipped.for_symbol(request.param), market(request.param), 200)


@pytest.fixture(scope="module")
def days(market: Callable[[str], Series]) -> Series:
    return market("ETHUSDT").until(300)


@pytest.fixture(scope="module")
def quick(small: Ruleset, market: Callable[[str], Series], table_of: TableOf) -> FactTable:
    return table_of(small.for_symbol("ETHUSDT"), market("ETHUSDT").until(3_000))


def test_over_real_candles_regimes_equal_those_told_candle_by_candle(real: FactTable) -> None:
    track = regimes(real)
    assert_same_regimes(real, track, scalar_regimes(real, real.rules))
    assert set(np.unique(track.codes)) == set(range(len(track.names))), (
        "every regime occurs, so every branch was compared"
    )


def test_over_real_candles_signals_equal_those_sought_candle_by_candle(real: FactTable) -> None:
    for name in real.rules.strategies:
        track = signals(real, name)
        for index in range(real.length - 7_000, real.length):
            reading = real.rules.seek_signal(name, real.facts_at(index))
            assert track.sides[index] == SIDES[reading.side]
            assert REASONS[track.reasons[index]] is reading.reason
        assert signal_sides(real, name).tolist() == track.sides.tolist()
        assert {1, -1} <= set(track.sides.tolist())


def test_the_small_rules_agree_in_every_reason(quick: FactTable) -> None:
    assert_same_regimes(quick, regimes(quick), scalar_regimes(quick, quick.rules))
    seen: set[Reason] = set()
    for name in quick.rules.strategies:
        track = signals(quick, name)
        readings = [quick.rules.seek_signal(name, quick.facts_at(index)) for index in range(quick.length)]
        assert [REASONS[code] for code in track.reasons] == [reading.reason for reading in readings]
        assert track.sides.tolist() == [SIDES[reading.side] for reading in readings]
        seen |= {reading.reason for reading in readings}
    assert seen >= {Reason.SIGNAL, Reason.NO_SETUP, Reason.UNKNOWN_FACTS}


STOPS = (
    "close_1h - atr_1h",
    "close_1h + atr_1h",
    "entry",
    "low_1h",
    "-entry",
    "close_1h * (atr_1h / (atr_1h - atr_1h))",
)
TARGETS = (
    "close_1h", "high_1h", "stop", "0 * entry", "entry + 2 * risk", "close_1h - atr_1h", "close_1h + 3 * atr_1h",
    "close_1h + 9 * atr_1h", "entry + 9 * atr_1h * (risk / (risk - risk))",
)  # fmt: skip
ACCEPTS = ("risk >= atr_1h", "risk > 0.01 * close_1h", "entry / (risk - risk) > 1", "not entry / (risk - risk) > 1")
SHORTS = ("close_1h < close_1h[1]", "rsi_4h > 50", "atr_1h / (close_1h - close_1h[1]) > 1")


@given(
    stop=st.sampled_from(STOPS),
    targets=st.lists(st.sampled_from(TARGETS), min_size=2, max_size=2),
    accept=st.sampled_from(ACCEPTS),
    short=st.sampled_from(SHORTS),
)
@settings(max_examples=examples(150))
def test_plans_of_every_kind_agree_in_side_and_reason(
    small_text: str, days: Series, table_of: TableOf, stop: str, targets: list[str], accept: str, short: str
) -> None:
    text = small_text
    for old, new in (
        ("stop: low_1h - 0.5 * atr_1h", f'stop: "{stop}"'),
        ("price: entry + 2 * risk,", f'price: "{targets[0]}",'),
        ("price: entry + 4 * risk,", f'price: "{targets[1]}",'),
        ("when: risk >= 0.5 * atr_1h", f'when: "{accept}"'),
        ('"close_1h < close_1h[1] and not up_1h"', f'"{short}"'),
        ("- {id: strong_candle, when: up_1h}", "- {id: strong_candle, when: close_1h > low_1h}"),
    ):
        assert old in text
        text = text.replace(old, new)
    try:
        rules = stored_rules(text, "f").for_symbol("ETHUSDT")
    except SourceError:  # not every combination fits
        reject()
    table = table_of(rules, days)
    track = signals(table, "follow")
    for index in range(table.length):
        reading = rules.seek_signal("follow", table.facts_at(index))
        assert (track.sides[index], REASONS[track.reasons[index]]) == (SIDES[reading.side], reading.reason)


# --- starting points and truncation -----------------------------------------------------------------


def test_a_history_may_start_from_a_state(quick: FactTable) -> None:
    start = RegimeState(regime="TREND", candles_in_regime=5, candle_ms=int(quick.candle_ms[99]))
    track = regimes(quick, start=start)
    assert_same_regimes(quick, track, scalar_regimes(quick, quick.rules, start))
    assert track.runs[0] > 99


def test_a_history_continues_where_it_was_cut(quick: FactTable, days: Series, table_of: TableOf) -> None:
    whole = regimes(quick)
    for cut in (801, 1_202, 2_003):
        after = regimes(quick, start=whole.state_at(cut))
        assert [state for state in whole.states if state.candle_ms > quick.candle_ms[cut]] == list(after.states)


def test_a_history_without_candles_is_empty(small: Ruleset, days: Series, table_of: TableOf) -> None:
    table = table_of(small.for_symbol("ETHUSDT"), days.until(0))
    track = regimes(table)
    assert (track.codes.tolist(), track.runs.tolist(), track.states) == ([], [], ())
    assert signals(table, "follow").sides.tolist() == []


def test_rules_that_differ_in_values_share_a_table(small: Ruleset, quick: FactTable, table_of: TableOf) -> None:
    own = small.for_symbol("BTCUSDT")
    assert_same_regimes(quick, regimes(quick, own), scalar_regimes(quick, own))
    sides = signal_sides(quick, "follow", own).tolist()
    assert sides == [SIDES[own.seek_signal("follow", quick.facts_at(i)).side] for i in range(quick.length)]


def test_what_is_decided_does_not_depend_on_what_comes_later_r47(
    shipped: Ruleset, market: Callable[[str], Series], table_of: TableOf
) -> None:
    series, rules = market("SOLUSDT"), shipped.for_symbol("SOLUSDT")
    whole = table_of(rules, series, 200)
    track, by_strategy = regimes(whole), {name: signals(whole, name) for name in rules.strategies}
    for count in (*range(5_000, 5_060), *range(5_101, series.length, 397)):
        cut = table_of(rules, series.until(count), 200)
        last = count - 1
        assert cut.facts_at(last) == whole.facts_at(last)
        cut_track = regimes(cut)
        assert cut_track.codes.tolist() == track.codes[:count].tolist()
        assert cut_track.state_at(last) == track.state_at(last)
        for name, signal_track in by_strategy.items():
            assert signals(cut, name).reasons.tolist() == signal_track.reasons[:count].tolist()
            assert signals(cut, name).sides.tolist() == signal_track.sides[:count].tolist()


def test_in_the_small_rules_no_candle_looks_ahead_r47(small: Ruleset, days: Series, table_of: TableOf) -> None:
    rules = small.for_symbol("ETHUSDT")
    whole = table_of(rules, days)
    track, follow = regimes(whole), signals(whole, "follow")
    for count in range(1, days.length):
        cut = table_of(rules, days.until(count))
        assert regimes(cut).codes[-1] == track.codes[count - 1]
        assert signals(cut, "follow").reasons[-1] == follow.reasons[count - 1]
