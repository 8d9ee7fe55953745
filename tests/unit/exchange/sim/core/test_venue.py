"""The account: configuration, funding, transfers, time, queries."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import Refusal
from exchange.sim.core.events import Batch
from exchange.sim.playback.candle_path import Bias, Quote
from exchange.types import AlgoStatus, MarginType, Side, TimeInForce
from tests.effort import examples

D = Decimal
Code = Callable[[Callable[[], object]], int | None]
BUY, SELL = Side.BUY, Side.SELL


def test_a_new_account_is_crossed_at_20x_and_setting_is_refused_when_nothing_changes(
    make_desk, refusal_code: Code
) -> None:
    venue = make_desk(isolated=False).venue
    config = venue.symbol_config("ETHUSDT")
    assert (config.margin_type, config.leverage) == (MarginType.CROSSED, 20)
    assert refusal_code(lambda: venue.set_margin_type("ETHUSDT", MarginType.CROSSED)) == -4046
    assert refusal_code(lambda: venue.set_margin_type("ETHUSDT", MarginType.ISOLATED)) is None
    assert venue.symbol_config("ETHUSDT").margin_type is MarginType.ISOLATED


def test_margin_type_is_fixed_while_there_are_orders_or_a_position(desk, refusal_code: Code) -> None:
    desk.limit(BUY, "0.010", "59000")
    assert refusal_code(lambda: desk.venue.set_margin_type("BTCUSDT", MarginType.CROSSED)) == -4047
    desk.venue.cancel_all_orders("BTCUSDT")
    desk.market(BUY, "0.010")
    assert refusal_code(lambda: desk.venue.set_margin_type("BTCUSDT", MarginType.CROSSED)) == -4048


@pytest.mark.parametrize(("leverage", "code"), [(0, -4028), (151, -4028), (150, None), (1, None)])
def test_leverage_must_be_one_the_brackets_know(desk, refusal_code: Code, leverage: int, code: int | None) -> None:
    assert refusal_code(lambda: desk.venue.set_leverage("BTCUSDT", leverage)) == code


def test_leverage_of_an_isolated_position_can_only_rise(desk, refusal_code: Code) -> None:
    desk.market(BUY, "0.010")
    assert refusal_code(lambda: desk.venue.set_leverage("BTCUSDT", 5)) == -4161
    assert refusal_code(lambda: desk.venue.set_leverage("BTCUSDT", 20)) is None


def test_leverage_cannot_exceed_what_the_position_s_bracket_allows(make_desk, refusal_code: Code) -> None:
    desk = make_desk(balance="1000000", leverage=20)
    desk.market(BUY, "10")  # about 600,000: the second bracket, at most 100x
    assert refusal_code(lambda: desk.venue.set_leverage("BTCUSDT", 125)) == -2027
    assert refusal_code(lambda: desk.venue.set_leverage("BTCUSDT", 100)) is None


def test_leverage_cannot_fall_below_what_open_orders_can_pay(desk, refusal_code: Code) -> None:
    desk.limit(BUY, "0.100", "59000")
    assert refusal_code(lambda: desk.venue.set_leverage("BTCUSDT", 5)) == -2028
    assert desk.venue.symbol_config("BTCUSDT").leverage == 10


def test_a_leverage_change_is_told(desk, story: Callable[[Batch], list[str]]) -> None:
    desk.venue.set_leverage("BTCUSDT", 7)
    assert story(desk.venue.drain()) == ["leverage 7"]


def test_a_margin_type_change_is_told(desk, story: Callable[[Batch], list[str]]) -> None:
    desk.venue.set_margin_type("BTCUSDT", MarginType.CROSSED)
    batch = desk.venue.drain()
    assert story(batch) == ["account MARGIN_TYPE_CHANGE"]
    assert not batch[0].positions[0].holding.isolated


def test_asking_changes_nothing(make_desk) -> None:
    venue = make_desk().venue
    before = venue.save()
    venue.symbol_config("ETHUSDT"), venue.account(), venue.positions(), venue.bias("ETHUSDT")
    assert venue.save() == before


@pytest.mark.parametrize(
    ("side", "rate", "expected"),
    [(BUY, "0.0001", "-0.06"), (SELL, "0.0001", "0.06"), (BUY, "-0.0003", "0.18"), (SELL, "-0.0003", "-0.18")],
)
def test_longs_pay_a_positive_rate_and_shorts_receive_it(make_desk, side: Side, rate: str, expected: str) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(side, "0.010")
    wallet, margin = desk.wallet, desk.position.isolated_wallet
    desk.venue.settle_funding("BTCUSDT", D(rate), desk.venue.now_ms + 1000)
    assert desk.income()[-1] == ("FUNDING_FEE", expected)
    assert desk.wallet == wallet + D(expected)
    assert desk.position.isolated_wallet == margin + D(expected)


def test_funding_uses_the_mark_and_costs_nothing_when_flat(desk, story: Callable[[Batch], list[str]]) -> None:
    desk.venue.settle_funding("BTCUSDT", D("0.0001"), desk.venue.now_ms)
    assert desk.income() == []
    desk.market(BUY, "0.010")
    desk.jump("61000", mark="58000")
    desk.venue.drain()
    desk.venue.settle_funding("BTCUSDT", D("0.0001"), desk.venue.now_ms)
    assert desk.income()[-1] == ("FUNDING_FEE", "-0.058")
    assert story(desk.venue.drain()) == ["account FUNDING_FEE"]


def test_funding_moves_the_liquidation_price(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(BUY, "0.1")
    before = desk.position.liquidation_price
    desk.venue.settle_funding("BTCUSDT", D("0.01"), desk.venue.now_ms)
    assert desk.position.liquidation_price > before


def test_transfers_are_income_and_only_free_money_leaves(desk, refusal_code: Code) -> None:
    """R37: equity changes that are no profit have rows of their own."""
    desk.venue.deposit(D("500"))
    desk.market(BUY, "0.100")
    assert refusal_code(lambda: desk.venue.withdraw(D("1000"))) == -2018
    desk.venue.withdraw(D("100"))
    assert [row for row in desk.income() if row[0] == "TRANSFER"] == [("TRANSFER", "500"), ("TRANSFER", "-100")]
    with pytest.raises(ValueError, match="none"):
        desk.venue.deposit(D(0))
    with pytest.raises(ValueError, match="none"):
        desk.venue.withdraw(D(-5))


def test_time_does_not_go_back(desk) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        list(desk.venue.advance(desk.venue.now_ms - 1, {}))
    with pytest.raises(ValueError, match="before now"):
        desk.venue.settle_funding("BTCUSDT", D("0.0001"), desk.venue.now_ms - 1)


def test_a_movement_inside_a_movement_is_refused(desk) -> None:
    desk.limit(BUY, "0.010", "59000")
    moving = desk.venue.advance(desk.venue.now_ms + 1000, {"BTCUSDT": Quote(D("58000"), D("58000"))})
    next(moving)
    with pytest.raises(RuntimeError, match="already moving"):
        desk.jump("57000")
    moving.close()
    assert desk.jump("57000") == []


def test_a_movement_that_is_left_half_way_stands_where_it_was_left(desk) -> None:
    desk.limit(BUY, "0.010", "59000")
    start = desk.venue.now_ms
    next(desk.venue.advance(start + 1000, {"BTCUSDT": Quote(D("58000"), D("58000"))}))
    assert desk.venue.now_ms == start + 500
    assert desk.venue.mark_price("BTCUSDT").last_price == D("59000")


def test_an_owner_whose_answers_never_end_is_stopped(make_desk) -> None:
    desk = make_desk(balance="100000000")

    def answer_everything() -> None:
        for _ in desk.venue.advance(desk.venue.now_ms + 1000, {"BTCUSDT": Quote(D("57000"), D("57000"))}):
            last = desk.venue.mark_price("BTCUSDT").last_price
            desk.limit(BUY, "0.001", str(last - D("0.1")))

    desk.limit(BUY, "0.001", "59999.9")
    with pytest.raises(RuntimeError, match="never end"):
        answer_everything()


def test_positions_are_those_with_quantity_or_open_orders(desk) -> None:
    """An empty list means flat; a row with quantity zero means a resting order."""
    assert desk.venue.positions() == []
    desk.limit(BUY, "0.010", "59000")
    (row,) = desk.venue.positions("BTCUSDT")
    assert row.quantity == 0
    assert desk.venue.positions("ETHUSDT") == []


def test_fills_are_paged_by_id_and_time(desk) -> None:
    desk.market(BUY, "0.010")
    desk.jump("60000", after_ms=5000)
    desk.market(BUY, "0.020")
    fills = desk.venue.fills("BTCUSDT")
    assert [fill.quantity for fill in fills] == [D("0.010"), D("0.020")]
    assert desk.venue.fills("BTCUSDT", after_fill_id=fills[0].fill_id) == fills[1:]
    assert desk.venue.fills("BTCUSDT", start_ms=fills[1].time_ms) == fills[1:]
    assert desk.venue.fills("ETHUSDT") == []


def test_income_is_filtered_by_time_symbol_and_kind(desk) -> None:
    desk.venue.deposit(D("5"))
    desk.jump("60000", after_ms=5000)
    desk.market(BUY, "0.010")
    now = desk.venue.now_ms
    assert [row.income_type for row in desk.venue.income(start_ms=now)] == ["COMMISSION"]
    assert [row.income_type for row in desk.venue.income(end_ms=now - 1)] == ["TRANSFER"]
    assert [row.income_type for row in desk.venue.income(symbol="BTCUSDT")] == ["COMMISSION"]
    assert [row.income_type for row in desk.venue.income(kind="TRANSFER")] == ["TRANSFER"]


def test_equity_is_wallet_plus_unrealised_profit_at_the_mark(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(BUY, "0.010")
    desk.jump("62000", mark="61000")
    account = desk.venue.account()
    assert account.unrealized_pnl == D("10")
    assert account.equity == account.wallet_balance + 10


def test_ids_are_counted_and_larger_than_a_float_can_hold(desk) -> None:
    first, second = desk.limit(BUY, "0.010", "59000"), desk.limit(BUY, "0.010", "59000")
    assert second.order_id == first.order_id + 1
    assert first.order_id > 2**53


@pytest.mark.parametrize(
    ("prepare", "bias"),
    [
        (lambda desk: None, Bias.LOW_FIRST),
        (lambda desk: desk.market(BUY, "0.010"), Bias.LOW_FIRST),
        (lambda desk: desk.market(SELL, "0.010"), Bias.HIGH_FIRST),
        (lambda desk: desk.limit(BUY, "0.010", "59000"), Bias.HIGH_FIRST),
        (lambda desk: desk.limit(SELL, "0.010", "61000"), Bias.LOW_FIRST),
        (lambda desk: desk.stop(BUY, "61000", "0.010"), Bias.HIGH_FIRST),
        (lambda desk: desk.stop(BUY, "61000", "0.010", reduce_only=True), Bias.LOW_FIRST),
    ],
)
def test_the_extreme_that_hurts_comes_first(desk, prepare: Callable[[object], object], bias: Bias) -> None:
    """R48."""
    prepare(desk)
    assert desk.venue.bias("BTCUSDT") is bias


def test_both_families_are_swept_each_by_its_own_call(desk) -> None:
    desk.limit(BUY, "0.010", "59000")
    desk.stop(SELL, "59000", "0.010", reduce_only=True)
    assert len(desk.venue.cancel_all_orders("BTCUSDT")) == 1
    assert (len(desk.venue.open_orders()), len(desk.venue.open_algos())) == (0, 1)
    (cancelled,) = desk.venue.cancel_all_algos("BTCUSDT")
    assert cancelled.status is AlgoStatus.CANCELED
    assert desk.venue.open_algos("BTCUSDT") == []


def test_an_algo_that_is_not_open_cannot_be_cancelled(desk, refusal_code: Code) -> None:
    desk.stop(SELL, "59000", "0.010", reduce_only=True, client_id="stop")
    desk.venue.cancel_algo(client_id="stop")
    assert refusal_code(lambda: desk.venue.cancel_algo(client_id="stop")) == -2011


def test_rules_of_a_symbol_can_be_read(desk, refusal_code: Code) -> None:
    assert desk.venue.commission_rates("BTCUSDT") == (D("0.0002"), D("0.0005"))
    assert desk.venue.brackets("BTCUSDT")[0].initial_leverage == 150
    assert "BTCDOMUSDT" not in desk.venue.filters()
    assert refusal_code(lambda: desk.venue.brackets("BTCDOMUSDT")) == -1121


def test_crossed_positions_stand_in_for_each_other(make_desk) -> None:
    desk = make_desk(slippage=D(0), isolated=False)
    desk.jump("2000", symbol="ETHUSDT")
    desk.market(BUY, "0.1")
    alone = desk.position.liquidation_price
    desk.market(BUY, "1", symbol="ETHUSDT")
    with_other = desk.position.liquidation_price
    assert with_other > alone  # the other's maintenance margin and fee are missing
    desk.jump("2500", symbol="ETHUSDT")
    # wallet 996, the other is worth +500 and needs 2500 × 0.004 = 10
    assert desk.position.liquidation_price == (D("996") + 500 - 10 - 6000) / (D("0.0004") - D("0.1"))


def test_a_position_without_leverage_cannot_be_liquidated(make_desk) -> None:
    desk = make_desk(leverage=1)
    desk.market(BUY, "0.010")
    assert desk.position.liquidation_price is None
    assert desk.jump("1000", after_ms=1) == []


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["market", "limit", "stop", "target", "close", "jump", "move", "funding", "cancel", "deposit"]),
        st.sampled_from([BUY, SELL]),
        st.integers(1, 40),
        st.integers(-60, 60),
        st.booleans(),
    ),
    max_size=40,
)


def play(desk, actions: list[tuple[str, Side, int, int, bool]]) -> None:
    """A random life; refusals are part of it."""
    for name, side, size, offset, reduce_only in actions:
        last = desk.venue.mark_price("BTCUSDT").last_price
        price = str((last * (1000 + offset) / 1000).quantize(D("0.1")))
        quantity = str(D(size) / 1000)
        try:
            match name:
                case "market":
                    desk.market(side, quantity, reduce_only=reduce_only)
                case "limit":
                    desk.limit(side, quantity, price, TimeInForce.GTC, reduce_only=reduce_only)
                case "stop":
                    desk.stop(side, price, quantity, reduce_only=reduce_only, by_mark=reduce_only)
                case "target":
                    desk.target(side, price, None if reduce_only else quantity)
                case "close":
                    desk.stop(side, price, by_mark=reduce_only)
                case "jump":
                    desk.jump(price, after_ms=size * 1000)
                case "move":
                    desk.move(price, over_ms=size * 60_000)
                case "funding":
                    desk.venue.settle_funding("BTCUSDT", D(offset) / 10_000, desk.venue.now_ms)
                case "cancel":
                    desk.venue.cancel_all_orders("BTCUSDT")
                case "deposit":
                    desk.venue.deposit(D(size))
        except Refusal:
            pass


@settings(max_examples=examples(150), deadline=None)
@given(actions=ACTIONS, shallow=st.booleans(), isolated=st.booleans())
def test_the_wallet_changes_by_its_income_and_nothing_else(actions, shallow, isolated, make_desk) -> None:
    """R43: the sum of all rows is the change of the wallet, to the last digit."""
    desk = make_desk(depth_usdt=D("700") if shallow else None, isolated=isolated)
    play(desk, actions)
    assert desk.wallet == D("1000") + sum((row.income for row in desk.venue.income()), D(0))
    holding = desk.venue.state.holding("BTCUSDT")
    assert holding.quantity == sum((fill.quantity * fill.side.sign for fill in desk.venue.fills("BTCUSDT")), D(0))
    if holding.quantity == 0:
        assert (holding.isolated_wallet, holding.entry_price, holding.costs) == (0, 0, 0)


@settings(max_examples=examples(150), deadline=None)
@given(actions=ACTIONS, shallow=st.booleans())
def test_reduce_only_never_enlarges_or_turns_a_position(actions, shallow, make_desk) -> None:
    """R15."""
    desk = make_desk(depth_usdt=D("700") if shallow else None)
    play(desk, actions)
    position = D(0)
    for fill in desk.venue.fills("BTCUSDT"):
        after = position + fill.quantity * fill.side.sign
        order = desk.venue.state.orders.get(fill.order_id)
        assert order is not None
        if order.reduce_only:
            assert abs(after) < abs(position)
            assert after * position >= 0
        position = after


@settings(max_examples=examples(80), deadline=None)
@given(actions=ACTIONS, more=ACTIONS, shallow=st.booleans())
def test_a_saved_venue_goes_on_as_if_nothing_had_happened(actions, more, shallow, make_desk) -> None:
    desk = make_desk(depth_usdt=D("700") if shallow else None)
    play(desk, actions)
    desk.venue.drain()
    saved = desk.venue.save()
    venue = desk.venue
    twin = make_desk()
    twin.venue = type(venue).load(saved, filters=venue.filters(), brackets=venue.state.brackets)
    twin._ids = desk._ids
    assert twin.venue.save() == saved
    play(desk, more)
    play(twin, more)
    assert twin.venue.save() == desk.venue.save()


@settings(max_examples=examples(80), deadline=None)
@given(actions=ACTIONS)
def test_close_position_orders_never_outlive_their_position(actions, make_desk) -> None:
    desk = make_desk()
    play(desk, actions)
    for algo in desk.venue.open_algos():
        if algo.close_position:
            assert desk.position.quantity * algo.side.sign < 0
