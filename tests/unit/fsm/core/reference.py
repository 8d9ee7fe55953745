"""A second, naive account of one symbol: what every journal row, every order and every look must agree with.

It knows no decision of the engine. It reads what the engine wrote and sent, and keeps of it what a trader would keep
on a sheet of paper: who forbade entries, which ids were used, where the stop is and whether it rests.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchange.client_ids import Leg, parse
from exchange.types import AlgoStatus, Outcome, Refused, Unknown
from fsm.core.model.decision import Decision
from fsm.core.model.events import Commanded, IntentEnded, SymbolEvent, SymbolObserved
from fsm.core.model.intents import CancelAlgo, ClosePosition, Intent, PlaceEntry, PlaceStop, PlaceTarget, SweepOrders
from fsm.core.model.records import LIMIT_CAUSES, ZERO, Flag, HaltCause, State, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.order_requests import bridge_id
from fsm.core.refusals import PERMISSION, REFUSALS_BEFORE_HALT
from tests.unit.fsm.core.small_exchange import Exchange
from tests.unit.fsm.core.stage import Stage

CLOSING = (State.EXITING, State.FLATTEN)


class Sheet:
    """Everything it has seen so far. Each method raises AssertionError where the engine contradicts it; what is seen
    inside a commit, where the engine would catch that, waits in ``faults``."""

    def __init__(self) -> None:
        self.rows_read = 0
        self.entries: set[str] = set()
        self.stops_of: set[int] = set()
        self.in_doubt: set[str] = set()
        self.refused = 0
        self.faults: list[str] = []

    # --- rows -------------------------------------------------------------------------------------
    def read(self, stage: Stage) -> None:
        """The rows that were written since the last time."""
        assert not self.faults, self.faults
        for before, decision, event in stage.ledger.rows[self.rows_read :]:
            self.rows_read += 1
            self._flags_change_by_their_rules(before, decision, event)
            self._entries_are_allowed(before, decision)
            self._first_fill_starts_the_deadline(before, decision)
            self._stop_moves_in_favour(before, decision, event)
            self._books_add_up(decision)

    def _flags_change_by_their_rules(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> None:
        """A halt ends by the operator, or with its own limit; quarantine and pause by the operator alone."""
        after = decision.record
        command = event if isinstance(event, Commanded) else None
        wish = command.command if command else ""
        by_operator = wish == "resume" and command is not None and command.cause not in LIMIT_CAUSES
        if before.halt != after.halt:
            if after.halt is None:
                own_limit = wish == "resume" and before.halt is not None and command.cause == before.halt.cause
                assert by_operator or own_limit, f"{before.halt} ended by {decision.trigger} {decision.reason}"
            else:
                self._halt_has_its_cause(before.halt, after.halt, event)
        if before.quarantine != after.quarantine:
            assert by_operator if after.quarantine is None else before.quarantine is None
        if before.paused != after.paused:
            assert wish == "pause" if after.paused else by_operator
        if decision.record.state is State.HALT:
            assert after.halt is not None

    def _halt_has_its_cause(self, before: Flag | None, after: Flag, event: SymbolEvent) -> None:
        if before is not None:  # only somebody's wish replaces a limit, which would end by itself
            assert before.cause in LIMIT_CAUSES
            assert after.cause not in LIMIT_CAUSES
        if isinstance(event, Commanded):
            assert event.command in ("halt", "flatten")
            assert after.cause == event.cause
            return
        if after.cause == HaltCause.LIQUIDATED:
            return
        assert isinstance(event, IntentEnded)
        assert isinstance(event.outcome, Refused)
        if after.cause == HaltCause.PERMISSION:
            assert event.outcome.reason in PERMISSION
        else:
            assert after.cause == HaltCause.REFUSALS
            assert self.refused >= REFUSALS_BEFORE_HALT

    def _entries_are_allowed(self, before: SymbolRecord, decision: Decision) -> None:
        entries = [intent for intent in decision.intents if isinstance(intent, PlaceEntry)]
        assert len(entries) == (decision.trigger is Trigger.ENTER)
        if decision.trigger in (Trigger.SIGNAL, Trigger.ENTER):
            forbidden = before.halt or before.quarantine or before.paused
            assert not forbidden, f"{decision.trigger} {forbidden}"
        opened = decision.record.trades_opened - before.trades_opened
        assert opened == 0 if decision.trigger not in (Trigger.SIGNAL, Trigger.ADOPT) else opened >= 0

    def _first_fill_starts_the_deadline(self, before: SymbolRecord, decision: Decision) -> None:
        """R5: from the first fill, or from the taking over, until a stop was read back."""
        old, new = before.trade, decision.record.trade
        if new is None or new.first_fill_ms is None or decision.record.state in CLOSING:
            return
        if old is None or old.first_fill_ms is None:
            assert new.uncovered_ms == new.first_fill_ms
        elif old.uncovered_ms is not None and new.uncovered_ms is None:
            assert decision.reason == "STOP_CONFIRMED"

    def _stop_moves_in_favour(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> None:
        """Away from safety only where the operator said so, and why."""
        old, new = before.trade, decision.record.trade
        if old is None or new is None or old.id != new.id or old.stop is None or new.stop is None:
            return
        if decision.trigger is Trigger.RESTOP and decision.reason != "TARGET_MOVED_BY_HAND":
            loosened = isinstance(event, Commanded) and event.looser and bool(event.why)
            assert loosened or new.side.sign * (new.stop.trigger_price - old.stop.trigger_price) > 0
            assert new.stop_before == old.stop
        elif old.stop.trigger_price != new.stop.trigger_price:  # a move that was refused: back to where it rests
            assert old.stop_before is not None
            assert new.stop.trigger_price == old.stop_before.trigger_price
        assert new.stop.version >= old.stop.version

    def _books_add_up(self, decision: Decision) -> None:
        assert (decision.booked is not None) <= (decision.trigger is Trigger.FLAT)
        trade = decision.booked
        if trade is None:
            return
        assert trade.net_pnl == trade.realized_pnl - trade.fees + trade.funding
        assert trade.r == (trade.net_pnl / trade.risk_usdt if trade.risk_usdt else ZERO)
        assert trade.open_quantity == 0
        assert decision.record.trade is None

    # --- orders -----------------------------------------------------------------------------------
    def before_sending(self, intent: Intent, trade: Trade | None) -> None:
        """May this order leave?"""
        match intent:
            case PlaceEntry(request=order):
                assert order.client_id not in self.entries, f"{order.client_id} leaves twice"
                assert not order.reduce_only
                self.entries.add(order.client_id)
            case ClosePosition(request=order):
                assert order.reduce_only
                assert trade is not None
                assert order.side is trade.side.exit_side
                self._nothing_newer_than_a_doubt(order.client_id)
            case PlaceStop(request=algo) | PlaceTarget(request=algo):
                assert algo.close_position != algo.reduce_only
                assert trade is None or algo.side is trade.side.exit_side
                self._nothing_newer_than_a_doubt(algo.client_id)
                parts = parse(algo.client_id)
                assert parts is not None
                if isinstance(intent, PlaceStop):
                    self.stops_of.add(parts.trade_number)
                elif trade is not None and not trade.adopted:
                    assert parts.trade_number in self.stops_of, "a target before the stop of its trade"

    def after_sending(self, intent: Intent, outcome: Outcome) -> None:
        client_id = intent.request.client_id if isinstance(intent, ClosePosition | PlaceStop | PlaceTarget) else None
        if isinstance(outcome, Refused):
            self.refused += 1
        if client_id is not None:
            self.in_doubt.discard(client_id)
            if isinstance(outcome, Unknown):
                self.in_doubt.add(client_id)

    def seen(self, client_ids: set[str]) -> None:
        """A look showed these orders: no doubt about them."""
        self.in_doubt -= client_ids

    def _nothing_newer_than_a_doubt(self, client_id: str) -> None:
        """Nothing takes the place of an order of unknown outcome under a new id (R16)."""
        new = parse(client_id)
        assert new is not None
        for other in self.in_doubt:
            old = parse(other)
            assert old is not None
            if (old.trade_number, old.leg) != (new.trade_number, new.leg):
                continue
            if new.leg is Leg.CLOSE or new.index == old.index:
                assert (new.index, new.attempt) <= (old.index, old.attempt), (
                    f"{client_id} leaves while {other} may work"
                )


class WatchedStage(Stage):
    """A stage whose every order is held against the sheet. With ``stops_stay`` no cancel may take the last stop of an
    open position, which holds as long as nobody lies to the engine for good."""

    def __init__(self, sheet: Sheet, *, stops_stay: bool, **policy: Any) -> None:
        self.sheet = sheet
        self._stops_stay = stops_stay
        super().__init__(**policy)
        self.ledger.watch = self._row_is_true

    def _row_is_true(self, decision: Decision) -> None:
        if decision.trigger is Trigger.PROTECT and naked(self.exchange) > 0:
            self.sheet.faults.append(f"PROTECTED with {naked(self.exchange)} that no stop covers")

    def do(self, intent: Intent) -> Outcome:
        self.sheet.before_sending(intent, self.record.trade)
        covered = self._is_covered()
        outcome = super().do(intent)
        self.sheet.after_sending(intent, outcome)
        if self._stops_stay and covered and isinstance(intent, CancelAlgo | SweepOrders):
            lost = self.exchange.position != 0 and not self._is_covered() and not self._bridge_was_ended()
            assert not lost, f"{intent} took the last stop of an open position"
        return outcome

    def observe(self, *, persisted: bool = False) -> SymbolObserved:
        event = super().observe(persisted=persisted)
        snapshot = event.snapshot
        self.sheet.seen({o.client_id for o in snapshot.orders} | {a.client_id for a in snapshot.algo_orders})
        return event

    def _is_covered(self) -> bool:
        return self.exchange.position != 0 and naked(self.exchange) == 0

    def _bridge_was_ended(self) -> bool:
        """The stop that rested while another is replaced fired, or was ended by the venue, before we could know."""
        trade = self.record.trade
        bridge = trade and trade.stop and self.exchange.algos.get(bridge_id(self.context, trade, trade.stop))
        return bool(bridge) and bridge.status is not AlgoStatus.NEW


def naked(exchange: Exchange) -> Decimal:
    """How much of the position no resting stop would close."""
    return max(abs(exchange.position) - exchange.covered(), ZERO)
