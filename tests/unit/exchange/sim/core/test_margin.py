"""Brackets and the liquidation price, against the documented numbers."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exchange.sim.core import margin
from exchange.sim.playback.symbols import shipped_brackets

D = Decimal
BTC = shipped_brackets()["BTCUSDT"]


def test_brackets_hold_up_to_and_including_their_cap() -> None:
    assert margin.bracket_of(D("300000"), BTC).bracket == 1
    assert margin.bracket_of(D("300000.1"), BTC).bracket == 2
    assert margin.bracket_of(D("9999999999"), BTC).bracket == 12


def test_the_largest_notional_of_a_leverage() -> None:
    assert margin.leverage_max(BTC) == 150
    assert margin.notional_max(150, BTC) == 300_000
    assert margin.notional_max(101, BTC) == 300_000
    assert margin.notional_max(100, BTC) == 800_000
    assert margin.notional_max(1, BTC) == 1_800_000_000


def test_maintenance_margin_is_continuous_across_brackets() -> None:
    for lower, upper in pairwise(BTC):
        cap = lower.notional_cap
        assert cap * lower.maintenance_margin_ratio - lower.cumulative == (
            cap * upper.maintenance_margin_ratio - upper.cumulative
        )


def test_liquidation_prices_of_the_documented_example() -> None:
    """Long and short 0.1 at 60,000 with 600 isolated (binance-usdm §8.3)."""
    long = margin.liquidation_price(D("0.1"), D("60000"), D("600"), BTC)
    short = margin.liquidation_price(D("-0.1"), D("60000"), D("600"), BTC)
    assert long is not None
    assert short is not None
    assert round(long, 2) == D("54216.87")
    assert round(short, 2) == D("65737.05")


def test_the_bracket_is_that_of_the_notional_at_the_liquidation_price() -> None:
    # 10 BTC at 60,000 are 600,000 (second bracket) but 480,000 where they are liquidated: still the second
    price = margin.liquidation_price(D("10"), D("60000"), D("120000"), BTC)
    assert price == (D("120000") + 300 - 600_000) / (10 * D("0.005") - 10)
    # 5.2 BTC at 60,000 are 312,000 (second) and come down to the first
    price = margin.liquidation_price(D("5.2"), D("60000"), D("31200"), BTC)
    assert price == (D("31200") - 312_000) / (D("5.2") * D("0.004") - D("5.2"))


def test_a_long_without_leverage_has_no_liquidation_price() -> None:
    assert margin.liquidation_price(D("0.1"), D("60000"), D("6000"), BTC) is None


@given(
    quantity=st.decimals("0.001", "500", places=3),
    short=st.booleans(),
    entry=st.decimals("1000", "100000", places=1),
    leverage=st.integers(1, 50),
)
def test_at_the_liquidation_price_margin_equals_maintenance(quantity: D, short: bool, entry: D, leverage: int) -> None:
    signed = -quantity if short else quantity
    wallet = quantity * entry / leverage
    price = margin.liquidation_price(signed, entry, wallet, BTC)
    if price is None:
        assert not short
        return
    balance = wallet + signed * (price - entry)
    assert abs(balance - margin.maintenance(quantity * price, BTC)) < D("1e-12") * quantity * entry
