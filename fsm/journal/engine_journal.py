"""Writes what the engine decides into the store: the one translation from the core's values to journal rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from exchange.types import Account, AlgoOrder, Confirmed, Fill, Order, Outcome, Refused
from fsm.core.accounting import fills_of_its_time
from fsm.core.candle_close import CandleVerdict
from fsm.core.model.decision import Decision, Step
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.events import CandleClosed, IntentEnded, JournalFoundOld, SymbolEvent, SymbolObserved
from fsm.core.model.intents import CancelAlgo, CancelEntry, Intent, Look, Placing, SweepOrders
from fsm.core.model.records import AccountRecord, SymbolRecord, Trade
from rules.regime import RegimeState
from store.batch import Batch
from store.journal import Journal
from store.rows import (
    AlertRow,
    DecisionRow,
    EquityRow,
    FillRow,
    IntentOutcome,
    IntentStatus,
    OrderEnd,
    OrderUpdate,
    RegimeRow,
    SystemEventRow,
    TransitionRow,
)

_encode = msgspec.json.Encoder(order="deterministic").encode


def to_json(value: Any) -> str:
    """The canonical text of a value: what is hashed, and what is compared."""
    return _encode(value).decode()


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a transition left: the record after it, what is to be done, and the trade where it ended one.

    As text it stands in ``effect_json``, with its keys in the order of the alphabet: what is hashed.
    """

    intents: tuple[Intent, ...]
    record: SymbolRecord
    trade: Trade | None = None


class StoredEngineJournal:
    """The durable side of the engine (fsm.core.engine.EngineJournal) on a journal."""

    def __init__(self, journal: Journal, *, rules_hash: str, config_hash: str) -> None:
        self._journal = journal
        self.rules_hash = rules_hash
        self.config_hash = config_hash
        self._settling: Batch | None = None

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        """Write one transition with its effect, the fills it counted and what it learned of orders."""
        number = self._journal.next_transition_id
        trade = ended_trade(before, decision, event.at_ms)
        held = decision.record.trade or trade or before.trade
        effect = Effect(intents=decision.intents, record=decision.record, trade=trade)
        row = TransitionRow(
            at_ms=event.at_ms,
            symbol=before.symbol,
            trade_id=held.id if held else None,
            trigger=decision.trigger.value,
            source=before.state.value,
            dest=decision.record.state.value,
            reason=decision.reason,
            facts_json=to_json(decision.facts),
            guards_json=to_json(decision.guards),
            event_json=to_json(event),
            rules_hash=held.rules_hash if held else self.rules_hash,
            config_hash=self.config_hash,
            effect_json=to_json(effect),
        )
        settled = self._settling or Batch()
        self._journal.commit(
            Batch(
                transitions=[row],
                fills=_fills(event, held),
                intent_outcomes=settled.intent_outcomes,
                order_updates=[*settled.order_updates, *_order_updates(event)],
                order_ends=settled.order_ends,
                alerts=self.alerts_of(number, before, decision, event),
            )
        )
        self._settling = None
        return Step(
            transition_id=number,
            at_ms=event.at_ms,
            symbol=before.symbol,
            source=before.state,
            dest=decision.record.state,
            trigger=decision.trigger,
            reason=decision.reason,
            trade_id=row.trade_id,
            intents=tuple((f"{number}.{ordinal}", intent) for ordinal, intent in enumerate(decision.intents)),
            booked=decision.booked,
        )

    def alerts_of(self, number: int, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> list[AlertRow]:
        """What the operator is told of this transition, in its own transaction; a run without one tells nothing."""
        del number, before, decision, event
        return []

    def commit_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None:
        """Write what changed of the account as a whole, with its record afterwards."""
        row = SystemEventRow(
            at_ms=at_ms,
            kind=kinds[-1],
            reason=",".join(kinds),
            facts_json=to_json({"account": after}),
            rules_hash=self.rules_hash,
            config_hash=self.config_hash,
        )
        self._journal.commit(Batch(system_events=[row]))

    def settle(self, name: str, intent: Intent, outcome: Outcome | None, at_ms: int) -> None:
        """Write what became of an intent. No outcome: a look that was taken, or an order that was dropped unsent."""
        self._journal.commit(_settlement(name, intent, outcome, at_ms))

    @contextmanager
    def settling(self, name: str, intent: Intent, outcome: Outcome, at_ms: int) -> Iterator[None]:
        """Write what became of an intent together with the first transition inside; by itself if there is none."""
        self._settling = _settlement(name, intent, outcome, at_ms)
        try:
            yield
            if self._settling is not None:
                self._journal.commit(self._settling)
        finally:
            self._settling = None

    def equity(self, *readings: tuple[int, Account]) -> None:
        """Write (time, account) of one reading, or of many."""
        rows = [
            EquityRow(
                at_ms=at_ms,
                balance=account.wallet_balance,
                equity=account.equity,
                unrealized_pnl=account.unrealized_pnl,
                available_balance=account.available_balance,
            )
            for at_ms, account in readings
        ]
        self._journal.commit(Batch(equity=rows))

    def decision(self, row: DecisionRow) -> None:
        self._journal.commit(Batch(decisions=[row]))

    def regime(self, event: CandleClosed, before: RegimeState) -> None:
        """Write a change of the stable regime, with the features it was seen in and the counters after it."""
        row = RegimeRow(
            at_ms=event.at_ms,
            symbol=event.symbol,
            candle_ms=event.candle_ms,
            regime=event.regime.regime,
            previous=before.regime,
            confidence=event.regime.confidence,
            features_json=to_json(event.facts),
            counters_json=to_json(event.regime),
            rules_hash=self.rules_hash,
        )
        self._journal.commit(Batch(regimes=[row]))

    def decision_row(
        self,
        event: CandleClosed,
        verdict: CandleVerdict,
        *,
        regime_before: RegimeState,
        portfolio: Portfolio,
        record: SymbolRecord,
        rules_hash: str,
    ) -> DecisionRow:
        """One decision with everything it read, so that it can be taken again from this row alone."""
        facts = {
            "facts": event.facts,
            "prices": event.prices,
            "regime": event.regime,
            "regime_before": regime_before,
            "portfolio": portfolio,
            "record": record,
            "strategy": verdict.strategy,
        }
        if event.blocked_until_ms:
            facts["blocked_until_ms"] = event.blocked_until_ms
        if event.warming:
            facts["warming"] = event.warming
        return DecisionRow(
            at_ms=event.at_ms,
            symbol=event.symbol,
            candle_ms=event.candle_ms,
            outcome=verdict.outcome,
            reason=verdict.reason,
            regime=event.regime.regime,
            confidence=event.regime.confidence,
            facts_json=to_json(facts),
            guards_json=to_json(verdict.guards),
            rules_hash=rules_hash,
            config_hash=self.config_hash,
            run_id=self._journal.run_id,
        )


def _settlement(name: str, intent: Intent, outcome: Outcome | None, at_ms: int) -> Batch:
    settled = IntentOutcome(
        intent_id=name,
        status=_status(intent, outcome),
        outcome_json=None if outcome is None else to_json(outcome),
        at_ms=at_ms,
    )
    updates = list(_answered(outcome)) if isinstance(outcome, Confirmed) else []
    return Batch(intent_outcomes=[settled], order_updates=updates, order_ends=list(_ends(intent, outcome, at_ms)))


def ended_trade(before: SymbolRecord, decision: Decision, at_ms: int) -> Trade | None:
    """The trade that this move ended: as it was booked, or as it was when it was dropped without a fill."""
    if before.trade is None or decision.record.trade is not None:
        return None
    if decision.booked is not None:
        return decision.booked
    return replace(before.trade, exit_reason=before.trade.exit_reason or decision.reason, closed_ms=at_ms)


def _fills(event: SymbolEvent, trade: Trade | None) -> list[FillRow]:
    """A look may show what another hand did before the trade began: that is no part of it."""
    if not isinstance(event, SymbolObserved | JournalFoundOld):
        return []
    shown = event.snapshot.fills
    if trade is None or isinstance(event, JournalFoundOld):
        return [_fill(fill, trade) for fill in shown]
    own = {fill.fill_id for fill in fills_of_its_time(trade, event.snapshot)}
    return [_fill(fill, trade if fill.fill_id in own else None) for fill in shown]


def _fill(fill: Fill, trade: Trade | None) -> FillRow:
    return FillRow(
        at_ms=fill.time_ms,
        symbol=fill.symbol,
        fill_id=fill.fill_id,
        order_id=fill.order_id,
        trade_id=trade.id if trade else None,
        side=fill.side.value,
        price=fill.price,
        quantity=fill.quantity,
        realized_pnl=fill.realized_pnl,
        commission=fill.commission,
        commission_asset=fill.commission_asset,
        maker=fill.maker,
    )


def _order_updates(event: SymbolEvent) -> Iterable[OrderUpdate]:
    if isinstance(event, SymbolObserved | JournalFoundOld):
        yield from map(_update, event.snapshot.orders)
        yield from map(_update, event.snapshot.algo_orders)
    elif isinstance(event, IntentEnded) and isinstance(event.outcome, Confirmed):
        yield from _answered(event.outcome)


def _answered(outcome: Confirmed) -> Iterable[OrderUpdate]:
    if outcome.order is not None:
        yield _update(outcome.order)
    if outcome.algo_order is not None:
        yield _update(outcome.algo_order)


def _ends(intent: Intent, outcome: Outcome | None, at_ms: int) -> Iterable[OrderEnd]:
    """Orders that are over by this outcome, for readers: nobody asks the exchange about them again."""
    if isinstance(outcome, Confirmed) and isinstance(intent, CancelEntry | CancelAlgo):
        yield OrderEnd(client_order_id=intent.client_id, status="CANCELED", updated_ms=at_ms)
    elif isinstance(outcome, Confirmed) and isinstance(intent, SweepOrders):
        for client_id in intent.client_ids:
            yield OrderEnd(client_order_id=client_id, status="CANCELED", updated_ms=at_ms)
    elif isinstance(outcome, Refused) and isinstance(intent, Placing):
        yield OrderEnd(client_order_id=intent.request.client_id, status="REJECTED", updated_ms=at_ms)
    elif outcome is None and isinstance(intent, Placing):
        yield OrderEnd(client_order_id=intent.request.client_id, status="DROPPED", updated_ms=at_ms)


def _update(order: Order | AlgoOrder) -> OrderUpdate:
    return OrderUpdate(
        client_order_id=order.client_id,
        order_id=order.order_id if isinstance(order, Order) else order.algo_id,
        status=order.status.value,
        executed_quantity=order.executed_quantity,
        average_price=order.average_price if isinstance(order, Order) else None,
        updated_ms=order.update_time_ms,
    )


def _status(intent: Intent, outcome: Outcome | None) -> IntentStatus:
    if outcome is None:
        return "CONFIRMED" if isinstance(intent, Look) else "DROPPED"
    if isinstance(outcome, Confirmed):
        return "CONFIRMED"
    return "REFUSED" if isinstance(outcome, Refused) else "UNKNOWN"
