"""From the signal to a protected position: the setup's answer, the entry's fate, and its first stop."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.sim.core.reasons import refused
from exchange.types import Confirmed, OrderStatus, OrderType, Side, SymbolSnapshot, Unknown
from fsm.core.model.events import EntryShownAbsent, SetupEnded
from fsm.core.model.intents import EnsureSetup, Intent, PlaceEntry, PlaceStop
from fsm.core.model.records import ZERO, Flag, Foreign, State, SymbolRecord
from fsm.core.refusals import REFUSALS_BEFORE_COOLDOWN, REFUSALS_BEFORE_HALT
from fsm.core.states.entering import OVERDUE_MS
from tests.unit.fsm.core.parts import HOUR_MS, SYMBOL, candle, prices_at
from tests.unit.fsm.core.stage import Killed, Stage, with_position, without

ENTRY = "f0123abcd-19aa16-1-E0.1"
STOP = "f0123abcd-19aa16-1-S1.1"


def only(kind: type[Intent], fate: str) -> object:
    """This fate for intents of one kind, "ok" for all others."""
    return lambda intent: fate if isinstance(intent, kind) else "ok"


def signalled() -> Stage:
    """A signal whose setup is not answered yet."""
    stage = Stage()
    _, _, steps = stage.engine.close_candle(candle(at_ms=stage.now_ms))
    assert [step.dest for step in steps] == [State.SIGNALLED]
    return stage


def setup_answers(
    stage: Stage,
    *,
    outcome: object = None,
    last: str = "60000",
    mark: str | None = None,
    age_ms: int = 0,
    held: Decimal = ZERO,
) -> None:
    event = SetupEnded(
        symbol=SYMBOL,
        at_ms=stage.now_ms,
        outcome=outcome or Confirmed(),
        prices=prices_at(last, mark),
        open_quantity=held,
    )
    stage.tell(event, equity_age_ms=age_ms)


def limit_stage() -> Stage:
    """A LIMIT entry at 59,970 that rests."""
    stage = Stage(entry_type=OrderType.LIMIT)
    stage.signal()
    assert stage.state is State.ENTERING
    return stage


def unheard(stage: Stage | None = None) -> Stage:
    """An entry whose answer was lost, and that the exchange has executed."""
    stage = stage or Stage()
    stage.fate = only(PlaceEntry, "deaf")
    stage.view = lambda snapshot: replace(snapshot, orders=(), position=None, fills=())
    stage.signal()
    assert stage.state is State.ENTERING
    stage.fate = lambda intent: "ok"
    return stage


class TestTheSetup:
    def test_is_asked_for_first_and_leads_to_the_entry(self) -> None:
        stage = Stage().protected()
        assert stage.sent[0] == EnsureSetup(symbol=SYMBOL, margin_type="ISOLATED", leverage=2)
        assert stage.kinds()[:3] == ["EnsureSetup", "PlaceEntry", "PlaceStop"]

    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [(refused(-4048, "open position"), "SETUP_REFUSED -4048"), (Unknown("lost"), "SETUP_UNKNOWN")],
    )
    def test_that_fails_drops_the_signal(self, outcome: object, reason: str) -> None:
        stage = signalled()
        setup_answers(stage, outcome=outcome)
        assert stage.state is State.IDLE
        assert stage.reasons[-1] == f"drop {reason}"
        assert "PlaceEntry" not in stage.kinds()

    @pytest.mark.parametrize(
        ("reason", "named"),
        [
            ("PRICE_MOVED", {"last": "60601"}),
            ("STOP_SIDE", {"last": "59410", "mark": "59390"}),
            ("EQUITY_FRESH", {"age_ms": 60_001}),
            ("TARGET_SIDE", {"last": "60590", "mark": "60610"}),
            ("SYMBOL_FLAT", {"held": Decimal("0.001")}),
            ("SYMBOL_FLAT", {"held": Decimal("-0.001")}),
        ],
    )
    def test_a_guard_that_no_longer_holds_drops_the_signal_and_is_named(
        self, reason: str, named: dict[str, object]
    ) -> None:
        stage = signalled()
        setup_answers(stage, **named)  # type: ignore[arg-type]
        assert (stage.state, stage.reasons[-1]) == (State.IDLE, f"drop {reason}")
        assert stage.record.quarantine is None
        assert not stage.engine.failures

    def test_a_drop_keeps_the_guards_that_say_why(self) -> None:
        """R44, R55: with their numbers."""
        stage = signalled()
        setup_answers(stage, last="60601")
        facts = stage.ledger.rows[-1][1].facts
        assert facts["guards"][0].startswith("PRICE_MOVED 1.00166")

    def test_a_limit_entry_expires_on_the_exchange_itself(self) -> None:
        stage = limit_stage()
        request = next(i for i in stage.sent if isinstance(i, PlaceEntry)).request
        assert (request.time_in_force, request.good_till_ms) == ("GTD", stage.now_ms + HOUR_MS)

    def test_an_old_signal_is_dropped(self) -> None:
        stage = signalled()
        stage.wait(HOUR_MS + 1)
        setup_answers(stage)
        assert stage.reasons[-1] == "drop CANDLE_AGE"

    @pytest.mark.parametrize(("command", "reason"), [("pause", "SYMBOL_OPEN"), ("quarantine", "SYMBOL_OPEN")])
    def test_what_was_forbidden_meanwhile_drops_the_signal(self, command: str, reason: str) -> None:
        stage = signalled()
        stage.command(command)
        setup_answers(stage)
        assert stage.reasons[-1] == f"drop {reason}"

    def test_an_account_that_was_halted_meanwhile_drops_the_signal(self) -> None:
        stage = signalled()
        stage.engine.set_account(stage.now_ms, "HALT", paused=False, halt=Flag("OPERATOR", stage.now_ms))
        setup_answers(stage)
        assert stage.reasons[-1] == "drop ACCOUNT_OPEN"

    def test_that_is_never_answered_does_not_hold_the_symbol_for_ever(self) -> None:
        """A crash between the signal and the setup's answer: the next close, or any look, lets go of the old signal."""
        by_candle, by_look = signalled(), signalled()
        by_candle.next_hour().wait(1)
        by_candle.close(candle(at_ms=by_candle.now_ms, rsi=50))
        assert by_candle.reasons[-1] == "drop CANDLE_AGE"
        by_look.wait(HOUR_MS + 1).look()
        assert by_look.reasons[-1] == "drop CANDLE_AGE"

    def test_a_young_signal_waits_for_its_answer(self) -> None:
        stage = signalled()
        stage.look()
        assert stage.close(candle(at_ms=stage.now_ms, rsi=50)).outcome == "IN_TRADE"
        assert stage.state is State.SIGNALLED

    def test_answered_twice_enters_once(self) -> None:
        """R16: two answers are one entry."""
        stage = signalled()
        setup_answers(stage)
        setup_answers(stage)
        assert stage.kinds().count("PlaceEntry") == 1

    def test_a_market_that_moved_away_makes_the_trade_smaller_not_riskier(self) -> None:
        stage = signalled()
        setup_answers(stage, last="60300")
        planned, entry = Decimal("0.069"), next(i for i in stage.sent if isinstance(i, PlaceEntry))
        assert entry.request.quantity == Decimal("0.048") < planned

    def test_a_risk_that_outgrew_its_cap_meanwhile_drops_the_signal(self) -> None:
        """Found by torture: a position handed over between a signal and its entry risks more than when it was ours."""
        stage = signalled()
        handed_over = SymbolRecord(symbol="ETHUSDT", foreign=Foreign(quantity=Decimal(2), price=Decimal(3_000)))
        stage.engine._track(handed_over)
        setup_answers(stage)
        assert stage.reasons[-1] == "drop MAX_OPEN_RISK"
        assert not stage.exchange.orders

    def test_a_limit_entry_whose_expiry_is_too_near_for_the_exchange_is_dropped(self) -> None:
        """goodTillDate must lie 600 s ahead."""
        stage = Stage(entry_type=OrderType.LIMIT, candle_age_ms_max=HOUR_MS)
        stage.engine.close_candle(candle(at_ms=stage.now_ms))
        stage.wait(HOUR_MS - 605_000)
        setup_answers(stage)
        assert stage.reasons[-1] == "drop EXPIRY_AHEAD"

    def test_a_position_that_appears_before_the_entry_drops_the_signal(self) -> None:
        """R29: never trade as if flat."""
        stage = signalled()
        stage.exchange.by_hand(Side.BUY, "0.01")
        stage.look()
        assert stage.reasons[-1] == "drop POSITION_OPEN"


class TestTheFirstFill:
    def test_from_the_answer_sends_the_stop_before_anything_else(self) -> None:
        """R5: no look lies between the fill and its stop."""
        stage = Stage().protected()
        assert stage.reasons == ["signal swing LONG", "enter SETUP_READY", "fill FIRST_FILL", "protect STOP_CONFIRMED"]
        assert stage.kinds() == ["EnsureSetup", "PlaceEntry", "PlaceStop", "PlaceTarget", "PlaceTarget"]

    def test_starts_the_clock_that_the_read_back_stops(self) -> None:
        stage = Stage()
        stage.view = without(STOP)
        stage.signal()
        assert (stage.trade.uncovered_ms, stage.trade.protected_ms) == (stage.now_ms, None)
        stage.view = lambda snapshot: snapshot
        stage.wait(300).look()
        assert (stage.trade.uncovered_ms, stage.trade.protected_ms) == (None, stage.now_ms)

    def test_is_at_the_average_price_and_else_at_the_position_s(self) -> None:
        stage = unheard()

        def no_average(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            """§0.7: averages are no longer guaranteed."""
            return replace(snapshot, orders=tuple(replace(order, average_price=None) for order in snapshot.orders))

        stage.exchange.entry_price = Decimal("60012.3")
        stage.view = no_average
        stage.look()
        assert stage.trade.entry_price == Decimal("60012.3")

    def test_of_a_part_is_protected_at_once_and_the_targets_wait_for_the_rest(self) -> None:
        stage = limit_stage()
        stage.price("59970").exchange.fill(ENTRY, Decimal("0.020"))
        stage.look()
        assert stage.state is State.ENTERING
        assert stage.exchange.covered() == Decimal("0.020")
        assert "PlaceTarget" not in stage.kinds()
        assert stage.trade.uncovered_ms is None  # the stop was read back: the deadline no longer runs
        stage.exchange.fill(ENTRY, Decimal("1"))
        stage.look()
        assert stage.state is State.PROTECTED
        assert stage.kinds().count("PlaceTarget") == 2

    def test_the_deadline_does_not_flatten_a_partly_filled_entry_whose_stop_rests(self) -> None:
        stage = limit_stage()
        stage.price("59970").exchange.fill(ENTRY, Decimal("0.020"))
        stage.look()
        assert stage.deadline() == []

    def test_and_every_further_one_is_a_row_that_says_what_it_was(self) -> None:
        stage = limit_stage()
        stage.price("59970")
        for quantity in ("0.020", "0.010"):
            stage.exchange.fill(ENTRY, Decimal(quantity))
            stage.look()
        stage.exchange.end(ENTRY, OrderStatus.CANCELED)
        stage.look()
        fills = [reason for reason in stage.reasons if reason.startswith("fill")]
        assert fills == ["fill FIRST_FILL", "fill MORE_FILLED", "fill ENTRY_FINISHED"]

    def test_of_a_part_that_then_expires_keeps_what_there_is(self) -> None:
        stage = limit_stage()
        stage.price("59970").exchange.fill(ENTRY, Decimal("0.020"))
        stage.look()
        stage.exchange.end(ENTRY, OrderStatus.EXPIRED)
        stage.look()
        assert stage.state is State.PROTECTED
        assert stage.trade.open_quantity == Decimal("0.020")
        assert stage.trade.targets[0].quantity == Decimal("0.010")

    def test_too_small_for_partial_targets_leaves_all_to_the_last_one(self) -> None:
        stage = limit_stage()
        stage.price("59970").exchange.fill(ENTRY, Decimal("0.001"))
        stage.exchange.end(ENTRY, OrderStatus.CANCELED)
        stage.look()
        assert stage.state is State.PROTECTED
        assert stage.kinds().count("PlaceTarget") == 1

    def test_known_twice_counts_once(self) -> None:
        """R32: answer and look may tell the same fill in either order."""
        stage = Stage().protected()
        entry, outcome = next((i, o) for i, o in stage.outcomes if isinstance(i, PlaceEntry))
        before = stage.record
        stage.ended(entry, outcome)
        stage.look()
        assert stage.record == before


class TestTheEntrysFate:
    def test_refused_is_abandoned_and_nothing_else_is_sent(self) -> None:
        stage = Stage()
        stage.fate = only(PlaceEntry, "-2019")
        stage.signal()
        assert (stage.state, stage.reasons[-1]) == (State.IDLE, "abandon ENTRY_REFUSED -2019")

    def test_the_same_refusal_twice_cools_down_and_four_times_halts(self) -> None:
        """R45: no hammering."""
        stage = Stage()
        stage.fate = only(PlaceEntry, "-2019")
        for count in range(1, REFUSALS_BEFORE_HALT + 1):
            stage.wait(max(HOUR_MS, stage.record.cooldown_until_ms - stage.now_ms)).next_hour()
            stage.signal()
            assert (stage.record.cooldown_until_ms > stage.now_ms) == (
                REFUSALS_BEFORE_COOLDOWN <= count < REFUSALS_BEFORE_HALT
            )
        assert stage.state is State.HALT
        assert stage.record.halt == Flag("REFUSALS", stage.now_ms)

    def test_another_refusal_starts_the_count_again(self) -> None:
        stage = Stage()
        for code in ("-2019", "-2010", "-2019"):
            stage.fate = only(PlaceEntry, code)
            stage.next_hour().wait(HOUR_MS).signal()
        assert stage.record.refusal is not None
        assert (stage.record.refusal.count, stage.state) == (1, State.IDLE)

    def test_a_permission_that_is_missing_halts_at_once(self) -> None:
        """R1, R61: -4120, a key without rights, a wrong signature: lasting by their nature."""
        for code in ("-2015", "-4120", "-1022"):
            stage = Stage()
            stage.fate = only(PlaceEntry, code)
            stage.signal()
            assert (stage.state, stage.record.halt and stage.record.halt.cause) == (State.HALT, "PERMISSION")

    def test_a_duplicate_id_is_no_refusal_but_an_order_that_was_accepted(self) -> None:
        """R16: -4116 means that the earlier attempt is alive."""
        stage = unheard()
        entry = next(i for i in stage.sent if isinstance(i, PlaceEntry))
        stage.ended(entry, refused(-4116, "duplicated"))
        assert stage.state is State.ENTERING
        stage.view = lambda snapshot: snapshot
        stage.look()
        assert stage.state is State.PROTECTED

    def test_a_late_refusal_does_not_abandon_what_has_filled(self) -> None:
        stage = Stage()
        stage.view = without(STOP)
        stage.signal()
        entry = next(i for i in stage.sent if isinstance(i, PlaceEntry))
        stage.ended(entry, refused(-2010, "a liar"))
        assert stage.state is State.ENTERING

    def test_an_answer_for_another_trade_s_entry_is_ignored(self) -> None:
        """R21: ownership is by id, never by time."""
        first = Stage().protected()
        entry, _ = next((i, o) for i, o in first.outcomes if isinstance(i, PlaceEntry))
        stranger = replace(entry, request=replace(entry.request, client_id="f0123abcd-19aa16-9-E0.1"))
        stage = limit_stage()
        stage.ended(stranger, refused(-2010, "not ours"))
        assert stage.state is State.ENTERING

    def test_unknown_decides_nothing(self) -> None:
        """R16, R20: nothing is sent again, nothing is assumed."""
        stage = unheard()
        for _ in range(5):
            stage.wait(5_000).look()
        assert stage.state is State.ENTERING
        assert stage.kinds().count("PlaceEntry") == 1

    def test_unknown_and_found_goes_on_as_if_it_had_been_heard(self) -> None:
        """R17: the 503 that was executed."""
        stage = unheard()
        stage.view = lambda snapshot: snapshot
        stage.look()
        assert stage.state is State.PROTECTED

    def test_unknown_with_a_position_is_protected_before_the_order_is_found(self) -> None:
        """R6, R7: what is open is covered first; its order may take seconds to be found."""
        stage = unheard()
        stage.view = without(ENTRY)
        stage.look()
        assert stage.exchange.covered() == Decimal("0.069")
        assert stage.state is State.PROTECTED  # the whole quantity is there, so it can fill no further

    def test_unknown_with_a_part_of_the_position_is_protected_and_its_end_awaited(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.fate = only(PlaceEntry, "deaf")
        stage.signal()
        stage.fate = lambda intent: "ok"
        stage.price("59970").exchange.fill(ENTRY, Decimal("0.020"))
        stage.view = without(ENTRY)
        stage.look()
        assert (stage.state, stage.exchange.covered()) == (State.ENTERING, Decimal("0.020"))
        stage.look(persisted=True)  # nobody knows the order any more: it can fill no further
        assert stage.state is State.ENTERING or stage.trade.entry.finished
        stage.look()
        assert stage.state is State.PROTECTED

    def test_shown_absent_is_abandoned_and_its_plan_remembered(self) -> None:
        stage = Stage()
        stage.fate = only(PlaceEntry, "lost")
        stage.signal()
        stage.absent()
        assert (stage.state, stage.reasons[-1]) == (State.IDLE, "abandon ENTRY_SHOWN_ABSENT")
        assert stage.record.abandoned is not None

    def test_of_another_trade_that_is_shown_absent_is_none_of_ours(self) -> None:
        stage = limit_stage()
        event = EntryShownAbsent(symbol=SYMBOL, at_ms=stage.now_ms, client_id="f0123abcd-19aa16-9-E0.1")
        assert stage.tell(event) == []

    def test_shown_absent_although_it_filled_is_not_believed(self) -> None:
        stage = Stage().protected()
        assert stage.absent() == []
        assert stage.state is State.PROTECTED

    @pytest.mark.parametrize(
        "status", [OrderStatus.EXPIRED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED_IN_MATCH]
    )
    def test_ended_without_a_fill_is_abandoned(self, status: OrderStatus) -> None:
        stage = limit_stage()
        stage.exchange.end(ENTRY, status)
        stage.look()
        assert (stage.state, stage.reasons[-1]) == (State.IDLE, f"abandon ENTRY_{status}")

    def test_a_status_nobody_knows_is_no_end(self) -> None:
        """R26: unknown enum values; the order may well be open."""
        stage = limit_stage()
        stage.exchange.end(ENTRY, OrderStatus.UNRECOGNISED)
        stage.look(persisted=True)
        assert stage.state is State.ENTERING
        stage.wait(HOUR_MS + OVERDUE_MS + 1).look()
        stage.wait(60_000).look(persisted=True)  # it cannot wait any more, so this is how it ended
        assert stage.reasons[-1] == "abandon ENTRY_UNRECOGNISED"

    def test_not_expired_in_time_is_cancelled(self) -> None:
        stage = limit_stage()
        stage.wait(HOUR_MS + OVERDUE_MS).look()
        assert stage.state is State.ENTERING
        stage.wait(1).look()
        assert stage.reasons[-2:] == ["sweep ENTRY_OVERDUE", "abandon ENTRY_CANCELED"]

    def test_cancelled_without_a_fill_is_no_reason_for_a_quarantine(self) -> None:
        stage, lagging = limit_stage(), limit_stage()
        stage.exchange.end(ENTRY, OrderStatus.CANCELED)
        stage.look(persisted=True)
        lagging.exchange.position, lagging.exchange.entry_price = Decimal("0.5"), Decimal(60_000)
        lagging.exchange.end(ENTRY, OrderStatus.CANCELED)
        lagging.look()
        for each in (stage, lagging):
            assert (each.state, each.record.quarantine) == (State.IDLE, None)

    def test_cancelled_without_a_fill_while_somebody_holds_leaves_that_alone(self) -> None:
        """R54: a position beside an entry that never filled is not ours."""
        stage = limit_stage()
        stage.exchange.position, stage.exchange.entry_price = Decimal("0.5"), Decimal(60_000)
        stage.exchange.end(ENTRY, OrderStatus.CANCELED)
        stage.look(persisted=True)
        assert stage.state is State.IDLE
        assert stage.record.quarantine == Flag("FOREIGN_POSITION", stage.now_ms)
        assert "PlaceStop" not in stage.kinds()

    def test_a_foreign_position_is_left_alone_even_if_our_entry_cannot_be_cancelled(self) -> None:
        """R54: an open entry that shows no fill brought nothing, so nothing there is ours to close."""
        stage = limit_stage()
        stage.exchange.position, stage.exchange.entry_price = Decimal("0.05"), Decimal(60_000)
        stage.fate = lambda intent: "lost"
        for _ in range(20):
            stage.wait(3_000).look(persisted=True)
        assert stage.state is State.FLATTEN
        assert "ClosePosition" not in stage.kinds()

    def test_a_foreign_short_beside_an_open_long_entry_ends_the_entry(self) -> None:
        """R29: our long would only shrink somebody's short."""
        stage = limit_stage()
        stage.exchange.position, stage.exchange.entry_price = Decimal("-0.05"), Decimal(60_000)
        stage.wait(3_000).look(persisted=True)
        stage.settle()
        assert (stage.state, stage.exchange.position) == (State.IDLE, Decimal("-0.05"))
        assert stage.record.quarantine is not None

    def test_a_position_beside_an_open_entry_is_looked_at_again_before_it_is_anybody_s(self) -> None:
        stage = limit_stage()
        stage.exchange.position, stage.exchange.entry_price = Decimal("0.5"), Decimal(60_000)
        stage.look()
        assert stage.reasons[-1] == "reprotect ENTRY_UNCLEAR"
        assert "PlaceStop" not in stage.kinds()
        stage.look(persisted=True)
        assert stage.record.quarantine is not None
        stage.settle()
        assert (stage.state, stage.exchange.position) == (State.IDLE, Decimal("0.5"))
        assert stage.exchange.open_ids() == set()


class TestTheFirstStop:
    @pytest.mark.parametrize("code", ["-2021", "-4142"])
    def test_that_would_trigger_at_once_closes_the_position(self, code: str) -> None:
        """R4: with its own reason, and no cooldown: the market did it."""
        stage = Stage()
        stage.fate = only(PlaceStop, code)
        stage.signal()
        stage.settle()
        assert "flatten STOP_WOULD_TRIGGER" in stage.reasons
        assert (stage.exchange.position, stage.state, stage.record.refusal) == (0, State.IDLE, None)

    def test_refused_for_good_flattens_and_drops_what_would_have_followed_it(self) -> None:
        """R5, R10: no target without a stop."""
        stage = Stage()
        stage.fate = only(PlaceStop, "-4045")
        stage.signal()
        stage.settle()
        assert "flatten STOP_REFUSED -4045" in stage.reasons
        assert "PlaceTarget" not in stage.kinds()
        assert stage.exchange.position == 0

    def test_refused_again_although_the_route_was_proved_stops_trading(self) -> None:
        """R45, R60: entering and flattening for ever would cost the fees of both, each time."""
        stage = Stage()
        stage.fate = only(PlaceStop, "-4045")
        for _ in range(20):
            stage.next_hour().wait(HOUR_MS).signal()
            stage.settle()
            stage.engine.prove_route(stage.now_ms, "PROVED")
        halt = stage.engine.account.halt
        assert (halt and halt.cause, stage.kinds().count("PlaceEntry")) == ("PROTECTION", 2)

    def test_a_trade_that_was_protected_forgives_earlier_refusals(self) -> None:
        stage = Stage()
        stage.fate = only(PlaceEntry, "-2019")
        stage.signal()
        stage.fate = lambda intent: "ok"
        stage.next_hour().wait(HOUR_MS).protected()
        assert stage.record.refusal is None

    def test_minus_4120_halts_as_well(self) -> None:
        """R1: the route for stops is gone, so nothing may be opened."""
        stage = Stage()
        stage.fate = only(PlaceStop, "-4120")
        stage.signal()
        stage.settle()
        assert (stage.state, stage.record.halt and stage.record.halt.cause) == (State.HALT, "PERMISSION")

    def test_a_position_that_lags_its_fill_gets_another_try_under_the_same_id(self) -> None:
        """-4509 right after a fill: it was refused, so no look needs to show that it is not there."""
        stage, refusals = Stage(), ["-4509", "-4509"]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, PlaceStop) and refusals else "ok"
        stage.signal()
        stage.wait(600).look()
        assert stage.state is State.PROTECTED
        assert [algo.client_id for algo in stage.exchange.resting(Leg.STOP)] == [STOP]

    def test_unknown_is_sent_again_at_once_under_the_same_id(self) -> None:
        stage, fates = Stage(), ["lost"]
        stage.fate = lambda intent: fates.pop() if isinstance(intent, PlaceStop) and fates else "ok"
        stage.signal()
        stage.look()
        stops = [intent.request.client_id for intent in stage.sent if isinstance(intent, PlaceStop)]
        assert stops == [STOP, STOP]
        assert stage.state is State.PROTECTED

    @pytest.mark.parametrize("code", ["-1008", "-1003", "-1021"])
    def test_a_busy_exchange_is_asked_again_until_the_deadline(self, code: str) -> None:
        stage, refusals = Stage(), [code]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, PlaceStop) and refusals else "ok"
        stage.signal()
        stage.look()
        assert stage.state is State.PROTECTED

    @pytest.mark.parametrize("code", ["-4116", "-4130"])
    def test_that_rests_already_is_read_back_and_not_placed_again(self, code: str) -> None:
        stage, heard = Stage(), ["deaf", code]
        stage.fate = lambda intent: heard.pop(0) if isinstance(intent, PlaceStop) and heard else "ok"
        stage.signal()
        stage.look()
        assert stage.state is State.PROTECTED
        assert len(stage.exchange.resting(Leg.STOP)) == 1

    def test_not_confirmed_before_the_deadline_flattens(self) -> None:
        """R5: the deadline is a transition, not a log line."""
        stage = Stage()
        stage.fate = only(PlaceStop, "lost")
        stage.signal()
        stage.wait(5_000).deadline()
        stage.settle()
        assert "flatten PROTECTION_DEADLINE" in stage.reasons
        assert (stage.state, stage.exchange.position) == (State.IDLE, 0)

    def test_the_deadline_means_nothing_once_the_stop_was_read_back(self) -> None:
        stage = Stage().protected()
        assert stage.deadline() == []

    def test_was_hit_before_it_was_read_back_and_the_trade_exits(self) -> None:
        """R32: exit leads from ENTERING too."""
        stage = Stage()
        stage.view = without(STOP)
        stage.signal()
        stage.view = lambda snapshot: snapshot
        stage.price("59390").exchange.trigger(STOP)
        stage.look()
        stage.settle()
        assert stage.booked[0].exit_reason == "STOP_HIT"
        assert stage.state is State.IDLE

    @pytest.mark.parametrize(
        "lie",
        [
            {"trigger_price": Decimal(50_000)},
            {"close_position": False},
            {"side": "BUY"},
            {"working_type": "CONTRACT_PRICE"},
            {"type": "STOP"},
        ],
    )
    def test_that_is_not_as_ordered_is_no_protection(self, lie: dict[str, object]) -> None:
        """R10: side, price, working type and closePosition are all read back."""
        stage = Stage()

        def lying(snapshot: SymbolSnapshot) -> SymbolSnapshot:
            algos = tuple(replace(a, **lie) if a.client_id == STOP else a for a in snapshot.algo_orders)
            return replace(snapshot, algo_orders=algos)

        stage.view = lying
        stage.signal()
        assert "flatten STOP_NOT_AS_ORDERED" in stage.reasons

    def test_not_found_is_only_placed_again_when_it_stays_away(self) -> None:
        """R2: not found is evidence, not proof."""
        stage = Stage()
        stage.view = without(STOP)
        stage.signal()
        stage.wait(1_000).look()
        assert stage.kinds().count("PlaceStop") == 1
        stage.wait(1_000).look(persisted=True)
        stops = [intent.request.client_id for intent in stage.sent if isinstance(intent, PlaceStop)]
        assert stops == [STOP, STOP]

    def test_a_position_that_reads_zero_right_after_the_fill_is_a_lag(self) -> None:
        stage = Stage()
        stage.view = with_position("0")
        stage.signal()
        assert stage.state is State.ENTERING
        stage.view = lambda snapshot: snapshot
        stage.look()
        assert stage.state is State.PROTECTED


@pytest.mark.parametrize("intents", range(6))
def test_a_restart_between_any_two_steps_of_an_entry_ends_protected_or_flat(intents: int) -> None:
    """R8, R18: the journal and the exchange are enough."""
    stage = Stage()
    stage.killed_after = intents
    with suppress(Killed):
        stage.signal()
    stage.restart().read_equity()
    if stage.state is State.SIGNALLED:
        setup_answers(stage, outcome=Unknown("the bot was started again"))
    stage.settle()
    if stage.state is State.ENTERING:  # never sent, so nobody will find it: the shell shows it absent
        stage.absent()
    assert stage.state in (State.IDLE, State.PROTECTED), stage.reasons
    assert stage.exchange.covered() >= stage.exchange.position
    assert stage.kinds().count("PlaceEntry") <= 1
