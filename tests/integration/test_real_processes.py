"""The bot and the exchange as two processes: killed, stopped and started, with nothing in between but sockets."""

from __future__ import annotations

import json
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from fsm.cli import health
from fsm.cli.errors import CommandError
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.kill_loop import KillReport, Outcome, Plan, Traded, compared, kill_loop, planned
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import jump, quiet
from store import queries
from store.batch import Batch
from store.database import open_store
from store.journal import Journal
from store.lock import touched_ms
from store.rows import DocumentRow
from store.verify import verify
from tests.integration.stories import BTC, HOUR_MS, LOW, NOON_MS, SYMBOL, TOP, tell, to_protected, until_state

ROOT = Path(__file__).parents[2]
BALANCE = Decimal(10_000)
SHIPPED = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


def test_a_stopped_bot_is_closed_by_the_exchange_and_its_books_are_right_when_it_goes_on(tmp_path: Path) -> None:
    """R9: SIGSTOP for a simulated day while in a position. Meanwhile there is also a signal, which is stale by then."""
    fallen = LOW * 1.01
    day = [*quiet(TOP, 2), (TOP, TOP, LOW, LOW), *quiet(LOW, 6), jump(LOW), *quiet(fallen, 24)]

    async def story(bot: RealBot) -> None:
        await to_protected(bot)
        bot.send(signal.SIGSTOP)
        rows = list(bot.store.connection.execute("SELECT id FROM transitions"))
        await bot.simulation.advance(24 * HOUR_MS)
        shown = await bot.simulation.shown()
        assert shown.held() == {}, "the exchange's stop needs no bot"
        assert list(bot.store.connection.execute("SELECT id FROM transitions")) == rows
        bot.send(signal.SIGCONT)
        await until_state(bot, State.IDLE)
        await bot.until(lambda: bot.has_decided(NOON_MS - HOUR_MS // 2 + 24 * HOUR_MS, 1), "decide on the newest close")
        (trade,) = queries.trades(bot.store)
        assert (trade.exit_reason, trade.status) == ("STOP_HIT", "CLOSED")
        assert trade.net_pnl == shown.account.wallet_balance - BALANCE
        decided = list(bot.store.connection.execute("SELECT count(*) FROM transitions WHERE trigger = 'signal'"))
        assert decided == [(1,)], "nothing is decided on candles that were over long ago"
        assert verify(bot.db).fine
        assert replay(bot.db).differences == ()

    tell(tmp_path, [jump(BTC), *day], story)


def test_a_start_covers_what_is_open_before_it_reads_any_history(tmp_path: Path) -> None:
    """R8, R40: killed, and the stop vanished meanwhile. Prints how long the position waited for its new stop."""

    async def story(bot: RealBot) -> None:
        await to_protected(bot)
        bot.kill()
        before = await bot.simulation.shown()
        (stop,) = [algo for algo in before.algo_orders if algo.type == "STOP_MARKET"]
        asked = len(await bot.simulation.requests(0))
        await bot.simulation.act(action="vanish", clientAlgoId=stop.client_id)
        bot.spawn()
        await bot.until(bot.is_ready, "get ready again")
        requests = (await bot.simulation.requests(0))[asked:]
        paths = [(request.method, request.path) for request in requests]
        assert paths.index(("POST", "/fapi/v1/algoOrder")) < paths.index(("GET", "/fapi/v1/klines"))
        assert (await bot.simulation.shown()).stops() == {SYMBOL}
        line = next(line for line in bot.log.read_text().splitlines()[::-1] if '"recovered"' in line)
        print(f"\nprotected again before any history: {line}")

    tell(tmp_path, [jump(BTC), *quiet(TOP, 5)], story)


@pytest.mark.slow
def test_a_start_that_waits_for_its_exchange_is_not_healthy_and_not_ended(tmp_path: Path) -> None:
    """R24: the bot before it has been gone for an hour, so its pulse is as old; health checks come in the meantime."""

    async def story(bot: RealBot) -> None:
        await to_protected(bot)
        await bot.until(lambda: health_of(bot) is None, "be healthy")
        bot.kill()
        hour_ago_ms = time.time_ns() // 1_000_000 - HOUR_MS
        gone = json.dumps({"wall_ms": hour_ago_ms, "stops": {SYMBOL: {"verified_wall_ms": hour_ago_ms}}})
        with open_store(bot.db, mode="write") as store:
            row = DocumentRow(name="health", at_ms=NOON_MS, body_json=gone)
            Journal(store, "aged").commit(Batch(documents=[row]))
        bot.forget()
        await bot.simulation.fault(match={"path": "/fapi/*"}, effect="internal_503")
        bot.spawn()
        await bot.until(lambda: health_of(bot) == "STARTING", "take the lock")
        first_ms = touched_ms(bot.db) or 0
        await bot.until(lambda: (touched_ms(bot.db) or 0) > first_ms + 4_000, "say again that it starts")
        with pytest.raises(CommandError, match="is starting"):
            health.require_protecting(bot.db, end_after_s=180)
        assert bot.is_running
        assert not bot.is_ready()
        await bot.simulation.end_faults()
        await bot.until(lambda: health_of(bot) is None, "be healthy again")

    tell(tmp_path, [jump(BTC), *quiet(TOP, 5)], story)


def health_of(bot: RealBot) -> str | None:
    found = health.fault(bot.db, now_ms=time.time_ns() // 1_000_000)
    return found and found.code


class TestKilled:
    @staticmethod
    def check(report: KillReport, kills: int) -> None:
        print("\n", report)
        assert report.violations == ()
        assert report.duplicate_orders == 0
        assert report.kills >= kills
        assert report.trades == report.identical + report.explained
        assert report.explained + report.other_trades == 0 or report.missed_entries > 0

    def plan(self, *, kills: int, days: int, start_ms: int, seed: int) -> Plan:
        return Plan(
            config=ROOT / "config.yaml",
            rules=ROOT / "rules.yaml",
            symbols=SHIPPED,
            start_ms=start_ms,
            days=days,
            kills=kills,
            seed=seed,
            balance=BALANCE,
        )

    def test_twice_within_a_day(self) -> None:
        """R8, R18: from 2024-09-08 12:30."""
        self.check(kill_loop(self.plan(kills=2, days=1, start_ms=1_725_798_600_000, seed=1)), 2)

    @pytest.mark.slow
    def test_four_times_within_two_days_of_four_trades(self) -> None:
        """From 2024-09-08 00:30."""
        self.check(kill_loop(self.plan(kills=4, days=2, start_ms=1_725_755_400_000, seed=1)), 4)

    @pytest.mark.slow
    def test_two_hundred_times_within_a_quarter(self) -> None:
        """From 2024-09-01 00:30."""
        self.check(kill_loop(self.plan(kills=200, days=91, start_ms=1_725_150_600_000, seed=1)), 200)


class TestComparing:
    @staticmethod
    def outcome(trades: list[Traded], missed: list[tuple[str, int, str]] | None = None) -> Outcome:
        return Outcome(
            trades=trades,
            missed=missed or [],
            busy_hours=[1, 2, 3, 7],
            kills=0,
            starts=1,
            repeated=[],
            longest_naked_s=0,
            longest_naked_after_start_s=0,
            late_stops=0,
            journal_problems=[],
            start_s=2.0,
            hours_s=[0.5] * 48,
            seconds=1,
        )

    @staticmethod
    def trade(hour: int, price: str = "100") -> Traded:
        side, reason, one = "LONG", "STOP_HIT", Decimal(1)
        return Traded(SYMBOL, hour * HOUR_MS, side, one, Decimal(price), Decimal(99), reason, Decimal(-1))

    @staticmethod
    def counts(calm: Outcome, torn: Outcome) -> tuple[int, int, int, int]:
        """Identical, explained, only in the killed run, different."""
        found = compared(calm, torn)
        return found.identical, found.explained, found.others, len(found.different)

    def test_another_price_is_a_difference_that_nothing_explains(self) -> None:
        calm = self.outcome([self.trade(1), self.trade(5)])
        assert self.counts(calm, self.outcome([self.trade(1), self.trade(5, "101")])) == (1, 0, 0, 1)

    def test_a_trade_that_is_missing_is_explained_by_a_missed_entry_from_then_on(self) -> None:
        calm = self.outcome([self.trade(1), self.trade(5), self.trade(9)])
        missed = [(SYMBOL, 6 * HOUR_MS, "SETUP_UNKNOWN")]
        assert self.counts(calm, self.outcome([self.trade(1)], missed)) == (1, 2, 0, 0)
        assert self.counts(calm, self.outcome([self.trade(5)], missed)) == (1, 1, 0, 1)

    def test_a_trade_in_the_place_of_a_missed_one_is_counted_apart(self) -> None:
        calm = self.outcome([self.trade(1), self.trade(5)])
        missed = [(SYMBOL, 2 * HOUR_MS, "SETUP_UNKNOWN")]
        assert self.counts(calm, self.outcome([self.trade(3), self.trade(5, "101")], missed)) == (0, 2, 1, 0)
        assert self.counts(calm, self.outcome([self.trade(1), self.trade(3), self.trade(5)])) == (2, 0, 0, 1)

    def test_an_entry_that_was_given_up_seconds_after_its_close_explains_its_own_trade_and_none_before(self) -> None:
        calm = self.outcome([self.trade(4), self.trade(5)])
        given_up = [(SYMBOL, 6 * HOUR_MS + 2_341, "ENTRY_SHOWN_ABSENT")]
        assert self.counts(calm, self.outcome([self.trade(4)], given_up)) == (1, 1, 0, 0)
        assert self.counts(calm, self.outcome([], given_up)) == (0, 1, 0, 1)

    def test_kills_are_planned_by_seed_and_half_of_them_where_something_happens(self) -> None:
        plan = TestKilled().plan(kills=8, days=2, start_ms=0, seed=5)
        kills = planned(plan, self.outcome([]))
        assert kills == planned(plan, self.outcome([]))
        assert len(kills) == 8
        assert {1, 2, 3, 7} <= kills.keys()
        assert all(0 <= moments[0] <= 0.5 for moments in kills.values())
