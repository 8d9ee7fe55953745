"""Executions, computed by hand: prices, fees, margins, profit, and the events in their order."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

from exchange.sim.core.events import AccountUpdated, AlgoUpdated, Batch, OrderUpdated
from exchange.sim.playback.candle_path import Quote
from exchange.types import AlgoStatus, OrderStatus, Side, TimeInForce

D = Decimal
Story = Callable[[Batch], list[str]]


def test_a_market_buy_pays_slippage_rounded_up_to_the_tick_and_the_taker_fee(desk) -> None:
    desk.jump("60000.3")
    order = desk.market(Side.BUY, "0.010")
    # 60000.3 × 1.0002 = 60012.30006, up to the tick of 0.1
    assert order.average_price == D("60012.4")
    assert order.status is OrderStatus.FILLED
    assert desk.income() == [("COMMISSION", "-0.300062")]  # 600.124 × 0.0005
    assert desk.position.isolated_wallet == D("60.0124")  # 600.124 / 10
    assert desk.wallet == D("999.699938")
    assert desk.venue.account().available_balance == D("939.687538")


def test_a_market_sell_is_rounded_down(desk) -> None:
    desk.jump("60000.3")
    # 60000.3 × 0.9998 = 59988.29994, down to the tick
    assert desk.market(Side.SELL, "0.010").average_price == D("59988.2")
    assert desk.position.quantity == D("-0.010")


def test_a_round_trip_books_profit_and_both_fees(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.010")
    desk.jump("61000")
    desk.market(Side.SELL, "0.010", reduce_only=True)
    assert desk.income() == [("COMMISSION", "-0.3"), ("REALIZED_PNL", "10"), ("COMMISSION", "-0.305")]
    assert desk.wallet == D("1009.395")
    assert desk.position.quantity == 0
    assert desk.position.isolated_wallet == 0
    assert desk.venue.positions() == []


def test_adding_moves_the_average_entry_and_a_partial_close_releases_margin_in_proportion(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.010")
    desk.jump("63000")
    desk.market(Side.BUY, "0.005")
    assert desk.position.entry_price == D("61000")  # (600 + 315) / 0.015
    assert desk.position.isolated_wallet == D("91.5")
    desk.market(Side.SELL, "0.005", reduce_only=True)
    assert desk.position.entry_price == D("61000")
    assert desk.position.isolated_wallet == D("61")
    assert ("REALIZED_PNL", "10") in desk.income()


def test_an_order_across_zero_closes_first_and_opens_the_rest_at_its_price(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.010")
    desk.jump("59000")
    desk.market(Side.SELL, "0.015")
    assert desk.position.quantity == D("-0.005")
    assert desk.position.entry_price == D("59000")
    assert desk.position.isolated_wallet == D("29.5")
    assert ("REALIZED_PNL", "-10") in desk.income()


def test_events_of_a_market_order_come_in_the_exchange_s_order(desk, story: Story) -> None:
    """R32: NEW, TRADE, then the account."""
    desk.market(Side.BUY, "0.010")
    assert story(desk.venue.drain()) == ["order NEW NEW 0", "order TRADE FILLED 0", "account ORDER"]


def test_a_limit_order_rests_and_fills_as_maker_at_its_own_price(desk, story: Story) -> None:
    order = desk.limit(Side.BUY, "0.010", "59000")
    assert order.status is OrderStatus.NEW
    desk.venue.drain()
    (batch,) = desk.move("58900")
    assert story(batch) == ["order TRADE FILLED 0", "account ORDER"]
    fill = desk.venue.fills("BTCUSDT")[-1]
    assert (fill.price, fill.maker, fill.commission) == (D("59000"), True, D("0.118"))  # 590 × 0.0002


def test_a_resting_limit_fills_at_its_price_also_when_the_market_jumps_across_it(desk) -> None:
    desk.limit(Side.BUY, "0.010", "59000")
    desk.jump("57500", after_ms=1000)
    assert desk.venue.fills("BTCUSDT")[-1].price == D("59000")


def test_a_marketable_limit_takes_at_most_its_limit(desk) -> None:
    assert desk.limit(Side.BUY, "0.010", "60005").average_price == D("60005")  # slippage alone would give 60012
    assert desk.limit(Side.BUY, "0.010", "60100").average_price == D("60012")


def test_immediate_or_cancel_expires_what_it_does_not_get(desk, story: Story) -> None:
    order = desk.limit(Side.BUY, "0.010", "59999.9", TimeInForce.IOC)
    assert order.status is OrderStatus.EXPIRED
    assert story(desk.venue.drain()) == ["order NEW NEW 0", "order EXPIRED EXPIRED 2"]


def test_a_good_till_date_order_expires_at_its_time(desk, story: Story) -> None:
    till = desk.venue.now_ms + 900_000
    desk.limit(Side.BUY, "0.010", "59000", TimeInForce.GTD, good_till_ms=till)
    desk.venue.drain()
    (batch,) = desk.move("59500", over_ms=3_600_000)
    assert story(batch) == ["order EXPIRED EXPIRED 0"]
    assert batch[0].at_ms == till
    assert desk.venue.open_orders() == []


def test_a_good_till_date_order_of_a_symbol_without_prices_moving_expires_too(desk) -> None:
    till = desk.venue.now_ms + 900_000
    desk.limit(Side.BUY, "0.010", "59000", TimeInForce.GTD, good_till_ms=till)
    assert len(list(desk.venue.advance(till, {}))) == 1
    assert desk.venue.open_orders() == []


def test_a_stop_by_last_price_executes_at_its_trigger_less_slippage(desk, story: Story) -> None:
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", client_id="stop")
    desk.target(Side.SELL, "62000", client_id="target")
    desk.venue.drain()
    (batch,) = desk.move("58000")
    assert story(batch) == [
        "algo stop TRIGGERING",
        "algo stop TRIGGERED",
        "order NEW NEW 0",
        "order TRADE FILLED 0",
        "account ORDER",
        "algo stop FINISHED",
        "algo target EXPIRED",
    ]
    assert desk.venue.fills("BTCUSDT")[-1].price == D("58988.2")  # 59000 × 0.9998 = 58988.2
    assert desk.position.quantity == 0


def test_a_triggered_stop_leads_to_its_real_order(desk) -> None:
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", client_id="stop")
    desk.move("58000")
    algo = desk.venue.algo(client_id="stop")
    order = desk.venue.order("BTCUSDT", client_id="stop")
    assert algo.status is AlgoStatus.FINISHED
    assert algo.actual_order_id == order.order_id == desk.venue.fills("BTCUSDT")[-1].order_id
    assert algo.executed_quantity == order.executed_quantity == D("0.010")
    assert order.reduce_only


def test_a_stop_by_mark_price_executes_at_the_last_price_of_that_moment(desk) -> None:
    """R13: the mark decides when, the last price what it costs."""
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", by_mark=True)
    # the mark falls 60000 → 58000 and reaches 59000 half-way, when the last is at 59500 on its way to 59000
    desk.move("59000", mark="58000")
    assert desk.venue.fills("BTCUSDT")[-1].price == D("59488.1")  # 59500 × 0.9998 = 59488.1


def test_a_stop_by_mark_price_does_not_mind_the_last_price(desk) -> None:
    """R13."""
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", by_mark=True)
    assert desk.move("58000", mark="59500") == []


def test_a_jump_through_a_stop_executes_at_the_new_price(desk) -> None:
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000")
    desk.jump("58500", after_ms=1)
    assert desk.venue.fills("BTCUSDT")[-1].price == D("58488.3")  # 58500 × 0.9998


def test_a_jump_beyond_stop_and_target_takes_the_stop(desk) -> None:
    """R48: what can be read two ways goes against us."""
    desk.market(Side.SELL, "0.010")
    desk.stop(Side.BUY, "61000", "0.010", reduce_only=True, client_id="stop", by_mark=True)
    desk.target(Side.BUY, "59000", "0.010", reduce_only=True, client_id="target")
    desk.jump("58500", mark="61500", after_ms=1)
    assert desk.venue.algo(client_id="stop").status is AlgoStatus.FINISHED
    assert desk.venue.algo(client_id="target").status is AlgoStatus.REJECTED


def test_levels_crossed_on_the_way_execute_in_the_order_they_are_reached(desk) -> None:
    desk.market(Side.BUY, "0.010")
    desk.target(Side.SELL, "61000", "0.004", reduce_only=True)
    desk.target(Side.SELL, "62000", "0.004", reduce_only=True)
    desk.limit(Side.SELL, "0.002", "61500", reduce_only=True)
    batches = desk.move("63000", over_ms=3000)
    fills = [event.fill for batch in batches for event in batch if isinstance(event, OrderUpdated) and event.fill]
    assert [fill.price for fill in fills] == [D("60987.8"), D("61500"), D("61987.6")]
    assert [fill.time_ms - fills[0].time_ms for fill in fills] == [0, 500, 1000]


def test_the_owner_can_answer_a_fill_at_its_very_instant(desk) -> None:
    """The stop of a limit entry rests before the price goes on, and is hit on the same way down."""
    desk.limit(Side.BUY, "0.010", "59000")
    moved = desk.venue.advance(desk.venue.now_ms + 60_000, {"BTCUSDT": Quote(D("57000"), D("57000"))})
    next(moved)
    assert desk.venue.mark_price("BTCUSDT").last_price == D("59000")
    assert desk.venue.now_ms == desk.venue.fills("BTCUSDT")[-1].time_ms
    desk.stop(Side.SELL, "58000")
    (batch,) = moved
    assert any(isinstance(event, AlgoUpdated) and event.algo.status is AlgoStatus.FINISHED for event in batch)
    assert desk.position.quantity == 0


def test_reduce_only_is_checked_again_at_the_fill_and_clamped(desk, story: Story) -> None:
    """R15: half of the position is gone when the resting order is reached."""
    desk.market(Side.BUY, "0.010")
    desk.limit(Side.SELL, "0.008", "61000", reduce_only=True)
    desk.market(Side.SELL, "0.006", reduce_only=True)
    desk.venue.drain()
    (batch,) = desk.move("61500")
    assert story(batch) == ["order TRADE PARTIALLY_FILLED 0", "order EXPIRED EXPIRED 4", "account ORDER"]
    assert desk.position.quantity == 0


def test_a_resting_reduce_only_order_without_position_expires_when_reached(desk, story: Story) -> None:
    """R15."""
    desk.market(Side.BUY, "0.010")
    desk.limit(Side.SELL, "0.005", "61000", reduce_only=True)
    desk.market(Side.SELL, "0.010")
    desk.venue.drain()
    (batch,) = desk.move("61500")
    assert story(batch) == ["order EXPIRED EXPIRED 4"]
    assert desk.position.quantity == 0


def test_a_reduce_only_market_order_larger_than_the_position_is_clamped(desk) -> None:
    desk.market(Side.BUY, "0.010")
    order = desk.market(Side.SELL, "0.050", reduce_only=True)
    assert order.executed_quantity == D("0.010")
    assert order.status is OrderStatus.EXPIRED
    assert desk.position.quantity == 0


def test_close_position_takes_the_whole_position_of_that_moment(desk) -> None:
    """R26, R41: it carries no quantity and follows what is added later."""
    desk.market(Side.BUY, "0.010")
    algo = desk.stop(Side.SELL, "59000")
    assert algo.quantity is None
    desk.market(Side.BUY, "0.007")
    desk.move("58900")
    assert desk.position.quantity == 0
    assert desk.venue.algo(algo_id=algo.algo_id).executed_quantity == D("0.017")


def test_quantity_orders_stay_behind_when_the_position_is_gone(desk, story: Story) -> None:
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", "0.010", reduce_only=True, client_id="orphan")
    desk.stop(Side.SELL, "59000", client_id="whole")
    desk.market(Side.SELL, "0.010", reduce_only=True)
    assert [algo.client_id for algo in desk.venue.open_algos()] == ["orphan"]
    desk.venue.drain()
    (batch,) = desk.move("58900")
    assert story(batch) == ["algo orphan TRIGGERING", "algo orphan REJECTED"]
    assert desk.venue.algo(client_id="orphan").reject_reason == "Reduce Only reject"


def test_an_orphan_acts_on_the_next_opposite_position(desk) -> None:
    """Why orphans must be swept: this one cuts a position it was never meant for."""
    desk.market(Side.BUY, "0.010")
    desk.target(Side.SELL, "62000", "0.006", reduce_only=True)
    desk.market(Side.SELL, "0.010", reduce_only=True)
    desk.market(Side.BUY, "0.010")
    desk.move("62000")
    assert desk.position.quantity == D("0.004")


def test_a_conditional_order_is_checked_for_margin_only_when_it_triggers(desk) -> None:
    desk.stop(Side.BUY, "61000", "0.500", client_id="big")  # 30,500 USDT at 10x needs 3,050
    desk.move("61500")
    algo = desk.venue.algo(client_id="big")
    assert algo.status is AlgoStatus.REJECTED
    assert algo.reject_reason == "Margin is insufficient."
    assert desk.position.quantity == 0


def test_a_conditional_order_with_quantity_only_opens_a_position(desk) -> None:
    desk.stop(Side.SELL, "59000", "0.010")
    desk.move("58500")
    assert desk.position.quantity == D("-0.010")


def test_a_flip_ends_the_close_position_orders_of_the_old_side(desk) -> None:
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", client_id="stop")
    desk.market(Side.SELL, "0.015")
    assert desk.venue.algo(client_id="stop").status is AlgoStatus.EXPIRED


def test_limited_depth_makes_a_market_order_eat_levels_each_worse(make_desk) -> None:
    desk = make_desk(depth_usdt=D("300"))
    order = desk.market(Side.BUY, "0.012")
    fills = desk.venue.fills("BTCUSDT")
    # levels at 60012.0, 60024.0 and 60036.0 hold 300 USDT each: 0.004 BTC, rounded down to the step
    assert [(fill.price, fill.quantity) for fill in fills] == [
        (D("60012.0"), D("0.004")),
        (D("60024.0"), D("0.004")),
        (D("60036.0"), D("0.004")),
    ]
    assert order.average_price == D("60024")


def test_a_market_order_stops_at_the_take_bound_and_the_rest_expires(make_desk, story: Story) -> None:
    desk = make_desk(depth_usdt=D("300"), slippage=D("0.02"))
    order = desk.market(Side.BUY, "0.016")
    # levels at +2 % and +4 % lie within 5 % of the mark, the third does not
    assert order.executed_quantity == D("0.008")
    assert order.status is OrderStatus.EXPIRED
    assert story(desk.venue.drain())[-2:] == ["order EXPIRED EXPIRED 9", "account ORDER"]


def test_a_stop_that_cannot_execute_in_full_is_finished_with_what_it_got(make_desk) -> None:
    """R11: triggered is not closed."""
    desk = make_desk(depth_usdt=D("300"), slippage=D("0.02"))
    for _ in range(3):
        desk.market(Side.BUY, "0.004")
    desk.stop(Side.SELL, "59000", client_id="stop")
    desk.move("58900")
    algo = desk.venue.algo(client_id="stop")
    # two levels within 5 % of the mark hold 0.005 each
    assert algo.status is AlgoStatus.FINISHED
    assert algo.executed_quantity == D("0.010")
    assert desk.position.quantity == D("0.002")


def test_a_resting_order_fills_level_by_level_a_minute_apart(make_desk) -> None:
    desk = make_desk(depth_usdt=D("300"))
    desk.limit(Side.BUY, "0.012", "59000")
    batches = desk.move("58000", over_ms=600_000)
    times = [batch[0].at_ms for batch in batches]
    assert [event.order.executed for batch in batches for event in batch if isinstance(event, OrderUpdated)] == [
        D("0.005"),
        D("0.010"),
        D("0.012"),
    ]
    assert [later - earlier for earlier, later in pairwise(times)] == [60_000, 60_000]


def test_a_large_taker_limit_takes_what_is_there_and_rests_with_the_remainder(make_desk) -> None:
    desk = make_desk(depth_usdt=D("300"))
    order = desk.limit(Side.BUY, "0.012", "60020")
    # 0.004 at 60012.0, 0.004 clipped to the limit of 60020; the rest waits
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert order.executed_quantity == D("0.008")
    assert [fill.price for fill in desk.venue.fills("BTCUSDT")] == [D("60012.0"), D("60020")]
    desk.move("60000", over_ms=60_000)
    assert desk.venue.order("BTCUSDT", order_id=order.order_id).status is OrderStatus.FILLED


def test_isolated_liquidation_by_the_documented_formula(make_desk, story: Story) -> None:
    """Long 0.1 at 60,000 with 600 isolated is liquidated at a mark of 54,216.87 (binance-usdm §8.3)."""
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.1")
    assert round(desk.position.liquidation_price, 2) == D("54216.87")
    desk.stop(Side.SELL, "54000", client_id="late")
    desk.stop(Side.SELL, "54100", "0.1", reduce_only=True, client_id="orphan")
    desk.limit(Side.BUY, "0.010", "54050")
    desk.venue.drain()
    (batch,) = desk.move("54200", over_ms=60_000)
    assert story(batch) == [
        "order EXPIRED EXPIRED 5",
        "order NEW NEW 0",
        "order CALCULATED FILLED 0",
        "account ORDER",
        "account INSURANCE_CLEAR",
        "algo late EXPIRED",
    ]
    # closed at 54216.8: (54216.8 - 60000) × 0.1 = -578.32; fee 5421.68 × 0.0005; the fund takes what is left of 600
    assert desk.income()[1:] == [
        ("REALIZED_PNL", "-578.32"),
        ("COMMISSION", "-2.71084"),
        ("INSURANCE_CLEAR", "-18.96916"),
    ]
    assert desk.wallet == D("1000") - 3 - 600
    assert [algo.client_id for algo in desk.venue.open_algos()] == ["orphan"]
    order = next(event.order for event in batch if isinstance(event, OrderUpdated) and event.fill)
    assert order.client_id == "autoclose-1"


def test_what_a_liquidation_tells_of_the_account_is_what_the_ledger_says(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.1")
    (batch,) = desk.move("54200", over_ms=60_000)
    traded, cleared = (event for event in batch if isinstance(event, AccountUpdated))
    assert (traded.balance_change, cleared.balance_change) == (0, D("-18.96916"))
    assert traded.wallet_balance == desk.wallet + D("18.96916")
    assert cleared.wallet_balance == desk.wallet
    (view,) = cleared.positions
    assert (view.holding.quantity, view.unrealized) == (0, 0)


def test_what_a_fill_tells_of_a_position_is_what_it_is_worth_now(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.010")
    desk.jump("61000")
    desk.venue.drain()
    desk.market(Side.SELL, "0.004", reduce_only=True)
    told = [event for event in desk.venue.drain() if isinstance(event, AccountUpdated)]
    assert [view.unrealized for event in told for view in event.positions] == [6]


def test_a_conditional_order_that_has_executed_tells_its_price(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.010")
    desk.stop(Side.SELL, "59000", "0.010", reduce_only=True, client_id="stop")
    batches = desk.move("58000", over_ms=60_000)
    told = [event.algo for batch in batches for event in batch if isinstance(event, AlgoUpdated)]
    assert (told[-1].status, told[-1].actual_price) == (AlgoStatus.FINISHED, D("59000"))


def test_a_short_is_liquidated_above(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.SELL, "0.1")
    assert round(desk.position.liquidation_price, 2) == D("65737.05")
    desk.move("66000")
    assert desk.position.quantity == 0
    assert desk.wallet == D("397")


def test_a_jump_beyond_bankruptcy_costs_no_more_than_the_isolated_margin(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.1")
    desk.jump("50000", after_ms=1)
    # -1000 - 2.5 against 600: the insurance fund pays 402.5
    assert ("INSURANCE_CLEAR", "402.5") in desk.income()
    assert desk.wallet == D("397")


def test_a_stop_before_the_liquidation_price_saves_the_margin(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.1")
    desk.stop(Side.SELL, "55000")
    desk.move("50000")
    assert desk.position.quantity == 0
    assert not any(kind == "INSURANCE_CLEAR" for kind, _ in desk.income())


def test_liquidation_comes_before_a_stop_when_the_price_jumps_beyond_both(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    desk.market(Side.BUY, "0.1")
    desk.stop(Side.SELL, "55000", client_id="stop")
    desk.jump("54000", after_ms=1)
    assert desk.venue.algo(client_id="stop").status is AlgoStatus.EXPIRED
    assert desk.wallet == D("397")


def test_a_crossed_position_is_liquidated_with_the_whole_wallet(make_desk) -> None:
    desk = make_desk(slippage=D(0), isolated=False)
    desk.market(Side.BUY, "0.1")
    # wallet 997: (997 - 6000) / (0.0004 - 0.1)
    assert round(desk.position.liquidation_price, 2) == D("50230.92")
    assert desk.position.isolated_wallet == 0
    desk.move("50000")
    assert desk.position.quantity == 0
    assert 0 <= desk.wallet < 20
