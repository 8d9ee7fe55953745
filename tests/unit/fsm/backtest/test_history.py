"""What a backtest reads of a symbol, on the shipped candles."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.history import SIGNAL, History, Market, build_history, data_hash, read_market
from indicators.candle import Timeframe
from rules.load import Ruleset, load_rules, parse_rules
from rules.strategy import Reason

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return load_rules(ROOT / "rules.yaml")


@pytest.fixture(scope="module")
def market(rules: Ruleset) -> Market:
    return read_market(CandleFolders((shipped_folder(),)), "BTCUSDT", rules.for_symbol("BTCUSDT"))


@pytest.fixture(scope="module")
def history(market: Market, rules: Ruleset) -> History:
    return build_history(market, rules, 200)


def test_candles_are_found_by_their_open_time_and_nothing_outside(market: Market) -> None:
    first = market.opens_ms[0]
    assert market.index_at(first) == 0
    assert market.index_at(first + 5 * 3_600_000) == 5
    assert market.index_at(first - 3_600_000) is None
    assert market.index_at(market.opens_ms[-1] + 3_600_000) is None


def test_long_candles_are_made_of_the_hours(market: Market) -> None:
    assert market.by_timeframe[Timeframe.H4].length == market.series.length // 4
    assert market.by_timeframe[Timeframe.D1].length == market.series.length // 24


def test_a_candles_code_says_what_an_idle_symbol_makes_of_it(history: History) -> None:
    """The code of every candle agrees with asking the rules themselves; signals are left to the engine."""
    for index in range(5_000, 9_000, 7):
        facts, state = history.table.facts_at(index), history.regime_state(index)
        route = history.rules.route(state.regime)
        reading = history.rules.seek(route, facts)
        if reading is None:
            assert history.quiet_verdict(index) == ("NO_TRADE", route.reason)
            continue
        assert (history.codes[index] == SIGNAL) == (reading.reason is Reason.SIGNAL)
        if reading.reason is not Reason.SIGNAL:
            assert history.quiet_verdict(index) == ("NO_SIGNAL", reading.reason.value)


def test_equal_codes_mean_equal_readings(history: History) -> None:
    seen: dict[int, tuple[object, ...]] = {}
    for index, code in enumerate(history.codes):
        if code == SIGNAL:
            continue
        reading = (history.regime_state(index).regime, *history.quiet_verdict(index))
        assert seen.setdefault(code, reading) == reading


def test_the_data_hash_changes_with_any_number_that_is_read(market: Market, rules: Ruleset) -> None:
    folders, own = CandleFolders((shipped_folder(),)), rules.for_symbol("")
    less = load_rules(ROOT / "docs" / "strategies" / "opening_range.yaml").for_symbol("")
    assert data_hash([market]) == data_hash([read_market(folders, "BTCUSDT", own)])
    assert data_hash([market]) != data_hash([read_market(folders, "ETHUSDT", own)])
    assert data_hash([market]) != data_hash([read_market(folders, "BTCUSDT", less)])
    text = (ROOT / "docs" / "strategies" / "opening_range.yaml").read_text("utf-8")
    more = parse_rules(text.replace("close_1h > mean_4h", "ETHUSDT.close_1h > ETHUSDT.mean_4h"), "r").for_symbol("")
    other = read_market(folders, "BTCUSDT", more)
    assert data_hash([other]) != data_hash([read_market(folders, "BTCUSDT", less)])
    assert data_hash([other]) == data_hash([read_market(folders, "BTCUSDT", more)])
