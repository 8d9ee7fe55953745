"""Execution quality of a running bot: times from signal to stop, and why a signal led to nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from exchange.sim.port_faults import Fault
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store.database import open_store
from store.inbox import Inbox
from store.queries.execution_figures import ExecutionReport, execution_report
from store.queries.executions import Execution

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
JUMPED = [jump(BTC), *quiet(TOP, 6)]


def told(bot: InProcessBot) -> tuple[ExecutionReport, list[Execution]]:
    with open_store(bot.db, mode="read") as store:
        return execution_report(store)


async def until_entered(bot: InProcessBot) -> None:
    await bot.start()
    await bot.hours(TO_SIGNAL + 0.5)


def test_an_entry_is_followed_from_its_signal_to_its_stop(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=JUMPED, latency_s=0.2)
    bot.run(until_entered)
    report, (row,) = told(bot)
    times = (row.decided_ms, row.sent_ms, row.acknowledged_ms, row.protected_ms)
    assert all(at_ms is not None for at_ms in times)
    assert list(times) == sorted(at_ms for at_ms in times if at_ms is not None)
    assert row.price_sent is not None
    assert 1.9 < row.entry.bp < 2.3
    assert report.missed == []


def test_a_refused_entry_is_a_missed_signal_with_its_reason(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=JUMPED)

    async def refused(bot: InProcessBot) -> None:
        await bot.start()
        bot.faults = lambda call: Fault(refuse=-2019) if call.method == "place_order" else None
        await bot.hours(TO_SIGNAL + 0.5)

    bot.run(refused)
    report, rows = told(bot)
    assert rows == []
    assert [(each.how, each.count) for each in report.missed] == [("NOT_FILLED", 1)]
    assert report.missed[0].reason.startswith("ENTRY_REFUSED")


def test_a_limit_that_refuses_a_signal_is_named(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=JUMPED, risk={"stop_distance_pct_min": Decimal(5)})
    bot.run(until_entered)
    report, _ = told(bot)
    assert [(each.how, each.reason, each.count) for each in report.missed] == [("GUARD", "STOP_DISTANCE_MIN", 1)]


def test_candles_at_which_nothing_was_looked_for_are_counted_beside_it(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=JUMPED)

    async def paused(bot: InProcessBot) -> None:
        await bot.start()
        assert bot.store is not None
        Inbox(bot.store).post("pause", None, "test", bot.venue.now_ms)
        await bot.hours(TO_SIGNAL + 0.5)

    bot.run(paused)
    report, rows = told(bot)
    assert rows == []
    assert report.missed == []
    assert [(each.reason, each.count > 15) for each in report.not_looked_for] == [("PAUSED", True)]
