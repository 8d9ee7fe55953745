"""What a taker pays."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.sim.core import pricing
from exchange.sim.core.state import Settings
from exchange.sim.playback.symbols import shipped_filters
from exchange.types import Side

D = Decimal
BTC = shipped_filters()["BTCUSDT"]


def settings(slippage: str = "0.001", depth: str | None = None) -> Settings:
    return Settings(
        maker_rate=D(0), taker_rate=D(0), slippage=D(slippage), depth_usdt=None if depth is None else D(depth)
    )


def test_slippage_and_rounding_are_always_against_us() -> None:
    assert list(pricing.levels(Side.BUY, D("1"), D("100.07"), BTC, settings("0"))) == [
        (D("556.8") - D("456.7"), D("1"))
    ]
    ((up, _),) = pricing.levels(Side.BUY, D("1"), D("60000"), BTC, settings())
    ((down, _),) = pricing.levels(Side.SELL, D("1"), D("60000"), BTC, settings())
    assert (up, down) == (D("60060"), D("59940"))


def test_each_level_is_one_slippage_worse_and_holds_the_depth() -> None:
    found = list(pricing.levels(Side.SELL, D("0.030"), D("60000"), BTC, settings(depth="600")))
    assert found == [(D("59940.0"), D("0.010")), (D("59880.0"), D("0.010")), (D("59820.0"), D("0.010"))]


def test_a_level_holds_at_least_one_step() -> None:
    found = list(pricing.levels(Side.BUY, D("0.002"), D("60000"), BTC, settings(depth="1")))
    assert [quantity for _, quantity in found] == [D("0.001"), D("0.001")]


def test_the_book_has_an_end() -> None:
    found = list(pricing.levels(Side.BUY, D("1"), D("60000"), BTC, settings("0", depth="60")))
    assert len(found) == 200
    assert not any(price <= 0 for price, _ in pricing.levels(Side.SELL, D("1"), D("60000"), BTC, settings("0.4", "60")))


def test_a_limit_order_is_given_its_limit_where_a_market_order_gets_nothing() -> None:
    def executions(*, clip: bool) -> list[tuple[D, D]]:
        return list(
            pricing.executions(
                Side.BUY, D("0.02"), D("60000"), worst=D("60010"), clip=clip, filters=BTC, settings=settings()
            )
        )

    assert executions(clip=True) == [(D("60010"), D("0.02"))]
    assert executions(clip=False) == []


@pytest.mark.parametrize("quantity", ["0", "0.001", "16.6", "40", "1667", "1E9"])
def test_a_book_that_is_asked_for_so_much_is_the_whole_one_without_what_lies_behind(quantity: str) -> None:
    for found in (settings("0"), settings("0.02"), settings(depth="1000")):
        whole = pricing.shown("BTCUSDT", D("60000.1"), BTC, found)
        assert pricing.shown("BTCUSDT", D("60000.1"), BTC, found, D(quantity)) == whole.down_to(D(quantity))
