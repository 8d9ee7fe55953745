"""Break-even and trailing: the stop moves without a gap, and a move that breaks off anywhere is repaired (R3)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace as replaced
from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.sim.core.reasons import refused
from exchange.types import AlgoStatus, Outcome, SymbolSnapshot
from fsm.core.model.intents import Intent, PlaceStop
from fsm.core.model.records import State
from fsm.core.order_requests import place_bridge
from rules.load import parse_rules
from tests.unit.fsm.core.parts import FILTERS, HOUR_MS, RULES, SYMBOL, candle, setting_with
from tests.unit.fsm.core.stage import Killed, Stage

STOP, NEXT_STOP, BRIDGE = "f0123abcd-19aa16-1-S1.1", "f0123abcd-19aa16-1-S2.1", "f0123abcd-19aa16-1-B2.1"


class Watched(Stage):
    """Notes after each call how much of the position stops would close."""

    def __init__(self) -> None:
        super().__init__()
        self.covered: list[Decimal] = []

    def do(self, intent: Intent) -> Outcome:
        outcome = super().do(intent)
        self.covered.append(self.exchange.covered())
        return outcome


def held() -> Watched:
    """A protected long of 0.069 at 60,000 with its stop at 59,400."""
    stage = Watched()
    stage.protected()
    stage.covered.clear()
    return stage


def trailed(stage: Stage, close: str = "60500") -> Stage:
    """An hour later the price stands at ``close``, and the rules' trail asks for a stop 600 below it."""
    stage.next_hour().wait(HOUR_MS).price(close)
    stage.close(candle(at_ms=stage.now_ms, rsi=50, close=float(close)))
    return stage


def stops(stage: Stage) -> list[str]:
    return [algo.client_id for algo in stage.exchange.resting(Leg.STOP)]


class TestAMove:
    def test_rests_the_new_stop_before_the_old_one_goes(self) -> None:
        """R3: at every instant of the move stops cover the whole position, over the -4130 of a second closePosition."""
        stage = held()
        trailed(stage)
        assert stage.kinds()[-4:] == ["PlaceStop", "CancelAlgo", "PlaceStop", "CancelAlgo"]
        assert min(stage.covered) >= stage.exchange.position
        assert (stops(stage), stage.exchange.resting(Leg.BRIDGE)) == ([NEXT_STOP], [])
        assert stage.exchange.algos[NEXT_STOP].trigger_price == Decimal("59900.0")

    def test_is_over_when_the_new_stop_was_read_back(self) -> None:
        stage = trailed(held())
        assert stage.reasons[-2:] == ["restop STOP_MOVED", "reprotect STOP_CONFIRMED"]
        assert stage.trade.stop_before is None

    def test_goes_only_in_the_trade_s_favour(self) -> None:
        assert "restop STOP_MOVED" not in trailed(held(), "59900").reasons

    def test_must_be_worth_an_order(self) -> None:
        assert "restop STOP_MOVED" not in trailed(held(), "60040").reasons

    def test_does_not_go_beyond_the_present_price(self) -> None:
        stage = held().next_hour().wait(HOUR_MS).price("59850")
        stage.close(candle(at_ms=stage.now_ms, rsi=50, close=60_500.0, last="59850"))
        assert stage.state is State.PROTECTED
        assert "restop STOP_MOVED" not in stage.reasons

    def test_that_the_filters_would_refuse_is_not_begun(self) -> None:
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, price_max=Decimal(59_500)))
        assert "restop STOP_MOVED" not in trailed(stage).reasons

    @pytest.mark.parametrize(
        "changed", [{"market_step_size": Decimal("0.01")}, {"market_quantity_min": Decimal("0.1")}]
    )
    def test_covers_the_whole_position_by_lots_that_became_larger(self, changed: dict[str, Decimal]) -> None:
        """R3, R65: 0.069 was bought in lots of 0.001; now lots are of 0.01, or not smaller than 0.1."""
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, **changed))
        stage.exchange.filters = stage.context.filters
        trailed(stage)
        assert stops(stage) == [NEXT_STOP]
        assert min(stage.covered) >= stage.exchange.position == Decimal("0.069")

    def test_waits_until_the_one_before_is_finished(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
        trailed(stage)
        trailed(stage, "61000")
        assert stage.reasons.count("restop STOP_MOVED") == 1


def test_break_even_is_at_what_was_paid_not_at_what_was_planned() -> None:
    """The entry was planned at 60,000 and filled at 60,060."""
    text = RULES.replace("break_even_at_r: null", "break_even_at_r: 1").replace(
        "      trail: close_1h - 2 * atr_1h\n", ""
    )
    rules = parse_rules(text, "rules")
    stage = Stage(context=replaced(setting_with(), rules=rules.for_symbol(SYMBOL), rules_hash=rules.hash))
    stage.price("60060").close(candle(at_ms=stage.now_ms, last="60000"))
    assert (stage.state, stage.trade.entry_price) == (State.PROTECTED, Decimal(60_060))
    stage.next_hour().wait(HOUR_MS).price("60800")
    stage.close(candle(at_ms=stage.now_ms, rsi=50, close=60_800.0))
    assert stage.trade.stop is not None
    assert stage.trade.stop.trigger_price == Decimal("60060.0")


def test_of_a_short_is_held_against_the_higher_of_both_prices() -> None:
    """The mark is above the new stop already, the last price is not."""
    targets = "targets: [{price: entry - risk"
    rules = parse_rules(RULES.replace(targets, f"trail: close_1h + 2 * atr_1h\n      {targets}"), "rules")
    for mark, moves in (("59550", True), ("60150", False)):
        stage = Stage(context=replaced(setting_with(), rules=rules.for_symbol(SYMBOL), rules_hash=rules.hash))
        stage.protected(rsi=20).next_hour().wait(HOUR_MS).price("59500", mark)
        stage.close(candle(at_ms=stage.now_ms, rsi=50, close=59_500.0, mark=mark))
        assert ("restop STOP_MOVED" in stage.reasons) is moves


class TestARefusedMove:
    @pytest.mark.parametrize("code", ["-4045", "-1008", "-2022"])
    def test_leaves_the_stop_where_it_was(self, code: str) -> None:
        """A position that is perfectly protected is not closed because its stop would not move."""
        stage = held()
        stage.fate = lambda intent: code if isinstance(intent, PlaceStop) else "ok"
        trailed(stage)
        assert stage.reasons[-1] == f"reprotect STOP_MOVE_REFUSED {code}"
        stage.look(persisted=True)
        assert (stage.state, stops(stage)) == (State.PROTECTED, [STOP])

    def test_is_tried_again_at_a_later_candle_under_ids_of_its_own(self) -> None:
        stage = held()
        stage.fate = lambda intent: "-4045" if isinstance(intent, PlaceStop) else "ok"
        trailed(stage)
        stage.fate = lambda intent: "ok"
        trailed(stage, "61000")
        assert stops(stage) == ["f0123abcd-19aa16-1-S3.1"]

    @pytest.mark.parametrize("code", ["-4116", "-4130"])
    def test_whose_bridge_may_rest_is_looked_at_before_anything_is_undone(self, code: str) -> None:
        stage, codes = held(), [code]
        stage.fate = lambda intent: codes.pop() if isinstance(intent, PlaceStop) and codes else "ok"
        trailed(stage)
        assert stage.reasons[-1] == "restop STOP_MOVED"
        stage.settle()
        assert (stage.state, stops(stage)) == (State.PROTECTED, [NEXT_STOP])

    def test_that_is_told_after_the_move_is_over_changes_nothing(self) -> None:
        """An answer may come late: the new stop rests, and there is nothing to go back to."""
        stage = trailed(held())
        assert stops(stage) == [NEXT_STOP]
        assert stage.trade.stop is not None
        bridge = place_bridge(stage.trade, stage.trade.stop, stage.context)
        assert stage.ended(bridge, refused(-2021, "late")) == []
        assert (stage.state, stage.record.quarantine) == (State.PROTECTED, None)

    def test_because_the_market_is_beyond_it_ends_the_trade_by_rule(self) -> None:
        """R4: the market is beyond the stop that the rules want, so they would be out."""
        stage = held()
        stage.fate = lambda intent: "-2021" if isinstance(intent, PlaceStop) else "ok"
        trailed(stage)
        stage.settle()
        assert "exit STOP_WOULD_TRIGGER" in stage.reasons
        assert (stage.state, stage.exchange.position) == (State.IDLE, 0)


class TestABrokenMove:
    @pytest.mark.parametrize("intents", range(5))
    def test_by_a_death_between_any_two_orders_is_repaired(self, intents: int) -> None:
        """R3, R8: never naked, and in the end exactly one stop, the new one."""
        stage = held()
        stage.killed_after = intents
        with suppress(Killed):
            trailed(stage)
        stage.restart()
        assert stage.exchange.covered() >= stage.exchange.position
        stage.settle()
        assert min(stage.covered, default=stage.exchange.position) >= stage.exchange.position
        assert (stage.state, stops(stage)) == (State.PROTECTED, [NEXT_STOP])
        assert stage.exchange.resting(Leg.BRIDGE) == []

    @pytest.mark.parametrize("intents", range(5))
    def test_that_the_operator_takes_over_with_the_position_keeps_a_stop(self, intents: int) -> None:
        """R80: `release` leaves the stop; while it moves that may be the bridge alone."""
        stage = held()
        stage.killed_after = intents
        with suppress(Killed):
            trailed(stage)
        stage.restart()
        stage.command("release")
        stage.settle()
        assert (stage.state, stage.record.trade) == (State.IDLE, None)
        assert stage.exchange.covered() >= stage.exchange.position > 0
        assert min(stage.covered, default=stage.exchange.position) >= stage.exchange.position

    @pytest.mark.parametrize("place", range(4))
    @pytest.mark.parametrize("fate", ["lost", "deaf"])
    def test_by_an_unheard_answer_anywhere_is_repaired(self, place: int, fate: str) -> None:
        stage = held()
        fates = ["ok"] * place + [fate]
        stage.fate = lambda intent: fates.pop(0) if fates else "ok"
        trailed(stage)
        stage.settle()
        assert min(stage.covered) >= stage.exchange.position
        assert (stage.state, len(stops(stage))) == (State.PROTECTED, 1)
        assert stage.exchange.resting(Leg.BRIDGE) == []
        assert stage.exchange.algos[stops(stage)[0]].trigger_price == Decimal("59900.0")

    def test_only_in_lists_that_lag_is_given_patience(self) -> None:
        """The old stop still listed, the new one not yet: neither is touched."""
        stage = held()
        stage.view = _before_the_move
        trailed(stage)
        sent = len(stage.sent)
        for _ in range(3):
            stage.wait(100).look()
        assert len(stage.sent) == sent

    def test_whose_bridge_fires_is_a_stop_that_was_hit(self) -> None:
        stage = held()
        stage.killed_after = 1
        with suppress(Killed):
            trailed(stage)
        stage.restart().price("59880").exchange.trigger(BRIDGE)
        stage.settle()
        assert stage.booked[0].exit_reason == "STOP_HIT"


def _before_the_move(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    shown = [replace(a, status=AlgoStatus.NEW) if a.client_id == STOP else a for a in snapshot.algo_orders]
    return replace(snapshot, algo_orders=tuple(a for a in shown if a.client_id != NEXT_STOP))
