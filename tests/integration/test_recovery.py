"""Starting again: what is open is covered first, and what happened meanwhile is found out. Deaths: test_crashsweep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from exchange.client_ids import Leg, client_id
from exchange.errors import MalformedReply
from exchange.sim.port_faults import Fault
from exchange.types import OrderRequest, OrderType, Side
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import DATABASE_ID, HOUR_MS, InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import record

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
STOPPED = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 2)]


def outcome(r: InProcessBot) -> list[tuple[object, ...]]:
    with open_store(r.db, mode="read") as store:
        return [
            (t.side, t.quantity, t.entry_price, t.exit_price, t.exit_reason, t.net_pnl) for t in queries.trades(store)
        ]


class TestStarting:
    def test_twice_is_the_same_as_once(self, rehearse: Make) -> None:
        """R24."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            rows, resting = len(r.steps), r.venue.open_algos()
            for _ in range(3):
                await r.restart()
                await r.seconds(30)
            assert len(r.steps) == rows
            assert r.venue.open_algos() == resting

        r.run(script)

    def test_a_close_that_the_first_process_did_not_live_to_see_is_decided_by_the_next(self, rehearse: Make) -> None:
        """R40: also where nothing was ever decided, the database says since when a bot has been meant to decide."""
        r = rehearse(BTCUSDT=quiet(BTC, 4))

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.kill()
            close_ms = r.venue.now_ms + HOUR_MS
            await r.port.advance(close_ms + 2_000, _nobody)
            await r.start()
            await r.seconds(5)
            assert r.running.schedule.decided_ms == close_ms

        r.run(script)

    def test_a_stop_that_vanished_meanwhile_is_replaced_before_any_history_is_read(self, rehearse: Make) -> None:
        """R7, R8, R40."""
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.05)
        order: list[str] = []

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            await r.kill()
            for algo in r.venue.open_algos():
                r.venue.cancel_algo(client_id=algo.client_id)
            r.venue.drain()
            r.faults = lambda call: order.append(call.method)
            began = r.clock.monotonic()
            await r.start()
            assert order.index("place_algo") < order.index("candles")
            assert r.clock.monotonic() - began < 10
            assert any(algo.close_position for algo in r.venue.open_algos())

        r.run(script)

    def test_a_start_that_the_exchange_keeps_waiting_says_so(self, rehearse: Make) -> None:
        """It went on for ever without a word: what counts failures began only after the start."""
        r = rehearse(BTCUSDT=STOPPED)
        illegible = MalformedReply("GET /fapi/v3/account: it has no assets")

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            await r.kill()
            r.faults = lambda call: Fault(error=illegible) if call.method == "account" else None
            starting = asyncio.create_task(r.start())
            await r.clock.sleep(60)
            assert not starting.done()
            assert r.store is not None
            (told,) = [row for row in queries.alerts(r.store, limit=50) if row.kind == "api_errors"]
            assert "it has no assets" in told.text
            assert any("it has no assets" in row.error for row in queries.errors(r.store, limit=50))
            r.faults = lambda call: None
            await starting

        r.run(script)

    def test_a_setup_that_was_under_way_when_it_died_is_waited_for_by_nobody(self, rehearse: Make) -> None:
        """The start took 30 s after a kill while SIGNALLED, waiting for a stop that nothing needs."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = lambda call: Fault(delay_s=3600) if call.method == "ensure_margin_type" else None
            advancing = asyncio.create_task(r.hours(TO_SIGNAL + 0.5))
            while record(r).state is not State.SIGNALLED:
                await r.clock.sleep(0.1)
            await r.kill()
            await advancing
            r.faults = lambda call: None
            began = r.clock.monotonic()
            await r.start()
            assert r.clock.monotonic() - began < 5
            assert record(r).state is State.IDLE

        r.run(script)

    def test_a_stop_that_was_hit_meanwhile_is_booked_with_its_price(self, rehearse: Make) -> None:
        """R9, R43."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            await r.kill()
            await r.port.advance(r.venue.now_ms + 3 * HOUR_MS, _nobody)
            await r.start()
            await r.seconds(5)
            assert r.running.live.engine.record("BTCUSDT").state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "flat STOP_HIT"
        ((*_, net),) = outcome(r)
        assert net == r.venue.account().wallet_balance - Decimal(10_000)

    def test_an_entry_that_was_resting_is_found_again(self, rehearse: Make) -> None:
        """R22."""
        r = rehearse(
            BTCUSDT=[jump(BTC), *quiet(TOP, 1), (TOP, TOP, TOP * 0.998, TOP), *quiet(TOP, 3)],
            orders={"entry_type": OrderType.LIMIT, "limit_offset_pct": Decimal("0.1"), "limit_expiry_candles": 3},
        )

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            assert r.running.live.engine.record("BTCUSDT").state is State.ENTERING
            await r.restart()
            await r.seconds(20)
            assert r.running.live.engine.record("BTCUSDT").state is State.ENTERING
            await r.hours(2)
            assert r.running.live.engine.record("BTCUSDT").state is State.PROTECTED

        r.run(script)
        assert len([fill for fill in r.venue.fills("BTCUSDT") if fill.side is Side.BUY]) == 1

    def test_a_position_of_ours_that_the_journal_forgot_is_taken_over(self, rehearse: Make) -> None:
        """R25, R28: the exchange is the truth."""
        r = rehearse(BTCUSDT=quiet(BTC, 4))

        async def script(r: InProcessBot) -> None:
            entry_id = client_id(DATABASE_ID, "BTCUSDT", 1, Leg.ENTRY, 0, 1)
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"), client_id=entry_id
                )
            )
            await r.start()
            await r.seconds(10)
            assert r.running.live.engine.record("BTCUSDT").state is State.PROTECTED

        r.run(script)
        assert triggers(r)[0] == "adopt OWN_POSITION_FOUND"


async def _nobody() -> None:
    return None
