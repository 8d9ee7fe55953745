"""Hands a position over to the user: our books of it are closed, its stop stays, and nothing here touches it again."""

from __future__ import annotations

from msgspec.structs import replace

from fsm.core.model.decision import Decision, Rejected, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import Commanded
from fsm.core.model.intents import CancelAlgo, CancelEntry, Intent, Look
from fsm.core.model.records import ZERO, Flag, Foreign, State, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.order_requests import bridge_id

BARE = " CANCEL_STOP"
"""Behind the name of what was handed over: whatever rests of ours beside it goes, at the next look if not at once."""


def cancels_stop(record: SymbolRecord) -> bool:
    """Whether no order of ours may rest beside what was handed over here."""
    return record.released is not None and record.released.cause.endswith(BARE)


def release(record: SymbolRecord, event: Commanded, context: DecisionContext) -> Decision:
    """What is open here belongs to the user from now on, ours or not. Raises Rejected where nothing is open.

    The entry and the targets are cancelled, the stop only with ``cancel_stop``. While it is being moved the bridge
    between two stops may be all that rests, so that stays too. Until the position is flat the symbol enters nothing and
    the position is never adopted.
    """
    trade = record.trade
    if trade is not None and (record.state is State.SIGNALLED or trade.first_fill_ms is None):
        raise Rejected("STATE", f"{record.symbol} is in {record.state}: nothing is open yet; `flatten` drops the entry")
    if trade is None and record.foreign is None:
        raise Rejected("NOTHING_OPEN", f"nothing is open in {record.symbol} that could be released")
    bare = BARE if event.cancel_stop else ""
    if trade is None:
        mine = replace(record, released=Flag(f"FOREIGN_POSITION{bare}", event.at_ms), quarantine=None)
        return decision(Trigger.RELEASE, "FOREIGN_POSITION", mine, intents=(Look(symbol=record.symbol),))
    net = trade.realized_pnl - trade.fees
    booked = replace(
        trade,
        exit_reason="RELEASED",
        flagged=trade.flagged or "RELEASED",
        net_pnl=net,
        r=net / trade.risk_usdt if trade.risk_usdt else ZERO,
        open_quantity=ZERO,
        uncovered_ms=None,
        closed_ms=event.at_ms,
    )
    price = trade.entry_price or trade.entry_price_planned
    after = replace(
        record,
        trade=None,
        tried=None,
        abandoned=None,
        quarantine=None,
        released=Flag(f"{trade.id}{bare}", event.at_ms),
        foreign=Foreign(quantity=trade.side.sign * trade.open_quantity, price=price),
        last_fill_id=trade.last_fill_id if trade.last_fill_id is not None else record.last_fill_id,
    )
    intents = (*_cancels(trade, context, cancel_stop=event.cancel_stop), Look(symbol=record.symbol))
    return decision(Trigger.RELEASE, "RELEASED", after, intents=intents, booked=booked)


def _cancels(trade: Trade, context: DecisionContext, *, cancel_stop: bool) -> tuple[Intent, ...]:
    symbol = trade.symbol
    ids = trade.target_ids
    if trade.stop is not None and cancel_stop:
        ids.append(trade.stop.client_id)
        if trade.stop_before is not None:
            ids += [trade.stop_before.client_id, bridge_id(context, trade, trade.stop)]
    entry: tuple[Intent, ...] = ()
    if not trade.entry.finished:
        entry = (CancelEntry(symbol=symbol, client_id=trade.entry.client_id),)
    return (*entry, *(CancelAlgo(symbol=symbol, client_id=client_id) for client_id in ids))
