"""The same trades in another order, drawn again, or entered later: by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fsm.backtest.ground import read_ground
from fsm.optimise.chances import entry_delay, trade_order
from fsm.search import ClosedTrade
from tests.integration.generated_runs import FIRST_MS, HOUR_MS, case

BALANCE = Decimal(1_000)


def trade(number: int, net: int, **given: Any) -> ClosedTrade:
    """Opened at the number-th hour, over three hours later."""
    opened_ms = FIRST_MS + number * HOUR_MS
    known: dict[str, Any] = {
        "id": f"t{number}", "symbol": "BTCUSDT", "side": "LONG", "strategy": "s", "regime": "r",
        "signal_candle_ms": opened_ms - HOUR_MS, "opened_ms": opened_ms, "first_fill_ms": opened_ms,
        "closed_ms": opened_ms + 3 * HOUR_MS, "quantity": Decimal(1), "entry_price_planned": Decimal(1),
        "entry_price": Decimal(1), "stop_price_initial": Decimal(1), "stop_price": None, "exit_price": Decimal(1),
        "closed_quantity": Decimal(1), "risk_usdt": Decimal(1), "realized_pnl": Decimal(net), "fees": Decimal(0),
        "funding": Decimal(0), "net_pnl": Decimal(net), "r": Decimal(net), "exit_reason": None,
    }  # fmt: skip
    return ClosedTrade(**{**known, **given})


def test_a_drawdown_in_the_order_as_it_was_and_in_others() -> None:
    """1,000, 900, 1,080, 972: falls of 10 %. In every other order of -10 %, +20 %, -10 % one fall of 19 % may come."""
    trades = [trade(1, -100), trade(2, 180), trade(3, -108)]
    found = trade_order(trades, BALANCE)
    assert found is not None
    assert found["max_drawdown_pct"] == pytest.approx(10.0)
    assert found["max_drawdown_pct_95"] == pytest.approx(19.0)
    assert found["max_drawdown_pct_50"] == pytest.approx(19.0), "two of three orders put the losses together"
    assert found["return_pct_5"] < -20 < 0 < found["return_pct_95"]
    assert found == trade_order(trades[::-1], BALANCE), "the order in which they are given does not count"


def test_trades_that_all_earn_never_lose_when_drawn_again() -> None:
    found = trade_order([trade(1, 10), trade(2, 20)], BALANCE)
    assert found is not None
    assert (found["loss_share"], found["max_drawdown_pct_95"]) == (0.0, 0.0)


def test_there_is_nothing_to_tell_without_trades() -> None:
    assert trade_order([], BALANCE) is None
    assert entry_delay([], {}, BALANCE) is None


def test_later_entries_by_hand(tmp_path: Path) -> None:
    """At the open of a later candle, with the same exit; what was over by then is no trade."""
    request = case(2, tmp_path).request
    market = {each.symbol: each for each in read_ground(request).markets}
    step = market["BTCUSDT"].series.timeframe.ms
    assert step == HOUR_MS
    opens = market["BTCUSDT"].series.open
    index = 300
    first_ms = market["BTCUSDT"].opens_ms[index]
    long = trade(0, 50, first_fill_ms=first_ms + 60_000, closed_ms=first_ms + 3 * HOUR_MS, entry_price=Decimal(100))
    short = msgspec.structs.replace(long, side="SHORT", id="short")
    for side, sign in ((long, 1), (short, -1)):
        found = entry_delay([side], market, BALANCE)
        assert found is not None
        moved = [float(opens[index + delay] / opens[index]) - 1 for delay in (1, 2)]
        assert found["return_pct"] == 5.0
        assert found["return_pct_1_later"] == pytest.approx((50 - sign * 100 * moved[0]) / 10, abs=1e-6)
        assert found["return_pct_2_later"] == pytest.approx((50 - sign * 100 * moved[1]) / 10, abs=1e-6)
        assert found["return_pct_3_later"] == 0.0
        assert found["drawn_pct_5"] <= found["drawn_pct_50"] <= found["drawn_pct_95"]
