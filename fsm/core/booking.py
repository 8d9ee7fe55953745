"""Closes the books of a trade: its result, and what the result means for the symbol."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.types import Income, IncomeKind, SymbolSnapshot
from fsm.core.accounting import average_learned, count_fills, owes_ledger
from fsm.core.exit_reasons import LOST_JOURNAL, exit_reason
from fsm.core.forced_ends import ADL, LIQUIDATED, SETTLED, forced_close
from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import HANDS_EDITION, DecisionContext
from fsm.core.model.events import JournalFoundOld, SymbolObserved
from fsm.core.model.policy import AfterExternalClose
from fsm.core.model.records import ZERO, HaltCause, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView, observe

BY_OUR_ORDERS = ("STOP_HIT", "TARGET_HIT")

NOT_OURS = frozenset({"EXTERNAL_CLOSE", "PROTECTION_MISSING"})
"""First words of exit reasons after which a symbol does not go on as if nothing had happened (R70)."""

LEDGER_TYPES: tuple[str, ...] = (IncomeKind.FUNDING, IncomeKind.SPECIAL_FUNDING, IncomeKind.LIQUIDATION)
"""Rows of the exchange's ledger of a trade that no fill carries."""


def book(
    record: SymbolRecord,
    trade: Trade,
    event: SymbolObserved | JournalFoundOld,
    *,
    complete: bool,
    context: DecisionContext,
) -> Decision:
    """Net = realised PnL - fees + funding and other ledger rows since the trade began.

    ``complete``: the fills account for the whole position. Where they do not, the ledger tells what they made, and the
    trade is flagged.
    """
    snapshot = event.snapshot
    view = observe(trade, snapshot, context)
    is_told = bool(snapshot.income) or (context.edition >= 2 and not owes_ledger(trade, snapshot))
    trade = average_learned(count_fills(trade, snapshot, context), view.entry, snapshot, context)
    if not complete:
        trade = _with_what_fills_do_not_show(trade, snapshot)
    since = (row for row in snapshot.income if row.time_ms > trade.opened_ms and row.income_type in LEDGER_TYPES)
    funding = sum((row.income for row in since), ZERO)
    net = trade.realized_pnl - trade.fees + funding
    reason = _final_reason(trade, view, snapshot, context, complete=complete)
    missing = "FILLS_MISSING" if not complete else None if is_told else "LEDGER_MISSING"
    trade = replace(
        trade,
        exit_reason=reason,
        funding=funding,
        net_pnl=net,
        r=net / trade.risk_usdt if trade.risk_usdt else ZERO,
        open_quantity=ZERO,
        uncovered_ms=None,
        closed_ms=event.at_ms,
        flagged=trade.flagged or missing,
    )
    return decision(Trigger.FLAT, reason, after_booking(record, trade, event.at_ms, context), booked=trade)


def _final_reason(
    trade: Trade, view: TradeView, snapshot: SymbolSnapshot, context: DecisionContext, *, complete: bool
) -> str:
    """Why it ended, now that everything is told: another cause may have been faster than the one we began with."""
    reason = trade.exit_reason or "CLOSED"
    if reason == "EXTERNAL_CLOSE" or (context.edition > 1 and _another_was_faster(trade, reason, complete=complete)):
        return exit_reason(trade, view, snapshot, context)
    if context.edition > 1 and reason not in BY_OUR_ORDERS:  # it was ended by the exchange while we were closing it
        return forced_close(trade, snapshot) or reason
    return reason


def _another_was_faster(trade: Trade, reason: str, *, complete: bool) -> bool:
    """All of it is closed, and no order of this exit was needed: the fill may be told before the order of ours that it
    is of (R32), or something was faster than we (R59)."""
    stands = reason in (*BY_OUR_ORDERS, ADL, LIQUIDATED, SETTLED, LOST_JOURNAL)
    return complete and not trade.piece_pending and not stands


def _with_what_fills_do_not_show(trade: Trade, snapshot: SymbolSnapshot) -> Trade:
    """Profit and fees of executions that the list of fills keeps back, from the ledger, which names each by its id. A
    commission in another coin stays unknown: only its fill has the price."""
    counted = trade.last_fill_id or 0
    unseen = [row for row in snapshot.income if _is_of_unseen_fill(row, trade, counted)]
    made = sum((row.income for row in unseen if row.income_type == IncomeKind.REALIZED_PNL), ZERO)
    paid = -sum((row.income for row in unseen if row.income_type == IncomeKind.COMMISSION), ZERO)
    return replace(trade, realized_pnl=trade.realized_pnl + made, fees=trade.fees + paid)


def _is_of_unseen_fill(row: Income, trade: Trade, counted: int) -> bool:
    """Of the time of this trade, and of an execution after the last that was counted."""
    is_known = not row.trade_id.isdigit() or int(row.trade_id) <= counted
    return row.time_ms > trade.opened_ms and row.asset == "USDT" and not is_known


def after_booking(record: SymbolRecord, trade: Trade, at_ms: int, context: DecisionContext) -> SymbolRecord:
    """Loss streak, cooldown, and the halt that a liquidation asks for."""
    assert trade.net_pnl is not None
    streak = record.loss_streak + 1 if trade.net_pnl < 0 else 0
    cooldown = record.cooldown_until_ms
    rule = context.rules.cooldown
    if rule is not None and streak >= rule.losses:
        cooldown = max(cooldown, at_ms + rule.candles * context.rules.entry_timeframe.ms)
        streak = 0
    strategy = context.rules.strategies.get(trade.strategy)
    own = strategy.cooldown if strategy is not None and trade.net_pnl < 0 else None
    if own is not None and record.loss_streak + 1 >= own.losses:
        cooldown = max(cooldown, at_ms + own.candles * context.rules.entry_timeframe.ms)
    record = replace(
        record,
        trade=None,
        tried=None,
        loss_streak=streak,
        cooldown_until_ms=cooldown,
        last_fill_id=trade.last_fill_id if trade.last_fill_id is not None else record.last_fill_id,
    )
    if trade.exit_reason == "LIQUIDATED":
        return record.halted(HaltCause.LIQUIDATED, at_ms)
    return _after_a_hand(record, trade, at_ms, context)


def _after_a_hand(record: SymbolRecord, trade: Trade, at_ms: int, context: DecisionContext) -> SymbolRecord:
    """Whoever closed the position, or took its stop away, had a reason: the symbol rests, or waits for the operator."""
    policy = context.policy
    if context.edition < HANDS_EDITION or (trade.exit_reason or "").split(" ")[0] not in NOT_OURS:
        return record
    match policy.protection.after_external_close:
        case AfterExternalClose.CONTINUE:
            return record
        case AfterExternalClose.QUARANTINE:
            return record.quarantined("EXTERNAL_CLOSE", at_ms)
        case AfterExternalClose.REST:
            until_ms = at_ms + policy.protection.rest_candles * context.rules.entry_timeframe.ms
            return replace(record, cooldown_until_ms=max(record.cooldown_until_ms, until_ms))


def plan_kept(trade: Trade, record: SymbolRecord) -> Trade:
    """What is remembered of a trade whose end nobody saw: its plan, with empty books. Once it was open, it is booked
    under its own name, so the rest of it takes another, and its targets are used up."""
    fresh = trade.first_fill_ms is None
    return replace(
        trade,
        id=trade.id if fresh else f"{trade.id}+",
        targets=trade.targets if fresh else (),
        targets_sent=False,
        exit_reason=None,
        exit_refused=trade.exit_attempt,
        close_failed=0,
        close_form=0,
        close_lot=None,
        close_least=None,
        close_grain=0,
        unheard=(),
        no_position_ms=None,
        unseen_ms=None,
        part=None,
        closed_by_us=ZERO,
        swept=False,
        first_fill_ms=None,
        uncovered_ms=None,
        stop_before=None,
        open_quantity=ZERO,
        closed_quantity=ZERO,
        exit_price=None,
        realized_pnl=ZERO,
        fees=ZERO,
        last_fill_id=trade.last_fill_id if trade.last_fill_id is not None else record.last_fill_id,
        flagged=None,
    )
