"""Whatever exchange, operator and process do, in any order: what must hold at every step, and in the end."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from exchange.types import AlgoStatus, Confirmed, OrderStatus, OrderType, Outcome, Side, Unknown
from fsm.core.commands import Rejected
from fsm.core.model.decision_context import loss_per_unit
from fsm.core.model.events import CandleClosed, SetupEnded
from fsm.core.model.intents import ClosePosition, EnsureSetup, Intent, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.records import ZERO, State, TradeSide
from rules.load import parse_rules
from tests.unit.fsm.core.parts import HOUR_MS, RULES, SYMBOL, candle
from tests.unit.fsm.core.reference import CLOSING, Sheet, WatchedStage, naked
from tests.unit.fsm.core.stage import Killed, with_position, without

LEVELS = ("58000", "59300", "59900", "60000", "60100", "60700", "61900", "63000")
STOP_CODES = ("-1008", "-2021", "-4509", "-4045", "-4116", "-4130", "-2015")
ENTRY_CODES = ("-1003", "-2019", "-2010", "-1111", "-2015")
CLOSE_CODES = ("-1008", "-2022", "-4131", "-4118", "-2015")
TARGET_CODES = ("-1008", "-2021", "-4045", "-2015")
ENTRY_FATES = (0, 0, 0, 0, 1, 2, 3, 3)
LOOKS_TO_REST = 150


class AnyExchange(RuleBasedStateMachine):
    """Faults and interference in any order; after ``teardown`` stops them, everything must come to rest."""

    entry_type = OrderType.MARKET
    interferes = True

    def __init__(self) -> None:
        super().__init__()
        self.sheet = Sheet()
        self.stage = WatchedStage(
            self.sheet,
            stops_stay=not self.interferes,
            entry_type=self.entry_type,
            limit_offset_pct=Decimal("0.1"),
        )
        self.stage.fate = self._fate
        self.fates: deque[int] = deque()
        self.candles: list[CandleClosed] = []
        self.touched_by_hand = False
        self.commands_given = 0

    def _fate(self, intent: Intent) -> str:
        """The next chosen fate, in words that fit the intent: 0 ok, 1 lost, 2 deaf, 3 late, more: a refusal."""
        number = self.fates.popleft() if self.fates and not isinstance(intent, EnsureSetup) else 0
        if number == 3 and isinstance(intent, PlaceEntry):
            return "late" if self.stage.late is None else "lost"
        if number <= 2:
            return ("ok", "lost", "deaf")[number]
        codes: tuple[str, ...] = ("-2011",)
        if isinstance(intent, PlaceEntry):
            codes = ENTRY_CODES
        elif isinstance(intent, PlaceStop):
            codes = STOP_CODES
        elif isinstance(intent, ClosePosition):
            codes = CLOSE_CODES
        elif isinstance(intent, PlaceTarget):
            codes = TARGET_CODES
        return codes[number % len(codes)]

    def _do(self, what: Any, *arguments: Any, **named: Any) -> None:
        try:
            what(*arguments, **named)
        except Killed:
            self.stage.restart()
        except Rejected:
            pass

    # --- the world --------------------------------------------------------------------------------
    @precondition(lambda self: self._is_busy())
    @rule(
        rsi=st.sampled_from([80.0, 80.0, 20.0, 50.0, 5.0, None]),
        level=st.sampled_from(LEVELS),
        atr=st.sampled_from([100.0, 300.0]),
    )
    def an_hour_passes(self, rsi: float | None, level: str, atr: float) -> None:
        if rsi is not None and rsi != 50.0:
            self._nothing_comes_from_the_other_side(TradeSide.LONG if rsi == 80.0 else TradeSide.SHORT)
        self.stage.next_hour().price(level)
        event = candle(at_ms=self.stage.now_ms, rsi=rsi, close=float(level), atr=atr)
        self.candles.append(event)
        self._do(self.stage.close, event)

    @initialize(long=st.booleans(), fate=st.sampled_from(ENTRY_FATES), dies=st.booleans())
    def the_first_trade_is_wanted(self, long: bool, fate: int, dies: bool) -> None:
        self.a_trade_is_wanted(long, fate, dies)

    @precondition(lambda self: self.stage.record.trade is None)
    @rule(long=st.booleans(), fate=st.sampled_from(ENTRY_FATES), dies=st.booleans())
    def a_trade_is_wanted(self, long: bool, fate: int, dies: bool) -> None:
        """Whatever blocks it is cleared, so that most of the time is spent in trades; its entry may be lost or late,
        or the process dies before it is sent."""
        self._do(self.stage.command, "resume")
        self._stops_are_proved()
        self._nothing_comes_from_the_other_side(TradeSide.LONG if long else TradeSide.SHORT)
        self.fates.appendleft(fate)
        if dies and fate == 0:
            self.stage.killed_after = 0
        self.stage.next_hour().price("60000")
        event = candle(at_ms=self.stage.now_ms, rsi=80.0 if long else 20.0)
        self.candles.append(event)
        self._do(self.stage.close, event)

    def _stops_are_proved(self) -> None:
        """After a position that got no stop nothing is entered before that (R60)."""
        engine, now_ms = self.stage.engine, self.stage.now_ms
        if engine.account.halt is not None:
            self.stage.read_equity()
            engine.set_account(now_ms, "RESUMED", paused=False, halt=None)
        engine.prove_route(now_ms, "PROVED")

    @precondition(lambda self: self._is_busy())
    @rule(level=st.sampled_from(LEVELS))
    def the_price_moves(self, level: str) -> None:
        self.stage.price(level).wait(700)

    @precondition(lambda self: self._is_busy())
    @rule(ms=st.sampled_from([100, 900, 4_000, 20_000]))
    def time_passes(self, ms: int) -> None:
        self.stage.wait(ms)

    @rule(fates=st.lists(st.integers(0, 9), max_size=6))
    def the_exchange_gets_worse(self, fates: list[int]) -> None:
        self.fates.extend(fates)

    @precondition(lambda self: self._is_busy())
    @rule(intents=st.integers(0, 4))
    def the_process_will_die(self, intents: int) -> None:
        self.stage.killed_after = intents

    @rule()
    def the_process_restarts(self) -> None:
        self.stage.restart()

    # --- what is told -----------------------------------------------------------------------------
    @rule(persisted=st.booleans())
    def a_look(self, persisted: bool) -> None:
        self._do(self.stage.look, persisted=persisted)
        self._no_position_goes_unwatched()

    @rule()
    def patient_looks(self) -> None:
        for _ in range(4):
            self._do(self.stage.patient_look)
        self._no_position_goes_unwatched()

    def _no_position_goes_unwatched(self) -> None:
        """R5, R7: after a true look at an uncovered position of ours it is being closed, or its deadline runs."""
        record, trade = self.stage.record, self.stage.record.trade
        if naked(self.stage.exchange) == 0 or trade is None or trade.first_fill_ms is None or self.touched_by_hand:
            return
        assert record.state in CLOSING or trade.uncovered_ms is not None, self.stage.reasons[-6:]

    @precondition(lambda self: self._is_busy())
    @rule(data=st.data(), persisted=st.booleans())
    def a_look_that_lacks_orders(self, data: st.DataObject, persisted: bool) -> None:
        known = sorted({*self.stage.exchange.orders, *self.stage.exchange.algos})
        hidden = data.draw(st.sets(st.sampled_from(known))) if known else set()
        self.stage.view = without(*hidden)
        self._do(self.stage.look, persisted=persisted)
        self.stage.view = lambda snapshot: snapshot

    @precondition(lambda self: self._is_busy())
    @rule(quantity=st.sampled_from(["0", "0.01", "0.05", "0.4", "-0.05"]), persisted=st.booleans())
    def a_look_with_a_wrong_position(self, quantity: str, persisted: bool) -> None:
        self.stage.view = with_position(quantity)
        self._do(self.stage.look, persisted=persisted and self.interferes)
        self.stage.view = lambda snapshot: snapshot

    @precondition(lambda self: self._is_busy() and self.stage.outcomes)
    @rule(data=st.data())
    def an_answer_comes_again(self, data: st.DataObject) -> None:
        intent, outcome = data.draw(st.sampled_from(self.stage.outcomes))
        self._do(self.stage.ended, intent, outcome)

    @precondition(lambda self: self._is_busy() and self.candles)
    @rule(data=st.data())
    def a_candle_comes_again(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.candles))
        self._do(self.stage.close, replace(event, at_ms=self.stage.now_ms, prices=self.stage.exchange.prices()))

    @precondition(lambda self: self.stage.late is not None)
    @rule()
    def a_late_entry_arrives(self) -> None:
        self.stage.arrive()

    @precondition(lambda self: self._entry_is_missing())
    @rule()
    def the_entry_is_shown_absent(self) -> None:
        """As the shell does after several looks that show neither it nor a position."""
        self._do(self.stage.absent)

    @precondition(lambda self: self.stage.state is State.SIGNALLED)
    @rule(answer=st.sampled_from([Confirmed(), Unknown("the bot was started again")]))
    def the_setup_is_answered(self, answer: Outcome) -> None:
        stage = self.stage
        self._do(
            stage.tell,
            SetupEnded(symbol=SYMBOL, at_ms=stage.now_ms, outcome=answer, prices=stage.exchange.prices()),
        )

    @precondition(lambda self: self.stage.record.trade is not None)
    @rule()
    def the_deadline_passes(self) -> None:
        """R5: whatever is open and was not seen covered is being closed from now on."""
        trade = self.stage.record.trade
        self._do(self.stage.deadline)
        if trade is not None and trade.uncovered_ms is not None:
            record = self.stage.record
            assert record.trade is None or record.state in CLOSING, record.state

    @precondition(lambda self: self._is_busy())
    @rule()
    def the_day_of_a_limit_ends(self) -> None:
        self._do(self.stage.command, "resume", "LIMIT_DAY")

    @precondition(lambda self: self.stage.record.trade is not None)
    @rule(
        command=st.sampled_from(["pause", "resume", "halt", "flatten", "exit", "quarantine"]),
        cause=st.sampled_from(["OPERATOR", "LIMIT_DAY"]),
    )
    def the_operator_wishes(self, command: str, cause: str) -> None:
        self._do(self.stage.command, command, cause)

    @precondition(lambda self: self.stage.record.trade is not None)
    @rule(
        command=st.sampled_from(["reduce", "reduce", "move-stop", "move-target"]),
        price=st.sampled_from([*LEVELS, "59500", "60350", "61100"]),
        pct=st.sampled_from(["10", "50", "90"]),
        number=st.sampled_from([1, 2, None]),
        looser=st.booleans(),
        again=st.booleans(),
    )
    def the_operator_acts(
        self, command: str, price: str, pct: str, number: int | None, looser: bool, again: bool
    ) -> None:
        """By hand, through the bot; ``again``: a start carries the same command out once more."""
        self.commands_given += 1
        for _ in range(1 + again):
            self._do(
                self.stage.by_hand,
                command,
                price=Decimal(price),
                pct=Decimal(pct),
                number=number,
                looser=looser,
                why="a reason" if looser else "",
                command_id=self.commands_given,
            )

    @precondition(lambda self: self._is_busy())
    @rule()
    def equity_is_read(self) -> None:
        self.stage.read_equity()

    # --- the exchange by itself -------------------------------------------------------------------
    @precondition(lambda self: self.stage.exchange.position and self._resting_algos())
    @rule(data=st.data())
    def a_conditional_order_fires(self, data: st.DataObject) -> None:
        self.stage.exchange.trigger(data.draw(st.sampled_from(self._resting_algos())))

    @precondition(lambda self: self._resting_algos())
    @rule(
        data=st.data(),
        status=st.sampled_from([AlgoStatus.CANCELED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED, AlgoStatus.TRIGGERING]),
    )
    def the_venue_ends_a_conditional_order(self, data: st.DataObject, status: AlgoStatus) -> None:
        self.stage.exchange.end_algo(data.draw(st.sampled_from(self._resting_algos())), status)

    @precondition(lambda self: self._open_orders())
    @rule(data=st.data(), share=st.sampled_from(["0.3", "1"]))
    def a_resting_order_fills(self, data: st.DataObject, share: str) -> None:
        client_id = data.draw(st.sampled_from(self._open_orders()))
        quantity = self.stage.exchange.orders[client_id].quantity * Decimal(share)
        self.stage.exchange.fill(client_id, self.stage.context.filters.floor_quantity(quantity, market=True))

    @precondition(lambda self: self._open_orders())
    @rule(data=st.data(), status=st.sampled_from([OrderStatus.EXPIRED, OrderStatus.CANCELED, OrderStatus.UNRECOGNISED]))
    def the_venue_ends_an_order(self, data: st.DataObject, status: OrderStatus) -> None:
        self.stage.exchange.end(data.draw(st.sampled_from(self._open_orders())), status)

    @precondition(lambda self: self.interferes and self.stage.record.trade is not None)
    @rule(side=st.sampled_from(list(Side)), quantity=st.sampled_from(["0.01", "0.05", "0.2"]))
    def somebody_trades_by_hand(self, side: Side, quantity: str) -> None:
        self.touched_by_hand = True
        self.stage.exchange.by_hand(side, quantity)

    @precondition(lambda self: self._is_busy())
    @rule()
    def funding_is_paid(self) -> None:
        if self.stage.exchange.position:
            self.stage.wait(1).exchange.pay("FUNDING_FEE", Decimal("-0.25"))

    def _is_busy(self) -> bool:
        """Something is under way; while nothing is, most of what could happen would mean nothing."""
        stage = self.stage
        return stage.record.trade is not None or stage.late is not None or stage.exchange.position != 0

    def _nothing_comes_from_the_other_side(self, side: TradeSide) -> None:
        """An entry that was given up is not waited for, so it could meet a trade of the other side (docs/proofs.md)."""
        late, position = self.stage.late, self.stage.exchange.position
        if self.stage.record.trade is not None:
            return
        if (late is not None and late.side is side.exit_side) or position * side.sign < 0:
            self.stage.arrive()
            for _ in range(4):
                self._do(self.stage.patient_look)

    def _entry_is_missing(self) -> bool:
        trade, exchange = self.stage.record.trade, self.stage.exchange
        waits = self.stage.state is State.ENTERING and trade is not None and trade.first_fill_ms is None
        return waits and exchange.position == 0 and trade.entry.client_id not in exchange.orders

    def _resting_algos(self) -> list[str]:
        return sorted(cid for cid, algo in self.stage.exchange.algos.items() if algo.status is AlgoStatus.NEW)

    def _open_orders(self) -> list[str]:
        return sorted(cid for cid, order in self.stage.exchange.orders.items() if order.status.is_open)

    # --- what must hold ---------------------------------------------------------------------------
    @invariant()
    def every_row_agrees_with_the_sheet(self) -> None:
        self.sheet.read(self.stage)

    @invariant()
    def no_handler_failed(self) -> None:
        assert not self.stage.engine.failures

    @invariant()
    def state_and_trade_agree(self) -> None:
        record = self.stage.record
        assert (record.trade is None) == (record.state in (State.IDLE, State.HALT))
        assert (record.halt is None) or record.state is not State.IDLE
        assert (record.halt is not None) or record.state is not State.HALT

    @invariant()
    def no_trade_has_two_entries(self) -> None:
        """R16, R18: one entry a trade, sent once."""
        entries = [intent.request.client_id for intent in self.stage.sent if isinstance(intent, PlaceEntry)]
        assert len(entries) == len(set(entries))
        numbers = [
            decision.record.trade.number for _, decision, _ in self.stage.ledger.rows if decision.trigger == "signal"
        ]
        assert numbers == sorted(set(numbers))
        candles = [
            decision.record.signal_candle_ms
            for _, decision, _ in self.stage.ledger.rows
            if decision.trigger == "signal"
        ]
        assert len(candles) == len(set(candles))

    @invariant()
    def no_entry_risks_more_than_allowed(self) -> None:
        """R42: the loss at the stop, costs included, is at most the configured share of equity."""
        for _, decision, _ in self.stage.ledger.rows:
            trade = decision.record.trade
            if decision.trigger != "enter" or trade is None:
                continue
            most = Decimal(10_000) * self.stage.context.policy.risk.risk_per_trade_pct / 100
            planned = trade.entry.price or trade.entry_price_planned
            per_unit = loss_per_unit(trade.side.sign, planned, trade.stop_price_initial, self.stage.context.policy)
            assert trade.risk_usdt <= most * 2  # equity itself may have grown
            assert trade.quantity * per_unit <= most * 2

    def teardown(self) -> None:
        """Faults and interference stop; a finite number of looks must lead to rest."""
        stage = self.stage
        self.fates.clear()
        stage.killed_after = None
        stage.arrive()
        uncovered_looks = absences = 0
        for look in range(LOOKS_TO_REST):
            stage.wait(2 * HOUR_MS if look == LOOKS_TO_REST // 2 else 0).patient_look()
            trade = stage.record.trade
            waits = stage.state is State.ENTERING and trade is not None and trade.first_fill_ms is None
            absences = absences + 1 if waits and trade.entry.client_id not in stage.exchange.orders else 0
            if absences > 8:
                stage.absent()
            if stage.state is State.SIGNALLED:
                stage.wait(3_600_000)
            uncovered_looks = uncovered_looks + 1 if trade is not None and trade.uncovered_ms is not None else 0
            if uncovered_looks > 5:
                stage.deadline()
        self._is_at_rest()
        self._books_are_right()

    def _is_at_rest(self) -> None:
        stage, exchange = self.stage, self.stage.exchange
        if stage.state is State.PROTECTED:
            assert exchange.covered() >= abs(exchange.position) > 0, stage.reasons[-8:]
            return
        assert stage.state in (State.IDLE, State.HALT), stage.reasons[-12:]
        assert exchange.position == 0 or (self.interferes and stage.record.quarantine is not None), stage.reasons[-12:]
        ours = exchange.open_ids()
        assert not ours or exchange.position != 0, (ours, stage.reasons[-8:])

    def _books_are_right(self) -> None:
        """R43: what the journal says was won equals what the exchange paid."""
        stage, exchange = self.stage, self.stage.exchange
        if self.touched_by_hand or stage.record.trade is not None or any(trade.flagged for trade in stage.booked):
            return
        if exchange.position != 0:
            return
        ours = sum((trade.net_pnl or ZERO for trade in stage.booked), ZERO)
        fills = sum((fill.realized_pnl - fill.commission for fill in exchange.fills), ZERO)
        funding = sum((row.income for row in exchange.income if row.income_type == "FUNDING_FEE"), ZERO)
        assert ours == fills + funding, stage.reasons


class LimitEntries(AnyExchange):
    entry_type = OrderType.LIMIT


class NobodyInterferes(AnyExchange):
    interferes = False


class NoTargets(AnyExchange):
    """Trades that only the stop and the rules end."""

    def __init__(self) -> None:
        super().__init__()
        bare = re.sub(r"      targets: \[.*\]\n", "", RULES).replace("    reward_risk_min: 1.0\n", "")
        rules = parse_rules(bare, "rules").for_symbol(SYMBOL)
        self.stage.context = dataclasses.replace(self.stage.context, rules=rules)


MACHINES = (AnyExchange, LimitEntries, NobodyInterferes, NoTargets)
EFFORT = settings(max_examples=80, stateful_step_count=50)


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_the_exchange_does_leads_to_a_dead_end_or_a_second_entry(machine: type[AnyExchange]) -> None:
    run_state_machine_as_test(machine, settings=EFFORT)
