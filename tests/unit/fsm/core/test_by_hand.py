"""By hand: a part is closed, a stop or target moved; in each state, at each fault, never without a stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.types import AlgoStatus, OrderType, Side, SymbolSnapshot
from fsm.core.model.decision import Rejected
from fsm.core.model.events import Commanded, EquityRead
from fsm.core.model.intents import ClosePosition, PlaceStop
from fsm.core.model.records import Flag, State
from fsm.core.reducing import ARRIVES_MS_MAX
from tests.unit.fsm.core.parts import FILTERS, HOUR_MS, SYMBOL, candle, setting_with
from tests.unit.fsm.core.stage import Killed, Stage, without
from tests.unit.fsm.core.test_stop_moves import BRIDGE, NEXT_STOP, STOP, Watched, held, stops, trailed

CLOSE = "f0123abcd-19aa16-1-X1.1"
TARGET, NEXT_TARGET = "f0123abcd-19aa16-1-T0.1", "f0123abcd-19aa16-1-T0.2"
LAST, NEXT_LAST = "f0123abcd-19aa16-1-T1.1", "f0123abcd-19aa16-1-T1.2"

WISHES: dict[str, dict[str, Any]] = {
    "reduce": {"pct": Decimal(50)},
    "move-stop": {"price": Decimal(59_700)},
    "move-target": {"price": Decimal(61_500), "number": 2},
}


def asked(stage: Stage, command: str, **wished: Any) -> Stage:
    stage.by_hand(command, **(wished or WISHES[command]))
    return stage


def refused(stage: Stage, command: str, **wished: Any) -> tuple[str, str]:
    """The guard that refuses it, and its words; nothing is written."""
    rows = len(stage.ledger.rows)
    with pytest.raises(Rejected) as caught:
        stage.by_hand(command, **(wished or WISHES[command]))
    assert (len(stage.ledger.rows), stage.engine.failures) == (rows, type(stage.engine.failures)(maxlen=100))
    return caught.value.guard, str(caught.value)


def signalled() -> Stage:
    stage = Stage()
    stage.engine.close_candle(candle(at_ms=stage.now_ms))
    return stage


def waiting() -> Stage:
    stage = Stage(entry_type=OrderType.LIMIT)
    stage.signal()
    return stage


def half_entered() -> Stage:
    """A LIMIT entry has filled in part; its stop rests."""
    stage = waiting()
    stage.exchange.fill(stage.trade.entry.client_id, Decimal("0.03"))
    stage.look()
    stage.settle(3)
    return stage


def leaving(command: str) -> Stage:
    stage = held()
    stage.fate = lambda intent: "lost"
    stage.command(command)
    return stage


def halted() -> Stage:
    stage = Stage()
    stage.command("halt")
    return stage


def unconfirmed() -> Stage:
    """The stop vanished, and the one that was sent instead is not confirmed."""
    stage = held()
    stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
    stage.exchange.end_algo(STOP, AlgoStatus.CANCELED)
    stage.look()
    assert stage.trade.uncovered_ms is not None
    return stage


def moving() -> Stage:
    """Its stop is on the way to another price."""
    stage = held()
    stage.killed_after = 2
    with suppress(Killed):
        trailed(stage)
    stage.restart().read_equity()
    return stage


EVERYWHERE_ELSE: list[tuple[Callable[[], Stage], State, str, str]] = [
    (Stage, State.IDLE, "NOTHING_OPEN", "this bot holds nothing in BTCUSDT"),
    (halted, State.HALT, "NOTHING_OPEN", "this bot holds nothing in BTCUSDT"),
    (signalled, State.SIGNALLED, "STATE", "its entry has not been sent yet"),
    (waiting, State.ENTERING, "STATE", "its entry is not finished, or its stop not confirmed"),
    (half_entered, State.ENTERING, "STATE", "its entry is not finished, or its stop not confirmed"),
    (lambda: leaving("exit"), State.EXITING, "STATE", "it is being closed"),
    (lambda: leaving("flatten"), State.FLATTEN, "STATE", "it is being closed"),
    (unconfirmed, State.PROTECTED, "STOP_UNCONFIRMED", "send it again in a moment"),
    (moving, State.PROTECTED, "STOP_UNCONFIRMED", "send it again in a moment"),
]


@pytest.mark.parametrize("command", WISHES)
@pytest.mark.parametrize(("begin", "state", "guard", "words"), EVERYWHERE_ELSE)
def test_where_it_cannot_be_done_it_is_refused_in_words_and_nothing_happens(
    command: str, begin: Callable[[], Stage], state: State, guard: str, words: str
) -> None:
    stage = begin()
    assert stage.state is state
    found, told = refused(stage, command)
    assert found == guard
    assert words in told


class TestAStopThatIsMoved:
    def test_towards_safety_goes_without_a_gap(self) -> None:
        """R3: the same road as a trail: at every instant stops cover the whole position."""
        stage = held()
        asked(stage, "move-stop")
        assert stage.kinds()[-4:] == ["PlaceStop", "CancelAlgo", "PlaceStop", "CancelAlgo"]
        assert min(stage.covered) >= stage.exchange.position
        assert (stops(stage), stage.exchange.resting(Leg.BRIDGE)) == ([NEXT_STOP], [])
        assert stage.exchange.algos[NEXT_STOP].trigger_price == Decimal("59700.0")
        assert stage.reasons[-2:] == ["restop STOP_MOVED_BY_HAND", "reprotect STOP_CONFIRMED"]

    @pytest.mark.parametrize("by", [{}, {"looser": True}, {"looser": True, "why": "  "}, {"why": "because"}])
    def test_away_from_safety_takes_the_word_and_a_reason(self, by: dict[str, Any]) -> None:
        stage = held()
        guard, told = refused(stage, "move-stop", price=Decimal(59_300), **by)
        assert guard == "LOOSER"
        assert "--looser and a --reason" in told
        assert stops(stage) == [STOP]

    def test_away_from_safety_with_both_is_journalled_with_its_guards(self) -> None:
        stage = held()
        asked(stage, "move-stop", price=Decimal(59_300), looser=True, why="the wick of the open")
        assert min(stage.covered) >= stage.exchange.position
        assert stage.exchange.algos[NEXT_STOP].trigger_price == Decimal("59300.0")
        _, made, event = next(row for row in stage.ledger.rows if row[1].reason == "STOP_LOOSENED_BY_HAND")
        assert event.why == "the wick of the open"  # type: ignore[union-attr]
        assert [guard.name for guard in made.guards] == [
            "ACCOUNT_OPEN",
            "EQUITY_FRESH",
            "STOP_DISTANCE_MAX",
            "STOP_BEYOND_LIQ",
            "MAX_OPEN_RISK",
        ]

    @pytest.mark.parametrize(
        ("guard", "price", "changed"),
        [
            ("STOP_DISTANCE_MAX", "53900", {"max_open_risk_pct": Decimal(90)}),
            (
                "STOP_BEYOND_LIQ",
                "53000",
                {
                    "max_open_risk_pct": Decimal(90),
                    "stop_distance_pct_max": Decimal(50),
                    "liquidation_distance_factor": Decimal("0.2"),
                },
            ),
            ("MAX_OPEN_RISK", "56000", {}),
            ("MAX_CORRELATED_RISK", "59000", {"max_correlated_risk_pct": Decimal("0.6")}),
            ("MAX_SAME_DIRECTION_RISK", "59000", {"max_same_direction_risk_pct": Decimal("0.6")}),
        ],
    )
    def test_never_goes_beyond_a_cap(self, guard: str, price: str, changed: dict[str, Any]) -> None:
        stage = Watched()
        stage.context = setting_with(**changed)
        stage.restart().read_equity()
        stage.protected()
        found, told = refused(stage, "move-stop", price=Decimal(price), looser=True, why="room")
        assert found == guard
        assert f"would break {guard}" in told
        assert stops(stage) == [STOP]

    def test_is_not_loosened_while_a_loss_limit_is_exceeded_but_tightened(self) -> None:
        stage = held()
        stage.read_equity(wallet="9600")
        assert refused(stage, "move-stop", price=Decimal(59_300), looser=True, why="room")[0] == "ACCOUNT_OPEN"
        asked(stage, "move-stop")
        assert stops(stage) == [NEXT_STOP]

    @pytest.mark.parametrize("order", ["first", "after"])
    @pytest.mark.parametrize("wish", ["pause", "halt"])
    def test_is_not_loosened_while_a_pause_or_a_halt_of_the_operator_hides_the_limit(
        self, wish: str, order: str
    ) -> None:
        """Whichever came first: the limit is exceeded all the same."""
        stage = held()
        if order == "after":
            stage.read_equity(wallet="9600")
        halt = Flag("OPERATOR", stage.now_ms) if wish == "halt" else stage.engine.account.halt
        stage.engine.set_account(stage.now_ms, wish.upper(), paused=wish == "pause", halt=halt)
        if order == "first":
            stage.read_equity(wallet="9600")
        guard, told = refused(stage, "move-stop", price=Decimal(59_300), looser=True, why="room")
        assert (guard, "LIMIT_DAY" in told) == ("ACCOUNT_OPEN", True)
        asked(stage, "move-stop")
        assert stops(stage) == [NEXT_STOP]

    @pytest.mark.parametrize("wish", ["pause", "halt"])
    def test_is_loosened_while_paused_or_halted_by_the_operator_where_nothing_is_lost(self, wish: str) -> None:
        stage = held()
        halt = Flag("OPERATOR", stage.now_ms) if wish == "halt" else None
        stage.engine.set_account(stage.now_ms, wish.upper(), paused=wish == "pause", halt=halt)
        asked(stage, "move-stop", price=Decimal(59_300), looser=True, why="room")
        assert stage.reasons.count("restop STOP_LOOSENED_BY_HAND") == 1

    @pytest.mark.parametrize("why", ["SYMBOL_NOT_LISTED", "SYMBOL_DISABLED", "FILES_UNUSABLE", "SYMBOL_RULES_STALE"])
    def test_is_moved_either_way_where_its_symbol_enters_nothing_any_more(self, why: str) -> None:
        """What only an entry needs is asked of no command for a trade that is open."""
        stage = held()
        stage.engine._blocked_for = lambda symbol: why
        asked(stage, "move-stop", price=Decimal(59_300), looser=True, why="room")
        asked(stage, "move-target")
        assert stops(stage) == [NEXT_STOP]
        assert stage.exchange.algos[NEXT_STOP].trigger_price == Decimal("59300.0")

    def test_is_not_loosened_where_nobody_knows_where_it_would_be_liquidated(self) -> None:
        stage = held()
        stage.context = dataclasses.replace(stage.context, brackets=())
        guard, told = refused(stage, "move-stop", price=Decimal(59_300), looser=True, why="room")
        assert (guard, "BRACKETS_UNKNOWN" in told) == ("ACCOUNT_OPEN", True)

    def test_is_not_loosened_while_a_fall_of_equity_is_not_explained(self) -> None:
        stage = held()
        stage.engine.set_account(stage.now_ms, "PAUSED", paused=True, halt=None)
        account = stage.exchange.account("9980")
        read = EquityRead(at_ms=stage.now_ms, account=account, transfers=Decimal(0), unexplained=Decimal(-20))
        stage.engine.read_equity(read)
        guard, told = refused(stage, "move-stop", price=Decimal(59_300), looser=True, why="room")
        assert (guard, "EQUITY_UNEXPLAINED" in told) == ("ACCOUNT_OPEN", True)

    def test_is_not_loosened_by_an_equity_that_is_old(self) -> None:
        stage = held()
        event = {"price": Decimal(59_300), "looser": True, "why": "room"}
        with pytest.raises(Rejected) as caught:
            stage.engine.handle(replace(_wish(stage, "move-stop"), **event), equity_age_ms=10_000_000)
        assert caught.value.guard == "EQUITY_FRESH"

    @pytest.mark.parametrize(
        ("price", "mark", "guard"),
        [("60000", "60000", "STOP_SIDE"), ("60100", "60000", "STOP_SIDE"), ("59900", "59890", "STOP_SIDE")],
    )
    def test_is_never_put_where_it_would_fire_at_once(self, price: str, mark: str, guard: str) -> None:
        stage = held()
        stage.price("60000", mark)
        assert refused(stage, "move-stop", price=Decimal(price))[0] == guard

    def test_of_a_short_is_held_against_the_higher_of_both_prices(self) -> None:
        stage = Stage()
        stage.protected(rsi=20)
        stage.price("60000", "60200")
        assert refused(stage, "move-stop", price=Decimal("60150"))[0] == "STOP_SIDE"
        assert refused(stage, "move-stop", price=Decimal("60700"))[0] == "LOOSER"
        asked(stage, "move-stop", price=Decimal("60400.07"))
        assert stage.exchange.algos[NEXT_STOP].trigger_price == Decimal("60400.1")

    def test_to_where_it_is_changes_nothing(self) -> None:
        """What a restart carries out again is harmless."""
        stage = held()
        assert stage.by_hand("move-stop", price=Decimal("59400.04")) == []

    @pytest.mark.parametrize("prices", [None, "nothing"])
    def test_needs_a_present_price(self, prices: str | None) -> None:
        stage = held()
        known = stage.exchange.prices()
        shown = None if prices is None else replace(known, mark_price=Decimal(0), last_price=Decimal(0))
        assert refused(stage, "move-stop", price=Decimal(59_700), prices=shown)[0] == "NO_PRICE"

    def test_that_the_filters_would_refuse_is_refused_before_it_leaves(self) -> None:
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, price_max=Decimal(59_500)))
        assert refused(stage, "move-stop")[0] == "STOP_FILTERS"

    @pytest.mark.parametrize("price", [None, Decimal(0), Decimal(-5), Decimal("0.01")])
    def test_needs_a_price(self, price: Decimal | None) -> None:
        assert refused(held(), "move-stop", price=price)[0] == "PRICE"

    @pytest.mark.parametrize("looser", [False, True])
    @pytest.mark.parametrize("intents", range(5))
    def test_is_repaired_after_a_death_between_any_two_orders(self, intents: int, looser: bool) -> None:
        """R3, R8: never naked, and in the end exactly one stop, the new one."""
        stage = held()
        stage.killed_after = intents
        price = Decimal(59_300) if looser else Decimal(59_700)
        with suppress(Killed):
            asked(stage, "move-stop", price=price, looser=looser, why="room")
        stage.restart()
        assert stage.exchange.covered() >= stage.exchange.position
        stage.settle()
        assert min(stage.covered, default=stage.exchange.position) >= stage.exchange.position
        assert (stage.state, stops(stage)) == (State.PROTECTED, [NEXT_STOP])
        assert stage.exchange.algos[NEXT_STOP].trigger_price == price

    @pytest.mark.parametrize("looser", [False, True])
    @pytest.mark.parametrize("place", range(4))
    @pytest.mark.parametrize("fate", ["lost", "deaf", "-1008", "-4045"])
    def test_whatever_its_orders_meet_keeps_the_position_covered(self, place: int, fate: str, looser: bool) -> None:
        stage = held()
        fates = ["ok"] * place + [fate]
        stage.fate = lambda intent: fates.pop(0) if fates else "ok"
        price = Decimal(59_300) if looser else Decimal(59_700)
        asked(stage, "move-stop", price=price, looser=looser, why="room")
        stage.settle()
        assert min(stage.covered) >= stage.exchange.position
        assert stage.exchange.resting(Leg.BRIDGE) == []
        if (place, fate) == (2, "-4045"):  # refused for good once the one before is gone, as when the rules move it
            assert (stage.state, stage.exchange.position) == (State.IDLE, 0)
        else:
            assert (stage.state, len(stops(stage))) == (State.PROTECTED, 1)

    def test_whose_bridge_fires_is_a_stop_that_was_hit(self) -> None:
        stage = held()
        stage.killed_after = 1
        with suppress(Killed):
            asked(stage, "move-stop")
        stage.restart().price("59680").exchange.trigger(BRIDGE)
        stage.settle()
        assert stage.booked[0].exit_reason == "STOP_HIT"

    def test_is_tightened_further_by_its_rules_and_never_loosened_by_them(self) -> None:
        stage = held()
        asked(stage, "move-stop", price=Decimal(59_950))
        trailed(stage)
        assert "restop STOP_MOVED" not in stage.reasons
        trailed(stage, "61000")
        assert stage.trade.stop is not None
        assert stage.trade.stop.trigger_price == Decimal("60400.0")


class TestAPartThatIsClosed:
    def test_leaves_the_rest_with_its_stop_and_smaller_targets(self) -> None:
        stage = held()
        asked(stage, "reduce")
        stage.settle()
        assert (stage.state, stage.exchange.position) == (State.PROTECTED, Decimal("0.035"))
        assert (stage.trade.open_quantity, stage.trade.closed_by_us) == (Decimal("0.035"), Decimal("0.034"))
        assert stage.trade.closed_quantity == Decimal("0.034")
        assert stops(stage) == [STOP]
        assert [algo.quantity for algo in stage.exchange.resting(Leg.TARGET)] == [None, Decimal("0.017")]
        assert min(stage.covered) >= stage.exchange.position
        reasons = [reason for reason in stage.reasons if "RED" in reason or "TARGET" in reason]
        assert reasons == ["reduce REDUCE_ASKED", "reduce REDUCED_BY_HAND", "reprotect TARGET_MOVED"]
        assert (stage.trade.piece_pending, stage.trade.part, stage.record.quarantine) == (False, None, None)

    def test_by_its_quantity(self) -> None:
        stage = held()
        asked(stage, "reduce", quantity=Decimal("0.0209"))
        stage.settle()
        assert stage.exchange.position == Decimal("0.049")

    def test_counts_less_in_every_cap(self) -> None:
        stage = held()
        before = stage.engine.portfolio()
        asked(stage, "reduce")
        after = stage.engine.portfolio()
        assert after.open_risk < before.open_risk
        assert after.exposure < before.exposure

    def test_and_the_rest_by_its_stop_are_one_trade_with_all_fills(self) -> None:
        stage = held()
        asked(stage, "reduce")
        stage.settle().price("59390").exchange.trigger(STOP)
        stage.settle()
        (booked,) = stage.booked
        assert (booked.exit_reason, booked.closed_quantity) == ("STOP_HIT", Decimal("0.069"))
        assert booked.net_pnl == sum(row.income for row in stage.exchange.income)
        assert (stage.state, stage.exchange.open_ids()) == (State.IDLE, set())

    @pytest.mark.parametrize("times", [2, 3])
    def test_again_and_again_then_flattened(self, times: int) -> None:
        stage = held()
        for _ in range(times):
            asked(stage, "reduce")
            stage.settle()
        stage.command("flatten")
        stage.settle()
        (booked,) = stage.booked
        assert booked.closed_quantity == Decimal("0.069")
        assert (stage.state, stage.exchange.position, stage.exchange.open_ids()) == (State.HALT, 0, set())

    @pytest.mark.parametrize(
        ("wished", "guard", "words"),
        [
            ({}, "QUANTITY", "a share as in 25%"),
            ({"quantity": Decimal(0)}, "QUANTITY", "a share as in 25%"),
            ({"quantity": Decimal("0.0004")}, "QUANTITY_MIN", "the smallest order of BTCUSDT, 0.001"),
            ({"pct": Decimal(100)}, "QUANTITY_ALL", "`flatten BTCUSDT` closes it"),
            ({"quantity": Decimal(5)}, "QUANTITY_ALL", "the most that leaves a position is 0.068"),
        ],
    )
    def test_that_is_no_part_is_refused(self, wished: dict[str, Any], guard: str, words: str) -> None:
        found, told = refused(held(), "reduce", pct=wished.get("pct"), quantity=wished.get("quantity"))
        assert found == guard
        assert words in told

    def test_larger_than_the_largest_market_order_is_refused(self) -> None:
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, market_quantity_max=Decimal("0.01")))
        assert refused(stage, "reduce")[0] == "QUANTITY_MAX"

    def test_carried_out_again_after_a_restart_closes_nothing_more(self) -> None:
        """The command was taken, and its answer not written: the next start carries it out again."""
        stage = held()
        stage.by_hand("reduce", pct=Decimal(50), command_id=7)
        stage.restart()
        assert stage.by_hand("reduce", pct=Decimal(50), command_id=7) == []
        stage.settle()
        assert stage.by_hand("reduce", pct=Decimal(50), command_id=7) == []
        assert stage.exchange.position == Decimal("0.035")

    def test_waits_for_the_one_before(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        asked(stage, "reduce")
        assert refused(stage, "reduce")[0] == "CLOSE_UNDER_WAY"

    @pytest.mark.parametrize("code", ["-2022", "-4131", "-1111", "-1008", "-4005"])
    def test_that_is_refused_changes_nothing_and_is_not_tried_again(self, code: str) -> None:
        stage = held()
        stage.fate = lambda intent: code if isinstance(intent, ClosePosition) else "ok"
        asked(stage, "reduce")
        stage.settle()
        assert f"reprotect REDUCE_REFUSED {code}" in stage.reasons
        assert (stage.state, stage.trade.open_quantity, stage.trade.part) == (State.PROTECTED, Decimal("0.069"), None)
        assert stage.kinds().count("ClosePosition") == 1
        stage.fate = lambda intent: "ok"
        asked(stage, "reduce")
        stage.settle()
        assert stage.exchange.position == Decimal("0.035")

    def test_that_nobody_takes_is_said(self) -> None:
        stage = held()
        stage.exchange.expires = lambda request: request.reduce_only
        asked(stage, "reduce")
        stage.settle()
        assert "reprotect REDUCE_UNFILLED" in stage.reasons
        assert (stage.state, stage.trade.piece_pending) == (State.PROTECTED, False)

    def test_that_is_taken_in_part_counts_what_was(self) -> None:
        stage = held()
        stage.exchange.takes = Decimal("0.01")
        asked(stage, "reduce")
        stage.settle()
        assert (stage.exchange.position, stage.trade.open_quantity) == (Decimal("0.059"), Decimal("0.059"))
        assert stage.record.quarantine is None

    def test_that_was_done_and_not_heard_is_found_by_a_look(self) -> None:
        stage = held()
        stage.fate = lambda intent: "deaf" if isinstance(intent, ClosePosition) else "ok"
        asked(stage, "reduce")
        stage.settle()
        assert stage.kinds().count("ClosePosition") == 1
        assert (stage.trade.open_quantity, stage.trade.unheard) == (Decimal("0.035"), ())

    def test_that_never_arrived_is_never_sent_twice_and_given_up_when_it_cannot_arrive(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        asked(stage, "reduce")
        stage.settle()
        assert (stage.kinds().count("ClosePosition"), stage.trade.part is not None) == (1, True)
        stage.wait(ARRIVES_MS_MAX).settle()
        assert "reprotect REDUCE_NOT_FOUND" in stage.reasons
        assert (stage.trade.part, stage.trade.piece_pending) == (None, False)
        stage.fate = lambda intent: "ok"
        asked(stage, "reduce")
        assert _closes(stage)[-1].request.client_id == CLOSE
        stage.settle()
        assert stage.exchange.position == Decimal("0.035")

    def test_whose_position_is_read_stale_waits_for_it(self) -> None:
        stage = held()
        stage.view = _with_old_position
        asked(stage, "reduce")
        stage.look()
        assert (stage.trade.open_quantity, stage.trade.part is not None) == (Decimal("0.069"), True)
        stage.view = lambda snapshot: snapshot
        stage.settle()
        assert (stage.trade.open_quantity, stage.record.quarantine) == (Decimal("0.035"), None)

    @pytest.mark.parametrize("intents", range(7))
    def test_is_repaired_after_a_death_between_any_two_orders(self, intents: int) -> None:
        stage = held()
        stage.killed_after = intents
        with suppress(Killed):
            asked(stage, "reduce", pct=Decimal(50), command_id=7)
        stage.restart()
        stage.by_hand("reduce", pct=Decimal(50), command_id=7)
        stage.settle().wait(ARRIVES_MS_MAX).settle()
        assert min(stage.covered, default=stage.exchange.position) >= stage.exchange.position
        assert (stage.state, stops(stage), stage.trade.part) == (State.PROTECTED, [STOP], None)
        assert stage.trade.open_quantity == stage.exchange.position in (Decimal("0.035"), Decimal("0.069"))
        assert len(_closes(stage)) <= 1

    @pytest.mark.parametrize("fate", ["ok", "lost", "deaf"])
    @pytest.mark.parametrize("end", ["flatten", "exit", "stop", "last"])
    def test_while_something_else_ends_the_trade_ends_flat(self, end: str, fate: str) -> None:
        stage = held()
        stage.fate = lambda intent: fate if isinstance(intent, ClosePosition) else "ok"
        stage.view = without(CLOSE)
        asked(stage, "reduce")
        stage.fate = lambda intent: "ok"
        match end:
            case "stop":
                stage.price("59390").exchange.trigger(STOP)
            case "last":
                stage.price("61800").exchange.trigger(LAST)
            case _:
                stage.command(end)
        stage.view = lambda snapshot: snapshot
        stage.settle()
        (booked,) = stage.booked
        assert booked.closed_quantity == Decimal("0.069")
        assert booked.net_pnl == sum(row.income for row in stage.exchange.income)
        assert (stage.exchange.position, stage.exchange.open_ids()) == (0, set())

    def test_while_a_target_is_hit_both_are_counted(self) -> None:
        stage = held()
        stage.killed_after = 1
        with suppress(Killed):
            asked(stage, "reduce")
        stage.restart().price("60700").exchange.trigger(TARGET)
        stage.settle()
        assert (stage.state, stage.record.quarantine) == (State.PROTECTED, None)
        assert stage.trade.open_quantity == stage.exchange.position == Decimal("0.001")
        assert stage.trade.closed_by_us == Decimal("0.068")

    def test_while_somebody_else_closes_a_part_is_told_as_before(self) -> None:
        """R70: what nobody of ours closed quarantines the symbol, whatever we closed beside it."""
        stage = held()
        asked(stage, "reduce")
        stage.settle()
        stage.exchange.by_hand(Side.SELL, "0.005")
        stage.settle()
        assert stage.record.quarantine is not None
        assert stage.record.quarantine.cause == "EXTERNAL_REDUCE"

    def test_while_its_stop_vanishes_gets_a_stop_at_once(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        asked(stage, "reduce")
        stage.exchange.end_algo(STOP, AlgoStatus.CANCELED)
        stage.settle()
        assert stage.exchange.covered() == stage.exchange.position > 0

    def test_then_released_leaves_the_rest_to_the_user(self) -> None:
        stage = held()
        asked(stage, "reduce")
        stage.settle()
        stage.command("release")
        stage.settle()
        assert stage.booked[0].exit_reason == "RELEASED"
        assert stage.record.foreign is not None
        assert stage.record.foreign.quantity == stage.exchange.position == Decimal("0.035")


class TestATargetThatIsMoved:
    @pytest.mark.parametrize(
        ("number", "before", "after", "quantity"),
        [(1, TARGET, NEXT_TARGET, Decimal("0.034")), (2, LAST, NEXT_LAST, None)],
    )
    def test_is_replaced_and_covers_what_it_covered(
        self, number: int, before: str, after: str, quantity: Decimal | None
    ) -> None:
        stage = held()
        asked(stage, "move-target", price=Decimal("61500.05"), number=number)
        stage.settle()
        assert stage.exchange.algos[before].status is AlgoStatus.CANCELED
        moved = stage.exchange.algos[after]
        assert (moved.status, moved.trigger_price, moved.quantity) == (AlgoStatus.NEW, Decimal("61500.0"), quantity)
        assert (stops(stage), len(stage.exchange.resting(Leg.TARGET))) == ([STOP], 2)
        assert stage.reasons[-2:] == ["restop TARGET_MOVED_BY_HAND", "reprotect TARGET_MOVED"]

    def test_needs_its_number_where_there_are_several(self) -> None:
        guard, told = refused(held(), "move-target", price=Decimal(61_500))
        assert guard == "WHICH_TARGET"
        assert "1 at 60600, 2 at 61800" in told
        assert refused(held(), "move-target", price=Decimal(61_500), number=3)[0] == "WHICH_TARGET"

    def test_needs_none_where_there_is_one_left(self) -> None:
        stage = held()
        stage.price("60700").exchange.trigger(TARGET)
        stage.settle()
        asked(stage, "move-target", price=Decimal(61_500))
        stage.settle()
        assert stage.exchange.algos[NEXT_LAST].status is AlgoStatus.NEW

    @pytest.mark.parametrize("price", ["60000", "59000"])
    def test_is_never_put_where_it_would_close_at_once(self, price: str) -> None:
        assert refused(held(), "move-target", price=Decimal(price), number=2)[0] == "TARGET_SIDE"

    def test_to_where_it_is_changes_nothing(self) -> None:
        assert held().by_hand("move-target", price=Decimal(61_800), number=2) == []

    def test_that_the_filters_would_refuse_is_refused_before_it_leaves(self) -> None:
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, price_max=Decimal(61_900)))
        assert refused(stage, "move-target", price=Decimal(62_500), number=2)[0] == "TARGET_FILTERS"

    @pytest.mark.parametrize(("number", "before", "left"), [(1, TARGET, Decimal("0.035")), (2, LAST, Decimal(0))])
    def test_that_was_hit_before_it_could_be_cancelled_is_a_target_that_was_hit(
        self, number: int, before: str, left: Decimal
    ) -> None:
        stage = held()
        stage.killed_after = 0
        with suppress(Killed):
            asked(stage, "move-target", price=Decimal(62_500), number=number)
        stage.restart().price("61900").exchange.trigger(before)
        stage.settle()
        assert (stage.exchange.position, stage.record.quarantine) == (left, None)
        if left:
            assert (stage.trade.open_quantity, "reduce TARGET_HIT" in stage.reasons) == (left, True)
            assert [algo.client_id for algo in stage.exchange.resting(Leg.TARGET)] == [LAST]
        else:
            assert stage.booked[0].exit_reason == "TARGET_HIT"

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.parametrize("intents", range(4))
    def test_is_repaired_after_a_death_between_any_two_orders(self, intents: int, number: int) -> None:
        stage = held()
        stage.killed_after = intents
        with suppress(Killed):
            asked(stage, "move-target", price=Decimal(62_500), number=number)
        stage.restart()
        stage.settle()
        assert min(stage.covered, default=stage.exchange.position) >= stage.exchange.position
        resting = {algo.client_id: algo.trigger_price for algo in stage.exchange.resting(Leg.TARGET)}
        after = NEXT_TARGET if number == 1 else NEXT_LAST
        assert (len(resting), resting[after]) == (2, Decimal(62_500))

    @pytest.mark.parametrize("place", range(2))
    @pytest.mark.parametrize("fate", ["lost", "deaf", "-1008"])
    def test_whatever_its_orders_meet_rests_once(self, place: int, fate: str) -> None:
        stage = held()
        fates = ["ok"] * place + [fate]
        stage.fate = lambda intent: fates.pop(0) if fates else "ok"
        asked(stage, "move-target", price=Decimal(62_500), number=2)
        stage.settle()
        resting = [algo.trigger_price for algo in stage.exchange.resting(Leg.TARGET)]
        assert sorted(resting) == [Decimal(60_600), Decimal(62_500)]
        assert (stage.state, stops(stage)) == (State.PROTECTED, [STOP])

    def test_is_refused_while_it_is_being_moved(self) -> None:
        stage = held()
        stage.killed_after = 0
        with suppress(Killed):
            asked(stage, "move-target", price=Decimal(62_500), number=2)
        stage.restart()
        assert refused(stage, "move-target", price=Decimal(62_900), number=2)[0] == "TARGET_UNCONFIRMED"


def test_after_it_candles_are_managed_as_before() -> None:
    """A rule that leaves closes what is left."""
    stage = held()
    asked(stage, "reduce")
    stage.settle()
    stage.next_hour().wait(HOUR_MS)
    stage.close(candle(at_ms=stage.now_ms, rsi=10))
    stage.settle()
    assert (stage.booked[0].exit_reason, stage.exchange.position) == ("EXIT_WHEN", 0)


def _wish(stage: Stage, command: str) -> Any:
    return Commanded(
        symbol=SYMBOL, at_ms=stage.now_ms, command=command, cause="OPERATOR", prices=stage.exchange.prices()
    )


def _closes(stage: Stage) -> list[ClosePosition]:
    return [intent for intent in stage.sent if isinstance(intent, ClosePosition)]


def _with_old_position(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    assert snapshot.position is not None
    return replace(snapshot, position=replace(snapshot.position, quantity=Decimal("0.069")))
