"""Positions and their stops (R1 to R15): refused, forgotten, moved, triggered in vain, too near to liquidation."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.sim.core.state import TriggerFault
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import ConditionalType, Side, SymbolSnapshot, WorkingType
from fsm.config import load_config
from fsm.core.model.records import State
from fsm.core.observation import STUCK_TRIGGER_MS
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, jump, quiet, triggers
from rules.load import parse_rules
from rules.source.yaml_source import SourceError
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    OPENED,
    ROOT,
    STOPPED,
    TOP,
    Make,
    Once,
    answer,
    by_hand,
    is_leg,
    latest_reason,
    no_fault,
    post,
    record,
    rehearsal_with,
    resting_stops,
    stop,
    to_trade,
    wick,
)


class TestTheStop:
    def test_an_unheard_stop_is_sent_again_at_once_and_rests_once(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=0.05)
        faults = Once(stop, Fault(lost=Lost.ANSWER))

        async def script(r: InProcessBot) -> None:
            await to_trade(r, faults)
            assert len(resting_stops(r)) == 1

        r.run(script)
        assert triggers(r) == OPENED
        assert faults.met == 2

    def test_a_position_that_lags_its_fill_is_waited_for(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)
        faults = Once(stop, Fault(refuse=-4509), times=3)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, faults)
            await r.seconds(2)
            assert len(resting_stops(r)) == 1

        r.run(script)
        again = ["reprotect STOP_REFUSED -4509", "reprotect STOP_NOT_FOUND"]
        assert triggers(r) == [*OPENED[:3], *again * 3, OPENED[3]]
        assert faults.met == 4

    def test_already_beyond_it_the_position_is_closed_at_market(self, rehearse: Make) -> None:
        """R4."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)
        r.run(lambda r: to_trade(r, Once(stop, Fault(refuse=-2021))))
        assert [triggers(r)[3], triggers(r)[-1]] == ["flatten STOP_WOULD_TRIGGER", "flat STOP_WOULD_TRIGGER"]
        assert r.venue.positions() == []

    def test_one_that_never_comes_to_rest_is_flattened_at_the_deadline(self, rehearse: Make) -> None:
        """R5."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, lambda call: Fault(lost=Lost.REQUEST) if stop(call) else None)
            await r.seconds(15)
            assert record(r).state is State.IDLE

        r.run(script)
        assert "flatten PROTECTION_DEADLINE" in triggers(r)
        assert triggers(r)[-1] == "flat PROTECTION_DEADLINE"
        assert r.times.late == 1
        assert r.venue.positions() == []

    def test_a_call_that_hangs_does_not_hold_up_the_deadline(self, rehearse: Make) -> None:
        """R5."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = Once(stop, Fault(delay_s=3_600), times=99)
            task_steps = len(r.steps)
            await r.hours(TO_SIGNAL + 0.5)
            assert len(r.steps) > task_steps

        r.run(script)
        assert "flatten PROTECTION_DEADLINE" in triggers(r)
        assert triggers(r)[-1] == "flat PROTECTION_DEADLINE"
        assert r.venue.positions() == []

    def test_one_that_rests_at_another_price_does_not_count(self, rehearse: Make) -> None:
        """R10: acknowledged and read back, or it is none."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        def elsewhere(algo: Any) -> Any:
            return replace(algo, trigger_price=Decimal(1))

        lies = {
            "open_algos": lambda algos: [elsewhere(algo) for algo in algos],
            "algo": lambda algo: algo and elsewhere(algo),
            "look": lambda seen: replace(seen, algo_orders=tuple(map(elsewhere, seen.algo_orders))),
        }
        faults = lambda call: Fault(alter=lies[call.method]) if call.method in lies else None  # noqa: E731
        r.run(lambda r: to_trade(r, faults))
        assert triggers(r)[3] == "flatten STOP_NOT_AS_ORDERED"

    def test_one_that_the_exchange_cancels_is_placed_again(self, rehearse: Make) -> None:
        """R12."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.venue.cancel_algo(client_id=resting_stops(r)[0])
            r.venue.drain()
            await r.seconds(6)
            assert len(resting_stops(r)) == 1
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert "reprotect VENUE_CANCELLED" in triggers(r)

    def test_forgotten_by_the_answers_it_is_not_placed_a_second_time(self, rehearse: Make) -> None:
        """R2: for half a minute nothing shows the stop, which rests all the time."""
        r = rehearse(BTCUSDT=CALM, latency_s=0.02, protection={"deadline_ms": 60_000})

        def forget(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            return replace(snapshot, algo_orders=())

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.faults = lambda call: Fault(alter=forget) if call.method == "look" else None
            await r.seconds(30)
            assert len(resting_stops(r)) == 1
            r.faults = lambda call: None
            await r.seconds(10)
            assert record(r).state is State.PROTECTED
            assert len(resting_stops(r)) == 1

        r.run(script)

    def test_while_it_moves_one_always_rests(self, rehearse: Make) -> None:
        """R3."""
        rise = [TOP * 1.007**hour for hour in range(5)]
        climb = [(low, high, low, high) for low, high in pairwise(rise)]
        hours = [jump(BTC), *quiet(TOP, 1), *climb, *quiet(rise[-1], 2)]
        r = rehearse(BTCUSDT=hours, latency_s=0.02)
        naked: list[Call] = []

        def look_at(call: Call) -> Fault | None:
            holds = any(position.quantity for position in r.venue.positions("BTCUSDT"))
            covered = r.daemon is not None and record(r).state is State.PROTECTED
            if holds and covered and not resting_stops(r):
                naked.append(call)
            return None

        async def script(r: InProcessBot) -> None:
            await to_trade(r, look_at)
            await r.hours(6)

        r.run(script)
        assert "restop STOP_MOVED" in triggers(r)
        assert naked == []

    def test_without_a_working_route_for_stops_there_is_no_entry(self, rehearse: Make) -> None:
        """R1."""
        r = rehearse(BTCUSDT=CALM)
        r.faults = lambda call: Fault(refuse=-4120) if call.method == "place_algo" else None
        r.run(to_trade)
        assert triggers(r) == []
        with open_store(r.db, mode="read") as store:
            account = queries.account(store)
        assert account is not None
        assert account.halt_cause == "PERMISSION"


class TestTargets:
    def test_a_refused_target_leaves_the_stop_and_is_tried_again(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, latency_s=0.02)

        def target(call: Call) -> bool:
            return call.method == "place_algo" and is_leg(call, Leg.TARGET)

        async def script(r: InProcessBot) -> None:
            await to_trade(r, Once(target, Fault(refuse=-1111)))
            await r.seconds(6)
            assert record(r).state is State.PROTECTED
            targets = [a for a in r.venue.open_algos() if a.type == ConditionalType.TAKE_PROFIT_MARKET.value]
            assert len(targets) == 2

        r.run(script)


class TestFlatten:
    def test_flatten_answers_done_only_when_flat_and_ends_in_halt(self, rehearse: Make) -> None:
        """R14, R34: it closes with targets resting, and nothing re-enters."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            number = post(r, "flatten")
            await r.seconds(3)
            assert answer(r, number) == ("done", None)
            assert r.venue.positions() == []
            assert r.venue.open_algos() == []
            assert r.running.live.engine.record("BTCUSDT").state is State.HALT

        r.run(script)
        assert "flatten OPERATOR" in triggers(r)
        assert triggers(r)[-1] == "flat OPERATOR"


TRAILING = RULES.replace(
    "      exit_when: [{id: falls", '      trail: "close_1h - 0.012 * close_1h"\n      exit_when: [{id: falls'
)
"""The small market's rules with a stop that follows every close at 1.2 %."""


def covered_quantity(r: InProcessBot, symbol: str = "BTCUSDT") -> Decimal:
    """How much of a long position the stops that rest at the exchange would close."""
    position = sum((row.quantity for row in r.venue.positions(symbol)), Decimal(0))
    stops = [algo for algo in r.venue.open_algos(symbol) if algo.type == ConditionalType.STOP_MARKET.value]
    sells = [algo for algo in stops if algo.side is Side.SELL]
    if any(algo.close_position for algo in sells):
        return position
    return sum((algo.quantity or Decimal(0) for algo in sells), Decimal(0))


class Coverage:
    """Faults by number, and a witness that at each call compares what is held with what stops would close."""

    def __init__(self, r: InProcessBot, faults: dict[int, Fault], kills: frozenset[int] = frozenset()) -> None:
        self.r = r
        self.naked: list[Call] = []
        self.looked = 0
        self._faults = faults
        self._kills = kills
        self._first = r.port.calls
        self._tasks: list[asyncio.Task[None]] = []

    def __call__(self, call: Call) -> Fault | None:
        self.check(call)
        number = call.number - self._first
        if number in self._kills and self.r.daemon is not None:
            self._tasks.append(asyncio.create_task(self.r.restart()))
            return Fault(delay_s=1e9)
        return self._faults.get(number)

    def check(self, call: Call) -> None:
        held = sum((row.quantity for row in self.r.venue.positions("BTCUSDT")), Decimal(0))
        if held and self.r.daemon is not None and record(self.r).state is State.PROTECTED:
            self.looked += 1
            if covered_quantity(self.r) < held:
                self.naked.append(call)


FAULTS = st.sampled_from(
    [Fault(lost=Lost.ANSWER), Fault(lost=Lost.REQUEST), Fault(delay_s=0.4), Fault(answer_delay_s=0.4)]
)
STEPS = st.lists(st.sampled_from([0.993, 0.998, 1.004, 1.009]), min_size=3, max_size=5)


class TestAMovingStop:
    @given(
        steps=STEPS,
        faults=st.dictionaries(st.integers(1, 60), FAULTS, max_size=6),
        kills=st.frozensets(st.integers(5, 60), max_size=2),
    )
    @settings(max_examples=10)
    def test_whatever_happens_on_the_way_a_stop_covers_the_whole_position(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        steps: list[float],
        faults: dict[int, Fault],
        kills: frozenset[int],
    ) -> None:
        """R3: calls that are lost by half, delayed or never end, while a trailing stop moves; checked at every call."""
        prices = list(accumulate(steps, lambda price, step: price * step, initial=TOP))
        hours = [jump(BTC), *[(a, max(a, b), min(a, b), b) for a, b in pairwise(prices)], *quiet(prices[-1], 2)]
        r = rehearsal_with(tmp_path_factory.mktemp("moving"), hours, rules=TRAILING)

        async def script(r: InProcessBot) -> Coverage:
            await to_trade(r)
            assert record(r).state is State.PROTECTED
            coverage = r.faults = Coverage(r, faults, kills)
            await r.hours(len(steps))
            r.faults = no_fault
            await r.seconds(20)
            if r.venue.positions():
                assert len(resting_stops(r)) == 1, "in the end exactly one"
            return coverage

        coverage = r.run(script)
        assert coverage.naked == []

    def test_it_does_move_and_the_witness_does_look(self, tmp_path: Path) -> None:
        """R3: so that the property above says something."""
        rise = [TOP * 1.009**hour for hour in range(4)]
        hours = [jump(BTC), *[(a, b, a, b) for a, b in pairwise(rise)], *quiet(rise[-1], 2)]
        r = rehearsal_with(tmp_path, hours, rules=TRAILING)

        async def script(r: InProcessBot) -> int:
            await to_trade(r)
            coverage = r.faults = Coverage(r, {})
            await r.hours(3)
            return coverage.looked

        assert r.run(script) > 20
        assert triggers(r).count("restop STOP_MOVED") >= 2


class TestTheTrigger:
    @pytest.mark.parametrize(
        ("fault", "reason"),
        [(TriggerFault.UNFILLED, "STOP_FINISHED_POSITION_OPEN"), (TriggerFault.REFUSED, "STOP_REJECTED_AT_TRIGGER")],
    )
    def test_a_stop_that_fired_and_closed_nothing_is_followed_by_a_market_close(
        self, rehearse: Make, fault: TriggerFault, reason: str
    ) -> None:
        """R11: triggered is not closed; the watchdog closes within seconds, while the market stands still."""
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 1), (TOP, TOP, BTC * 0.995, BTC * 0.995), *quiet(BTC * 0.995, 4)])

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.venue.state.trigger_fault = lambda algo: fault if algo.type is ConditionalType.STOP_MARKET else None
            fired_ms = await until_fired(r)
            assert r.venue.positions() != []
            await r.seconds(STUCK_TRIGGER_MS / 1000 + 5)
            assert r.venue.positions() == []
            assert r.venue.now_ms == fired_ms, "no simulated time has passed"
            assert r.venue.open_algos() == []

        r.run(script)
        assert f"flatten {reason}" in triggers(r)
        assert triggers(r)[-1].startswith("flat ")

    def test_a_stop_that_could_fill_only_in_part_is_finished_by_a_market_close(self, rehearse: Make) -> None:
        """R11: the book is too thin for all of it within the exchange's bound."""
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 1), (TOP, TOP, BTC * 0.995, BTC * 0.995), *quiet(BTC * 0.995, 4)])

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            usual = r.venue.state.settings
            r.venue.state.settings = replace(usual, depth_usdt=Decimal(300), slippage=Decimal("0.02"))
            await until_fired(r)
            (left,) = r.venue.positions()
            assert left.quantity > 0
            r.venue.state.settings = usual
            await r.seconds(STUCK_TRIGGER_MS / 1000 + 5)
            assert r.venue.positions() == []

        r.run(script)
        assert triggers(r)[-1].startswith("flat ")

    @pytest.mark.parametrize("stop_type", ["STOP", "STOP_LIMIT", "LIMIT", "TRAILING_STOP_MARKET"])
    def test_no_other_stop_can_be_configured(self, tmp_path: Path, stop_type: str) -> None:
        """R11: a limit order can be left behind by a gap, so the schema knows STOP_MARKET alone."""
        with pytest.raises(SourceError) as refused:
            load_config(edited_config(tmp_path, "stop_type: STOP_MARKET", f"stop_type: {stop_type}"), None, {})
        assert "STOP_MARKET" in str(refused.value)

    @pytest.mark.parametrize("key", ["stop_limit", "stop_price", "stop_type", "order_type"])
    def test_rules_cannot_ask_for_another_stop_either(self, key: str) -> None:
        """R11: a rule says where its stop lies, and nothing of how it is ordered."""
        with pytest.raises(SourceError):
            parse_rules(RULES.replace('stop: "low_1h"', f'stop: "low_1h"\n      {key}: "low_1h"'), "rules")


async def until_fired(r: InProcessBot) -> int:
    """Let the market move until the stop has been triggered; gives the moment."""
    names = resting_stops(r)
    while resting_stops(r) == names:
        await r.port.advance(r.venue.now_ms + 60_000, nobody)
    r.running.workers["BTCUSDT"].request_check()
    return r.venue.now_ms


async def nobody() -> None:
    """Does not answer: what happens in the market is learned of later."""


class TestWhatTheStopIsComparedWith:
    @pytest.mark.parametrize("working_type", [WorkingType.MARK_PRICE, WorkingType.CONTRACT_PRICE])
    def test_is_configured_sent_recorded_and_obeyed(self, rehearse: Make, working_type: WorkingType) -> None:
        """R13: the last price falls through the stop for a moment, the mark does not: the configured one counts."""
        r = rehearse(BTCUSDT=CALM, orders={"working_type": working_type})

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            stops = [algo for algo in r.venue.open_algos() if algo.client_id in resting_stops(r)]
            assert {algo.working_type for algo in stops} == {working_type}
            with open_store(r.db, mode="read") as store:
                rows = [row for row in queries.orders(store) if row.type == "STOP_MARKET"]
            assert {row.working_type for row in rows} == {working_type.value}
            wick(r, last=59_000, mark=TOP)
            await r.seconds(10)
            fell = working_type is WorkingType.CONTRACT_PRICE
            assert (record(r).state is State.IDLE) == fell
            wick(r, last=TOP, mark=59_000)
            await r.seconds(10)
            assert record(r).state is State.IDLE

        r.run(script)
        assert triggers(r)[-1] == "flat STOP_HIT"

    def test_nothing_is_assumed_where_it_is_not_one_of_the_two(self, tmp_path: Path) -> None:
        """R13."""
        with pytest.raises(SourceError, match="MARK_PRICE"):
            load_config(edited_config(tmp_path, "working_type: MARK_PRICE", "working_type: INDEX"), None, {})


def edited_config(folder: Path, old: str, new: str) -> Path:
    """The shipped config.yaml with one change."""
    text = (ROOT / "config.yaml").read_text("utf-8")
    assert old in text
    path = folder / "config.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


class TestLiquidation:
    def test_a_stop_near_the_liquidation_price_is_no_entry(self, rehearse: Make) -> None:
        """R6: at 20 times leverage liquidation lies some 4.6 % away, and half of that is what a stop may use."""
        wide = (BTC, BTC * 1.0105, BTC * 0.97, BTC * 1.01)
        r = rehearse(BTCUSDT=[wide, *quiet(TOP, 3)], account={"leverage": 20})
        r.run(to_trade)
        assert triggers(r) == []
        assert latest_reason(r) == ("BLOCKED", "STOP_BEYOND_LIQ")

    def test_every_trade_that_is_opened_is_stopped_out_before_it_is_liquidated(self, rehearse: Make) -> None:
        """R6: also the exchange's own liquidation price lies beyond the stop."""
        near = (BTC, BTC * 1.0105, BTC * 0.995, BTC * 1.01)
        r = rehearse(BTCUSDT=[near, *quiet(TOP, 3)], account={"leverage": 20})

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            (position,) = r.venue.positions()
            assert position.liquidation_price is not None
            entered = record(r).trade
            risk, way = (entered.entry_price - p for p in (entered.stop.trigger_price, position.liquidation_price))
            assert 0 < risk <= way * r.config.settings.risk.liquidation_distance_factor + 1

        r.run(script)


class TestReduceOnly:
    def test_targets_that_rest_cannot_turn_a_position_that_others_made_smaller(self, rehearse: Make) -> None:
        """R15: most is sold by hand; then both targets are reached, and what is left is sold and no more."""
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 2), (TOP, BTC * 1.06, TOP, TOP), *quiet(TOP, 2)])
        lowest = Decimal(1)

        async def script(r: InProcessBot) -> None:
            nonlocal lowest
            await to_trade(r)
            (position,) = r.venue.positions()
            by_hand(r, Side.SELL, position.quantity * 3 / 4 // Decimal("0.001") * Decimal("0.001"))

            def watch(call: Call) -> None:
                nonlocal lowest
                lowest = min([lowest, *(row.quantity for row in r.venue.positions())])

            r.faults = watch
            await r.hours(3)
            await r.seconds(10)
            assert r.venue.positions() == []
            assert r.venue.open_algos() == []
            assert r.venue.open_orders() == []

        r.run(script)
        assert lowest >= 0

    def test_an_exit_by_rule_succeeds_with_both_targets_resting(self, rehearse: Make) -> None:
        """R14: the partial target would take the close's place; it goes first, and nothing of ours stays behind."""
        falls = (TOP, TOP, TOP * 0.9965, TOP * 0.9965)
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 1), falls, *quiet(TOP * 0.9965, 2)])

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert len(r.venue.open_algos()) == 3
            await r.hours(3)
            assert (r.venue.positions(), r.venue.open_algos(), r.venue.open_orders()) == ([], [], [])

        r.run(script)
        assert "exit EXIT_WHEN" in triggers(r)
        assert triggers(r)[-1] == "flat EXIT_WHEN"


class TestTargetsBehindTheReadBack:
    def test_a_stop_that_is_hit_before_it_is_read_back_leaves_no_target_behind(self, rehearse: Make) -> None:
        """R15: the price falls through the stop the moment it rests; the trade ends, and nothing of ours is left."""
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 4)])
        asked: list[Call] = []

        def falls(call: Call) -> None:
            rests = any(algo.type == ConditionalType.STOP_MARKET.value for algo in r.venue.open_algos())
            asked.append(call)
            if call.method == "open_algos" and rests and r.venue.positions():
                fallen = Decimal(59_800)
                for _ in r.venue.tick("BTCUSDT", last=fallen, mark=fallen, at_ms=r.venue.now_ms):
                    pass

        async def script(r: InProcessBot) -> None:
            await to_trade(r, falls)
            assert record(r).state is State.IDLE

        r.run(script)
        placed = [call.client_id for call in asked if call.method == "place_algo" and is_leg(call, Leg.TARGET)]
        assert placed == [], "there was no position left to take profit of"
        assert triggers(r)[-1] == "flat STOP_HIT"
        assert (r.venue.positions(), r.venue.open_algos(), r.venue.open_orders()) == ([], [], [])
