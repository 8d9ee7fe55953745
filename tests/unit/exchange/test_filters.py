"""What each filter refuses, and with which code."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.filters import Rounding, SymbolFilters, would_trigger
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
    WorkingType,
)

D = Decimal
BTC = SymbolFilters(
    symbol="BTCUSDT",
    status="TRADING",
    contract_type="PERPETUAL",
    base_asset="BTC",
    quote_asset="USDT",
    margin_asset="USDT",
    tick_size=D("0.10"),
    price_min=D("556.80"),
    price_max=D("4529764"),
    step_size=D("0.001"),
    quantity_min=D("0.001"),
    quantity_max=D("1000"),
    market_step_size=D("0.001"),
    market_quantity_min=D("0.002"),
    market_quantity_max=D("120"),
    notional_min=D("50"),
    multiplier_up=D("1.0500"),
    multiplier_down=D("0.9500"),
    orders_max=200,
    market_take_bound=D("0.05"),
    trigger_protect=D("0.05"),
    liquidation_fee=D("0.0125"),
)
MARK = D("60000")


def limit(price: str, quantity: str = "0.010", side: Side = Side.BUY, *, reduce_only: bool = False) -> OrderRequest:
    return OrderRequest(
        symbol="BTCUSDT",
        side=side,
        type=OrderType.LIMIT,
        quantity=D(quantity),
        client_id="x",
        price=D(price),
        time_in_force=TimeInForce.GTC,
        reduce_only=reduce_only,
    )


def market(quantity: str, *, reduce_only: bool = False) -> OrderRequest:
    return OrderRequest(
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.MARKET,
        quantity=D(quantity),
        client_id="x",
        reduce_only=reduce_only,
    )


def stop(trigger: str = "58000", quantity: str | None = "0.010", **more: bool) -> AlgoRequest:
    return AlgoRequest(
        symbol="BTCUSDT",
        side=Side.SELL,
        type=ConditionalType.STOP_MARKET,
        trigger_price=D(trigger),
        working_type=WorkingType.MARK_PRICE,
        client_id="x",
        quantity=None if quantity is None else D(quantity),
        **more,
    )


def code_of_order(request: OrderRequest, filters: SymbolFilters = BTC, mark: D = MARK) -> int | None:
    refused = filters.check_order(request, mark)
    return None if refused is None else refused.code


def code_of_algo(request: AlgoRequest, filters: SymbolFilters = BTC) -> int | None:
    refused = filters.check_algo(request, MARK)
    return None if refused is None else refused.code


def test_an_order_within_every_filter_passes() -> None:
    assert code_of_order(limit("60000.10")) is None
    assert code_of_order(market("0.010")) is None
    assert code_of_algo(stop()) is None
    assert code_of_algo(stop(quantity=None, close_position=True)) is None


@pytest.mark.parametrize(
    ("price", "code"),
    [
        ("0", -4001),
        ("-1", -4001),
        ("4529764.1", -4002),
        ("556.7", -4013),
        ("60000.05", -4014),
        ("60000.001", -1111),
        ("60000.100", None),
    ],
)
def test_price_filter_holds_for_limit_prices_and_trigger_prices(price: str, code: int | None) -> None:
    wide = replace(BTC, multiplier_up=D(0), multiplier_down=D(0), notional_min=D(0))
    assert code_of_order(limit(price), wide) == code
    assert code_of_algo(stop(price), wide) == code


def test_the_tick_is_counted_from_the_minimum_price() -> None:
    odd = replace(BTC, price_min=D("0.05"), tick_size=D("0.10"))
    assert code_of_order(limit("60000.05"), odd) is None
    assert code_of_order(limit("60000.10"), odd) == -4014
    assert odd.round_price(D("60000.12"), Rounding.DOWN) == D("60000.05")


@pytest.mark.parametrize(
    ("quantity", "code"),
    [("0", -4003), ("-1", -4003), ("0.0005", -4004), ("1000.001", -4005), ("0.0101", -1111), ("0.01", None)],
)
def test_lot_size_holds_for_limit_orders(quantity: str, code: int | None) -> None:
    assert code_of_order(limit("60000", quantity)) == code


@pytest.mark.parametrize(("quantity", "code"), [("0.001", -4004), ("120.001", -4005), ("120", None)])
def test_market_lot_size_holds_for_market_and_conditional_orders(quantity: str, code: int | None) -> None:
    assert code_of_order(market(quantity)) == code
    assert code_of_algo(stop(quantity=quantity)) == code


@pytest.mark.parametrize(("step", "market_step"), [("0.001", "0.01"), ("0.01", "0.001"), ("0.005", "0.002")])
def test_a_limit_order_goes_by_its_own_step_and_whatever_executes_at_the_market_by_the_other(
    step: str, market_step: str
) -> None:
    """Binance has symbols where they differ; with equal ones the wrong one is never seen."""
    uneven = replace(BTC, step_size=D(step), market_step_size=D(market_step), quantity_min=D(step))
    quantity = D("0.0379")
    at_a_limit = quantity - quantity % D(step)
    at_the_market = quantity - quantity % D(market_step)
    assert at_a_limit != at_the_market
    assert uneven.floor_quantity(quantity, market=False) == at_a_limit
    assert uneven.floor_quantity(quantity, market=True) == at_the_market
    assert uneven.covering_quantity(quantity) == at_the_market + D(market_step)
    for found, limits, markets in (
        (at_a_limit, True, not at_a_limit % D(market_step)),
        (at_the_market, not at_the_market % D(step), True),
    ):
        assert (code_of_order(limit("60000", str(found)), uneven) is None) is limits
        assert (code_of_order(market(str(found)), uneven) is None) is markets
        assert (code_of_algo(stop(quantity=str(found)), uneven) is None) is markets


def test_each_kind_of_order_has_its_own_least_and_largest_quantity() -> None:
    uneven = replace(BTC, quantity_min=D("0.004"), market_quantity_min=D("0.002"), quantity_max=D("100"))
    assert uneven.floor_quantity(D("0.0039"), market=False) == 0
    assert uneven.floor_quantity(D("0.0039"), market=True) == D("0.003")
    assert uneven.floor_quantity(D("0.0019"), market=True) == 0
    assert uneven.covering_quantity(D("0.0005")) == D("0.002")
    assert code_of_order(limit("60000", "110"), uneven) == -4005
    assert code_of_order(market("110"), uneven) is None


def test_a_quantity_with_few_decimals_off_the_step_is_4023() -> None:
    coarse = replace(BTC, step_size=D("0.005"))
    assert code_of_order(limit("60000", "0.012"), coarse) == -4023


def test_minimum_notional_counts_limit_orders_at_their_price_and_market_orders_at_the_mark() -> None:
    assert code_of_order(limit("59000", "0.001")) is None
    small = replace(BTC, notional_min=D("60"), market_quantity_min=D("0.001"))
    assert code_of_order(limit("59000", "0.001"), small) == -4164
    assert code_of_order(limit("60000", "0.001"), small) is None
    assert code_of_order(market("0.001"), small, mark=D("59999.9")) == -4164
    assert code_of_order(market("0.001"), small, mark=D("60000")) is None


def test_reduce_only_orders_need_no_minimum_notional() -> None:
    """R41: dust can always be closed."""
    high = replace(BTC, notional_min=D("1000000"))
    assert code_of_order(market("0.002", reduce_only=True), high) is None
    assert code_of_order(limit("60000", "0.001", Side.SELL, reduce_only=True), high) is None
    assert code_of_algo(stop(quantity="0.002", reduce_only=True), high) is None
    assert code_of_algo(stop(quantity="0.002"), high) == -4164
    assert code_of_algo(stop(quantity=None, close_position=True), high) is None


def test_the_refusal_of_a_small_order_names_the_minimum() -> None:
    refused = BTC.check_order(market("0.002"), D("20000"))
    assert refused is not None
    assert refused.message == "Order's notional must be no smaller than 50 (unless you choose reduce only)."


def test_percent_price_bounds_limit_orders_on_their_bad_side_only() -> None:
    assert code_of_order(limit("63000.0")) is None
    assert code_of_order(limit("63000.1")) == -4016
    assert code_of_order(limit("30000", side=Side.BUY)) is None
    assert code_of_order(limit("57000.0", side=Side.SELL)) is None
    assert code_of_order(limit("56999.9", side=Side.SELL)) == -4024
    assert code_of_order(limit("90000", side=Side.SELL)) is None


def test_a_market_order_executes_no_further_than_the_tighter_of_both_bounds() -> None:
    assert BTC.market_price_limit(Side.BUY, MARK) == D("63000.00")
    tight = replace(BTC, market_take_bound=D("0.01"))
    assert tight.market_price_limit(Side.BUY, MARK) == D("60600.00")
    assert tight.market_price_limit(Side.SELL, MARK) == D("59400.00")
    unbound = replace(BTC, market_take_bound=D(0), multiplier_down=D(0))
    assert unbound.market_price_limit(Side.SELL, MARK) is None


def test_a_symbol_that_is_not_trading_refuses_to_open_and_to_close() -> None:
    halted = replace(BTC, status="SETTLING")
    assert code_of_order(limit("60000"), halted) == -4140
    assert code_of_order(market("0.01", reduce_only=True), halted) == -4141
    assert code_of_algo(stop(quantity=None, close_position=True), halted) == -4141


def test_close_position_excludes_quantity_and_reduce_only() -> None:
    assert code_of_algo(stop(quantity="0.01", close_position=True)) == -4137
    assert code_of_algo(stop(quantity=None, close_position=True, reduce_only=True)) == -4138
    assert code_of_algo(stop(quantity=None)) == -1102


def test_a_limit_order_without_price_is_malformed() -> None:
    assert code_of_order(replace(limit("1"), price=None)) == -1102


@pytest.mark.parametrize(
    ("kind", "side", "hit", "missed"),
    [
        (ConditionalType.STOP_MARKET, Side.BUY, "100", "99"),
        (ConditionalType.STOP_MARKET, Side.SELL, "100", "101"),
        (ConditionalType.TAKE_PROFIT_MARKET, Side.BUY, "100", "101"),
        (ConditionalType.TAKE_PROFIT_MARKET, Side.SELL, "100", "99"),
    ],
)
def test_a_condition_is_met_at_its_price_and_beyond(kind: ConditionalType, side: Side, hit: str, missed: str) -> None:
    """R4: the same question is asked before an order leaves and by the exchange."""
    assert would_trigger(kind, side, D("100"), D(hit))
    assert not would_trigger(kind, side, D("100"), D(missed))


@given(price=st.decimals("600", "4000000", places=6), direction=st.sampled_from(Rounding))
def test_a_rounded_price_passes_and_lies_on_its_side(price: D, direction: Rounding) -> None:
    rounded = BTC.round_price(price, direction)
    assert BTC.check_price(rounded) is None
    assert rounded <= price if direction is Rounding.DOWN else rounded >= price
    assert abs(rounded - price) < BTC.tick_size


STEPS = st.sampled_from([D("0.001"), D("0.002"), D("0.005"), D("0.01"), D("1")])


@given(quantity=st.decimals("0", "119", places=8), market=st.booleans(), step=STEPS, market_step=STEPS)
def test_a_floored_quantity_passes_or_is_zero_and_never_grows(
    quantity: D, market: bool, step: D, market_step: D
) -> None:
    """R42."""
    filters = replace(BTC, step_size=step, market_step_size=market_step)
    floored = filters.floor_quantity(quantity, market=market)
    assert floored <= quantity
    assert floored == 0 or filters.check_quantity(floored, market=market) is None
    assert floored or quantity < max(step, market_step, filters.market_quantity_min)
