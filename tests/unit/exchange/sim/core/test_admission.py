"""Every refusal, by Binance's code."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from exchange.errors import Refusal
from exchange.sim.core.admission import ALGO_ORDERS_MAX, regular_type
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
Code = Callable[[Callable[[], object]], int | None]
BUY, SELL = Side.BUY, Side.SELL


@pytest.mark.parametrize("name", ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"])
def test_conditional_types_belong_to_the_algo_service(name: str, refusal_code: Code) -> None:
    """R1."""
    assert refusal_code(lambda: regular_type(name)) == -4120


def test_regular_types_are_limit_and_market(refusal_code: Code) -> None:
    assert regular_type("LIMIT") is OrderType.LIMIT
    assert refusal_code(lambda: regular_type("ICEBERG")) == -1116


def test_an_unknown_symbol_and_one_without_prices_are_refused(desk, refusal_code: Code) -> None:
    assert refusal_code(lambda: desk.market(BUY, "1", symbol="NOPEUSDT")) == -1121
    assert refusal_code(lambda: desk.market(BUY, "1", symbol="ETHUSDT")) == -1122
    assert refusal_code(lambda: desk.stop(SELL, "1", symbol="NOPEUSDT")) == -1121


@pytest.mark.parametrize("client_id", ["", "x" * 37, "has space", "ünïcode"])
def test_a_client_id_must_fit_the_pattern(desk, refusal_code: Code, client_id: str) -> None:
    def place() -> object:
        return desk.venue.place_algo(
            AlgoRequest(
                symbol="BTCUSDT",
                side=SELL,
                type=ConditionalType.STOP_MARKET,
                trigger_price=D("59000"),
                working_type=WorkingType.MARK_PRICE,
                client_id=client_id,
                quantity=D("0.01"),
            )
        )

    assert refusal_code(place) == -4015


def test_a_client_id_is_unique_among_open_orders_of_its_family(desk, refusal_code: Code) -> None:
    """R16: the earlier attempt is alive."""
    desk.limit(BUY, "0.010", "59000", client_id="same")
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "58000", client_id="same")) == -4116
    desk.stop(SELL, "59000", "0.010", client_id="same")
    assert refusal_code(lambda: desk.stop(SELL, "58000", "0.010", client_id="same")) == -4116


def test_the_id_of_a_closed_order_can_be_used_again(desk, refusal_code: Code) -> None:
    """No protection against sending twice: the exchange does not remember closed ids for us."""
    desk.limit(BUY, "0.010", "59000", client_id="same")
    desk.venue.cancel_order("BTCUSDT", client_id="same")
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "59000", client_id="same")) is None


def test_close_position_needs_a_position_on_that_side(desk, refusal_code: Code) -> None:
    assert refusal_code(lambda: desk.stop(SELL, "59000")) == -4509
    desk.market(SELL, "0.010")
    assert refusal_code(lambda: desk.stop(SELL, "59000")) == -4509
    assert refusal_code(lambda: desk.stop(BUY, "61000")) is None


def test_a_second_close_position_order_of_one_kind_and_side_is_refused(desk, refusal_code: Code) -> None:
    """R3: why a stop is moved over a bridge."""
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59000")
    assert refusal_code(lambda: desk.stop(SELL, "58000")) == -4130
    assert refusal_code(lambda: desk.target(SELL, "62000")) is None
    assert refusal_code(lambda: desk.target(SELL, "63000")) == -4130
    assert refusal_code(lambda: desk.stop(SELL, "58500", "0.010", reduce_only=True)) is None


def test_the_same_id_wins_over_the_second_close_position_order(desk, refusal_code: Code) -> None:
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59000", client_id="stop")
    assert refusal_code(lambda: desk.stop(SELL, "59000", client_id="stop")) == -4116


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [
        (ConditionalType.STOP_MARKET, SELL, "60000"),
        (ConditionalType.STOP_MARKET, SELL, "60500"),
        (ConditionalType.STOP_MARKET, BUY, "60000"),
        (ConditionalType.TAKE_PROFIT_MARKET, SELL, "59500"),
        (ConditionalType.TAKE_PROFIT_MARKET, BUY, "60000"),
    ],
)
def test_a_condition_that_is_already_met_is_refused(
    desk, refusal_code: Code, kind: ConditionalType, side: Side, trigger: str
) -> None:
    """R4."""
    assert refusal_code(lambda: desk.conditional(kind, side, trigger, "0.010")) == -2021


def test_the_condition_is_judged_by_its_own_reference_price(desk, refusal_code: Code) -> None:
    """R13."""
    desk.jump("60000", mark="59000")
    assert refusal_code(lambda: desk.stop(SELL, "59500", "0.010", by_mark=True)) == -2021
    assert refusal_code(lambda: desk.stop(SELL, "59500", "0.010")) is None


def test_shape_of_close_position(desk, refusal_code: Code) -> None:
    desk.market(BUY, "0.010")

    def place(quantity: str | None, *, reduce_only: bool) -> object:
        return desk.venue.place_algo(
            AlgoRequest(
                symbol="BTCUSDT",
                side=SELL,
                type=ConditionalType.STOP_MARKET,
                trigger_price=D("59000"),
                working_type=WorkingType.MARK_PRICE,
                client_id="x",
                quantity=None if quantity is None else D(quantity),
                close_position=True,
                reduce_only=reduce_only,
            )
        )

    assert refusal_code(lambda: place("0.010", reduce_only=False)) == -4137
    assert refusal_code(lambda: place(None, reduce_only=True)) == -4138


def test_reduce_only_needs_something_to_reduce(desk, refusal_code: Code) -> None:
    assert refusal_code(lambda: desk.market(SELL, "0.010", reduce_only=True)) == -2022
    desk.market(BUY, "0.010")
    assert refusal_code(lambda: desk.market(BUY, "0.010", reduce_only=True)) == -2022
    assert refusal_code(lambda: desk.market(SELL, "0.010", reduce_only=True)) is None


def test_resting_reduce_only_orders_that_cover_the_position_block_a_close_until_they_are_cancelled(
    desk, refusal_code: Code
) -> None:
    """R14."""
    desk.market(BUY, "0.010")
    desk.limit(SELL, "0.010", "62000", reduce_only=True)
    assert refusal_code(lambda: desk.market(SELL, "0.010", reduce_only=True)) == -2022
    desk.venue.cancel_all_orders("BTCUSDT")
    assert refusal_code(lambda: desk.market(SELL, "0.010", reduce_only=True)) is None
    assert desk.position.quantity == 0


def test_resting_reduce_only_orders_that_cover_a_part_leave_room_for_the_rest(desk, refusal_code: Code) -> None:
    """R14."""
    desk.market(BUY, "0.010")
    desk.limit(SELL, "0.004", "62000", reduce_only=True)
    assert refusal_code(lambda: desk.market(SELL, "0.010", reduce_only=True)) is None
    assert desk.position.quantity == 0


def test_plain_orders_on_the_closing_side_make_reduce_only_fail(desk, refusal_code: Code) -> None:
    """R14: -4118, not -2022."""
    desk.market(BUY, "0.010")
    desk.limit(SELL, "0.010", "62000")
    assert refusal_code(lambda: desk.market(SELL, "0.010", reduce_only=True)) == -4118


def test_a_close_position_stop_is_not_blocked_by_resting_reduce_only_orders(desk) -> None:
    """R14: protection works whatever else rests."""
    desk.market(BUY, "0.010")
    desk.limit(SELL, "0.010", "62000", reduce_only=True)
    desk.stop(SELL, "59000")
    desk.move("58000")
    assert desk.position.quantity == 0


def test_margin_must_cover_initial_margin_fee_and_the_loss_at_entry(desk, refusal_code: Code) -> None:
    # 0.166 BTC at 60012 needs 996.1992 margin, 4.980996 fee and 1.992 loss at entry: more than 1000
    assert refusal_code(lambda: desk.market(BUY, "0.166")) == -2019
    # 0.165: 990.198 + 4.95099 + 1.98 = 997.12899
    assert refusal_code(lambda: desk.market(BUY, "0.165")) is None
    assert desk.venue.account().available_balance > 0


def test_resting_orders_reserve_their_margin(desk, refusal_code: Code) -> None:
    desk.limit(BUY, "0.100", "59000")
    assert desk.venue.account().available_balance == D("410")
    assert refusal_code(lambda: desk.limit(BUY, "0.100", "58000")) == -2019
    desk.venue.cancel_all_orders("BTCUSDT")
    assert desk.venue.account().available_balance == D("1000")


def test_closing_orders_need_no_margin(desk, refusal_code: Code) -> None:
    desk.market(BUY, "0.160")
    assert refusal_code(lambda: desk.market(SELL, "0.160")) is None


def test_turning_a_position_round_needs_margin_for_the_new_side(desk, refusal_code: Code) -> None:
    desk.market(BUY, "0.100")
    assert refusal_code(lambda: desk.market(SELL, "0.300")) == -2019


def test_the_leverage_bounds_the_position(make_desk, refusal_code: Code) -> None:
    rich = make_desk(balance="10000000", leverage=100)
    assert refusal_code(lambda: rich.market(BUY, "14")) == -2027  # 840,000 above the 800,000 allowed at 100x
    assert refusal_code(lambda: rich.market(BUY, "13")) is None
    assert refusal_code(lambda: rich.limit(BUY, "1", "59000")) == -2027


def test_fill_or_kill_and_post_only(desk, make_desk, refusal_code: Code) -> None:
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "59999.9", TimeInForce.FOK)) == -5021
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "60100", TimeInForce.FOK)) is None
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "60000", TimeInForce.GTX)) == -5022
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "59999.9", TimeInForce.GTX)) is None
    shallow = make_desk(depth_usdt=D("300"))
    assert refusal_code(lambda: shallow.limit(BUY, "0.010", "60012", TimeInForce.FOK)) == -5021


def test_good_till_date_must_be_ten_minutes_away(desk, refusal_code: Code) -> None:
    now = desk.venue.now_ms
    for till, code in ((None, -5040), (now + 600_000, -5040), (now + 600_001, None)):
        assert refusal_code(lambda: desk.limit(BUY, "0.01", "59000", TimeInForce.GTD, good_till_ms=till)) == code  # noqa: B023


def test_a_market_order_far_from_the_mark_is_refused(desk, refusal_code: Code) -> None:
    desk.jump("63500", mark="60000")
    assert refusal_code(lambda: desk.market(BUY, "0.010")) == -4131


def test_filters_are_enforced(desk, refusal_code: Code) -> None:
    assert refusal_code(lambda: desk.limit(BUY, "0.010", "59000.05")) == -4014
    assert refusal_code(lambda: desk.limit(BUY, "0.0001", "59000")) == -4004
    assert refusal_code(lambda: desk.market(BUY, "0.0101")) == -1111
    assert refusal_code(lambda: desk.limit(BUY, "0.001", "49999.9")) == -4164
    assert refusal_code(lambda: desk.limit(SELL, "0.010", "50000")) == -4024
    assert refusal_code(lambda: desk.stop(SELL, "59000.05", "0.010")) == -4014


def test_a_market_order_has_no_price(desk, refusal_code: Code) -> None:
    priced = OrderRequest(
        symbol="BTCUSDT",
        side=BUY,
        type=OrderType.MARKET,
        quantity=D("0.010"),
        client_id="p",
        price=D("59000"),
    )
    assert refusal_code(lambda: desk.venue.place_order(priced)) == -1106


def test_open_orders_of_a_symbol_are_limited(make_desk, refusal_code: Code) -> None:
    desk = make_desk(balance="1000000")
    for _ in range(200):
        desk.limit(BUY, "0.001", "59000")
    assert refusal_code(lambda: desk.limit(BUY, "0.001", "59000")) == -2025
    assert refusal_code(lambda: desk.market(BUY, "0.001")) is None


def test_open_conditional_orders_of_the_account_are_limited(desk, refusal_code: Code) -> None:
    for _ in range(ALGO_ORDERS_MAX):
        desk.stop(SELL, "59000", "0.010", reduce_only=True)
    assert refusal_code(lambda: desk.stop(SELL, "59000", "0.010", reduce_only=True)) == -4045


def test_cancelling_and_asking_for_what_is_not_there(desk, refusal_code: Code) -> None:
    """The two families do not know each other's orders."""
    venue = desk.venue
    desk.stop(SELL, "59000", "0.010", client_id="algo")
    desk.limit(BUY, "0.010", "59000", client_id="order")
    assert refusal_code(lambda: venue.cancel_order("BTCUSDT", client_id="algo")) == -2011
    assert refusal_code(lambda: venue.order("BTCUSDT", client_id="algo")) == -2013
    assert refusal_code(lambda: venue.cancel_algo(client_id="order")) == -2011
    assert refusal_code(lambda: venue.algo(client_id="order")) == -2013
    venue.cancel_order("BTCUSDT", client_id="order")
    assert refusal_code(lambda: venue.cancel_order("BTCUSDT", client_id="order")) == -2011
    assert venue.order("BTCUSDT", client_id="order").status == "CANCELED"
    assert refusal_code(lambda: venue.order("ETHUSDT", client_id="order")) == -2013
    assert refusal_code(lambda: venue.order("BTCUSDT")) == -1102
    assert refusal_code(lambda: venue.algo()) == -1102


def test_a_refusal_changes_nothing(desk) -> None:
    before = desk.venue.save()
    with pytest.raises(Refusal):
        desk.market(BUY, "5")
    assert desk.venue.save() == before
    assert desk.venue.drain() == ()
