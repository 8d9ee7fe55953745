"""Killed at any moment and started again: the stop is there, nothing is sent twice, the trade ends as it would have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.client_ids import Leg, client_id
from exchange.sim.port import Call, Fault
from exchange.types import OrderRequest, OrderType, Side
from fsm.core.records import State
from fsm.lab.rehearsal import DATABASE_ID, HOUR_MS, Rehearsal
from fsm.lab.small_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.verify import verify

Make = Callable[..., Rehearsal]
BTC = 60_000.0
TOP = BTC * 1.01
STOPPED = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 2)]
RISEN = TOP * 1.007**3
MOVED = [
    jump(BTC),
    *[(TOP * 1.007**n, TOP * 1.007 ** (n + 1), TOP * 1.007**n, TOP * 1.007 ** (n + 1)) for n in range(3)],
    (RISEN, RISEN, TOP, RISEN),
    *quiet(RISEN, 2),
]
HANG_S = 1e9


class KillAt:
    """Kills the daemon at its n-th call after the start, before the call takes effect or before it is answered."""

    def __init__(self, r: Rehearsal, number: int, *, answered: bool) -> None:
        self._r = r
        self._first = r.port.calls + 1
        self._number = number
        self._answered = answered
        self._tasks: list[asyncio.Task[None]] = []
        self.call: Call | None = None

    def __call__(self, call: Call) -> Fault | None:
        if call.number - self._first + 1 != self._number:
            return None
        self.call = call
        self._tasks.append(asyncio.create_task(self._r.restart()))
        return Fault(answer_delay_s=HANG_S) if self._answered else Fault(delay_s=HANG_S)


async def whole_life(r: Rehearsal, number: int | None = None, *, answered: bool = False) -> Call | None:
    """From just before the signal until the trade is over, killed once on the way if a number says so."""
    await r.start()
    await r.hours(TO_SIGNAL - 1)
    kill = KillAt(r, number or 0, answered=answered)
    r.faults = kill
    await r.hours(7)
    await r.seconds(30)
    await r.answered()
    return kill.call


def outcome(r: Rehearsal) -> list[tuple[object, ...]]:
    with open_store(r.db, mode="read") as store:
        return [
            (t.side, t.quantity, t.entry_price, t.exit_price, t.exit_reason, t.net_pnl) for t in queries.trades(store)
        ]


KILL_POINTS = range(1, 61, 6)


class TestKilledAnywhere:
    @pytest.mark.parametrize("market", [STOPPED, MOVED], ids=["stopped", "moved"])
    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("number", KILL_POINTS)
    def test_the_trade_ends_as_if_nothing_had_been(
        self, rehearse: Make, tmp_path: Path, market: list[tuple[float, ...]], answered: bool, number: int
    ) -> None:
        """R8, R18, R24."""
        check_kill(rehearse, tmp_path, market, number, answered=answered)


@pytest.mark.slow
class TestKilledEverywhere:
    @pytest.mark.parametrize("market", [STOPPED, MOVED], ids=["stopped", "moved"])
    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("number", range(1, 121))
    def test_at_every_call(
        self, rehearse: Make, tmp_path: Path, market: list[tuple[float, ...]], answered: bool, number: int
    ) -> None:
        check_kill(rehearse, tmp_path, market, number, answered=answered)


_UNDISTURBED: dict[int, list[tuple[object, ...]]] = {}


def undisturbed(rehearse: Make, tmp_path: Path, market: list[tuple[float, ...]]) -> list[tuple[object, ...]]:
    """What comes of a market when nobody is killed; the same each time, so it is played once."""
    if id(market) not in _UNDISTURBED:
        calm = rehearse(BTCUSDT=market, db=tmp_path / "calm.sqlite", latency_s=0.02)
        calm.run(whole_life)
        _UNDISTURBED[id(market)] = outcome(calm)
    return _UNDISTURBED[id(market)]


def check_kill(rehearse: Make, tmp_path: Path, market: list[tuple[float, ...]], number: int, *, answered: bool) -> None:
    r = rehearse(BTCUSDT=market, db=tmp_path / "killed.sqlite", latency_s=0.02)
    r.run(lambda r: whole_life(r, number, answered=answered))
    assert verify(r.db).fine
    assert r.venue.positions() == []
    assert r.venue.open_algos() == []
    missed = [row for row in triggers(r) if row.startswith(("drop", "abandon"))]
    if missed:
        assert outcome(r) == [], "an entry that was missed leaves no trade"
    else:
        assert outcome(r) == undisturbed(rehearse, tmp_path, market)
    entries = [row for row in r.venue.fills("BTCUSDT") if row.side is Side.BUY]
    assert len({fill.order_id for fill in entries}) <= 1, "the entry was sent once"


class TestStarting:
    def test_twice_is_the_same_as_once(self, rehearse: Make) -> None:
        """R24."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: Rehearsal) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            rows, resting = len(r.steps), r.venue.open_algos()
            for _ in range(3):
                await r.restart()
                await r.seconds(30)
            assert len(r.steps) == rows
            assert r.venue.open_algos() == resting

        r.run(script)

    def test_a_stop_that_vanished_meanwhile_is_replaced_before_any_history_is_read(self, rehearse: Make) -> None:
        """R7, R8, R40."""
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.05)
        order: list[str] = []

        async def script(r: Rehearsal) -> None:
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

    def test_a_stop_that_was_hit_meanwhile_is_booked_with_its_price(self, rehearse: Make) -> None:
        """R9, R43."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: Rehearsal) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            await r.kill()
            await r.port.advance(r.venue.now_ms + 3 * HOUR_MS, _nobody)
            await r.start()
            await r.seconds(5)
            assert r.running.shared.engine.record("BTCUSDT").state is State.IDLE

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

        async def script(r: Rehearsal) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            assert r.running.shared.engine.record("BTCUSDT").state is State.ENTERING
            await r.restart()
            await r.seconds(20)
            assert r.running.shared.engine.record("BTCUSDT").state is State.ENTERING
            await r.hours(2)
            assert r.running.shared.engine.record("BTCUSDT").state is State.PROTECTED

        r.run(script)
        assert len([fill for fill in r.venue.fills("BTCUSDT") if fill.side is Side.BUY]) == 1

    def test_a_position_of_ours_that_the_journal_forgot_is_taken_over(self, rehearse: Make) -> None:
        """R25, R28: the exchange is the truth."""
        r = rehearse(BTCUSDT=quiet(BTC, 4))

        async def script(r: Rehearsal) -> None:
            entry_id = client_id(DATABASE_ID, "BTCUSDT", 1, Leg.ENTRY, 0, 1)
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"), client_id=entry_id
                )
            )
            await r.start()
            await r.seconds(10)
            assert r.running.shared.engine.record("BTCUSDT").state is State.PROTECTED

        r.run(script)
        assert triggers(r)[0] == "adopt OWN_POSITION_FOUND"


async def _nobody() -> None:
    return None
