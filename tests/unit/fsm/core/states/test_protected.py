"""While PROTECTED: the stop is a level that every look checks; targets, strays and strangers beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.sim.core.reasons import refused
from exchange.types import AlgoStatus, OrderStatus, Side
from fsm.core.model.intents import CancelAlgo, CancelEntry, PlaceStop, PlaceTarget
from fsm.core.model.policy import MissingProtection
from fsm.core.model.records import Flag, State
from fsm.core.observation import STUCK_TRIGGER_MS
from fsm.core.stops import STOP_ATTEMPTS_MAX
from fsm.core.targets import TARGET_SENT_MAX
from tests.unit.fsm.core.parts import FILTERS, HOUR_MS, candle, setting_with
from tests.unit.fsm.core.stage import Stage, truth, with_position, without

STOP = "f0123abcd-19aa16-1-S1.1"
FIRST_TARGET, LAST_TARGET = "f0123abcd-19aa16-1-T0.1", "f0123abcd-19aa16-1-T1.1"


def held() -> Stage:
    """A protected long of 0.069 at 60,000; stop 59,400, targets 60,600 and 61,800."""
    return Stage().protected()


def quarantine_of(stage: Stage) -> str | None:
    return stage.record.quarantine.cause if stage.record.quarantine else None


class TestEveryLook:
    def test_that_shows_what_is_wanted_changes_nothing(self) -> None:
        """R24: reconciling twice is reconciling once, and sends nothing."""
        stage = held()
        rows, sent = len(stage.ledger.rows), len(stage.sent)
        for _ in range(5):
            stage.wait(5_000).look()
            stage.look(persisted=True)
        assert (len(stage.ledger.rows), len(stage.sent)) == (rows, sent)

    def test_after_a_restart_shows_the_same_and_changes_nothing(self) -> None:
        """R24, R40: recover(); recover() is recover()."""
        stage = held()
        before = stage.record
        for _ in range(2):
            stage.restart().look(persisted=True)
        assert stage.record == before

    def test_whose_position_lags_moves_nothing(self) -> None:
        """§8.4: positionRisk may lag by hundreds of milliseconds, either way."""
        stage = held()
        for quantity in ("0", "0.01", "0.2"):
            stage.view = with_position(quantity)
            stage.look()
        assert stage.state is State.PROTECTED

    def test_that_contradicts_itself_for_long_blocks_entries_and_leaves_the_stop_alone(self) -> None:
        """R25: no position, no fills, but the closePosition stop rests: nobody knows, so nothing is torn down."""
        stage = held()
        stage.view = with_position("0")
        for _ in range(3):
            stage.wait(3_000).look(persisted=True)
        assert quarantine_of(stage) is None, "positions are read stale for some seconds now and then"
        for _ in range(10):
            stage.wait(3_000).look(persisted=True)
        assert (stage.state, quarantine_of(stage)) == (State.PROTECTED, "POSITION_UNCLEAR")
        assert stage.exchange.covered() == stage.exchange.position


class TestAStopThatIsMissing:
    @pytest.mark.parametrize("status", [AlgoStatus.CANCELED, AlgoStatus.EXPIRED])
    def test_because_the_venue_ended_it_is_placed_again_at_once_under_a_new_id(self, status: AlgoStatus) -> None:
        """R12: no look in between, and the id says that the first attempt is over."""
        stage = held()
        stage.exchange.end_algo(STOP, status)
        stage.look()
        assert "reprotect VENUE_CANCELLED" in stage.reasons
        assert [algo.client_id for algo in stage.exchange.resting(Leg.STOP)] == ["f0123abcd-19aa16-1-S1.2"]
        assert (stage.state, stage.trade.uncovered_ms) == (State.PROTECTED, None)

    def test_again_and_again_ends_in_an_emergency_close(self) -> None:
        """R2: a venue that never keeps it will not keep the next one either; no loop."""
        stage = held()
        for _ in range(STOP_ATTEMPTS_MAX + 1):
            for algo in stage.exchange.resting(Leg.STOP):
                stage.exchange.end_algo(algo.client_id, AlgoStatus.CANCELED)
            stage.wait(5_000).look()
        assert "flatten STOP_KEEPS_VANISHING" in stage.reasons
        assert stage.kinds().count("PlaceStop") == STOP_ATTEMPTS_MAX

    def test_because_a_look_does_not_show_it_starts_the_deadline_but_places_nothing_yet(self) -> None:
        """R2, R5: one endpoint's "not found" is evidence; the clock runs, the hand is held."""
        stage = held()
        stage.view = without(STOP)
        stage.wait(5_000).look()
        assert stage.reasons[-1] == "reprotect STOP_UNSEEN"
        assert stage.trade.uncovered_ms == stage.now_ms
        assert stage.kinds().count("PlaceStop") == 1

    def test_and_is_seen_again_stops_the_deadline(self) -> None:
        stage = held()
        stage.view = without(STOP)
        stage.wait(5_000).look()
        stage.view = truth
        stage.wait(500).look()
        assert stage.reasons[-1] == "reprotect STOP_CONFIRMED"
        assert stage.deadline() == []

    def test_and_stays_unseen_is_placed_again_under_its_own_id(self) -> None:
        """R2: the same intent never has two ids, so it cannot rest twice."""
        stage = held()
        stage.view = without(STOP)
        stage.wait(2_000).look(persisted=True)
        assert [intent.request.client_id for intent in stage.sent if isinstance(intent, PlaceStop)] == [STOP, STOP]
        assert len(stage.exchange.resting(Leg.STOP)) == 1

    def test_for_longer_than_the_deadline_flattens(self) -> None:
        """R5, design §7.1."""
        stage = held()
        stage.view = without(STOP)
        stage.wait(5_000).look()
        stage.view = truth
        stage.wait(5_000).deadline()
        assert "flatten PROTECTION_DEADLINE" in stage.reasons

    def test_flattens_at_once_where_config_says_so(self) -> None:
        stage = Stage(on_missing=MissingProtection.FLATTEN).protected()
        stage.exchange.end_algo(STOP, AlgoStatus.CANCELED)
        stage.look()
        assert "flatten PROTECTION_MISSING VENUE_CANCELLED" in stage.reasons

    def test_and_cannot_rest_because_a_foreign_one_is_in_its_place_is_flattened(self) -> None:
        """semantics.md: a foreign closePosition stop (-4130)."""
        stage = held()
        stage.exchange.end_algo(STOP, AlgoStatus.CANCELED)
        foreign = replace(stage.exchange.algos[STOP], client_id="somebody-else", status=AlgoStatus.NEW)
        stage.exchange.algos["somebody-else"] = foreign
        stage.look()
        assert stage.record.quarantine == Flag("FOREIGN_ORDER", stage.now_ms)
        stage.wait(5_000).deadline()
        stage.settle()
        assert (stage.state, stage.exchange.position) == (State.IDLE, 0)

    def test_rejected_at_its_trigger_flattens(self) -> None:
        """§0.4: margin and reduce-only are checked only then."""
        stage = held()
        stage.exchange.end_algo(STOP, AlgoStatus.REJECTED, reject_reason="margin")
        stage.look()
        assert "flatten STOP_REJECTED_AT_TRIGGER" in stage.reasons

    @pytest.mark.parametrize("status", [AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED, AlgoStatus.FINISHED])
    def test_because_it_fires_is_given_time_and_then_the_position_is_closed(self, status: AlgoStatus) -> None:
        """R11: triggered and still open after a while means that the stop failed."""
        stage = held()
        stage.exchange.end_algo(STOP, status)
        stage.look()
        assert stage.state is State.PROTECTED
        stage.wait(STUCK_TRIGGER_MS + 1).look()
        assert f"flatten STOP_{status}_POSITION_OPEN" in stage.reasons

    def test_because_the_last_target_takes_the_position_just_now_is_not_placed_again(self) -> None:
        """The stop ends with its position; a position that still shows lags."""
        stage = held()
        stage.price("61800").exchange.trigger(LAST_TARGET)
        lagging = replace(stage.exchange.position_shown(), quantity=Decimal("0.069"))
        stage.view = lambda snapshot: replace(snapshot, position=lagging, fills=())
        stage.look()
        assert stage.kinds().count("PlaceStop") == 1
        stage.view = truth
        stage.settle()
        assert stage.booked[0].exit_reason == "TARGET_HIT"

    def test_because_of_fills_that_a_lasting_position_contradicts_is_placed_again(self) -> None:
        """Somebody closed all and opened as much again: by its fills it is gone, by every look it is there."""
        stage = held()
        for side in (Side.SELL, Side.BUY):
            stage.exchange.by_hand(side, "0.069")
        stage.look()
        assert stage.kinds().count("PlaceStop") == 1
        stage.wait(3_000).look(persisted=True)
        assert stage.exchange.covered() == stage.exchange.position

    def test_that_is_cancelled_as_a_stray_is_cancelled_in_its_own_family(self) -> None:
        stage = held()
        ours = next(iter(stage.exchange.orders.values()))
        late = replace(ours, client_id="f0123abcd-19aa16-1-X7.1", status=OrderStatus.NEW)
        stage.exchange.orders[late.client_id] = late
        stage.look()
        assert stage.sent[-1] == CancelEntry(symbol="BTCUSDT", client_id=late.client_id)

    def test_is_placed_again_on_the_tick_that_is_known_by_now(self) -> None:
        """R65: at its old price it would be refused, and the position stand without it for longer."""
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, tick_size=Decimal(500), price_min=Decimal(500)))
        stage.exchange.end_algo(STOP, AlgoStatus.CANCELED)
        stage.look()
        assert stage.exchange.resting(Leg.STOP)[-1].trigger_price == Decimal(59_000)
        assert stage.settle().state is State.PROTECTED


class TestTheRulesEndIt:
    def test_when_their_exit_condition_holds(self) -> None:
        stage = held().next_hour().wait(HOUR_MS)
        stage.close(candle(at_ms=stage.now_ms, rsi=10))
        stage.settle()
        assert stage.reasons[-2:] == ["exit EXIT_WHEN", "flat EXIT_WHEN"]
        assert (stage.state, stage.exchange.position, stage.exchange.open_ids()) == (State.IDLE, 0, set())

    def test_after_so_many_candles(self) -> None:
        stage = held().wait(51 * HOUR_MS).next_hour()
        stage.close(candle(at_ms=stage.now_ms, rsi=50, close=60_001.0))
        assert "exit EXIT_AFTER_CANDLES" in stage.reasons

    def test_and_goes_on_while_halted_paused_or_quarantined(self) -> None:
        """semantics.md: halt and pause are about entries; positions stay managed."""
        stage = held()
        for command in ("halt", "pause", "quarantine"):
            stage.command(command)
        stage.next_hour().wait(HOUR_MS).price("60500")
        stage.close(candle(at_ms=stage.now_ms, rsi=50, close=60_500.0))
        assert "restop STOP_MOVED" in stage.reasons


class TestTargets:
    def test_the_first_reduces_the_position_and_the_rest_goes_on(self) -> None:
        stage = held()
        stage.price("60600").exchange.trigger(FIRST_TARGET)
        stage.look()
        assert stage.reasons[-1] == "reduce TARGET_HIT"
        assert (stage.trade.open_quantity, stage.trade.targets[0].done) == (Decimal("0.035"), True)
        assert stage.record.quarantine is None
        assert stage.exchange.covered() == Decimal("0.035")

    def test_one_whose_execution_is_not_reported_yet_is_known_by_its_fills(self) -> None:
        """§5.4: actualQty may lag; the order behind a fill tells whose it was."""
        stage = held()
        stage.price("60600").exchange.trigger(FIRST_TARGET)
        stage.exchange.end_algo(FIRST_TARGET, AlgoStatus.TRIGGERED, executed_quantity=Decimal(0))
        stage.look()
        assert stage.reasons[-1] == "reduce TARGET_HIT"
        assert stage.record.quarantine is None

    def test_one_that_fills_in_several_steps_is_not_taken_for_somebody_else_s_doing(self) -> None:
        stage = held()
        order_id, algo = 4_711, stage.exchange.algos[FIRST_TARGET]
        stage.price("60600")
        for part, status in (("0.010", AlgoStatus.TRIGGERED), ("0.024", AlgoStatus.FINISHED)):
            stage.exchange.execute(Side.SELL, Decimal(part), order_id)
            done = stage.exchange.algos[FIRST_TARGET].executed_quantity + Decimal(part)
            stage.exchange.end_algo(algo.client_id, status, actual_order_id=order_id, executed_quantity=done)
            stage.wait(3_000).look(persisted=True)
        assert stage.reasons[-2:] == ["reduce TARGET_HIT", "reduce TARGET_HIT"]
        assert (stage.trade.targets[0].done, stage.trade.closed_by_us) == (True, Decimal("0.034"))
        assert stage.record.quarantine is None
        sent = len(stage.sent)
        stage.wait(5_000).look(persisted=True)
        assert len(stage.sent) == sent

    def test_the_last_closes_what_is_left(self) -> None:
        stage = held()
        stage.price("60600").exchange.trigger(FIRST_TARGET)
        stage.look()
        stage.price("61800").exchange.trigger(LAST_TARGET)
        stage.settle()
        trade = stage.booked[0]
        assert (trade.exit_reason, stage.state, stage.exchange.open_ids()) == ("TARGET_HIT", State.IDLE, set())
        assert trade.closed_quantity == trade.entry.filled

    def test_one_that_vanished_is_placed_again_a_few_times_and_then_given_up(self) -> None:
        """A loop over a target that will not rest would only burn the request budget."""
        stage = held()
        for _ in range(10):
            for algo in stage.exchange.resting(Leg.TARGET):
                if algo.quantity is not None:
                    stage.exchange.end_algo(algo.client_id, AlgoStatus.CANCELED)
            stage.wait(10_000).look()
        sent = [i for i in stage.sent if isinstance(i, PlaceTarget) and i.index == 0]
        assert len(sent) == TARGET_SENT_MAX
        assert len({intent.request.client_id for intent in sent}) == TARGET_SENT_MAX
        assert stage.state is State.PROTECTED

    def test_one_that_is_not_found_is_sent_again_under_its_own_id(self) -> None:
        """R2: no second target can come to rest for the same share."""
        stage = held()
        stage.view = without(FIRST_TARGET)
        stage.wait(5_000).look()
        assert stage.kinds().count("PlaceTarget") == 2
        stage.wait(5_000).look(persisted=True)
        assert [i.request.client_id for i in stage.sent if isinstance(i, PlaceTarget)][2:] == [FIRST_TARGET]

    def test_one_that_is_placed_again_lies_on_the_tick_that_is_known_by_now(self) -> None:
        """R65: found by torture; it had gone out at its old price as often as it may be sent, and was given up."""
        coarser = replace(FILTERS, tick_size=Decimal(500), price_min=Decimal(500))
        stage = held()
        stage.context = setting_with(filters=coarser)
        stage.exchange.end_algo(FIRST_TARGET, AlgoStatus.CANCELED)
        stage.wait(5_000).look()
        assert stage.exchange.resting(Leg.TARGET)[-1].trigger_price == Decimal(60_500)
        assert stage.trade.targets[0].trigger_price == Decimal(60_500)
        stage.view = without(LAST_TARGET)
        stage.wait(10_000).look(persisted=True)
        sent = [intent.request for intent in stage.sent if isinstance(intent, PlaceTarget)][-1]
        assert (sent.trigger_price, sent.client_id) == (Decimal(61_500), LAST_TARGET[:-1] + "2")

    def test_one_that_is_placed_again_is_in_the_lots_that_are_known_by_now(self) -> None:
        """R65: found by torture; nothing of it is lost, as the last target closes what is left."""
        stage = held()
        first = stage.trade.targets[0]
        lot = Decimal("0.02")
        assert first.quantity is not None
        assert first.quantity % lot != 0
        stage.context = setting_with(filters=replace(FILTERS, step_size=lot, market_step_size=lot))
        stage.view = without(FIRST_TARGET)
        stage.wait(5_000).look()
        stage.wait(5_000).look(persisted=True)
        sent = [intent.request for intent in stage.sent if isinstance(intent, PlaceTarget)][-1]
        assert (sent.quantity, sent.client_id) == (first.quantity // lot * lot, FIRST_TARGET[:-1] + "2")

    @pytest.mark.parametrize("ended", [True, False])
    def test_one_that_is_less_than_a_lot_by_now_is_given_up(self, ended: bool) -> None:
        """R65: found by torture; an order that no exchange takes had left. The last target closes what is left."""
        stage, lot = held(), Decimal("0.1")
        stage.context = setting_with(
            filters=replace(FILTERS, step_size=lot, market_step_size=lot, market_quantity_min=lot)
        )
        if ended:
            stage.exchange.end_algo(FIRST_TARGET, AlgoStatus.CANCELED)
        else:
            stage.view = without(FIRST_TARGET)
        before = stage.kinds().count("PlaceTarget")
        for _ in range(3):
            stage.wait(10_000).look(persisted=True)
        assert stage.kinds().count("PlaceTarget") == before
        assert (stage.state, stage.trade.targets[0].done) == (State.PROTECTED, False)

    def test_one_that_is_refused_for_its_tick_goes_out_on_a_coarser_one(self) -> None:
        """R65: the tick has changed, and nobody has told us to what."""
        stage = Stage().price("60037")
        stage.fate = lambda intent: (
            "-4014" if isinstance(intent, PlaceTarget) and intent.request.trigger_price % 10 else "ok"
        )
        stage.signal()
        stage.settle()
        sent = [i.request.trigger_price for i in stage.sent if isinstance(i, PlaceTarget) and i.index == 0]
        assert sent == [Decimal(60_637), Decimal(60_630)]

    def test_one_that_is_refused_for_now_is_asked_for_later_and_never_given_up(self) -> None:
        stage = Stage()
        stage.fate = lambda intent: "-1008" if isinstance(intent, PlaceTarget) else "ok"
        stage.protected()
        for _ in range(8):
            stage.wait(10_000).look(persisted=True)
        stage.fate = lambda intent: "ok"
        stage.wait(10_000).look(persisted=True)
        assert len(stage.exchange.resting(Leg.TARGET)) == 2

    def test_beyond_the_last_already_takes_the_profit_now(self) -> None:
        stage = Stage()
        stage.fate = lambda intent: "-2021" if isinstance(intent, PlaceTarget) and intent.index == 1 else "ok"
        stage.signal()
        stage.settle()
        assert "exit TARGET_REACHED" in stage.reasons
        assert stage.exchange.position == 0

    def test_refused_again_and_again_is_given_up(self) -> None:
        stage = Stage()
        stage.fate = lambda intent: "-4045" if isinstance(intent, PlaceTarget) else "ok"
        stage.protected()
        for _ in range(8):
            stage.wait(10_000).look(persisted=True)
        sent = [i.request.client_id for i in stage.sent if isinstance(i, PlaceTarget) and i.index == 1]
        assert len(sent) == TARGET_SENT_MAX
        assert stage.state is State.PROTECTED

    def test_that_the_account_may_not_place_any_more_halts(self) -> None:
        """R1: -4120 anywhere."""
        stage = Stage()
        stage.fate = lambda intent: "-4120" if isinstance(intent, PlaceTarget) else "ok"
        stage.protected()
        assert stage.record.halt is not None
        assert stage.record.halt.cause == "PERMISSION"

    def test_one_that_finished_without_any_execution_is_placed_again(self) -> None:
        """§5.4: FINISHED means filled or cancelled; only the quantity tells."""
        stage = held()
        stage.exchange.end_algo(FIRST_TARGET, AlgoStatus.FINISHED)
        stage.look()
        assert stage.kinds().count("PlaceTarget") == 2
        stage.wait(3_000).look(persisted=True)
        assert [algo.client_id[-4:] for algo in stage.exchange.resting(Leg.TARGET)] == ["T1.1", "T0.2"]

    def test_a_stale_refusal_of_an_older_target_is_ignored(self) -> None:
        stage = held()
        target = next(i for i in stage.sent if isinstance(i, PlaceTarget))
        old = replace(target, request=replace(target.request, client_id="f0123abcd-19aa16-1-T0.9"))
        assert stage.ended(old, refused(-1111, "late")) == []


class TestSomebodyElse:
    def test_closes_a_part_by_hand_and_we_keep_the_rest_protected(self) -> None:
        stage = held()
        stage.exchange.by_hand(Side.SELL, "0.03")
        stage.look()
        assert stage.trade.open_quantity == Decimal("0.069")  # one look may be half of a story
        stage.wait(3_000).look(persisted=True)
        assert stage.reasons[-1] == "reduce EXTERNAL_REDUCE"
        assert stage.trade.open_quantity == Decimal("0.039")
        assert quarantine_of(stage) == "EXTERNAL_REDUCE"

    def test_closes_all_by_hand_and_the_trade_is_booked_with_the_real_price(self) -> None:
        """R30: within one look, with the fill's own price."""
        stage = held().price("60100")
        stage.exchange.by_hand(Side.SELL, "0.069")
        stage.settle()
        trade = stage.booked[0]
        assert (trade.exit_reason, trade.exit_price, trade.flagged) == ("EXTERNAL_CLOSE", Decimal("60100"), None)
        assert (stage.state, stage.exchange.open_ids()) == (State.IDLE, set())

    def test_adds_by_hand_and_only_our_part_is_closed(self) -> None:
        """Flatten only our quantity, quarantine; our stop covers the rest as well, so it stays (R80)."""
        stage = held()
        stage.exchange.by_hand(Side.BUY, "0.031")
        stage.look()
        assert stage.state is State.PROTECTED
        stage.wait(3_000).look(persisted=True)
        stage.settle()
        assert (stage.exchange.position, stage.state) == (Decimal("0.031"), State.IDLE)
        assert quarantine_of(stage) == "FOREIGN_POSITION"
        assert [algo.client_id for algo in stage.exchange.resting(Leg.STOP)] == list(stage.exchange.open_ids())

    def test_adds_and_takes_away_again_and_all_of_ours_is_closed_in_the_end(self) -> None:
        """What others closed is not held against our own part: nothing of ours stays open."""
        stage = held()
        stage.exchange.by_hand(Side.BUY, "0.031")
        stage.exchange.by_hand(Side.SELL, "0.031")
        stage.look()
        stage.command("exit")
        stage.settle()
        assert stage.exchange.position == 0

    def test_turns_the_position_round_and_we_leave_the_other_side_alone(self) -> None:
        """R54: we never close what is not ours."""
        stage = held()
        stage.exchange.by_hand(Side.SELL, "0.1")
        stage.settle()
        assert (stage.exchange.position, stage.state) == (Decimal("-0.031"), State.IDLE)
        assert quarantine_of(stage) == "FOREIGN_POSITION"

    def test_orders_something_and_entries_are_blocked_while_ours_goes_on(self) -> None:
        """R23: foreign orders are remarked upon and never touched."""
        stage = held()
        ours = next(iter(stage.exchange.orders.values()))
        stage.exchange.orders["web-1"] = replace(ours, client_id="web-1", status=OrderStatus.NEW)
        stage.look()
        assert (stage.state, quarantine_of(stage)) == (State.PROTECTED, "FOREIGN_ORDER")
        stage.command("exit")
        stage.settle()
        assert stage.exchange.open_ids() == {"web-1"}


class TestStrays:
    def test_a_surplus_stop_of_ours_is_cancelled_once_the_right_one_rests(self) -> None:
        """R2: surplus stops go, and never before the wanted one was seen."""
        stage = held()
        extra = replace(stage.exchange.algos[STOP], client_id="f0123abcd-19aa16-1-S9.1")
        stage.exchange.algos[extra.client_id] = extra
        stage.look()
        assert stage.sent[-1] == CancelAlgo(symbol="BTCUSDT", client_id=extra.client_id)
        assert [algo.client_id for algo in stage.exchange.resting(Leg.STOP)] == [STOP]

    def test_one_that_the_venue_will_not_cancel_is_not_hammered(self) -> None:
        """R2: "unknown order" for half an hour must not become a thousand requests."""
        stage = held()
        extra = replace(stage.exchange.algos[STOP], client_id="f0123abcd-19aa16-1-S9.1")
        stage.exchange.algos[extra.client_id] = extra
        stage.fate = lambda intent: "-2011" if isinstance(intent, CancelAlgo) else "ok"
        for _ in range(600):
            stage.wait(100).look()
        assert stage.kinds().count("CancelAlgo") < 30


class TestALateFill:
    def test_is_covered_by_the_stop_and_the_targets_are_sized_again(self) -> None:
        stage = held()
        entry = stage.exchange.orders[stage.trade.entry.client_id]
        stage.exchange.execute(Side.BUY, Decimal("0.031"), entry.order_id)
        stage.exchange.orders[entry.client_id] = replace(entry, executed_quantity=Decimal("0.100"))
        stage.look()
        assert stage.reasons[-1] == "fill LATE_FILL"
        assert stage.trade.open_quantity == Decimal("0.100")
        partial = [algo for algo in stage.exchange.resting(Leg.TARGET) if algo.quantity is not None]
        assert [algo.quantity for algo in partial] == [Decimal("0.050")]
        assert stage.exchange.covered() == Decimal("0.100")

    def test_replaces_the_partial_targets_alone_under_ids_of_their_own(self) -> None:
        """The last target closes whatever there is: a second one of its kind would be refused (-4130)."""
        stage = _filled_late(held(), "0.100", average="60100")
        sent = stage.sent[-4:]
        assert [type(intent).__name__ for intent in sent[-2:]] == ["CancelAlgo", "PlaceTarget"]
        assert sent[-2] == CancelAlgo(symbol="BTCUSDT", client_id=FIRST_TARGET)
        assert [target.client_id for target in stage.trade.targets] == ["f0123abcd-19aa16-1-T0.2", LAST_TARGET]
        assert (stage.trade.entry_price, stage.trade.uncovered_ms) == (Decimal(60_100), None)

    def test_after_the_partial_targets_were_hit_moves_no_order(self) -> None:
        stage = held()
        stage.exchange.trigger(FIRST_TARGET)
        stage.look()
        assert stage.trade.targets[0].done
        sent = len(stage.sent)
        _filled_late(stage, "0.080")
        assert "fill LATE_FILL" in stage.reasons
        row = next(decision for _, decision, _ in stage.ledger.rows if decision.reason == "LATE_FILL")
        assert (len(stage.sent), row.intents) == (sent, ())
        assert [target.client_id for target in stage.trade.targets] == [FIRST_TARGET, LAST_TARGET]


def _filled_late(stage: Stage, executed: str, average: str | None = None) -> Stage:
    """The entry has filled further than its answer said, and a look shows it."""
    entry = stage.exchange.orders[stage.trade.entry.client_id]
    stage.exchange.execute(Side.BUY, Decimal(executed) - entry.executed_quantity, entry.order_id)
    price = entry.average_price if average is None else Decimal(average)
    stage.exchange.orders[entry.client_id] = replace(entry, executed_quantity=Decimal(executed), average_price=price)
    stage.look()
    return stage
