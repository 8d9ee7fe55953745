"""How the machine of 0.1.0 closed, so that its journals are decided again as they were: nothing new goes here."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import Rounding
from exchange.refusals import RefusalReason
from exchange.types import Order, OrderStatus, Refused
from fsm.core.accounting import count_fills
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import IntentEnded, SymbolObserved
from fsm.core.model.intents import Intent, Look
from fsm.core.model.records import ZERO, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView
from fsm.core.order_requests import close_piece
from fsm.core.refusals import refused_for_good

LIMIT_DISTANCE = Decimal("0.05")


def close_more(
    record: SymbolRecord,
    event: SymbolObserved,
    view: TradeView,
    quantity: Decimal,
    competing: tuple[Intent, ...],
    context: DecisionContext,
) -> Decision | None:
    trade, close = record.trade, view.close
    assert trade is not None
    if close is not None and _may_still_fill(close, event):
        return None
    if trade.piece_pending and close is None:
        if not event.persisted:
            return None
        again = close_piece(trade, quantity, trade.exit_attempt, context)
        return decision(
            Trigger.REPROTECT, "CLOSE_NOT_FOUND", record, intents=(*competing, again, Look(symbol=record.symbol))
        )
    done = close.executed_quantity if close is not None else ZERO
    if done >= trade.open_quantity > 0 and not event.persisted:
        return None
    trade = count_fills(trade, event.snapshot, context)
    trade = replace(trade, open_quantity=quantity, closed_by_us=trade.closed_by_us + done)
    trade, piece = _next_piece(trade, quantity, context)
    intents = (*competing, piece, Look(symbol=record.symbol))
    return decision(Trigger.REPROTECT, "CLOSE_AGAIN", replace(record, trade=trade), intents=intents)


def _may_still_fill(close: Order, event: SymbolObserved) -> bool:
    """A status that nobody knows proves nothing until it has stood for a while."""
    return close.status.is_open or (close.status is OrderStatus.UNRECOGNISED and not event.persisted)


def close_refused(
    record: SymbolRecord, trade: Trade, event: IntentEnded, refused: Refused, context: DecisionContext
) -> Decision | None:
    if refused.reason is RefusalReason.NO_COUNTERPARTY and event.prices is not None and trade.open_quantity > 0:
        limit = _closing_limit(trade, event.prices.mark_price, context)
        trade, piece = _next_piece(trade, trade.open_quantity, context, limit=limit)
        intents = (piece, Look(symbol=record.symbol))
        return decision(Trigger.REPROTECT, "CLOSE_WITH_LIMIT", replace(record, trade=trade), intents=intents)
    record = replace(record, trade=replace(trade, exit_refused=trade.exit_attempt))
    record = refused_for_good(record, event.at_ms, refused, context)
    return decision(Trigger.REPROTECT, f"CLOSE_REFUSED {refused.code}", record, facts={"message": refused.message})


def _next_piece(
    trade: Trade, quantity: Decimal, context: DecisionContext, *, limit: Decimal | None = None
) -> tuple[Trade, Intent]:
    attempt = trade.exit_attempt + 1
    return replace(trade, exit_attempt=attempt), close_piece(trade, quantity, attempt, context, limit=limit)


def _closing_limit(trade: Trade, mark: Decimal, context: DecisionContext) -> Decimal:
    bound = context.filters.market_price_limit(trade.side.exit_side, mark)
    price = bound if bound is not None else mark * (1 - trade.side.sign * LIMIT_DISTANCE)
    return context.filters.round_price(price, Rounding.UP if trade.side.sign > 0 else Rounding.DOWN)
