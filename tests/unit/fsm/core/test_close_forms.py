"""R62: a close is never repeated in the form that failed; it changes its form until it is through."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.sim.core.reasons import refused
from exchange.types import OrderRequest, OrderType, Side, TimeInForce, Unknown
from fsm.core.close_forms import FORMS, coarser, failed, limit_price, piece
from fsm.core.model.intents import ClosePosition, Intent
from fsm.core.model.records import State, TradeSide
from fsm.core.refusals import TEMPORARY
from tests.unit.fsm.core.parts import FILTERS, setting_with
from tests.unit.fsm.core.stage import Stage, truth, without

HELD = Decimal("0.069")
MINUTE = range(0, 60_000, 250)


def held() -> Stage:
    """A protected long of 0.069 at 60,000, whose exchange's clock is ours."""
    return Stage().protected()


def sent(stage: Stage) -> list[OrderRequest]:
    return [intent.request for intent in stage.sent if isinstance(intent, ClosePosition)]


def watched(stage: Stage, times_ms: range = MINUTE) -> Stage:
    for _ in times_ms:
        stage.wait(times_ms.step).look()
    return stage


def naked(stage: Stage) -> Stage:
    """Its stop has vanished and cannot be placed again; the deadline passes."""
    stage.exchange.algos.clear()
    stage.fate = lambda intent: "ok" if isinstance(intent, ClosePosition) else "-1008"
    stage.look()
    return stage


def is_over(stage: Stage) -> bool:
    return stage.exchange.position == 0 and not stage.exchange.open_ids() and stage.state in (State.IDLE, State.HALT)


class TestMarketOrdersThatExpireUnfilled:
    def test_are_followed_by_limits_that_reach_further_each_time(self) -> None:
        stage = held()
        stage.exchange.expires = lambda request: request.side is Side.SELL
        stage.command("exit")
        watched(stage, range(0, 2_000, 250))
        forms = [(request.type, request.price, request.quantity) for request in sent(stage)[:4]]
        assert forms == [
            (OrderType.MARKET, None, HELD),
            (OrderType.LIMIT, Decimal("59400.0"), HELD),
            (OrderType.LIMIT, Decimal("58500.0"), HELD),
            (OrderType.LIMIT, Decimal("57000.0"), HELD),
        ]
        assert {request.time_in_force for request in sent(stage)[1:4]} == {TimeInForce.IOC}
        assert all(request.reduce_only for request in sent(stage))

    def test_then_with_half_the_quantity_which_grows_again_once_something_is_taken(self) -> None:
        stage = held()
        stage.exchange.expires = lambda request: request.quantity > Decimal("0.040")
        stage.command("exit")
        assert is_over(watched(stage, range(0, 20_000, 250)))
        assert [request.quantity for request in sent(stage)][-3:] == [HELD, Decimal("0.034"), Decimal("0.035")]

    def test_for_a_while_do_not_leave_a_naked_position_to_be_closed_in_crumbs(self) -> None:
        """R62: after a minute in which nothing was taken 96 orders of the smallest lot would have followed."""
        stage = naked(held())
        stage.exchange.expires = lambda request: True
        stage.deadline()
        watched(stage, range(0, 15_000, 250))
        crumb = sent(stage)[-1].quantity
        stage.exchange.expires = lambda request: False
        before = len(sent(stage))
        assert is_over(watched(stage, range(0, 5_000, 250)))
        assert crumb <= Decimal("0.002")
        assert len(sent(stage)) - before <= 8

    def test_are_tried_once_a_second_for_as_long_as_nothing_protects(self) -> None:
        """R5: found by torture; between two tries a position without a stop had waited for four seconds."""
        stage = naked(held())
        stage.exchange.expires = lambda request: True
        stage.deadline()
        before = len(sent(stage))
        watched(stage)
        assert 60 <= len(sent(stage)) - before <= 120

    def test_are_through_with_the_first_limit_that_fills(self) -> None:
        stage = held()
        stage.exchange.expires = lambda request: request.type is OrderType.MARKET
        stage.command("exit")
        stage.wait(300).look()
        assert is_over(stage.settle())
        assert len(sent(stage)) == 2

    def test_are_not_repeated_for_minutes_in_one_form(self) -> None:
        """R62: 19 MARKET orders in 90 s had been sent; no form comes again before all others were tried."""
        stage = held()
        stage.exchange.expires = lambda request: True
        stage.command("exit")
        watched(stage)
        forms = [(request.price, request.quantity) for request in sent(stage)]
        assert len(set(forms[: 2 * FORMS])) == 2 * FORMS
        assert len(forms) < 30

    def test_that_fill_in_part_go_on_in_their_form(self) -> None:
        stage = held()
        stage.exchange.takes = Decimal("0.03")
        stage.command("exit")
        assert is_over(watched(stage, range(0, 10_000, 250)))
        assert [(request.type, request.quantity) for request in sent(stage)] == [
            (OrderType.MARKET, HELD),
            (OrderType.MARKET, Decimal("0.039")),
            (OrderType.MARKET, Decimal("0.009")),
        ]


class TestALargestLotThatWasLowered:
    def lowered(self) -> Stage:
        stage = held()
        stage.exchange.filters = replace(FILTERS, market_quantity_max=Decimal("0.01"))
        return stage

    def test_halves_the_pieces_until_they_are_taken(self) -> None:
        """-4005: 15 alerts in half a minute had been sent for orders that were all too large."""
        stage = self.lowered()
        stage.command("exit")
        assert is_over(watched(stage, range(0, 10_000, 250)))
        asked = [request.quantity for request in sent(stage)]
        assert asked[:4] == [HELD, Decimal("0.034"), Decimal("0.017"), Decimal("0.008")]
        assert set(asked[4:]) <= {Decimal("0.008"), Decimal("0.005")}

    def test_is_not_what_a_refusal_of_the_smallest_lot_means(self) -> None:
        """Found by torture: a position without a stop was closed in crumbs after five refusals that meant nothing."""
        stage, codes = held(), ["-4005"] * 7
        stage.fate = lambda intent: codes.pop() if isinstance(intent, ClosePosition) and codes else "ok"
        stage.command("exit")
        assert is_over(watched(stage, range(0, 20_000, 250)))
        assert sent(stage)[-2].quantity == FILTERS.market_quantity_min
        assert (sent(stage)[-1].type, sent(stage)[-1].quantity) == (OrderType.LIMIT, HELD)

    def test_does_not_close_in_crumbs_what_was_refused_for_a_moment_only(self) -> None:
        """Found by torture: after twelve refusals that meant nothing a position was closed one lot at a time, in 6,453
        orders."""
        stage, codes = held(), ["-4005"] * 6
        stage.fate = lambda intent: codes.pop() if isinstance(intent, ClosePosition) and codes else "ok"
        stage.command("exit")
        assert is_over(watched(stage, range(0, 20_000, 250)))
        taken = [int(request.quantity * 1000) for request in sent(stage)[6:]]
        assert taken[:4] == [1, 2, 4, 8]
        assert len(taken) <= 12

    def test_loses_no_time_between_them(self) -> None:
        stage = self.lowered()
        stage.command("exit")
        assert len(sent(stage)) >= 4, "each refusal said what was wrong: the next piece needs no look"

    def test_takes_no_turn_of_the_forms_that_nobody_filled_afterwards(self) -> None:
        """Found by torture: after six halvings each unfilled close had to wait, and a position was naked for 7 s."""
        stage = self.lowered()
        stage.exchange.filters = replace(FILTERS, market_quantity_max=Decimal("0.0011"))
        stage.exchange.expires = lambda request: request.side is Side.SELL
        stage.command("exit")
        assert len(sent(stage)) > 6 + FORMS, "each size and each form once, without a pause"


class TestASymbolThatWasMadeCoarser:
    @pytest.mark.parametrize("code", [-1111, -4023])
    def test_is_asked_for_fewer_decimals(self, code: int) -> None:
        stage = held()
        stage.exchange.filters = replace(
            FILTERS, market_step_size=Decimal("0.01"), market_quantity_min=Decimal("0.01"), step_size=Decimal("0.01")
        )
        stage.fate = lambda intent: (
            str(code) if isinstance(intent, ClosePosition) and intent.request.quantity % Decimal("0.01") else "ok"
        )
        stage.command("exit")
        assert is_over(watched(stage, range(0, 10_000, 250)))
        assert [request.quantity for request in sent(stage)] == [HELD, Decimal("0.06"), Decimal("0.01")]

    def test_has_coarser_prices_too(self) -> None:
        filters = coarser(FILTERS, 1)
        assert (filters.tick_size, filters.step_size) == (Decimal("1.00"), Decimal("0.010"))
        assert limit_price(TradeSide.LONG, 1, Decimal("60000.37"), filters) % 1 == 0
        assert coarser(FILTERS, 0) is FILTERS

    def test_is_not_made_coarser_still_once_its_rules_are_known(self) -> None:
        """Found by torture: after -4023 the rules were read again and made ten times as coarse on top; each close was
        then larger than the largest lot, for ever."""
        trade = replace(held().trade, close_grain=1, close_least=Decimal("0.016"), open_quantity=Decimal("0.008"))
        known = replace(
            FILTERS,
            step_size=Decimal("0.01"),
            market_step_size=Decimal("0.01"),
            market_quantity_min=Decimal("0.01"),
            market_quantity_max=Decimal("0.013"),
        )
        order = piece(trade, trade.open_quantity, None, setting_with(filters=known)).request
        assert order.quantity == Decimal("0.01"), "one lot, which the exchange clamps to the position"


class TestASmallestLotThatWasRaised:
    @pytest.mark.parametrize("code", ["-4004", "-4164"])
    def test_is_asked_for_more_which_the_exchange_clamps(self, code: str) -> None:
        stage = held()
        stage.fate = lambda intent: (
            code if isinstance(intent, ClosePosition) and intent.request.quantity < Decimal("0.2") else "ok"
        )
        stage.command("exit")
        assert is_over(watched(stage, range(0, 10_000, 250)))
        assert [request.quantity for request in sent(stage)] == [HELD, Decimal("0.138"), Decimal("0.276")]
        assert stage.exchange.position == 0


class TestRefusals:
    def test_that_say_nothing_of_the_order_change_nothing(self) -> None:
        trade = held().trade
        assert all(failed(trade, reason, HELD) is trade for reason in TEMPORARY)

    def test_for_a_price_too_far_come_back_to_the_market(self) -> None:
        trade = replace(held().trade, close_form=3)
        assert failed(trade, RefusalReason.PRICE_TOO_FAR, HELD).close_form == FORMS

    @pytest.mark.parametrize("code", ["-2022", "-4118"])
    def test_of_what_reduces_are_looked_into_and_prove_nothing(self, code: str) -> None:
        """-2022 never proves flat: the position is still there, and is closed."""
        stage, codes = held(), [code, code]
        stage.fate = lambda intent: codes.pop() if isinstance(intent, ClosePosition) and codes else "ok"
        stage.command("exit")
        assert is_over(watched(stage, range(0, 10_000, 250)))
        assert len(sent(stage)) == 3

    def test_of_every_form_are_no_loop(self) -> None:
        stage = held()
        stage.fate = lambda intent: "-4131" if isinstance(intent, ClosePosition) else "ok"
        stage.command("exit")
        watched(stage)
        assert len(sent(stage)) < 30
        assert stage.exchange.covered() == stage.exchange.position

    def test_are_forgotten_once_something_was_closed(self) -> None:
        stage = held()
        stage.exchange.filters = replace(FILTERS, market_quantity_max=Decimal("0.04"))
        stage.command("exit")
        stage.wait(300).look()
        assert is_over(stage.settle())
        rows = [decision.record.trade for _, decision, _ in stage.ledger.rows if decision.record.trade is not None]
        assert [trade.close_failed for trade in rows][-1] == 0


class TestACloseNobodyHeardOf:
    def unheard(self) -> Stage:
        """Naked, and the answer to the close was lost on its way there."""
        stage, fates = naked(held()), ["lost"]
        stage.fate = lambda intent: (fates.pop() if fates else "ok") if isinstance(intent, ClosePosition) else "-1008"
        stage.deadline()
        return stage

    def test_leaves_again_at_once_under_its_id_where_all_is_ours_and_naked(self) -> None:
        stage = self.unheard()
        assert [request.client_id[-4:] for request in sent(stage)] == ["X1.1", "X1.1"]
        assert stage.exchange.position == 0

    def test_waits_for_looks_while_a_stop_rests(self) -> None:
        stage, fates = held(), ["lost"]
        stage.fate = lambda intent: fates.pop() if isinstance(intent, ClosePosition) and fates else "ok"
        stage.command("exit")
        stage.wait(300).look()
        assert len(sent(stage)) == 1

    def test_waits_for_looks_where_a_part_is_somebody_elses(self) -> None:
        stage = held()
        stage.exchange.by_hand(Side.BUY, "0.01")
        naked(stage)
        stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "-1008"
        stage.deadline()
        stage.wait(300).look()
        assert len(sent(stage)) == 1

    def test_blocks_entries_until_it_can_no_longer_arrive(self) -> None:
        """No entry of that symbol leaves before every such close is resolved: it would close the new position."""
        stage = self.unheard()
        first = sent(stage)[0].client_id
        stage.view = without(first)
        stage.fate = lambda intent: "ok"
        stage.settle()
        assert stage.state is State.IDLE
        stage.view = truth
        stage.next_hour()
        booked_ms = stage.record.close_unheard_ms
        assert booked_ms is not None
        stage.engine.prove_route(stage.now_ms, "PROVED")  # its deadline has put that in doubt as well
        stage.exchange.now_ms = booked_ms + 30_000
        assert stage.signal().reason == "CLOSE_UNRESOLVED"
        stage.next_hour()
        assert stage.signal().outcome == "SIGNAL"

    def test_that_was_found_blocks_nothing(self) -> None:
        stage, fates = naked(held()), ["deaf"]
        stage.fate = lambda intent: (fates.pop() if fates else "ok") if isinstance(intent, ClosePosition) else "-1008"
        stage.deadline()
        stage.fate = lambda intent: "ok"
        stage.settle()
        assert stage.record.close_unheard_ms is None


def test_an_answer_of_unknown_outcome_is_noted_once() -> None:
    stage = held()
    stage.fate = lambda intent: "lost" if isinstance(intent, ClosePosition) else "ok"
    stage.command("exit")
    intent: Intent = next(intent for intent in stage.sent if isinstance(intent, ClosePosition))
    assert stage.ended(intent, Unknown("again")) == []
    assert stage.reasons.count("reprotect CLOSE_UNHEARD") == 1
    assert stage.ended(intent, refused(-4116, "duplicated")) == []


def test_a_limit_never_lies_beyond_the_bound_of_the_exchange() -> None:
    context = setting_with(filters=replace(FILTERS, multiplier_down=Decimal("0.99"), market_take_bound=Decimal(0)))
    prices = [limit_price(TradeSide.LONG, form, Decimal(60_000), context.filters) for form in (1, 2, 3)]
    assert prices == [Decimal("59400.0")] * 3
