"""The daemon end to end, on a small market in this process: a trade's whole life, orders to it, and its end."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import Side
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.errors import JournalError
from store.rows import PositionMark
from store.verify import verify
from tests.integration.scenarios.acting import BTC, STOPPED, TOP, Make, answer, by_hand, post, to_trade

ETH = 3_000.0
WON = [jump(BTC), *quiet(TOP, 2), (TOP, BTC * 1.05, TOP, TOP), *quiet(TOP, 4)]


class TestALife:
    def test_a_signal_becomes_a_covered_position_and_its_stop_ends_it(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.05)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert r.running.live.engine.record("BTCUSDT").state is State.PROTECTED
            await r.hours(4)

        r.run(script)
        assert triggers(r) == [
            "signal jump LONG",
            "enter SETUP_READY",
            "fill FIRST_FILL",
            "protect STOP_CONFIRMED",
            "exit STOP_HIT",
            "flat STOP_HIT",
        ]
        assert verify(r.db).fine

    def test_protection_is_confirmed_two_round_trips_after_the_answer_that_showed_the_fill(
        self, rehearse: Make
    ) -> None:
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.05)
        r.run(to_trade)
        assert r.times.summary() == {"count": 1, "p50_ms": 100.0, "p99_ms": 100.0, "max_ms": 100.0, "late": 0}

    def test_readers_are_told_when_in_real_time_the_stop_was_last_seen_at_the_exchange(self, rehearse: Make) -> None:
        """R12: a stop's presence is verified again and again, and the age of the last look is published."""
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.05)

        def health() -> Any:
            with open_store(r.db, mode="read") as store:
                found = queries.document(store, "health")
            assert found is not None
            return msgspec.json.decode(found.body_json)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.seconds(30)
            pulse, trade = health(), r.running.live.engine.record("BTCUSDT").trade
            assert trade is not None
            assert trade.stop is not None
            seen = pulse["stops"]["BTCUSDT"]
            assert (seen["client_id"], Decimal(seen["trigger_price"])) == (
                trade.stop.client_id,
                trade.stop.trigger_price,
            )
            reconcile_ms = r.config.settings.loops.reconcile_interval_ms
            assert 0 <= pulse["wall_ms"] - seen["verified_wall_ms"] <= reconcile_ms + 1_000
            await r.hours(4)
            await r.seconds(10)
            assert health()["stops"] == {}, "there is no position any more"

        r.run(script)

    def test_nothing_of_it_outlives_it_not_even_a_flatten_that_is_still_waited_for(self, rehearse: Make) -> None:
        """R23: found by torture; a task that waited went on to write when the database was closed."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.faults = lambda call: Fault(lost=Lost.REQUEST)
            post(r, "flatten")
            await r.clock.sleep(2.0)
            assert r.running.live.engine.record("BTCUSDT").state is State.FLATTEN
            await r.stop()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert left == set()

        r.run(script)

    @pytest.mark.parametrize(
        ("meanwhile", "reason"),
        [("a position is opened by hand", "SYMBOL_FLAT"), ("positions cannot be read", "SETUP_UNKNOWN")],
    )
    def test_there_is_no_entry_on_top_of_a_position_nor_where_nobody_can_say(
        self, rehearse: Make, meanwhile: str, reason: str
    ) -> None:
        """R29: found by torture; between the signal and its entry anything may have happened to the account."""
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 3)])

        def interfere(call: Call) -> Fault | None:
            if call.method == "mark_price" and reason == "SYMBOL_FLAT" and not r.venue.positions("BTCUSDT"):
                by_hand(r, Side.SELL, Decimal("0.01"))
            return Fault(lost=Lost.REQUEST) if call.method == "positions" and reason == "SETUP_UNKNOWN" else None

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = interfere
            await r.hours(TO_SIGNAL + 0.1)

        r.run(script)
        assert triggers(r)[:2] == ["signal jump LONG", f"drop {reason}"], meanwhile
        assert not any("-E" in order.client_id for order in r.venue.state.orders)

    def test_every_hour_leaves_a_point_of_the_equity_curve_however_fast_the_market_runs(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 6)])

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.until(r.start_ms + 2 * HOUR_MS)
            calm, r.faults = r.faults, lambda call: Fault(lost=Lost.REQUEST) if call.method == "account" else None
            await r.until(r.start_ms + 2 * HOUR_MS + 40_000)
            r.faults = calm
            await r.clock.sleep(20.0)  # the point of this hour comes later in it than that of the next
            await r.hours(4)
            with open_store(r.db, mode="read") as store:
                times_ms = [point.at_ms for point in queries.equity(store)]
            first, now = r.start_ms // HOUR_MS, r.venue.now_ms // HOUR_MS
            assert {at_ms // HOUR_MS for at_ms in times_ms} == set(range(first, now + 1)), times_ms

        r.run(script)

    def test_what_positions_are_worth_is_written_once_a_second_for_all_of_them_and_only_when_it_has_changed(
        self, rehearse: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is for whoever watches, so it must not take the disk's time from what protects."""
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 6)], ETHUSDT=[jump(ETH), *quiet(ETH * 1.01, 6)])
        written: list[list[str]] = []

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            marks = r.running.live.journal.marks

            def watched(rows: list[PositionMark]) -> None:
                written.append([row.symbol for row in rows])
                if rows and len([row for row in written if row]) == 1:
                    raise JournalError("database is locked", "wait")
                marks(rows)

            await r.seconds(10)
            monkeypatch.setattr(r.running.live.journal, "marks", watched)
            await r.hours(0.1)
            await r.seconds(30)
            with open_store(r.db, mode="read") as store:
                told = {row.symbol: (row.mark, row.upnl) for row in queries.positions(store)}
            held = {each.symbol: (each.mark_price, each.unrealized_pnl) for each in r.venue.positions()}
            assert told == held
            assert len(held) == 2

        r.run(script)
        both = ["BTCUSDT", "ETHUSDT"]
        assert [symbols for symbols in written if symbols] == [both, both], "what failed is written a second later"
        assert len(written) >= 30

    def test_targets_take_the_profit_and_the_books_agree_with_the_exchange(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=WON)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.hours(4)

        r.run(script)
        assert triggers(r)[4:] == ["reduce TARGET_HIT", "exit TARGET_HIT", "flat TARGET_HIT"]
        with open_store(r.db, mode="read") as store:
            (trade,) = queries.trades(store)
        assert trade.net_pnl == r.venue.account().wallet_balance - r.config.settings.simulation.balance_usdt
        assert trade.net_pnl > 0

    def test_an_orderly_end_leaves_the_position_with_its_stop(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.stop()
            assert [algo.close_position for algo in r.venue.open_algos("BTCUSDT")].count(True) == 2
            await r.until(r.venue.now_ms + 3 * HOUR_MS)
            assert r.venue.positions() == [], "the exchange's stop needs no bot (R9)"
            await r.start()
            await r.hours(1)

        r.run(script)
        assert triggers(r)[-2:] == ["exit STOP_HIT", "flat STOP_HIT"]

    def test_two_daemons_cannot_share_a_database(self, rehearse: Make, tmp_path: Path) -> None:
        """R23."""
        from store.errors import LockHeld
        from store.lock import ProcessLock

        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            with pytest.raises(LockHeld):
                ProcessLock(r.db).acquire()

        r.run(script)


class TestCommands:
    def test_a_symbol_that_is_not_traded_is_refused_by_name(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            number = post(r, "halt", "NOPEUSDT")
            await r.seconds(1)
            assert answer(r, number) == ("refused", "SYMBOL")

        r.run(script)

    def test_a_halt_of_one_symbol_keeps_its_position_managed(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            post(r, "halt", "BTCUSDT")
            await r.seconds(1)
            assert r.running.live.engine.record("BTCUSDT").state is State.PROTECTED
            await r.hours(4)
            assert r.running.live.engine.record("BTCUSDT").state is State.HALT

        r.run(script)
