"""While flat: what should not be there is adopted, remarked upon, or swept."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.types import AlgoRequest, ConditionalType, OrderRequest, OrderType, Side, WorkingType
from fsm.core.model.decision import Rejected
from fsm.core.model.intents import PlaceEntry, PlaceStop, SweepOrders
from fsm.core.model.records import Flag, State, SymbolRecord
from fsm.core.observation import look_request
from tests.unit.fsm.core.parts import FILTERS, SYMBOL, T0, candle, setting_with
from tests.unit.fsm.core.stage import Stage

FOREIGN = Flag("FOREIGN_POSITION", 0)


def ours(number: int, leg: str) -> str:
    return f"f0123abcd-19aa16-{number}-{leg}.1"


def bought(stage: Stage, client_id: str, quantity: str = "0.05", side: Side = Side.BUY) -> Stage:
    """A market order with this id, executed."""
    request = OrderRequest(
        symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=Decimal(quantity), client_id=client_id
    )
    stage.exchange.place_order(request)
    return stage


def stop_at(stage: Stage, price: str, client_id: str) -> Stage:
    request = AlgoRequest(
        symbol=SYMBOL,
        side=Side.SELL,
        type=ConditionalType.STOP_MARKET,
        trigger_price=Decimal(price),
        working_type=WorkingType.MARK_PRICE,
        client_id=client_id,
        close_position=True,
    )
    stage.exchange.place_algo(request)
    return stage


def absent() -> Stage:
    """IDLE after an entry of unknown outcome was shown absent."""
    stage = Stage()
    stage.fate = lambda intent: "lost" if isinstance(intent, PlaceEntry) else "ok"
    stage.signal()
    stage.absent()
    stage.fate = lambda intent: "ok"
    return stage


class TestAPositionOfOurs:
    def test_of_an_entry_shown_absent_is_adopted_with_its_own_plan(self) -> None:
        """R28: the same road as any other: stop, read-back, targets."""
        stage = bought(absent(), ours(1, "E0"), "0.069")
        stage.look()
        assert "adopt OWN_POSITION_FOUND" in stage.reasons
        assert (stage.state, stage.trade.adopted, stage.trade.strategy) == (State.PROTECTED, True, "swing")
        assert stage.exchange.resting(Leg.STOP)[0].trigger_price == Decimal("59400.0")
        assert len(stage.exchange.resting(Leg.TARGET)) == 2
        assert stage.record.abandoned is None
        assert "CancelEntry" not in stage.kinds()

    def test_with_its_own_plan_is_managed_by_it_and_one_without_is_only_held(self) -> None:
        planned = bought(absent(), ours(1, "E0"), "0.069").settle().next_hour()
        assert planned.close(candle(at_ms=planned.now_ms, rsi=10)).reason == "EXIT_WHEN"
        unplanned = bought(Stage(), ours(1, "E0")).settle().next_hour()
        verdict = unplanned.close(candle(at_ms=unplanned.now_ms, rsi=10))
        assert (verdict.outcome, verdict.reason) == ("IN_TRADE", "HOLDING")

    def test_is_not_given_the_plan_of_another_entry(self) -> None:
        """The plan that is remembered is the first trade's; the position is of the second, whose journal is lost."""
        stage = bought(absent(), ours(2, "E0"), "0.05").settle()
        assert (stage.trade.number, stage.trade.strategy) == (2, "adopted")

    def test_whose_entry_turns_up_after_a_later_trade_says_so_in_its_books(self) -> None:
        """R43: found by the state machine; funding of the later trade was counted twice, and nothing said so."""
        stage = bought(absent(), ours(1, "E0"), "0.069")
        assert stage.settle().trade.flagged is None
        stage = absent().next_hour().protected(rsi=80)
        stage.command("exit")
        assert stage.settle().record.trade is None
        assert bought(stage, ours(1, "E0"), "0.069").settle().trade.flagged == "LATE_ENTRY"

    def test_is_adopted_while_halted_and_ends_in_halt(self) -> None:
        stage = absent()
        stage.command("halt")
        bought(stage, ours(1, "E0"))
        stage.look()
        assert stage.state is State.PROTECTED
        stage.command("exit")
        stage.settle()
        assert stage.state is State.HALT

    def test_that_an_older_journal_does_not_know_is_adopted_with_the_widest_stop(self) -> None:
        """A database restored from yesterday: the next number's entry is looked for by its id."""
        stage = bought(Stage(), ours(1, "E0"))
        stage.look()
        assert (stage.state, stage.trade.strategy, stage.trade.number) == (State.PROTECTED, "adopted", 1)
        assert stage.exchange.resting(Leg.STOP)[0].trigger_price == Decimal("54000.0")  # 10 %
        assert stage.record.trades_opened == 1

    @pytest.mark.parametrize(("side", "stop"), [(Side.BUY, "54000.0"), (Side.SELL, "66000.2")])
    def test_that_an_older_journal_does_not_know_gets_a_plan_of_its_own(self, side: Side, stop: str) -> None:
        """The stop on the tick away from the entry, as far as config allows; its books begin with its entry."""
        stage = Stage().price("60000.1").wait(5_000)
        stage.look()
        bought(stage, ours(1, "E0"), "0.05", side).wait(700).look()
        _, adopted, _ = next(row for row in stage.ledger.rows if row[1].trigger == "adopt")
        trade = adopted.record.trade
        assert trade is not None
        assert (trade.stop_price_initial, trade.entry_price_planned) == (Decimal(stop), Decimal("60000.1"))
        assert (trade.id, trade.regime, trade.quantity) == (f"{SYMBOL}-1", "NO_TRADE", Decimal("0.05"))
        assert trade.risk_usdt == Decimal("0.05") * Decimal("6000.01")
        assert (trade.opened_ms, trade.signal_candle_ms) == (T0 + 5_000, T0)
        assert (trade.entry.client_id, trade.entry.type) == (ours(1, "E0"), "MARKET")
        assert (trade.last_fill_id, trade.stop and trade.stop.client_id) == (None, ours(1, "S1"))

    @pytest.mark.parametrize(("price_min", "stop"), [("556.80", "556.80"), ("0", "0.10")])
    def test_has_a_stop_that_the_exchange_takes_however_far_it_may_be(self, price_min: str, stop: str) -> None:
        """Below the lowest price of the symbol it was refused, and the position closed for that."""
        filters = replace(FILTERS, price_min=Decimal(price_min))
        stage = Stage(context=setting_with(filters=filters, stop_distance_pct_max=Decimal(100)))
        bought(stage, ours(1, "E0")).look()
        assert (stage.state, stage.trade.stop_price_initial) == (State.PROTECTED, Decimal(stop))

    def test_whose_stop_was_moved_and_sent_again_keeps_version_and_attempt(self) -> None:
        stage = stop_at(bought(Stage(), ours(7, "E0")), "59500", "f0123abcd-19aa16-7-S3.2")
        stage.look()
        assert stage.trade.stop is not None
        assert (stage.trade.stop.version, stage.trade.stop.attempt) == (3, 2)

    def test_whose_stop_rests_keeps_that_stop(self) -> None:
        """A second closePosition stop would be refused (-4130), and the one there may be better."""
        stage = stop_at(bought(Stage(), ours(7, "E0")), "59500", ours(7, "S3"))
        stage.look()
        assert (stage.state, stage.trade.number) == (State.PROTECTED, 7)
        assert "PlaceStop" not in stage.kinds()
        assert [algo.client_id for algo in stage.exchange.resting(Leg.STOP)] == [ours(7, "S3")]

    def test_whose_entry_still_fills_has_it_cancelled(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.fate = lambda intent: "deaf" if isinstance(intent, PlaceEntry) else "ok"
        stage.view = lambda snapshot: replace(snapshot, orders=(), position=None)
        stage.signal()
        stage.absent()
        stage.view = lambda snapshot: snapshot
        stage.price("59970").exchange.fill(ours(1, "E0"), Decimal("0.02"))
        stage.look()
        assert stage.state is State.PROTECTED
        assert not stage.exchange.orders[ours(1, "E0")].status.is_open

    def test_survives_the_adoption_s_own_faults(self) -> None:
        stage = bought(absent(), ours(1, "E0"), "0.069")
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
        stage.look()
        stage.wait(5_000).deadline()
        stage.fate = lambda intent: "ok"
        stage.settle()
        assert (stage.exchange.position, stage.state) == (0, State.IDLE)

    def test_that_is_booked_already_is_never_adopted_again(self) -> None:
        """R21, R37: a look that was taken before the close, judged after it."""
        stage = Stage().protected()
        before = stage.observe()
        stage.command("exit")
        stage.settle()
        assert stage.state is State.IDLE
        stage.tell(replace(before, at_ms=stage.now_ms))
        assert stage.state is State.IDLE
        assert stage.exchange.position == 0

    def test_is_not_adopted_if_it_lies_on_the_other_side(self) -> None:
        """Whoever is short, it is not the long we wanted."""
        stage = absent()
        stage.exchange.by_hand(Side.SELL, "0.05")
        stage.wait(3_000).look(persisted=True)
        assert (stage.state, stage.record.quarantine is not None) == (State.IDLE, True)


class TestAForeignPosition:
    def test_is_remarked_upon_when_it_stays_and_left_alone(self) -> None:
        """R23, R29, R54: a state that blocks entries, not a log line."""
        stage = Stage()
        stage.exchange.by_hand(Side.BUY, "0.5")
        assert stage.look() == []
        stage.wait(3_000).look(persisted=True)
        assert stage.record.quarantine == Flag("FOREIGN_POSITION", stage.now_ms)
        assert stage.kinds() == []
        stage.next_hour()
        assert stage.signal().reason == "QUARANTINE FOREIGN_POSITION"

    def test_is_remarked_upon_once(self) -> None:
        stage = Stage()
        stage.exchange.by_hand(Side.BUY, "0.5")
        for _ in range(5):
            stage.wait(3_000).look(persisted=True)
        assert stage.reasons == ["quarantine FOREIGN_POSITION"]

    def test_keeps_a_stop_of_ours_that_may_protect_it_but_no_entry(self) -> None:
        stage = Stage().protected()
        stage.command("exit")
        stage.settle()
        stage.exchange.by_hand(Side.BUY, "0.5")
        stop_at(stage, "59000", ours(1, "S8"))
        entry = OrderRequest(
            symbol=SYMBOL,
            side=Side.BUY,
            type=OrderType.LIMIT,
            quantity=Decimal("0.01"),
            price=Decimal(59_000),
            client_id=ours(1, "E5"),
        )
        stage.exchange.place_order(entry)
        stage.look()
        assert stage.exchange.open_ids() == {ours(1, "S8")}

    def test_can_be_cleared_only_when_it_is_gone(self) -> None:
        stage = Stage()
        stage.exchange.by_hand(Side.BUY, "0.5")
        stage.wait(3_000).look(persisted=True)
        with pytest.raises(Rejected, match=r"0\.5 BTCUSDT is open that is not ours"):
            stage.command("resume")
        stage.wait(3_000).look(persisted=True)
        assert stage.record.quarantine is not None
        stage.exchange.by_hand(Side.SELL, "0.5")
        stage.wait(3_000).look(persisted=True)
        stage.command("resume")
        assert stage.record.quarantine is None


class TestOrphans:
    def test_are_swept_by_name(self) -> None:
        """Guideline §11: an order of ours that covers nothing is cancelled."""
        stage = Stage()
        stage.exchange.position = Decimal("0.01")
        stop_at(stage, "59000", ours(1, "S1"))
        stage.exchange.position = Decimal(0)
        stage.look()
        assert stage.sent == [SweepOrders(symbol=SYMBOL, client_ids=(ours(1, "S1"),))]
        assert stage.exchange.open_ids() == set()

    def test_that_will_not_go_are_not_hammered(self) -> None:
        stage = Stage()
        stage.exchange.position = Decimal("0.01")
        stop_at(stage, "59000", ours(1, "S1"))
        stage.exchange.position = Decimal(0)
        stage.fate = lambda intent: "lost"
        for _ in range(1_000):
            stage.wait(100).look()
        assert len(stage.sent) < 15


def test_what_a_look_must_show_while_flat() -> None:
    """The entry whose end nobody saw, and the next one, should this journal be older than the exchange."""
    stage = absent()
    assert look_request(stage.record, stage.context).tracked == (ours(1, "E0"), ours(2, "E0"))
    assert look_request(SymbolRecord(symbol=SYMBOL), stage.context).tracked == (ours(1, "E0"),)


@pytest.mark.parametrize("state", [State.IDLE, State.HALT])
def test_a_quiet_look_while_flat_changes_nothing(state: State) -> None:
    stage = Stage()
    if state is State.HALT:
        stage.command("halt")
    rows = len(stage.ledger.rows)
    stage.look(persisted=True)
    assert len(stage.ledger.rows) == rows
