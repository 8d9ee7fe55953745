"""What a look must ask for, and how everything in it is told apart."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.types import AlgoStatus, OrderStatus, OrderType
from fsm.core.accounting import average_learned, count_fills
from fsm.core.exit_reasons import exit_reason
from fsm.core.model.records import ZERO, SymbolRecord
from fsm.core.observation import OUR_CLOCK_AHEAD_MS, look_request, observe
from tests.unit.fsm.core.parts import SYMBOL, T0
from tests.unit.fsm.core.stage import Stage

ENTRY, STOP, FIRST, LAST = (f"f0123abcd-19aa16-1-{leg}.1" for leg in ("E0", "S1", "T0", "T1"))


def asked(stage: Stage) -> tuple[str, ...]:
    return look_request(stage.record, stage.context).tracked


class TestWhatALookAsksFor:
    def test_of_a_waiting_entry_is_that_entry(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.signal()
        assert asked(stage) == (ENTRY,)

    def test_of_a_protected_position_is_everything_that_could_change_it(self) -> None:
        assert asked(Stage().protected()) == (ENTRY, STOP, FIRST, LAST)

    def test_leaves_out_targets_that_were_hit_or_never_sent(self) -> None:
        stage = Stage().protected()
        stage.price("60600").exchange.trigger(FIRST)
        stage.look()
        assert asked(stage) == (ENTRY, STOP, LAST)

    def test_during_a_stop_move_includes_the_stop_before_and_the_bridge(self) -> None:
        stage = Stage().protected()
        assert stage.trade.stop is not None
        moved = replace(stage.trade.stop, client_id="f0123abcd-19aa16-1-S2.1", version=2)
        record = replace(stage.record, trade=replace(stage.trade, stop=moved, stop_before=stage.trade.stop))
        tracked = look_request(record, stage.context).tracked
        assert {STOP, "f0123abcd-19aa16-1-S2.1", "f0123abcd-19aa16-1-B2.1"} <= set(tracked)

    def test_on_the_way_out_includes_the_closing_order_and_the_ledger(self) -> None:
        stage = Stage().protected()
        stage.fate = lambda intent: "lost"
        stage.command("exit")
        request = look_request(stage.record, stage.context)
        assert "f0123abcd-19aa16-1-X1.1" in request.tracked
        assert request.income_start_ms == stage.trade.opened_ms

    def test_leaves_out_a_closing_order_that_was_refused(self) -> None:
        """It does not exist, so "not found" would mean nothing."""
        stage = Stage().protected()
        stage.fate = lambda intent: "-1111" if type(intent).__name__ == "ClosePosition" else "ok"
        stage.command("exit")
        assert not any("-X" in client_id for client_id in asked(stage))

    def test_begins_with_the_fills_after_the_last_counted_one(self) -> None:
        first = look_request(Stage().record, Stage().context)
        assert (first.fills_after_id, first.fills_start_ms) == (None, None)
        entering = Stage(entry_type=OrderType.LIMIT)
        entering.signal()
        request = look_request(entering.record, entering.context)
        assert (request.fills_after_id, request.fills_start_ms) == (None, T0 - OUR_CLOCK_AHEAD_MS)
        held = Stage().protected()
        assert look_request(held.record, held.context).fills_after_id == held.exchange.fills[-1].fill_id

    def test_of_a_second_trade_begins_after_the_first_one_s_fills(self) -> None:
        """R21: also before anything of it has filled."""
        record = replace(SymbolRecord(symbol=SYMBOL), last_fill_id=77)
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.engine = stage._new_engine([record], stage.engine.account)
        stage.read_equity()
        stage.signal()
        request = look_request(stage.record, stage.context)
        assert (request.fills_after_id, request.fills_start_ms) == (77, None)


class TestWhatALookShows:
    def test_a_long_s_position_is_positive_and_a_short_s_too(self) -> None:
        for rsi in (80, 20):
            stage = Stage().protected(rsi=rsi)
            assert observe(stage.trade, stage.observe().snapshot, stage.context).position == Decimal("0.069")

    def test_no_position_row_is_flat(self) -> None:
        """§5.2: an empty list is flat."""
        stage = Stage().protected()
        snapshot = replace(stage.observe().snapshot, position=None)
        assert observe(stage.trade, snapshot, stage.context).position == 0

    def test_what_is_wanted_is_no_stray(self) -> None:
        stage = Stage().protected()
        view = observe(stage.trade, stage.observe().snapshot, stage.context)
        assert (view.strays, view.stop_rests, view.bridged) == ((), True, False)
        assert set(view.own_open) == {STOP, FIRST, LAST}

    @pytest.mark.parametrize("status", [s for s in AlgoStatus if s is not AlgoStatus.NEW])
    def test_a_stop_in_any_other_state_than_new_does_not_rest(self, status: AlgoStatus) -> None:
        """R10, R26."""
        stage = Stage().protected()
        stage.exchange.end_algo(STOP, status)
        assert not observe(stage.trade, stage.observe().snapshot, stage.context).stop_rests

    def test_a_stray_that_is_firing_is_left_to_itself(self) -> None:
        """-4117: a triggering order cannot be cancelled."""
        stage = Stage().protected()
        stray = replace(stage.exchange.algos[STOP], client_id="f0123abcd-19aa16-1-S9.1", status=AlgoStatus.TRIGGERING)
        stage.exchange.algos[stray.client_id] = stray
        assert observe(stage.trade, stage.observe().snapshot, stage.context).strays == ()

    def test_orders_of_another_database_are_foreign(self) -> None:
        """R23: a second copy of the bot on the same account."""
        stage = Stage().protected()
        ours = next(iter(stage.exchange.orders.values()))
        copy = replace(ours, client_id="fdeadbeef-19aa16-1-E0.1", status=OrderStatus.NEW)
        stage.exchange.orders[copy.client_id] = copy
        stage.look()
        assert stage.record.quarantine is not None
        assert stage.record.quarantine.cause == "FOREIGN_ORDER"

    def test_an_entry_s_fill_is_counted_also_where_our_clock_was_ahead_and_an_older_one_of_others_is_not(self) -> None:
        """R21, R43 (found by torture, seed 8): the exchange stamped the entry 30 s before what our clock showed."""
        stage = Stage().protected()
        trade = replace(stage.trade, last_fill_id=None, fees=ZERO)
        (fill,) = stage.exchange.fills
        early = replace(fill, time_ms=trade.opened_ms - 30_000)
        older = replace(fill, fill_id=fill.fill_id - 1, order_id=fill.order_id - 1, time_ms=early.time_ms - 1)
        seen = stage.observe().snapshot
        (entry,) = (order for order in seen.orders if order.client_id == ENTRY)
        snapshot = replace(seen, fills=(older, early), orders=(replace(entry, update_time_ms=early.time_ms),))
        assert count_fills(trade, snapshot, stage.context).fees == fill.commission

    def test_a_closing_fill_of_nothing_counts_for_nothing(self) -> None:
        """R64: an exchange that had changed its lots wrote 0 for what it closed, and the symbol was lost to it."""
        stage = Stage().protected()
        trade = stage.trade
        stage.exchange.trigger(STOP)
        seen = stage.observe().snapshot
        (fill,) = (fill for fill in seen.fills if fill.side is trade.side.exit_side)
        empty = replace(seen, fills=(replace(fill, quantity=ZERO),))
        counted = count_fills(trade, empty, stage.context)
        assert (counted.closed_quantity, counted.exit_price) == (ZERO, None)
        assert counted.last_fill_id == fill.fill_id


class TestWhyAPositionIsGone:
    @pytest.mark.parametrize(
        ("client_id", "reason"), [(STOP, "STOP_HIT"), (LAST, "TARGET_HIT"), ("web_1", "EXTERNAL_CLOSE")]
    )
    def test_is_told_by_the_order_behind_the_fill_where_the_conditional_order_was_read_before_it_fired(
        self, client_id: str, reason: str
    ) -> None:
        """R30, R32 (found by a year of polling): lists read in turn need not agree with one another."""
        stage = Stage().protected()
        before = stage.observe().snapshot
        stage.exchange.trigger(STOP)
        after = stage.observe().snapshot
        filled = max(fill.order_id for fill in after.fills)
        behind = replace(before.orders[0], client_id=client_id, order_id=filled, side=stage.trade.side.exit_side)
        torn = replace(after, orders=(*before.orders, behind), algo_orders=before.algo_orders)
        assert exit_reason(stage.trade, observe(stage.trade, torn, stage.context), torn, stage.context) == reason


class TestTheEntrysAverage:
    """The answer to an order need not tell it (binance-usdm §0.7)."""

    def test_is_learned_from_a_look_once(self) -> None:
        stage = Stage().protected()
        unknown = replace(stage.trade, entry=replace(stage.trade.entry, average_price=None), entry_price=ZERO)
        snapshot = stage.observe().snapshot
        learned = average_learned(unknown, observe(unknown, snapshot, stage.context).entry, snapshot, stage.context)
        assert learned == stage.trade
        assert learned.entry.average_price == learned.entry_price != ZERO

    def test_that_is_known_stays_and_one_that_is_not_told_is_not_made_up(self) -> None:
        stage = Stage().protected()
        snapshot = stage.observe().snapshot
        dearer = tuple(replace(order, average_price=order.average_price + 1) for order in snapshot.orders)
        told = replace(snapshot, orders=dearer)
        assert (
            average_learned(stage.trade, observe(stage.trade, told, stage.context).entry, told, stage.context)
            is stage.trade
        )
        unknown = replace(stage.trade, entry=replace(stage.trade.entry, average_price=None))
        untold = replace(snapshot, orders=tuple(replace(order, average_price=None) for order in snapshot.orders))
        assert average_learned(unknown, observe(unknown, untold, stage.context).entry, untold, stage.context) is unknown

    def test_r68_is_learned_from_the_fills_where_the_order_does_not_tell_it(self) -> None:
        stage = Stage().protected()
        unknown = replace(stage.trade, entry=replace(stage.trade.entry, average_price=None), entry_price=ZERO)
        snapshot = replace(stage.observe().snapshot, orders=(), fills=tuple(stage.exchange.fills))
        learned = average_learned(unknown, observe(unknown, snapshot, stage.context).entry, snapshot, stage.context)
        assert learned.entry_price == stage.trade.entry_price
