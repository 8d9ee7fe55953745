"""The way out: exits, the emergency close that repeats until the exchange says flat, and the booking of the trade."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import Rounding
from exchange.types import Confirmed, Refused
from fsm.core import refusals
from fsm.core.events import IntentEnded, SymbolObserved
from fsm.core.intents import CancelAlgo, CancelEntry, Intent, Look, SweepOrders
from fsm.core.legs import close_piece
from fsm.core.move import Move, move
from fsm.core.records import ZERO, Flag, HaltCause, SymbolRecord, Trade
from fsm.core.scene import Setting
from fsm.core.sight import Sight, count_fills, exit_reason
from fsm.core.states import Trigger

LEDGER_TYPES = ("FUNDING_FEE", "SPECIAL_FUNDING_FEE", "INSURANCE_CLEAR")
"""Rows of the exchange's ledger of a trade that no fill carries (GET /fapi/v1/income, checked 2026-11)."""


def begin_flatten(record: SymbolRecord, at_ms: int, reason: str, setting: Setting) -> Move:
    """Into FLATTEN: the entry and the partial targets go, the stop stays, a reduce-only piece closes."""
    del at_ms
    return _begin(Trigger.FLATTEN, record, reason, setting)


def begin_exit(record: SymbolRecord, reason: str, setting: Setting) -> Move:
    """A rule or the operator ends the trade: the same orders as an emergency close, but no emergency."""
    return _begin(Trigger.EXIT, record, reason, setting)


def _begin(trigger: Trigger, record: SymbolRecord, reason: str, setting: Setting) -> Move:
    trade = record.trade
    if trade is None:
        return move(trigger, reason, record, intents=(Look(symbol=record.symbol),))
    trade = replace(trade, exit_reason=trade.exit_reason or reason)
    intents: list[Intent] = []
    if not trade.entry.finished:
        intents.append(CancelEntry(symbol=record.symbol, client_id=trade.entry.client_id))
    if trade.targets_sent:
        intents.extend(_cancel_partial_targets(trade))
    if trade.open_quantity > 0:
        trade, piece = next_piece(trade, trade.open_quantity, setting)
        intents.append(piece)
    intents.append(Look(symbol=record.symbol))
    return move(trigger, reason, replace(record, trade=trade), intents=tuple(intents))


def _cancel_partial_targets(trade: Trade) -> list[Intent]:
    """Reduce-only targets compete with a close (-2022, -4118) and outlive the position: they go first (R14)."""
    return [
        CancelAlgo(symbol=trade.symbol, client_id=target.client_id)
        for target in trade.targets
        if target.quantity is not None and not target.done
    ]


def next_piece(
    trade: Trade, quantity: Decimal, setting: Setting, *, limit: Decimal | None = None
) -> tuple[Trade, Intent]:
    """The next closing order; its number rises only when the one before it is known to have ended."""
    attempt = trade.exit_attempt + 1
    return replace(trade, exit_attempt=attempt), close_piece(trade, quantity, attempt, setting, limit=limit)


def leave(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """The position is gone. With the fills that closed it (or the patience of several looks), the trade is exiting.

    Without them the zero may be a lag of the exchange's answer, and nothing is concluded yet.
    """
    trade = record.trade
    assert trade is not None
    complete = trade.closed_quantity + sight.exit_filled >= trade.entry.filled > 0
    if not complete and not event.persisted:
        return None
    reason = exit_reason(trade, sight, event.snapshot)
    trade = count_fills(replace(trade, exit_reason=reason), event.snapshot.fills)
    trade = replace(trade, open_quantity=ZERO)
    record = replace(record, trade=trade)
    if sight.position < 0:
        record = replace(record, quarantine=Flag("FOREIGN_POSITION", event.at_ms))
    # Another look even when nothing is left to sweep: the books are closed with the ledger's rows, asked for from here.
    intents = sweep(record, sight.own_open) or (Look(symbol=record.symbol),)
    return move(Trigger.EXIT, reason, record, intents=intents)


def sweep(record: SymbolRecord, client_ids: tuple[str, ...]) -> tuple[Intent, ...]:
    """Cancel what is left of our orders and look again; nothing when nothing is left."""
    if not client_ids:
        return ()
    return SweepOrders(symbol=record.symbol, client_ids=client_ids), Look(symbol=record.symbol)


def look_closing(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """Judge one look while EXITING or in FLATTEN."""
    trade = record.trade
    if trade is None:
        return move(Trigger.FLAT, "NOTHING_OPEN", record)
    if sight.entry is not None and (late := _late_entry(record, trade, sight)) is not None:
        return late
    if sight.position > 0:
        return _close_more(record, trade, event, sight, setting)
    if sight.own_open:
        return move(Trigger.REPROTECT, "ORDERS_LEFT", record, intents=sweep(record, sight.own_open))
    if trade.first_fill_ms is None:
        return move(Trigger.FLAT, trade.exit_reason or "NEVER_FILLED", replace(record, trade=None))
    complete = trade.closed_quantity + sight.exit_filled >= trade.entry.filled
    if not complete and not event.persisted:
        return None
    return book(record, event, flagged=None if complete else "FILLS_MISSING", setting=setting)


def _late_entry(record: SymbolRecord, trade: Trade, sight: Sight) -> Move | None:
    """The entry went on filling, or ended, while we were on the way out."""
    assert sight.entry is not None
    filled, finished = sight.entry.executed_quantity, not sight.entry.status.is_open
    if filled <= trade.entry.filled and finished == trade.entry.finished:
        return None
    filled = max(filled, trade.entry.filled)
    entry = replace(
        trade.entry,
        filled=filled,
        finished=finished,
        average_price=sight.entry.average_price or trade.entry.average_price,
    )
    trade = replace(
        trade,
        entry=entry,
        entry_price=entry.average_price or trade.entry_price_planned,
        open_quantity=max(sight.position, ZERO),
        first_fill_ms=trade.first_fill_ms or (sight.entry.update_time_ms if filled > 0 else None),
    )
    return move(Trigger.FILL, "LATE_FILL", replace(record, trade=trade))


def _close_more(
    record: SymbolRecord, trade: Trade, event: SymbolObserved, sight: Sight, setting: Setting
) -> Move | None:
    """Something is still open: wait for a closing order that works or whose fate is open, else send the next piece."""
    quantity = min(sight.position, trade.entry.filled) if trade.entry.filled else sight.position
    if sight.close is not None and sight.close.status.is_open:
        return None
    if trade.exit_attempt and sight.close is None:
        if not event.persisted:
            return None
        intents: tuple[Intent, ...] = (
            close_piece(trade, quantity, trade.exit_attempt, setting),
            Look(symbol=record.symbol),
        )
        return move(Trigger.REPROTECT, "CLOSE_NOT_FOUND", record, intents=intents)
    done = sight.close.executed_quantity if sight.close is not None else ZERO
    if done >= trade.open_quantity > 0 and not event.persisted:
        return None
    trade = count_fills(replace(trade, open_quantity=quantity), event.snapshot.fills)
    trade, piece = next_piece(trade, quantity, setting)
    cancels = tuple(_cancel_partial_targets(trade)) if set(sight.own_open) & _partial_ids(trade) else ()
    intents = (*cancels, piece, Look(symbol=record.symbol))
    return move(Trigger.REPROTECT, "CLOSE_AGAIN", replace(record, trade=trade), intents=intents)


def _partial_ids(trade: Trade) -> set[str]:
    return {target.client_id for target in trade.targets if target.quantity is not None}


def close_ended(record: SymbolRecord, event: IntentEnded, setting: Setting) -> Move | None:
    """A closing order was answered. Refused for want of a counterparty: step in with LIMIT IOC; else a look decides."""
    trade, outcome = record.trade, event.outcome
    if trade is None or isinstance(outcome, Confirmed) or not isinstance(outcome, Refused):
        return None
    if outcome.code != refusals.NO_COUNTERPARTY or event.prices is None:
        return None
    bound = setting.filters.market_take_bound or Decimal("0.05")
    mark = event.prices.mark_price
    price = mark * (1 - trade.side.sign * bound)
    direction = Rounding.UP if trade.side.sign > 0 else Rounding.DOWN
    limit = setting.filters.round_price(price, direction)
    trade, piece = next_piece(trade, trade.open_quantity, setting, limit=limit)
    return move(
        Trigger.REPROTECT,
        "CLOSE_WITH_LIMIT",
        replace(record, trade=trade),
        intents=(piece, Look(symbol=record.symbol)),
    )


def book(record: SymbolRecord, event: SymbolObserved, *, flagged: str | None, setting: Setting) -> Move:
    """Close the books of the trade: net = realised PnL - fees + funding and other ledger rows of its time."""
    trade = count_fills(record.trade, event.snapshot.fills)  # type: ignore[arg-type]
    since, until = trade.first_fill_ms or trade.opened_ms, event.at_ms
    during = (row for row in event.snapshot.income if since < row.time_ms <= until)
    funding = sum((row.income for row in during if row.income_type in LEDGER_TYPES), ZERO)
    net = trade.realized_pnl - trade.fees + funding
    trade = replace(
        trade,
        funding=funding,
        net_pnl=net,
        r=net / trade.risk_usdt if trade.risk_usdt else ZERO,
        open_quantity=ZERO,
        closed_ms=event.at_ms,
        flagged=flagged or trade.flagged,
    )
    record = _after_booking(record, trade, event.at_ms, setting)
    return move(Trigger.FLAT, trade.exit_reason or "CLOSED", record, booked=trade)


def _after_booking(record: SymbolRecord, trade: Trade, at_ms: int, setting: Setting) -> SymbolRecord:
    """Loss streak, cooldown, and the halts that a way of closing asks for."""
    assert trade.net_pnl is not None
    streak = record.loss_streak + 1 if trade.net_pnl < 0 else 0
    cooldown = record.cooldown_until_ms
    rule = setting.rules.cooldown
    if rule is not None and streak >= rule.losses:
        cooldown = at_ms + rule.candles * setting.rules.entry_timeframe.ms
        streak = 0
    halt = record.halt
    if trade.exit_reason == "LIQUIDATED" and halt is None:
        halt = Flag(HaltCause.OPERATOR, at_ms)
    return replace(
        record,
        trade=None,
        loss_streak=streak,
        cooldown_until_ms=cooldown,
        last_fill_id=trade.last_fill_id if trade.last_fill_id is not None else record.last_fill_id,
        halt=halt,
    )
