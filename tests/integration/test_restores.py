"""R78, R75: a database that is older than the exchange, because it was put back, copied, or has lost its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.client_ids import Leg, client_id
from exchange.sim.port_faults import Call, Fault
from exchange.types import AlgoRequest, ConditionalType, Confirmed, Side, WorkingType
from fsm.journal.replay import replay
from fsm.proofs.testkit.in_process_bot import DATABASE_ID, InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store import queries
from store.verify import verify
from tests.integration.restores import PRICES, Figures, Restores, Saved, restless

WIDE = {name: Decimal(99) for name in ("daily_loss_pct", "weekly_loss_pct", "monthly_loss_pct", "drawdown_pct")}
"""A loss limit would hold `resume` back, rightly; here it is to let the trading go on."""

Make = Callable[..., InProcessBot]
BTC = 60_000.0


def play(rehearse: Make, folder: Path, *, points: int, seed: int) -> Figures:
    rng = random.Random(seed)
    hours = 30 + points * 90
    r = rehearse(limits=WIDE, **{symbol: restless(symbol, hours, rng) for symbol in PRICES})
    restores = Restores(r, rng, folder)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(24)
        for _ in range(points):
            await restores.point()
        await r.hours(2)
        await r.stop()

    r.run(script)
    assert verify(r.db).fine
    assert replay(r.db).differences == ()
    return restores.figures


def check(figures: Figures, points: int) -> None:
    print("\n", figures)
    assert figures.problems == []
    assert figures.strangers == []
    assert figures.points == points
    assert figures.older >= points // 2
    assert figures.stops_kept > 0
    assert figures.lost_trades > 0


def test_r78_ten_random_points_of_time_put_back_over_later_ones(rehearse: Make, tmp_path: Path) -> None:
    check(play(rehearse, tmp_path, points=10, seed=1), 10)


@pytest.mark.slow
def test_r78_two_hundred_random_points_of_time_put_back_over_later_ones(rehearse: Make, tmp_path: Path) -> None:
    check(play(rehearse, tmp_path, points=200, seed=2), 200)


def test_r78_a_copy_from_the_midst_of_a_restoration_loses_no_fill_of_what_was_open_then(
    rehearse: Make, tmp_path: Path
) -> None:
    """The orders of the open position had been told, but not yet taken over: its fills were nowhere."""
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(BTC * 1.01, 2), *quiet(BTC * 0.98, 3)])
    restores, half_done = Restores(r, random.Random(1), tmp_path), list[Saved]()

    def copied(call: Call) -> Fault | None:
        if not half_done and r.store is not None and queries.system_events(r.store, kind="RESTORED", limit=1):
            half_done.append(restores.save(with_wal=True))
        return None

    async def script(r: InProcessBot) -> None:
        await r.start()
        empty = restores.save(with_wal=True)
        await r.hours(TO_SIGNAL + 0.1)
        await restores.put_back(empty)
        r.faults = copied
        await r.start()
        await r.seconds(5)
        adopted = r.running.workers["BTCUSDT"].record.trade
        assert adopted is not None
        await r.hours(3)
        assert r.running.workers["BTCUSDT"].record.trade is None, "its stop was hit"
        await restores.put_back(half_done[0])
        await r.start()
        await r.seconds(5)
        assert r.running.workers["BTCUSDT"].record.trades_opened == adopted.number
        restores.judge_fills()
        assert restores.figures.problems == []
        await r.stop()

    r.run(script)
    assert verify(r.db).fine


def test_r78_of_two_bots_on_copies_the_older_one_ends_when_it_sees_the_newer_ids(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(BTC * 1.01, 5)])
    ended: list[BaseException] = []

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 0.1)
        newer = client_id(DATABASE_ID, "BTCUSDT", 1, Leg.TARGET, 0, 7, epoch="zzzzz")
        placed = await r.port.place_algo(
            AlgoRequest(
                symbol="BTCUSDT",
                side=Side.SELL,
                type=ConditionalType.TAKE_PROFIT_MARKET,
                trigger_price=Decimal("80000"),
                working_type=WorkingType.MARK_PRICE,
                client_id=newer,
                quantity=Decimal("0.001"),
                reduce_only=True,
            )
        )
        assert isinstance(placed, Confirmed)
        await r.running.reconciler.round()
        process = r._task
        assert process is not None
        await asyncio.wait({process}, timeout=10)
        assert process.done()
        error = process.exception()
        assert error is not None
        ended.append(error)

    r.run(script)
    assert "started later on a copy of this database" in repr(ended)
