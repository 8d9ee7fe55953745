"""The way out: a close repeats until the exchange says flat, takes only what is ours, and leaves nothing resting."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.sim.core.reasons import refused
from exchange.types import AlgoStatus, OrderStatus, OrderType, Side, SymbolSnapshot, TimeInForce
from fsm.core.model.intents import CancelAlgo, ClosePosition, Intent, PlaceEntry, PlaceStop, SweepOrders
from fsm.core.model.records import State
from fsm.core.order_requests import close_piece
from tests.unit.fsm.core.parts import FILTERS, T0, candle, setting_with
from tests.unit.fsm.core.stage import Killed, Stage, truth, with_position, without

FIRST_TARGET = "f0123abcd-19aa16-1-T0.1"


def held(**policy: object) -> Stage:
    """A protected long of 0.069 at 60,000; stop 59,400, targets 60,600 and 61,800."""
    return Stage(**policy).protected()


def pieces(stage: Stage) -> list[ClosePosition]:
    return [intent for intent in stage.sent if isinstance(intent, ClosePosition)]


def at_rest(stage: Stage) -> bool:
    return stage.exchange.position == 0 and not stage.exchange.open_ids() and stage.state in (State.IDLE, State.HALT)


def partly_filled() -> tuple[Stage, str]:
    """A LIMIT entry of which 0.02 are filled and seen; its client id."""
    stage = Stage(entry_type=OrderType.LIMIT)
    stage.signal()
    entry = stage.trade.entry.client_id
    stage.price("59970").exchange.fill(entry, Decimal("0.02"))
    stage.look()
    return stage, entry


class TestTheOrdersOfAnExit:
    def test_partial_targets_go_before_the_close_and_the_stop_stays_until_flat(self) -> None:
        """R14: a resting reduce-only order takes the close's place (-2022, -4118)."""
        stage = held()
        stops_at_the_close: list[int] = []

        def watched(intent: Intent) -> str:
            if isinstance(intent, ClosePosition):
                stops_at_the_close.append(len(stage.exchange.resting(Leg.STOP)))
            return "ok"

        stage.fate = watched
        before = len(stage.sent)
        stage.command("exit")
        kinds = [type(intent).__name__ for intent in stage.sent[before:]]
        assert kinds == ["CancelAlgo", "ClosePosition"]
        assert stage.sent[before] == CancelAlgo(symbol="BTCUSDT", client_id=FIRST_TARGET)
        assert stops_at_the_close == [1]
        assert at_rest(stage.settle())

    def test_the_close_is_reduce_only_at_market_and_never_more_than_the_position(self) -> None:
        """R42: rounded down, reduce-only, so it can neither enlarge nor turn it."""
        stage = held()
        stage.command("exit")
        request = pieces(stage)[0].request
        assert (request.reduce_only, request.type, request.side) == (True, OrderType.MARKET, Side.SELL)
        assert request.quantity == Decimal("0.069")

    def test_a_position_larger_than_a_market_lot_is_closed_in_pieces(self) -> None:
        context = setting_with(filters=replace(FILTERS, market_quantity_max=Decimal("0.1")))
        stage = Stage(context=context).protected()
        stage.exchange.position = Decimal("0.069")
        stage.context = setting_with(filters=replace(FILTERS, market_quantity_max=Decimal("0.03")))
        stage.command("exit")
        stage.settle()
        assert [piece.request.quantity for piece in pieces(stage)] == [
            Decimal("0.030"),
            Decimal("0.030"),
            Decimal("0.009"),
        ]
        assert len({piece.request.client_id for piece in pieces(stage)}) == 3
        assert at_rest(stage)

    def test_in_pieces_only_our_part_is_closed(self) -> None:
        """Flatten closes only our quantity, in one order or many; our stop covers the rest, so it stays (R80)."""
        stage = held()
        stage.context = setting_with(filters=replace(FILTERS, market_quantity_max=Decimal("0.03")))
        stage.exchange.by_hand(Side.BUY, "0.031")
        stage.command("exit")
        stage.settle()
        assert (stage.exchange.position, stage.state) == (Decimal("0.031"), State.IDLE)
        assert stage.exchange.open_ids() == {"f0123abcd-19aa16-1-S1.1"}

    def test_dust_below_the_smallest_lot_is_closed_by_one_reduce_only_lot(self) -> None:
        """R41: no immortal trade; the exchange clamps reduce-only orders to the position."""
        stage = held()
        stage.context = setting_with(
            filters=replace(FILTERS, market_step_size=Decimal("0.05"), market_quantity_min=Decimal("0.05"))
        )
        stage.exchange.filters = stage.context.filters
        stage.command("exit")
        stage.settle()
        assert [piece.request.quantity for piece in pieces(stage)] == [Decimal("0.05"), Decimal("0.05")]
        assert at_rest(stage)

    def test_while_the_entry_still_waits_it_is_cancelled_first(self) -> None:
        stage, _ = partly_filled()
        before = len(stage.sent)
        stage.command("flatten")
        assert [type(i).__name__ for i in stage.sent[before : before + 2]] == ["CancelEntry", "ClosePosition"]
        assert at_rest(stage.settle())


class TestARefusedClose:
    @pytest.mark.parametrize("code", ["-2022", "-4118", "-1008", "-2010"])
    def test_is_tried_again_under_the_next_number(self, code: str) -> None:
        """The attempt rises only after a definite refusal, and then it does not wait for a lag to pass."""
        stage, refusals = held(), [code]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, ClosePosition) and refusals else "ok"
        stage.command("exit")
        assert [piece.request.client_id[-4:] for piece in pieces(stage)] == ["X1.1", "X2.1"]
        assert at_rest(stage.settle())

    def test_for_ever_is_repeated_for_ever_but_not_in_a_loop(self) -> None:
        """design §7.1: FLATTEN stays until flat; R45: without hammering."""
        stage = held()
        stage.fate = lambda intent: "-1008" if isinstance(intent, ClosePosition) else "ok"
        stage.command("flatten")
        for _ in range(600):
            stage.wait(100).look()
        assert stage.state is State.FLATTEN
        assert 10 < len(pieces(stage)) < 40
        assert stage.exchange.covered() == stage.exchange.position
        stage.fate = lambda intent: "ok"
        assert at_rest(stage.settle())

    def test_for_want_of_a_counterparty_steps_in_with_a_limit(self) -> None:
        """semantics.md: -4131 leads to LIMIT IOC steps, no worse than the exchange allows."""
        stage, refusals = held(), ["-4131"]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, ClosePosition) and refusals else "ok"
        stage.command("exit")
        request = pieces(stage)[1].request
        assert (request.type, request.time_in_force, request.price) == (
            OrderType.LIMIT,
            TimeInForce.IOC,
            Decimal("57000.0"),
        )
        assert at_rest(stage.settle())

    def test_a_short_steps_in_from_above(self) -> None:
        stage, refusals = Stage().protected(rsi=20), ["-4131"]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, ClosePosition) and refusals else "ok"
        stage.command("exit")
        assert pieces(stage)[1].request.price == Decimal("63000.0")
        assert at_rest(stage.settle())

    def test_smaller_than_the_smallest_lot_is_asked_for_as_one_lot_of_its_kind(self) -> None:
        filters = replace(FILTERS, market_quantity_min=Decimal("0.010"), quantity_min=Decimal("0.002"))
        stage, dust = held(), Decimal("0.0004")
        context = setting_with(filters=filters)
        asked = [close_piece(stage.trade, dust, 1, context, limit=limit) for limit in (None, Decimal(60_000))]
        assert [piece.request.quantity for piece in asked] == [Decimal("0.010"), Decimal("0.002")]

    def test_steps_in_five_per_cent_off_where_the_exchange_names_no_bound(self) -> None:
        unbound = replace(FILTERS, multiplier_up=Decimal(0), multiplier_down=Decimal(0), market_take_bound=Decimal(0))
        stage, refusals = Stage(context=setting_with(filters=unbound)).protected(), ["-4131"]
        stage.price("60000.3")
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, ClosePosition) and refusals else "ok"
        stage.command("exit")
        assert pieces(stage)[1].request.price == Decimal("57000.3"), "57000.285, on the tick inside the bound"
        assert at_rest(stage.settle())

    def test_that_alternates_with_limits_that_expire_is_no_loop_either(self) -> None:
        stage = held()
        stage.fate = lambda intent: (
            "-4131" if isinstance(intent, ClosePosition) and intent.request.price is None else
            "-4024" if isinstance(intent, ClosePosition) else "ok"
        )  # fmt: skip
        stage.command("exit")
        for _ in range(300):
            stage.wait(100).look()
        assert len(pieces(stage)) < 60

    def test_as_a_duplicate_is_looked_for(self) -> None:
        stage = held()
        stage.fate = lambda intent: "deaf" if isinstance(intent, ClosePosition) else "ok"
        stage.command("exit")
        stage.ended(pieces(stage)[0], refused(-4116, "duplicated"))
        assert at_rest(stage.settle())
        assert len(pieces(stage)) == 1

    def test_told_twice_counts_once(self) -> None:
        stage, refusals = held(), ["-1008"]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, ClosePosition) and refusals else "lost"
        stage.command("exit")
        stage.settle(3)
        first = pieces(stage)[0]
        before = stage.record
        assert stage.ended(first, refused(-1008, "busy")) == []
        assert stage.record == before

    def test_of_an_older_piece_is_ignored(self) -> None:
        stage, refusals = held(), ["-1008"]
        stage.fate = lambda intent: refusals.pop() if isinstance(intent, ClosePosition) and refusals else "ok"
        stage.exchange.fill = lambda client_id, quantity: stage.exchange.orders[client_id]  # type: ignore[method-assign]
        stage.command("exit")
        before = stage.record
        stage.ended(pieces(stage)[0], refused(-1111, "late"))
        assert stage.record == before


class TestAnUnheardClose:
    def test_is_not_sent_again_before_it_stayed_unfound(self) -> None:
        """R16: never resent blindly."""
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        stage.command("exit")
        stage.wait(300).look()
        assert len(pieces(stage)) == 1

    def test_is_sent_again_under_its_own_id_when_it_stayed_unfound_and_the_position_open(self) -> None:
        stage, fates = held(), ["lost"]
        stage.fate = lambda intent: fates.pop() if isinstance(intent, ClosePosition) and fates else "ok"
        stage.command("exit")
        stage.settle()
        assert [piece.request.client_id[-4:] for piece in pieces(stage)] == ["X1.1", "X1.1"]
        assert at_rest(stage)

    def test_that_was_executed_is_recognised(self) -> None:
        stage = held()
        stage.fate = lambda intent: "deaf" if isinstance(intent, ClosePosition) else "ok"
        stage.command("exit")
        assert at_rest(stage.settle())
        assert len(pieces(stage)) == 1

    @pytest.mark.parametrize("intents", range(4))
    @pytest.mark.parametrize("command", ["exit", "flatten"])
    def test_after_a_death_anywhere_is_finished(self, intents: int, command: str) -> None:
        """R8: FLATTEN and EXITING are levels too."""
        stage = held()
        stage.killed_after = intents
        with suppress(Killed):
            stage.command(command)
        stage.restart()
        assert at_rest(stage.settle())
        assert sum((fill.quantity for fill in stage.exchange.fills if fill.side is Side.SELL), Decimal(0)) == Decimal(
            "0.069"
        )

    def test_of_a_status_nobody_knows_is_given_time_and_then_followed_by_the_next(self) -> None:
        """R26: an unknown word is no proof that it is over."""
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        stage.command("exit")
        stage.fate = lambda intent: "ok"
        piece = pieces(stage)[0].request
        ours = next(iter(stage.exchange.orders.values()))
        stage.exchange.orders[piece.client_id] = replace(
            ours, client_id=piece.client_id, status=OrderStatus.UNRECOGNISED, executed_quantity=Decimal(0)
        )
        stage.look()
        assert len(pieces(stage)) == 1
        assert at_rest(stage.settle())
        assert [p.request.client_id[-4:] for p in pieces(stage)] == ["X1.1", "X2.1"]


class TestAPositionThatLags:
    def test_after_the_close_filled_is_waited_for(self) -> None:
        stage = held()
        stage.view = with_position("0.069")
        stage.command("exit")
        stage.wait(200).look()
        assert len(pieces(stage)) == 1

    def test_that_was_larger_than_we_knew_is_closed_to_the_end(self) -> None:
        """Fills of the entry that nobody told us of: what it may have filled is ours."""
        stage = held()
        entry = stage.exchange.orders[stage.trade.entry.client_id]
        stage.command("halt")
        stage.view = without(entry.client_id)
        stage.exchange.execute(Side.BUY, Decimal("0.02"), entry.order_id)
        stage.exchange.orders[entry.client_id] = replace(entry, executed_quantity=Decimal("0.089"))
        stage.command("exit")
        stage.view = truth
        assert at_rest(stage.settle())


class TestEmptyAnswers:
    def test_do_not_tear_down_the_stop_nor_end_the_trade(self) -> None:
        """R2, R25: an exchange that answers with empty lists for a while is not a position that was closed."""
        stage = held()
        stage.view = lambda snapshot: replace(snapshot, position=None, algo_orders=(), orders=(), fills=())
        for _ in range(5):
            stage.wait(3_000).look(persisted=True)
        assert (stage.state, stage.exchange.covered()) == (State.PROTECTED, stage.exchange.position)
        stage.view = truth
        stage.wait(500).look()
        assert (stage.state, stage.trade.uncovered_ms) == (State.PROTECTED, None)

    def test_that_go_on_for_half_a_minute_end_it_but_never_without_its_stop(self) -> None:
        stage = held()
        stage.view = lambda snapshot: replace(snapshot, position=None, algo_orders=(), orders=(), fills=())
        while stage.state is State.PROTECTED:
            stage.wait(3_000).look(persisted=True)
        assert stage.now_ms - T0 >= 30_000
        assert (stage.state, stage.exchange.covered()) == (State.EXITING, stage.exchange.position)
        stage.view = truth
        stage.wait(500).look()
        assert at_rest(stage.settle())  # what began to exit exits


class TestAnEmergencyClose:
    def test_of_a_signal_that_was_never_sent_is_over_at_once(self) -> None:
        stage = Stage()
        stage.fate = lambda intent: "lost"
        stage.engine.close_candle(candle(at_ms=stage.now_ms))
        assert stage.state is State.SIGNALLED
        stage.command("flatten")
        assert (stage.state, stage.kinds()) == (State.HALT, [])

    def test_of_an_entry_of_unknown_fate_waits_until_nobody_finds_it_and_remembers_it(self) -> None:
        """R20: no time-based guess while one look says nothing; should it fill after all, it is adopted."""
        stage = Stage()
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceEntry) else "ok"
        stage.signal()
        stage.command("flatten")
        assert stage.state is State.FLATTEN
        stage.settle()
        assert stage.state is State.HALT
        assert stage.record.abandoned is not None

    def test_catches_an_entry_that_fills_meanwhile(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.signal()
        entry = stage.trade.entry.client_id
        stage.fate = lambda intent: "lost"
        stage.command("flatten")
        stage.fate = lambda intent: "ok"
        stage.price("59970").exchange.fill(entry, Decimal(1))
        stage.look()
        assert "fill LATE_FILL" in stage.reasons
        assert at_rest(stage.settle())

    def test_closes_what_an_entry_that_no_look_shows_may_have_brought(self) -> None:
        """R20: nobody knows how much of it filled, so everything up to its whole quantity may be ours."""
        stage, entry = partly_filled()
        stage.view = without(entry)
        stage.command("flatten")
        stage.exchange.fill(entry, Decimal("0.01"))
        stage.settle()
        assert (stage.exchange.position, stage.record.quarantine) == (0, None)
        assert [piece.request.quantity for piece in pieces(stage)] == [Decimal("0.02"), Decimal("0.01")]

    def test_cancels_an_entry_that_goes_on_filling(self) -> None:
        """An entry left open would fill for as long as we close."""
        stage, entry = partly_filled()
        stage.fate = lambda intent: "lost"
        stage.command("flatten")
        stage.fate = lambda intent: "ok"
        assert at_rest(stage.settle())
        assert stage.exchange.orders[entry].status is OrderStatus.CANCELED

    def test_during_an_exit_waits_for_the_piece_that_may_be_working(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        stage.command("exit")
        stage.command("flatten")
        assert (stage.state, len(pieces(stage))) == (State.FLATTEN, 1)
        stage.fate = lambda intent: "ok"
        assert at_rest(stage.settle())

    def test_ends_in_halt_when_the_operator_asked_for_it(self) -> None:
        """semantics.md: flatten first sets the halt, so nothing re-enters."""
        stage = held()
        stage.command("flatten")
        stage.settle()
        assert (stage.state, stage.record.halt and stage.record.halt.cause) == (State.HALT, "OPERATOR")

    def test_keeps_the_stop_resting_until_flat(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        stage.command("flatten")
        for _ in range(5):
            stage.patient_look()
        assert stage.exchange.covered() == stage.exchange.position

    def test_is_ended_by_the_stop_as_well(self) -> None:
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
        stage.command("flatten")
        stage.price("59390").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        assert at_rest(stage.settle())


class TestTheSweep:
    def test_takes_orders_that_the_lists_do_not_show(self) -> None:
        """R2: quantity targets are not cancelled by the exchange, and would hit the next position."""
        stage = held()
        stage.view = without(FIRST_TARGET)
        stage.price("59390").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        stage.look()
        sweep = next(intent for intent in stage.sent if isinstance(intent, SweepOrders))
        assert FIRST_TARGET in sweep.client_ids
        assert FIRST_TARGET not in stage.exchange.open_ids()

    def test_comes_before_the_books_are_closed(self) -> None:
        """semantics.md: earlier targets are swept before IDLE."""
        stage = held()
        stage.fate = lambda intent: "lost" if isinstance(intent, SweepOrders) else "ok"
        stage.price("59390").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        for _ in range(5):
            stage.wait(1_000).look(persisted=True)
        assert (stage.state, stage.booked) == (State.EXITING, [])
        stage.fate = lambda intent: "ok"
        assert at_rest(stage.settle())

    def test_never_names_somebody_else_s_order(self) -> None:
        """R54."""
        stage = held()
        ours = next(iter(stage.exchange.orders.values()))
        stage.exchange.orders["web-1"] = replace(ours, client_id="web-1", status=OrderStatus.NEW)
        stage.price("59390").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        stage.settle()
        named = {cid for intent in stage.sent if isinstance(intent, SweepOrders) for cid in intent.client_ids}
        assert "web-1" not in named
        assert stage.exchange.open_ids() == {"web-1"}


def always_triggered(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    """An exchange on which TRIGGERED is the last word: it never says FINISHED, and lists such orders as open."""
    shown = tuple(
        replace(algo, status=AlgoStatus.TRIGGERED) if algo.status is AlgoStatus.FINISHED else algo
        for algo in snapshot.algo_orders
    )
    return replace(snapshot, algo_orders=shown)


class TestAnExchangeThatNeverSaysFinished:
    def test_ends_the_trade_all_the_same(self) -> None:
        """R32: the stop closed everything, its fills say so, and no cancel can reach it any more."""
        stage = held()
        stage.view = always_triggered
        stage.price("59390").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        stage.settle()
        assert (stage.state, [trade.exit_reason for trade in stage.booked]) == (State.IDLE, ["STOP_HIT"])

    def test_is_not_asked_for_ever_to_cancel_what_is_over(self) -> None:
        """R45: seen on an exchange of somebody else's: a sweep every half second, until the budget was used up."""
        stage = held()
        stage.view = always_triggered
        stage.price("59390").exchange.trigger("f0123abcd-19aa16-1-S1.1")
        stage.settle()
        stage.view = lambda snapshot: replace(
            snapshot,
            algo_orders=tuple(replace(a, status=AlgoStatus.TRIGGERED) for a in stage.exchange.algos.values()),
        )
        before = len(stage.sent)
        for _ in range(20):
            stage.wait(1_000).look(persisted=True)
        assert stage.sent[before:] == []

    def test_a_sweep_that_gets_nothing_done_slows_down_also_after_a_time_without_a_stop(self) -> None:
        stage = held()
        stop = stage.exchange.end_algo("f0123abcd-19aa16-1-S1.1", AlgoStatus.CANCELED)
        stage.exchange.algos["stuck"] = replace(
            stop, client_id="f0123abcd-19aa16-1-T0.9", status=AlgoStatus.NEW, close_position=False
        )
        stage.real_ms = 0
        codes = {PlaceStop: "-2021", SweepOrders: "-2011"}
        stage.fate = lambda intent: codes.get(type(intent), "ok")
        stage.look(persisted=True)
        assert (stage.state, stage.exchange.position) == (State.FLATTEN, 0)
        before = len(stage.sent)
        for _ in range(120):
            stage.real_ms += 500
            stage.wait(500).look()
        sweeps = [intent for intent in stage.sent[before:] if isinstance(intent, SweepOrders)]
        assert 3 <= len(sweeps) <= 8
