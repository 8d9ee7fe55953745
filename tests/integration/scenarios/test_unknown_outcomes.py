"""Orders whose fate nobody knows, and whose order it is (R16 to R23)."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg, client_id, parse
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import OrderRequest, OrderType, Side, SymbolSnapshot
from fsm.core.model.records import State, TradeSide
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store.verify import verify
from tests.effort import sampled
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    NOTHING_THERE,
    OPENED,
    STOPPED,
    TOP,
    Make,
    Once,
    answer,
    by_hand,
    entry,
    post,
    record,
    resting_stops,
    to_trade,
    trades,
)
from tests.integration.scenarios.commits import Durable, Trouble, failing_commits
from tests.integration.scenarios.wire import ALGO, ORDER, WiredRehearsal


class TestTheEntrysFateIsUnknown:
    def test_it_was_executed_and_is_protected_without_being_sent_again(self, rehearse: Make) -> None:
        """R16, R17, R18."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        faults = Once(entry, Fault(lost=Lost.ANSWER))
        r.run(lambda r: to_trade(r, faults))
        assert triggers(r) == OPENED
        assert faults.met == 1

    def test_it_never_arrived_and_is_dropped_not_repeated(self, rehearse: Make) -> None:
        """R16, R17."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        faults = Once(entry, Fault(lost=Lost.REQUEST))

        async def script(r: InProcessBot) -> None:
            await to_trade(r, faults)
            await r.seconds(20)
            assert record(r).state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "abandon ENTRY_SHOWN_ABSENT"
        assert faults.met == 1

    def test_while_nobody_can_say_the_symbol_is_quarantined_and_the_truth_wins_later(self, rehearse: Make) -> None:
        """R20: no verdict by time alone."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        deaf = True

        def faults(call: Call) -> Fault | None:
            if entry(call):
                return Fault(lost=Lost.ANSWER)
            return Fault(alter=NOTHING_THERE[call.method]) if call.method in NOTHING_THERE and deaf else None

        async def script(r: InProcessBot) -> None:
            nonlocal deaf
            await to_trade(r, faults)
            await r.seconds(6)
            assert record(r).state is State.ENTERING
            deaf = False
            await r.seconds(6)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert resting_stops(r)

    def test_looks_that_fail_prove_nothing(self, rehearse: Make) -> None:
        """R20, R22: unreachable is not absent."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        down = False

        def faults(call: Call) -> Fault | None:
            nonlocal down
            if entry(call):
                down = True
                return Fault(lost=Lost.ANSWER)
            return Fault(lost=Lost.REQUEST) if call.method in NOTHING_THERE and down else None

        async def script(r: InProcessBot) -> None:
            nonlocal down
            await to_trade(r, faults)
            await r.seconds(60)
            assert record(r).state is State.ENTERING
            assert len(resting_stops(r)) == 1, "nobody knows that it filled, and yet it is covered"
            down = False
            await r.seconds(10)
            assert record(r).state is State.PROTECTED

        r.run(script)

    def test_one_that_appears_after_it_was_given_up_is_adopted_and_protected(self, rehearse: Make) -> None:
        """R25, R28."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        sent: list[OrderRequest] = []

        async def script(r: InProcessBot) -> None:
            await to_trade(r, Once(entry, Fault(lost=Lost.REQUEST)))
            plan = record(r).trade
            await r.seconds(20)
            assert record(r).abandoned is not None
            sent.append(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.BUY,
                    type=OrderType.MARKET,
                    quantity=plan.quantity,
                    client_id=plan.entry.client_id,
                )
            )
            r.venue.place_order(sent[0])
            r.running.workers["BTCUSDT"].request_check()
            await r.seconds(10)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert triggers(r)[-2:] == ["adopt OWN_POSITION_FOUND", "protect STOP_CONFIRMED"]


class TestASecondCopy:
    def test_an_order_of_another_copy_stops_all_entries(self, rehearse: Make) -> None:
        """R23."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.venue.place_order(
                OrderRequest(
                    symbol="BTCUSDT",
                    side=Side.BUY,
                    type=OrderType.LIMIT,
                    quantity=Decimal("0.01"),
                    price=Decimal(58000),
                    client_id=client_id("0badc0de", "BTCUSDT", 1, Leg.ENTRY, 0, 1),
                )
            )
            await r.seconds(70)
            assert r.running.live.engine.account.halt.cause == "FOREIGN"

        r.run(script)


NOBODY_KNOWS = ["unknown_503", "unknown_503_without_code", "unknown_503_text", "internal_503"]
DID_NOT_HAPPEN = ["unavailable_503", "throttled_503"]


class TestEveryBodyOnTheWire:
    """The daemon behind the real client: what the exchange says in bytes, and what it has received in the end."""

    @pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
    @pytest.mark.parametrize("body", sampled(NOBODY_KNOWS, often=2))
    def test_an_entry_answered_so_is_posted_once_and_its_truth_is_found(
        self, tmp_path: Path, body: str, executed: bool
    ) -> None:
        """R16, R17: executed, it is protected; not executed, it is given up; never is there a second POST."""
        r = WiredRehearsal(tmp_path, CALM)
        r.fault(match={"method": "POST", "path": ORDER}, effect=body, when="after" if executed else "instead")

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.seconds(30)
            assert record(r).state is (State.PROTECTED if executed else State.IDLE)

        r.run(script)
        assert len(r.asked(ORDER)) == 1
        assert bool(r.venue.positions()) == executed
        assert len(resting_stops(r)) == executed

    @pytest.mark.parametrize("body", DID_NOT_HAPPEN)
    def test_an_entry_that_certainly_did_not_happen_is_posted_again_under_its_own_id(
        self, tmp_path: Path, body: str
    ) -> None:
        """R17: "Service Unavailable" is not "Unknown error"."""
        r = WiredRehearsal(tmp_path, CALM)
        r.fault(match={"method": "POST", "path": ORDER}, effect=body, times=1)
        r.run(to_trade)
        posts = r.asked(ORDER)
        assert [row.status for row in posts] == [503, 200]
        assert len({row.params["newClientOrderId"] for row in posts}) == 1
        assert triggers(r) == OPENED

    @pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
    @pytest.mark.parametrize("body", ["unknown_503", "timeout_1007"])
    def test_a_stop_answered_so_rests_once_and_within_the_deadline(
        self, tmp_path: Path, body: str, executed: bool
    ) -> None:
        """R16, R17: it may be sent again at once, because a second one of the same id is refused (-4116)."""
        r = WiredRehearsal(tmp_path, CALM)
        match = {"method": "POST", "path": ALGO, "client_id": "f5eed0001-*-1-S*"}
        r.fault(match=match, effect=body, when="after" if executed else "instead", times=1)
        r.run(to_trade)
        assert triggers(r) == OPENED
        assert len(resting_stops(r)) == 1
        assert r.times.late == 0

    @pytest.mark.parametrize("body", ["unknown_503", "timeout_1007"])
    def test_a_close_answered_so_is_looked_for_and_nothing_is_sold_twice(self, tmp_path: Path, body: str) -> None:
        """R16: the emergency close was executed and nobody said so."""
        r = WiredRehearsal(tmp_path, CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.fault(match={"method": "POST", "path": ORDER, "side": "SELL"}, effect=body, when="after", times=1)
            number = post(r, "flatten")
            await r.seconds(20)
            assert answer(r, number) == ("done", None)

        r.run(script)
        assert r.venue.positions() == []
        assert len([row for row in r.asked(ORDER) if row.params["side"] == "SELL"]) == 1


class TestAnOrderThatExistsAlready:
    def test_a_duplicate_id_means_that_the_earlier_attempt_was_accepted(self, rehearse: Make) -> None:
        """R16: -4116 on the entry: it is looked for, adopted, protected, and nothing is sent under another id."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)
        placed: list[str] = []

        def already_there(call: Call) -> Fault | None:
            if not entry(call) or placed:
                return None
            placed.append(call.client_id)
            by_hand(r, Side.BUY, record(r).trade.quantity, client_id=call.client_id)
            return Fault(refuse=-4116)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, already_there)
            await r.seconds(10)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert len(placed) == 1
        assert len([fill for fill in r.venue.fills("BTCUSDT") if fill.side is Side.BUY]) == 1


class TestIntentsAreDurable:
    def test_every_order_stands_in_the_database_before_it_leaves(self, rehearse: Make) -> None:
        """R18: read by another connection at the moment of the call; the id alone is enough to find the order."""
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.02)
        witness = Durable(r)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, witness)
            await r.hours(5)

        r.run(script)
        assert triggers(r)[-1] == "flat STOP_HIT"
        assert witness.sent >= 4
        assert witness.undurable == []

    @pytest.mark.parametrize("kind", [Trouble.LOCKED, Trouble.FULL])
    @pytest.mark.parametrize("number", sampled(range(2, 50, 8), often=2))
    def test_a_commit_that_fails_once_sends_nothing_and_loses_nothing(
        self, rehearse: Make, kind: Trouble, number: int
    ) -> None:
        """R19: SQLITE_BUSY or a full disk at any commit of a trade's life; the daemon may end, and starts again."""
        check_commits(rehearse, kind, number, times=1)

    @pytest.mark.parametrize("kind", [Trouble.LOCKED, Trouble.FULL])
    @pytest.mark.parametrize("number", [9, 18, 31])
    def test_commits_that_go_on_failing_end_the_daemon_with_its_position_covered(
        self, rehearse: Make, kind: Trouble, number: int
    ) -> None:
        """R19: nothing can be written any more, so nothing is traded any more; what is open keeps or gets its stop."""
        check_commits(rehearse, kind, number, times=10_000)

    def test_a_position_that_is_being_closed_gets_a_last_stop_when_the_journal_is_lost(self, rehearse: Make) -> None:
        """R19: nobody will be there to see whether its close came through."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        def unlucky(call: Call) -> Fault | None:
            leg = getattr(parse(call.client_id), "leg", None)
            if leg is Leg.CLOSE:
                return Fault(lost=Lost.REQUEST)
            return Fault(refuse=-2021) if leg is Leg.STOP and r.is_alive and not failing else None

        failing: list[bool] = []

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = unlucky
            moving = asyncio.create_task(r.hours(TO_SIGNAL + 0.5))
            while record(r).state is not State.FLATTEN:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
            failing.append(True)
            with failing_commits(r, Trouble.FULL, first=1, times=10_000):
                while r.is_alive:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.05)
            await asyncio.gather(moving, return_exceptions=True)
            assert len([row for row in r.venue.positions() if row.quantity]) == 1
            assert len(resting_stops(r)) == 1

        r.run(script)

    def test_a_reader_in_the_middle_of_a_long_read_never_makes_the_writer_wait(self, rehearse: Make) -> None:
        """R19: a whole trade is opened and closed beside an open read transaction, which keeps its picture."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            assert r.store is not None
            r.store.connection.set_busy_timeout(0)
            reader = apsw.Connection(str(r.db), flags=apsw.SQLITE_OPEN_READONLY)
            reader.execute("BEGIN")
            before = reader.execute("SELECT count(*) FROM transitions").fetchall()
            await r.hours(TO_SIGNAL + 4.5)
            assert reader.execute("SELECT count(*) FROM transitions").fetchall() == before
            reader.close()

        r.run(script)
        assert triggers(r)[-1] == "flat STOP_HIT"


def check_commits(rehearse: Make, kind: Trouble, number: int, *, times: int) -> None:
    r = rehearse(BTCUSDT=STOPPED, latency_s=0.02)
    witness = Durable(r)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL - 1)
        r.faults = witness
        with failing_commits(r, kind, first=number, times=times) as failing:
            await until_dead(r, TO_SIGNAL + 4.5)
        assert failing.failed, "the life of a trade is longer than this"
        if not r.is_alive:
            if r.venue.positions():
                assert resting_stops(r), "a daemon that cannot write leaves no position without a stop"
            await r.kill()
            await r.start()
            await r.seconds(30)
        await r.until(r.start_ms + int((TO_SIGNAL + 4.5) * HOUR_MS))
        await r.seconds(30)

    r.run(script)
    assert witness.undurable == []
    assert verify(r.db).fine
    assert (r.venue.positions(), r.venue.open_algos(), r.venue.open_orders()) == ([], [], [])
    entries = [fill for fill in r.venue.fills("BTCUSDT") if fill.side is Side.BUY]
    assert len(entries) <= 1
    assert len([trade for trade in trades(r) if trade.status == "CLOSED"]) == len(entries)


async def until_dead(r: InProcessBot, hours: float) -> None:
    """Let the market go on, a quarter of an hour at a time, as long as the daemon lives."""
    end_ms = r.start_ms + int(hours * HOUR_MS)
    while r.is_alive and r.venue.now_ms < end_ms:
        await r.hours(0.25)
        await r.seconds(3)


class TestTheSymbolIsQuarantined:
    def test_an_order_that_nobody_can_tell_of_for_long_blocks_entries_and_only_that(self, rehearse: Make) -> None:
        """R20: never "assume rejected"; the operator is told, protection goes on, and the truth is found later."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        deaf = True

        def faults(call: Call) -> Fault | None:
            if entry(call):
                return Fault(lost=Lost.ANSWER)
            return Fault(alter=_shows_a_position_only) if call.method == "look" and deaf else None

        async def script(r: InProcessBot) -> None:
            nonlocal deaf
            await to_trade(r, faults)
            await r.seconds(120)
            assert record(r).trade is not None
            assert resting_stops(r), "a position is covered whatever became of its order"
            deaf = False
            await r.seconds(20)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert not [row for row in triggers(r) if row.startswith("abandon")]

    @pytest.mark.parametrize("age_days", [0.9, 4.9, 5.1, 30])
    def test_an_entry_that_cannot_be_fetched_at_the_start_is_not_taken_for_cancelled_at_any_age(
        self, rehearse: Make, age_days: float
    ) -> None:
        """R22: the account cannot be reached at first; however old the order is, it is looked for, not written off."""
        hours = [jump(BTC), *quiet(TOP, int(24 * age_days) + 30)]
        orders = {"entry_type": OrderType.LIMIT, "limit_offset_pct": Decimal("0.2"), "limit_expiry_candles": 1_000}
        r = rehearse(BTCUSDT=hours, orders=orders)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert record(r).state is State.ENTERING
            await r.kill()
            await r.port.advance(r.venue.now_ms + int(age_days * 24 * HOUR_MS), nobody)
            asked = Once(lambda call: call.method in ("order", "look"), Fault(lost=Lost.REQUEST), times=12)
            r.faults = asked
            starting = asyncio.create_task(r.start())
            await r.clock.sleep(20)
            assert record(r).state is State.ENTERING
            await starting
            await r.seconds(60)
            assert record(r).state is State.ENTERING
            assert len(r.venue.open_orders()) == 1

        r.run(script)
        assert "abandon ENTRY_SHOWN_ABSENT" not in triggers(r)


def _shows_a_position_only(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, orders=(), fills=())


async def nobody() -> None:
    """Does not answer: the market goes on alone."""


class TestStoppedAndTurnedAround:
    def test_each_fill_belongs_to_the_trade_whose_order_it_was(self, rehearse: Make) -> None:
        """R21: a long is stopped out in the hour whose close asks for a short; the two are a second apart."""
        falls = (TOP, TOP, BTC * 0.99, BTC * 0.99)
        hours = [
            jump(BTC),
            *quiet(TOP, 1),
            falls,
            *quiet(BTC * 0.99, 1),
            (BTC * 0.99, BTC * 1.02, BTC * 0.99, BTC * 0.995),
        ]
        r = rehearse(BTCUSDT=[*hours, *quiet(BTC * 0.995, 2)])

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.port.nudge = lambda symbol: None
            await r.hours(2)
            assert record(r).state is State.PROTECTED
            assert record(r).trade.side is TradeSide.SHORT
            await r.hours(3)
            await r.seconds(10)

        r.run(script)
        by_side = {trade.side: trade for trade in trades(r)}
        fills = r.venue.fills("BTCUSDT")
        for side, ours in (("LONG", fills[:2]), ("SHORT", fills[2:])):
            assert by_side[side].pnl == sum(fill.realized_pnl for fill in ours)
            assert by_side[side].fees == sum(fill.commission for fill in ours)
        assert sum(trade.net_pnl for trade in trades(r) if trade.net_pnl is not None) == (
            r.venue.account().wallet_balance - Decimal(10_000)
        )
