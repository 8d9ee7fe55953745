"""What the exchange shows against what is remembered (R24 to R33): other hands, lost events, late candles."""

from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg, client_id
from exchange.events import Resync, StreamAlarm, StreamEvent
from exchange.sim.port_faults import Call, Fault
from exchange.types import OrderRequest, OrderType, Side, SymbolSnapshot
from fsm.core.model.records import State
from fsm.core.observation import look_request
from fsm.live.preflight.meeting import StartRefused
from fsm.live.trading.reconcile import Counted
from fsm.proofs.testkit.in_process_bot import DATABASE_ID, InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, quiet, triggers
from indicators.candle import Timeframe
from store import queries
from store.database import open_store
from tests.effort import sampled
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    ETH,
    OPENED,
    STOPPED,
    Make,
    Once,
    answer,
    by_hand,
    entry,
    no_fault,
    post,
    record,
    resting_stops,
    to_trade,
    trades,
    wick,
)
from tests.integration.scenarios.wire import ALGO, ORDER, WiredRehearsal


class TestOtherHands:
    def test_a_position_closed_by_hand_ends_the_trade_with_its_real_price(self, rehearse: Make) -> None:
        """R30."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            (position,) = r.venue.positions()
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.SELL,
                    type=OrderType.MARKET,
                    quantity=position.quantity,
                    client_id="by-hand",
                    reduce_only=True,
                )
            )
            await r.seconds(6)
            assert record(r).state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "flat EXTERNAL_CLOSE"
        with open_store(r.db, mode="read") as store:
            (trade,) = queries.trades(store)
        assert trade.net_pnl == r.venue.account().wallet_balance - Decimal(10_000)

    def test_a_foreign_position_is_reported_and_left_alone(self, rehearse: Make) -> None:
        """R54, R29."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"), client_id="mine"
                )
            )
            await r.seconds(70)
            assert record(r).quarantine.cause == "FOREIGN_POSITION"
            await r.hours(TO_SIGNAL + 1)
            assert [position.quantity for position in r.venue.positions()] == [Decimal("0.010")]

        r.run(script)
        assert triggers(r) == ["quarantine FOREIGN_POSITION"]

    def test_an_orphan_of_ours_is_cancelled(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.hours(1)
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.SELL,
                    type=OrderType.LIMIT,
                    quantity=Decimal("0.01"),
                    price=Decimal(62000),
                    client_id=client_id(DATABASE_ID, "BTCUSDT", 1, Leg.CLOSE, 9, 1),
                    reduce_only=True,
                )
            )
            await r.seconds(70)
            assert r.venue.open_orders() == []

        r.run(script)
        assert "sweep STRAY_ORDERS" in triggers(r)


HALF_SECOND_S = 0.5


class TestHowAPositionEnded:
    @pytest.mark.parametrize(
        ("client_id", "reason"),
        [("web_1", "EXTERNAL_CLOSE"), ("adl_autoclose", "ADL"), ("autoclose-1704067200000", "LIQUIDATED")],
    )
    def test_is_noticed_within_a_reconcile_period_and_booked_under_its_name(
        self, rehearse: Make, client_id: str, reason: str
    ) -> None:
        """R30: nobody tells of it; the books have the price that was paid."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            (position,) = r.venue.positions()
            by_hand(r, Side.SELL, position.quantity, client_id=client_id)
            await r.seconds(r.config.settings.loops.reconcile_interval_ms / 1000 + HALF_SECOND_S)
            assert any(row.startswith(f"exit {reason}") for row in triggers(r))
            await r.seconds(10)

        r.run(script)
        check_booked(r, reason)

    @pytest.mark.parametrize(
        ("client_id", "reason"), [("web_1", "EXTERNAL_CLOSE"), ("adl_autoclose", "ADL")], ids=["hand", "ADL"]
    )
    def test_is_told_by_the_order_behind_the_fill_also_on_the_wire(
        self, tmp_path: Path, client_id: str, reason: str
    ) -> None:
        """R30: an order that was not ours is in no list; its name is asked for by the id that the fill carries."""
        r = WiredRehearsal(tmp_path, CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            (position,) = r.venue.positions()
            by_hand(r, Side.SELL, position.quantity, client_id=client_id)
            await r.seconds(20)

        r.run(script)
        check_booked(r, reason)

    def test_by_liquidation_while_the_bot_was_dead_is_booked_and_halts_the_symbol(self, rehearse: Make) -> None:
        """R30: its stop had been cancelled by hand; the mark goes to where the exchange closes by force."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.kill()
            r.venue.cancel_all_algos("BTCUSDT")
            (position,) = r.venue.positions()
            assert position.liquidation_price is not None
            mark = position.liquidation_price - 1
            for _ in r.venue.tick("BTCUSDT", last=mark, mark=mark, at_ms=r.venue.now_ms):
                pass
            assert r.venue.positions() == []
            await r.start()
            await r.seconds(15)
            assert record(r).state is State.HALT

        r.run(script)
        check_booked(r, "LIQUIDATED")


def check_booked(r: InProcessBot, reason: str) -> None:
    (trade,) = trades(r)
    assert (trade.exit_reason, trade.status) == (reason, "CLOSED")
    sold = [fill for fill in r.venue.fills("BTCUSDT") if fill.side is Side.SELL]
    assert trade.exit_price == sum(fill.price * fill.quantity for fill in sold) / sum(fill.quantity for fill in sold)
    assert trade.net_pnl == r.venue.account().wallet_balance - Decimal(10_000)
    assert r.venue.open_algos("BTCUSDT") == []


class TestHistoryThatIsMissing:
    def test_stops_its_symbol_covered_and_no_other(self, rehearse: Make) -> None:
        """R25: the position is believed, the fills never come; ETH trades on to the end of its trade."""
        eth = [*ETH[:3], (3030.0, 3030.0, 2994.0, 3030.0), *quiet(3030.0, 4)]
        r = rehearse(BTCUSDT=STOPPED, ETHUSDT=eth)

        def forgetful(call: Call) -> Fault | None:
            hit = call.symbol == "BTCUSDT" and call.method in ("look", "fills")
            return Fault(alter=_without_fills) if hit else None

        async def script(r: InProcessBot) -> None:
            await to_trade(r, forgetful)
            assert record(r).state is State.PROTECTED
            await r.restart()
            assert resting_stops(r)
            await r.hours(4)
            await r.seconds(30)
            assert record(r).quarantine.cause == "FILLS_MISSING"
            assert record(r, "ETHUSDT").quarantine is None

        r.run(script)
        assert triggers(r, "ETHUSDT")[-1] == "flat STOP_HIT"
        assert (r.venue.positions(), r.venue.open_algos()) == ([], [])


def _without_fills(answer: Any) -> Any:
    return replace(answer, fills=()) if isinstance(answer, SymbolSnapshot) else []


class TestAStopWithoutAQuantity:
    @pytest.mark.parametrize("quantity", [None, "", "0", "0.000"])
    def test_is_seen_as_the_stop_it_is(self, tmp_path: Path, quantity: str | None) -> None:
        """R26: whatever stands where a quantity would, it covers the position and is not placed a second time."""
        r = WiredRehearsal(tmp_path, CALM)
        fields = {"quantity": quantity, "totalQty": quantity, "executedQty": quantity, "price": ""}
        r.fault(match={"path": "/fapi/v1/openAlgoOrders"}, effect={"merge": fields}, when="after")

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert isinstance(r, WiredRehearsal)
            asked = len(r.asked(ALGO))
            await r.seconds(60)
            assert record(r).state is State.PROTECTED
            assert len(r.asked(ALGO)) == asked

        r.run(script)
        assert triggers(r) == OPENED
        assert r.times.late == 0


class TestAHedgeAccount:
    @pytest.mark.parametrize("open_legs", [True, False], ids=["with open legs", "flat"])
    def test_is_refused_before_anything_is_done(self, tmp_path: Path, open_legs: bool) -> None:
        """R27: no order leaves, and the refusal says what to do."""
        r = WiredRehearsal(tmp_path, CALM)
        r.fault(match={"path": "/fapi/v1/accountConfig"}, effect={"merge": {"dualSidePosition": True}}, when="after")
        if open_legs:
            by_hand(r, Side.BUY, Decimal("0.010"))
            leg = {"merge": {"positionSide": "LONG"}}
            r.fault(match={"path": "/fapi/v3/positionRisk"}, effect=leg, when="after")

        async def script(r: InProcessBot) -> None:
            with pytest.raises(StartRefused, match="hedge mode") as refused:
                await r.start()
            assert "one-way mode" in refused.value.hint

        r.run(script)
        assert (r.asked(ORDER), r.asked(ALGO)) == ([], [])

    def test_leg_that_appears_later_is_an_error_and_never_a_silent_half(self, tmp_path: Path) -> None:
        """R27: what cannot be understood is not taken for flat; our stop stays."""
        r = WiredRehearsal(tmp_path, CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert isinstance(r, WiredRehearsal)
            leg = {"merge": {"positionSide": "LONG"}}
            r.fault(match={"path": "/fapi/v3/positionRisk"}, effect=leg, when="after")
            await r.seconds(60)
            assert record(r).state is State.PROTECTED
            assert len(resting_stops(r)) == 1

        r.run(script)
        assert triggers(r) == OPENED


class TestARound:
    def test_accounts_for_everything_that_it_was_shown(self, rehearse: Make) -> None:
        """R27: remembered, looked at closely, or not ours: counts in are counts out."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH, DOGEUSDT=quiet(0.1, 7))
        r.config = dataclasses.replace(r.config, settings=r.config.settings.with_symbols(("BTCUSDT", "ETHUSDT")))

        async def script(r: InProcessBot) -> Counted:
            await r.start()
            by_hand(r, Side.BUY, Decimal(100), "DOGEUSDT")
            await r.hours(TO_SIGNAL + 0.5)
            strange = OrderRequest(
                symbol="ETHUSDT",
                side=Side.BUY,
                type=OrderType.LIMIT,
                quantity=Decimal("0.1"),
                price=Decimal(2900),
                client_id="somebody",
            )
            r.venue.place_order(strange)
            found = await r.running.reconciler.round()
            assert found.positions + found.orders == len(r.venue.positions()) + len(r.venue.open_orders()) + len(
                r.venue.open_algos()
            )
            return found

        found = r.run(script)
        assert found.positions + found.orders == found.remembered + found.looked_at + found.not_ours
        assert found.remembered >= 8


class TestAnAdoptedPosition:
    def test_is_flattened_like_any_other(self, rehearse: Make) -> None:
        """R28: found without its trade; protected; and `flatten` closes it."""
        r = rehearse(BTCUSDT=quiet(BTC, 4))

        async def script(r: InProcessBot) -> None:
            ours = client_id(DATABASE_ID, "BTCUSDT", 1, Leg.ENTRY, 0, 1)
            by_hand(r, Side.BUY, Decimal("0.010"), client_id=ours)
            await r.start()
            await r.seconds(10)
            assert record(r).state is State.PROTECTED
            number = post(r, "flatten")
            await r.seconds(10)
            assert answer(r, number) == ("done", None)

        r.run(script)
        assert (r.venue.positions(), r.venue.open_algos()) == ([], [])
        assert triggers(r)[-1] == "flat OPERATOR"


NEWS = [
    Resync(stream="user", reason="the listen key has expired"),
    Resync(stream="user", reason="-1125: this listen key does not exist"),
    Resync(stream="user", reason="cut after 24 hours"),
    StreamAlarm(stream="user", reason="no event about an order of ours"),
]


class TestAStreamThatWasDeaf:
    @pytest.mark.parametrize("news", NEWS, ids=["expired", "-1125", "24 hours", "idle"])
    def test_is_made_up_for_by_reading_everything_that_is_open(self, rehearse: Make, news: StreamEvent) -> None:
        """R31: polling is an hour apart and nothing told of the stop; the end of the silence leads to a look."""
        r = rehearse(BTCUSDT=STOPPED, loops={"reconcile_interval_ms": 3_600_000, "lists_interval_ms": 3_600_000})

        async def deaf(r: InProcessBot) -> None:
            await to_trade(r)
            await r.seconds(10)  # its targets, placed behind the look that showed its stop, are looked at too
            for _ in r.venue.tick("BTCUSDT", last=Decimal(59_800), mark=Decimal(59_800), at_ms=r.venue.now_ms):
                pass
            r.venue.drain()
            await r.seconds(60)
            assert record(r).state is State.PROTECTED, "nobody has looked"
            r.running.listener.hear(news)
            await r.seconds(10)
            assert record(r).state is State.IDLE

        r.run(deaf)
        assert triggers(r)[-1] == "flat STOP_HIT"


class TestTheOrderOfEvidence:
    """R32: each look shows one more of: the stop has fired, its order is filled, its fill, the position is gone."""

    @pytest.mark.parametrize(
        "order", sampled(permutations(("algo", "order", "fill", "position")), often=8, single=True), ids="-".join
    )
    def test_that_a_stop_was_hit_makes_no_difference_to_the_books(self, rehearse: Make, order: tuple[str, ...]) -> None:
        """R32: all twenty-four."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            before = r.port.desk.look("BTCUSDT", look_request(record(r), setting_of(r)))
            wick(r, last=59_900)
            shown: list[str] = []
            partly = Fault(alter=lambda now: _so_far(before, now, shown))
            r.faults = lambda call: partly if call.method == "look" else None
            for part in order:
                shown.append(part)
                r.running.workers["BTCUSDT"].request_check()
                await r.seconds(0.3)
            r.faults = no_fault
            await r.seconds(20)
            assert record(r).state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "flat STOP_HIT"
        check_booked(r, "STOP_HIT")

    @pytest.mark.parametrize(
        "order",
        sampled(permutations(("answer", "order", "fill", "position")), often=8, single=True),
        ids="-".join,
    )
    def test_that_the_entry_filled_makes_no_difference_to_the_trade(
        self, rehearse: Make, order: tuple[str, ...]
    ) -> None:
        """R32: all twenty-four ways in which the answer and three parts of a look can come."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)
        shown: list[str] = []

        def faults(call: Call) -> Fault | None:
            if entry(call):
                return Fault(answer_delay_s=0.3 * (order.index("answer") + 1))
            return Fault(alter=lambda now: _entry_so_far(now, shown)) if call.method == "look" else None

        async def reveal(r: InProcessBot) -> None:
            while not r.venue.positions():
                await r.clock.sleep(0.05)
            for part in order:
                shown.append(part)
                r.running.workers["BTCUSDT"].request_check()
                await r.clock.sleep(0.3)
            r.faults = no_fault

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = faults
            revealing = asyncio.create_task(reveal(r))
            await r.hours(TO_SIGNAL + 0.5)
            await revealing
            await r.seconds(15)
            assert record(r).state is State.PROTECTED
            assert record(r).trade.open_quantity == r.venue.positions()[0].quantity
            assert len(resting_stops(r)) == 1

        r.run(script)
        assert len([fill for fill in r.venue.fills("BTCUSDT") if fill.side is Side.BUY]) == 1
        assert r.times.late == 0


def setting_of(r: InProcessBot) -> Any:
    return r.running.live.engine.context("BTCUSDT")


def _so_far(before: SymbolSnapshot, now: SymbolSnapshot, shown: list[str]) -> SymbolSnapshot:
    """A look that shows what is new only of these parts."""
    known = {order.client_id for order in before.orders}
    return replace(
        now,
        algo_orders=now.algo_orders if "algo" in shown else before.algo_orders,
        orders=now.orders if "order" in shown else tuple(o for o in now.orders if o.client_id in known),
        fills=now.fills if "fill" in shown else before.fills,
        position=now.position if "position" in shown else before.position,
    )


def _entry_so_far(now: SymbolSnapshot, shown: list[str]) -> SymbolSnapshot:
    return replace(
        now,
        orders=now.orders if "order" in shown else (),
        fills=now.fills if "fill" in shown else (),
        position=now.position if "position" in shown else None,
    )


class TestALateCandle:
    @pytest.mark.parametrize(("asked", "trades_made"), [(3, 1), (10_000, 0)], ids=["late", "missing"])
    def test_is_waited_for_for_a_while_and_never_made_up(self, rehearse: Make, asked: int, trades_made: int) -> None:
        """R33: without the candle that closed there is no decision; with it, the usual one."""
        r = rehearse(BTCUSDT=CALM)
        late = Once(lambda call: call.method == "candles", Fault(alter=lambda candles: candles[:-1]), times=asked)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL - 1)
            r.faults = late
            await r.clock.sleep(1)
            await r.hours(1.5)
            assert len(r.venue.positions()) == trades_made

        r.run(script)
        with open_store(r.db, mode="read") as store:
            last = queries.decision_at(store, "BTCUSDT")
            kept = queries.candles(store, "BTCUSDT", "1h", since_ms=0)
        assert last is not None
        assert last.last_ms == kept[-1].open_time_ms
        closed = r.stage.feeds["BTCUSDT"].candles(Timeframe.H1, start_ms=0, end_ms=r.venue.now_ms)
        closes = {candle.open_time_ms: candle.close for candle in closed}
        assert all(candle.close == closes[candle.open_time_ms] for candle in kept)
