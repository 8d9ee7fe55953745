"""R75: an exchange that has begun anew under the same key: its fill numbers go back, and it knows no order of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fsm.core.model.records import HaltCause, State
from fsm.journal.replay import replay
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store import queries
from store.inbox import Inbox
from store.verify import verify
from tests.integration.scenarios.acting import answer

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
FALLEN = (TOP, TOP, BTC * 0.998, TOP * 0.999)
BEFORE = [jump(BTC), FALLEN, *quiet(TOP, 4), jump(TOP), *quiet(TOP * 1.01, 3)]
"""A trade that is stopped out, and another one later: five hours of calm lie between."""

TOPPED = TOP * 1.01
AFTER = [
    *BEFORE[:-3],
    *quiet(TOPPED, 40),
    jump(TOPPED),
    (TOPPED * 1.01, TOPPED * 1.01, TOP * 0.998, TOPPED * 1.006),
    *quiet(TOPPED, 12),
]
"""The same market as the fresh exchange has it, with one more trade a day after any close by hand."""


def told(r: InProcessBot) -> list[str]:
    assert r.store is not None
    return [row.reason for row in queries.system_events(r.store, kind="RECONCILIATION", limit=100)]


def live_until(r: InProcessBot, hours: float) -> int:
    """Some hours of trading, and a process that dies; returns the time then."""

    async def script(r: InProcessBot) -> int:
        await r.start()
        await r.hours(hours)
        await r.seconds(5)
        now_ms = r.venue.now_ms
        await r.kill()
        return now_ms

    return r.run(script)


@pytest.mark.parametrize("is_open", [False, True])
def test_r75_it_is_noticed_and_said_and_nothing_is_entered_before_resume(rehearse: Make, is_open: bool) -> None:
    until_ms = live_until(rehearse(BTCUSDT=BEFORE), TO_SIGNAL + (7.5 if is_open else 3.5))
    fresh = rehearse(BTCUSDT=AFTER)

    async def script(r: InProcessBot) -> None:
        await r.until(until_ms + 2 * 3_600_000)
        daemon = await r.start()
        await r.seconds(5)
        worker, account = daemon.workers["BTCUSDT"], daemon.live.engine.account
        assert account.halt is not None
        assert account.halt.cause == HaltCause.RESTORED.value
        assert account.epoch != ""
        assert told(r)[0] == "EXCHANGE_BEGAN_ANEW"
        assert r.store is not None
        (alert,) = [row for row in queries.alerts(r.store, limit=50) if "begun anew" in row.text]
        assert "resume" in alert.text
        assert (worker.record.state, worker.record.trade) in ((State.IDLE, None), (State.HALT, None))
        trades = queries.trades(r.store)
        assert all(trade.status == "CLOSED" for trade in trades)
        assert len(trades) == (2 if is_open else 1)
        if is_open:
            newest = max(trades, key=lambda trade: trade.opened_ms)
            assert newest.flagged == "LOST_JOURNAL", "what nobody can tell any more is not booked as if it were known"
        Inbox(r.store).post("resume", None, "test", r.venue.now_ms)
        await r.seconds(2)
        assert answer(r, 1) == ("done", None)
        before = r.venue.account().wallet_balance
        await r.hours(46)
        newest = max(queries.trades(r.store), key=lambda trade: trade.opened_ms)
        assert newest.id not in {trade.id for trade in trades}
        assert (newest.status, newest.flagged) == ("CLOSED", None), "its fills count though their numbers are lower"
        assert newest.net_pnl == r.venue.account().wallet_balance - before != 0
        assert [reason for reason in told(r) if reason == "EXCHANGE_BEGAN_ANEW"] == ["EXCHANGE_BEGAN_ANEW"]
        await r.stop()
        await r.start()
        await r.seconds(5)
        assert len([reason for reason in told(r) if reason == "EXCHANGE_BEGAN_ANEW"]) == 1, "it is said once"
        assert r.running.live.engine.account.halt is None

    fresh.run(script)
    assert verify(fresh.db).fine
    assert replay(fresh.db).differences == ()
