"""What the exchange shows against what is remembered (R24 to R33): other hands, lost events, late candles."""

from __future__ import annotations

from decimal import Decimal

from exchange.client_ids import Leg, client_id
from exchange.types import OrderRequest, OrderType, Side
from fsm.core.records import State
from fsm.lab.rehearsal import DATABASE_ID, Rehearsal
from fsm.lab.small_market import TO_SIGNAL, triggers
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import CALM, Make, record, to_trade


class TestOtherHands:
    def test_a_position_closed_by_hand_ends_the_trade_with_its_real_price(self, rehearse: Make) -> None:
        """R30."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: Rehearsal) -> None:
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

        async def script(r: Rehearsal) -> None:
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

        async def script(r: Rehearsal) -> None:
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
