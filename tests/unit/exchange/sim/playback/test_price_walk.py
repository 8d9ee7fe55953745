"""Bars played through a venue: entries at the open, pessimistic order, ambiguity, stepping, restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.sim.core.events import Batch
from exchange.sim.playback.candle_path import Bar, Prices, bar, stretch
from exchange.sim.playback.price_walk import PriceWalk
from exchange.types import AlgoStatus, MarginType, OrderStatus, Side, TimeInForce
from tests.effort import examples

D = Decimal
HOUR = 3_600_000
BUY, SELL = Side.BUY, Side.SELL


def prices(text: str) -> Prices:
    return Prices(*(D(part) for part in text.split()))


def hour(open_ms: int, text: str) -> Bar:
    return (stretch(open_ms, open_ms + HOUR, prices(text), prices(text)),)


def play(batches: Iterable[Batch]) -> list[Batch]:
    return list(batches)


def test_an_order_at_the_open_executes_at_the_open(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60100 60500 59500 60200")})
    play(walk.open())
    assert desk.market(BUY, "0.010").average_price == D("60100")
    play(walk.run(now + 30_000))
    assert desk.venue.mark_price("BTCUSDT").last_price == D("60100")
    assert desk.market(BUY, "0.010").average_price == D("60100")
    play(walk.run(now + HOUR))
    assert desk.venue.mark_price("BTCUSDT").last_price == D("60200")
    assert desk.venue.now_ms == now + HOUR


def test_inside_one_bar_the_stop_is_hit_before_the_target(make_desk) -> None:
    """R48: long and short alike, and the bar is counted."""
    for side, stop, target in ((BUY, "59000", "61000"), (SELL, "61000", "59000")):
        desk = make_desk()
        now = desk.venue.now_ms
        walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 61500 58500 60000")})
        play(walk.open())
        desk.market(side, "0.010")
        desk.stop(side.opposite, stop, client_id="stop")
        desk.target(side.opposite, target, client_id="target")
        play(walk.run(now + HOUR))
        assert desk.venue.algo(client_id="stop").status is AlgoStatus.FINISHED
        assert desk.venue.algo(client_id="target").status is AlgoStatus.EXPIRED
        assert walk.ambiguous == walk.undecided == {("BTCUSDT", now)}


def test_a_bar_that_holds_only_one_of_them_is_not_ambiguous(desk) -> None:
    """R48."""
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 61500 59500 61000")})
    play(walk.open())
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59000", client_id="stop")
    desk.target(SELL, "61000", client_id="target")
    play(walk.run(now + HOUR))
    assert desk.venue.algo(client_id="target").status is AlgoStatus.FINISHED
    assert walk.ambiguous == set()


def test_an_exit_by_the_gap_at_the_open_is_not_ambiguous(make_desk) -> None:
    """R48: what happened first is known."""
    desk = make_desk(slippage=D(0))
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59000")
    desk.target(SELL, "61000")
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "58900 61500 58500 60000")})
    play(walk.open())
    assert desk.venue.fills("BTCUSDT")[-1].price == D("58900")
    play(walk.run(now + HOUR))
    assert walk.ambiguous == walk.undecided == set()


def test_finer_candles_decide_what_the_hour_cannot(desk) -> None:
    """R48: the target came first, and five-minute candles know it."""
    now = desk.venue.now_ms
    texts = ["60000 61500 59900 61000", "61000 61000 58500 59000"]
    step = HOUR // 2
    parts = [stretch(now + n * step, now + (n + 1) * step, prices(text)) for n, text in enumerate(texts)]
    walk = PriceWalk(desk.venue, {"BTCUSDT": bar(parts)})
    play(walk.open())
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59000", client_id="stop")
    desk.target(SELL, "61200", client_id="target")
    play(walk.run(now + HOUR))
    assert desk.venue.algo(client_id="target").status is AlgoStatus.FINISHED
    assert walk.ambiguous == set()
    assert walk.undecided == {("BTCUSDT", now)}, "the hour alone could not tell"


def test_a_stop_that_a_finer_candle_begins_beyond_is_decided_by_it(desk) -> None:
    """The second half opens below the stop: an hour alone holds the target too."""
    now = desk.venue.now_ms
    texts = ["60000 60500 59900 60000", "58800 61500 58500 59000"]
    step = HOUR // 2
    parts = [stretch(now + n * step, now + (n + 1) * step, prices(text)) for n, text in enumerate(texts)]
    walk = PriceWalk(desk.venue, {"BTCUSDT": bar(parts)})
    play(walk.open())
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59000", client_id="stop")
    desk.target(SELL, "61200", client_id="target")
    play(walk.run(now + HOUR))
    assert desk.venue.algo(client_id="stop").status is AlgoStatus.FINISHED
    assert (walk.ambiguous, walk.undecided) == (set(), {("BTCUSDT", now)})


def test_a_resting_buy_fills_on_the_way_to_the_low_and_its_stop_is_hit_on_the_same_way(desk) -> None:
    """R48: flat with a resting buy, the high comes first, so the low comes after the fill."""
    desk.limit(BUY, "0.010", "59500", client_id="entry")
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 61500 58500 60000")})
    play(walk.open())
    reacted = False
    for _ in walk.run(now + HOUR):
        if not reacted and desk.venue.order("BTCUSDT", client_id="entry").status is OrderStatus.FILLED:
            reacted = True
            desk.stop(SELL, "59000", client_id="stop")
            desk.target(SELL, "61000", client_id="target")
    assert desk.venue.algo(client_id="stop").status is AlgoStatus.FINISHED
    assert walk.ambiguous == {("BTCUSDT", now)}


def test_symbols_share_one_clock(make_desk) -> None:
    """Events of several symbols come in the order of their times."""
    desk = make_desk()
    venue = desk.venue
    desk.jump("2000", symbol="ETHUSDT")
    venue.set_margin_type("ETHUSDT", MarginType.ISOLATED)
    desk.market(BUY, "0.005")
    desk.market(BUY, "0.100", symbol="ETHUSDT")
    desk.stop(SELL, "59000", client_id="btc")
    desk.stop(SELL, "1999", client_id="eth", symbol="ETHUSDT")
    now = venue.now_ms
    bars = {
        "BTCUSDT": hour(now, "60000 60000 58000 59000"),
        "ETHUSDT": hour(now, "2000 2000 1900 1950"),
    }
    venue.drain()
    walk = PriceWalk(venue, bars)
    batches = [*walk.open(), *walk.run(now + HOUR)]
    assert [batch[0].algo.client_id for batch in batches] == ["eth", "btc"]
    assert batches[0][0].at_ms < batches[1][0].at_ms


def test_a_symbol_may_join_during_the_hold(make_desk) -> None:
    desk = make_desk(slippage=D(0))
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 60000 58000 59000")})
    play(walk.open())
    walk.add("ETHUSDT", hour(now, "2000 2100 1900 1950"))
    play(walk.open())
    assert desk.venue.mark_price("ETHUSDT").last_price == 2000
    assert desk.venue.mark_price("BTCUSDT").last_price == 60_000
    play(walk.run(now + HOUR))
    assert desk.venue.mark_price("ETHUSDT").last_price == 1950


def test_without_open_the_jump_happens_when_the_clock_reaches_it(desk) -> None:
    now = desk.venue.now_ms + 1000
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60100 60500 59500 60200")})
    play(walk.run(now - 1))
    assert desk.venue.mark_price("BTCUSDT").last_price == 60_000
    play(walk.run(now))
    assert desk.venue.mark_price("BTCUSDT").last_price == 60_100


@pytest.mark.parametrize(
    "place",
    [
        lambda desk: desk.limit(BUY, "0.010", "59600"),
        lambda desk: desk.limit(SELL, "0.010", "60400", reduce_only=True),
        lambda desk: desk.limit(BUY, "0.010", "58000", TimeInForce.GTD, good_till_ms=desk.venue.now_ms + 700_000),
        lambda desk: desk.stop(SELL, "59600"),
        lambda desk: desk.target(SELL, "60400", by_mark=True),
    ],
)
def test_a_bar_in_which_something_can_happen_is_walked(desk, place: Callable[[object], object]) -> None:
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 60500 59500 60200")})
    play(walk.open())
    desk.market(BUY, "0.005")
    place(desk)
    desk.venue.drain()
    assert len(play(walk.run(now + HOUR))) == 1


def test_a_crossed_position_is_always_walked_and_can_be_liquidated(make_desk) -> None:
    desk = make_desk(isolated=False, slippage=D(0))
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 60500 50000 60200")})
    play(walk.open())
    desk.market(BUY, "0.1")
    desk.venue.drain()
    assert len(play(walk.run(now + HOUR))) == 1
    assert desk.position.quantity == 0


TICKS = st.integers(-200, 200)


def random_hour(now: int, moves: tuple[int, int, int, int]) -> Bar:
    values = [D(60_000) + 5 * D(move) for move in moves]
    return (stretch(now, now + HOUR, Prices(open=values[0], high=max(values), low=min(values), close=values[3])),)


def lived(desk, moves, orders, steps: list[int], *, restart: bool) -> list[tuple[object, ...]]:
    """Play one hour in pieces; everything but the times of what happened."""
    now = desk.venue.now_ms
    bars = {"BTCUSDT": random_hour(now, moves)}
    walk = PriceWalk(desk.venue, bars)
    play(walk.open())
    side, size, levels, by_mark = orders
    desk.market(side, f"0.0{size}")
    for level in levels:
        desk_order(desk, side, level, by_mark)
    for until in sorted({*(now + step for step in steps), now + HOUR}):
        play(walk.run(until))
        if restart:
            venue = desk.venue
            venue.drain()
            desk.venue = type(venue).load(venue.save(), filters=venue.filters(), brackets=venue.state.brackets)
            walk = PriceWalk(desk.venue, bars, walk.marks)
    fills = [(fill.side, fill.price, fill.quantity, fill.order_id) for fill in desk.venue.fills("BTCUSDT")]
    quote = desk.venue.mark_price("BTCUSDT")
    return [*fills, (quote.last_price, quote.mark_price, desk.venue.now_ms, desk.wallet)]


def desk_order(desk, side: Side, level: int, by_mark: bool) -> None:
    last = desk.venue.mark_price("BTCUSDT").last_price
    price = last + level
    place = desk.stop if (price < last) == (side is BUY) else desk.target
    place(side.opposite, str(price), "0.005", reduce_only=True, by_mark=by_mark)


@settings(max_examples=examples(150), deadline=None)
@given(
    moves=st.tuples(TICKS, TICKS, TICKS, TICKS),
    orders=st.tuples(
        st.sampled_from(Side),
        st.integers(10, 20),
        st.lists(st.integers(-900, 900).filter(bool), max_size=4, unique=True),
        st.booleans(),
    ),
    steps=st.lists(st.integers(0, HOUR), max_size=6),
    restart=st.booleans(),
)
def test_stepping_and_restarting_change_nothing(moves, orders, steps, restart, make_desk) -> None:
    """Simulator (small steps, restarts) and backtest (one leap) give the same fills at the same prices."""
    whole = lived(make_desk(), moves, orders, [], restart=False)
    assert lived(make_desk(), moves, orders, steps, restart=restart) == whole


@pytest.mark.parametrize("side", Side)
def test_a_quiet_bar_ends_where_the_walked_one_does(make_desk, side: Side) -> None:
    results = []
    for leap in (True, False):
        desk = make_desk()
        now = desk.venue.now_ms
        walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 60500 59500 60200")})
        play(walk.open())
        desk.market(side, "0.010")
        desk.stop(side.opposite, "58000" if side is BUY else "62000")
        if not leap:
            play(walk.run(now + HOUR // 2))
        play(walk.run(now + HOUR))
        results.append(desk.venue.save())
    assert results[0] == results[1]


def test_a_stop_fills_on_its_way_to_the_worst_price_of_the_candle_by_the_share(make_desk) -> None:
    """An hour that falls 1,000 below a stop: 0.06385 of it with a share of 0.25, long and short alike."""
    for side, stop, candle, filled in (
        (BUY, "59500", "60000 60000 58500 59000", "59436.1"),
        (SELL, "60500", "60000 61500 60000 61000", "60563.9"),
    ):
        desk = make_desk(slippage=D(0), stop_depth=D("0.25"))
        now = desk.venue.now_ms
        walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, candle)})
        play(walk.open())
        desk.market(side, "0.010")
        desk.stop(side.opposite, stop, client_id="stop")
        play(walk.run(now + HOUR))
        assert desk.venue.state.fills[-1].price == D(filled)


def test_a_gap_over_a_stop_fills_from_the_open_on(make_desk) -> None:
    desk = make_desk(slippage=D(0), stop_depth=D("0.25"))
    now = desk.venue.now_ms
    desk.market(BUY, "0.010")
    desk.stop(SELL, "59500", client_id="stop")
    play(PriceWalk(desk.venue, {"BTCUSDT": hour(now, "59000 59200 58000 58500")}).open())
    assert desk.venue.state.fills[-1].price == D("58936.1")  # 59,000 less 0.06385 of 1,000, down to the tick


def test_a_target_fills_where_it_was_touched(make_desk) -> None:
    desk = make_desk(slippage=D(0), stop_depth=D("0.25"))
    now = desk.venue.now_ms
    walk = PriceWalk(desk.venue, {"BTCUSDT": hour(now, "60000 61500 59900 61000")})
    play(walk.open())
    desk.market(BUY, "0.010")
    desk.target(SELL, "61000", client_id="target")
    play(walk.run(now + HOUR))
    assert desk.venue.state.fills[-1].price == D("61000")
