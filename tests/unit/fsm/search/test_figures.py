"""Figures of columns are those of trades and a curve, and where floats are too close to tell, decimals decide."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import numpy as np
import pytest

from fsm.backtest import curve as by_decimals
from fsm.backtest.summary import grouped, results, sequence
from fsm.search.closed_trade import ClosedTrade
from fsm.search.figures import Readings, TradeColumns, Unclear

HOUR_MS = 3_600_000
UNIT = Decimal("1E-8")


def readings(chance: Random, count: int) -> Readings:
    """Equity that goes up and down, read at some of the hours and twice at the last."""
    at_ms = sorted(chance.sample(range(24 * 365 * 54, 24 * 365 * 54 + 3 * count), count))
    units, found = 10**12, []
    for _ in at_ms:
        units = max(10**9, units + chance.choice([0, -1, 1]) * chance.randrange(10**10))
        found.append(units)
    return Readings(np.array([*at_ms, at_ms[-1]]) * HOUR_MS, np.array([*found, found[-1]]))


@pytest.mark.parametrize("seed", range(30))
def test_figures_of_readings_are_those_of_the_curve(seed: int) -> None:
    chance = Random(seed)
    found = readings(chance, chance.choice([1, 2, 30, 2_000]))
    curve = [*zip(found.at_ms.tolist(), (units * UNIT for units in found.units.tolist()), strict=True)]
    for start_ms in (0, curve[0][0], curve[len(curve) // 2][0] + 1, curve[-1][0]):
        try:
            assert found.figures(start_ms) == by_decimals.figures_of(curve, start_ms)
            assert found.since(start_ms).daily_returns() == by_decimals.daily_returns(
                by_decimals.since(curve, start_ms)
            )
        except Unclear:
            assert len(curve) == 2  # one instant, read twice


def test_a_ruined_account_is_left_to_decimals() -> None:
    with pytest.raises(Unclear):
        Readings(np.array([0, HOUR_MS]), np.array([10**8, 0])).figures(0)


def trade(chance: Random, number: int) -> ClosedTrade:
    net, risk = chance.randrange(-(10**10), 10**10) * UNIT, Decimal(chance.randrange(1, 10**6))
    closed_ms = chance.randrange(50) * HOUR_MS + HOUR_MS
    return ClosedTrade(
        id=f"BTCUSDT-{number}",
        symbol=chance.choice(["BTCUSDT", "ETHUSDT"]),
        side="LONG",
        strategy=chance.choice("ab"),
        regime=chance.choice("xyz"),
        signal_candle_ms=0,
        opened_ms=0,
        first_fill_ms=chance.choice([None, closed_ms // 2]),
        closed_ms=closed_ms,
        quantity=Decimal(1),
        entry_price_planned=Decimal(1),
        entry_price=Decimal(1),
        stop_price_initial=Decimal(1),
        stop_price=None,
        exit_price=None,
        closed_quantity=Decimal(1),
        risk_usdt=risk,
        realized_pnl=net,
        fees=chance.randrange(10**8) * UNIT,
        funding=chance.randrange(-(10**8), 10**8) * UNIT,
        net_pnl=chance.choice([net, Decimal(0)]),
        r=net / risk,
        exit_reason="STOP_HIT",
        flagged=chance.choice([None, "END_OF_DATA"]),
    )


@pytest.mark.parametrize("seed", range(30))
def test_figures_of_columns_are_those_of_the_trades(seed: int) -> None:
    chance = Random(seed)
    trades = [trade(chance, number) for number in range(chance.choice([0, 1, 2, 100]))]
    half = len(trades) // 2
    found = TradeColumns.joined([TradeColumns.of(trades[:half]), TradeColumns.of(trades[half:])]).figures()
    assert found.together == results(trades)
    assert found.sequence == sequence(trades)
    assert found.groups["regime"] == grouped(trades, lambda each: each.regime)
    assert found.groups["symbol"] == grouped(trades, lambda each: each.symbol)
    assert found.closed_at_end == sum(each.flagged is not None for each in trades)


def test_a_mean_between_two_last_digits_is_left_to_decimals() -> None:
    chance = Random(1)
    columns = TradeColumns.of([trade(chance, 1), trade(chance, 2)])
    assert columns._replace(r=np.array([1.0, 2.0])).figures().together["expectancy_r"] == 1.5
    with pytest.raises(Unclear):
        columns._replace(r=np.array([1.0, 1.000001])).figures()
