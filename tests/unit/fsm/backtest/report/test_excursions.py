"""MAE and MFE of a trade, worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from fsm.backtest.report.excursions import excursion
from indicators.candle import Timeframe
from indicators.series import Series
from store.rows import FillRow
from store.trade_rows import TradeRow

HOUR_MS = 3_600_000


def series(*candles: tuple[float, float]) -> Series:
    """Candles by (high, low); they open and close in the middle."""
    middle = [(high + low) / 2 for high, low in candles]
    return Series(
        symbol="BTCUSDT",
        timeframe=Timeframe.H1,
        open_time_ms=np.arange(len(candles), dtype=np.int64) * HOUR_MS,
        open=np.array(middle),
        high=np.array([high for high, _ in candles]),
        low=np.array([low for _, low in candles]),
        close=np.array(middle),
        volume=np.ones(len(candles)),
    )


def trade(side: str, *, entry: str, stop: str, fill_ms: int | None, closed_ms: int) -> TradeRow:
    return TradeRow(
        id="t",
        number=1,
        symbol="BTCUSDT",
        side=side,
        status="CLOSED",
        strategy_used="s",
        regime_at_entry="TREND",
        signal_candle_ms=0,
        opened_ms=0,
        first_fill_ms=fill_ms,
        protected_ms=None,
        closed_ms=closed_ms,
        quantity=Decimal(1),
        open_quantity=Decimal(0),
        closed_quantity=Decimal(1),
        entry_price_planned=Decimal(entry),
        entry_price=Decimal(entry),
        exit_price=None,
        stop_price_initial=Decimal(stop),
        risk_usdt=Decimal(10),
        pnl=Decimal(0),
        fees=Decimal(0),
        funding=Decimal(0),
        net_pnl=Decimal(0),
        r=Decimal(0),
        exit_reason=None,
        flagged=None,
        adopted=False,
        rules_hash="",
        config_hash="",
        transition_id=1,
    )


def fill(price: str) -> FillRow:
    return FillRow(
        at_ms=0,
        symbol="BTCUSDT",
        fill_id=1,
        order_id=1,
        side="BUY",
        price=Decimal(price),
        quantity=Decimal(1),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        maker=False,
    )


CANDLES = series((101, 99), (112, 96), (108, 104), (150, 50))


def test_it_reads_the_candles_from_the_entry_up_to_the_one_before_the_end() -> None:
    held = trade("LONG", entry="100", stop="90", fill_ms=HOUR_MS, closed_ms=3 * HOUR_MS + 5)
    assert excursion(held, [fill("100"), fill("105")], CANDLES) == pytest.approx((-0.4, 1.2))
    short = trade("SHORT", entry="100", stop="110", fill_ms=HOUR_MS, closed_ms=3 * HOUR_MS + 5)
    assert excursion(short, [fill("100"), fill("105")], CANDLES) == pytest.approx((-1.2, 0.4))


def test_a_trade_that_ends_in_its_first_candle_is_told_by_its_fills_alone() -> None:
    stopped = trade("LONG", entry="100", stop="90", fill_ms=3 * HOUR_MS, closed_ms=3 * HOUR_MS + 5)
    assert excursion(stopped, [fill("100"), fill("89")], CANDLES) == pytest.approx((-1.1, 0.0))


def test_what_cannot_be_told_is_none() -> None:
    never = trade("LONG", entry="100", stop="90", fill_ms=None, closed_ms=HOUR_MS)
    assert excursion(never, [], CANDLES) is None
    riskless = trade("LONG", entry="100", stop="100", fill_ms=0, closed_ms=HOUR_MS)
    assert excursion(riskless, [], CANDLES) is None
    assert excursion(trade("LONG", entry="100", stop="90", fill_ms=0, closed_ms=1), [], None) is None
