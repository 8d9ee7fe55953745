"""From the entry order to a protected position: outcomes of the entry and of its stop, and looks while ENTERING."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import Confirmed, Order, Refused
from fsm.core.accounting import average_learned, count_fills
from fsm.core.filling import fill, send_targets
from fsm.core.leaving import begin_flatten, leave
from fsm.core.means import with_means_to_leave
from fsm.core.model.decision import Decision, Guard, at_least, at_most, decision, failed
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import EntryShownAbsent, IntentEnded, SetupEnded, SymbolObserved
from fsm.core.model.intents import CancelEntry, Intent, Look
from fsm.core.model.records import ZERO, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView, has_ended
from fsm.core.order_requests import place_entry
from fsm.core.planning import shrunk_to
from fsm.core.refusals import refused_again
from fsm.core.signals import drop, signal_age_ms
from fsm.core.sizing import shared_caps
from fsm.core.stops import confirm, keep_covered, mend_stop

GOOD_TILL_MS_MIN = 610_000
"""An expiry must lie 600 s ahead when the order arrives (POST /fapi/v1/order goodTillDate, checked 2026-11)."""

CAPS_SLACK = Decimal("1.05")
"""Caps were judged at the signal; equity and prices may have moved a little since."""

OVERDUE_MS = 60_000
"""How long after its expiry the exchange may still show a LIMIT entry as open."""


def setup_ended(record: SymbolRecord, event: SetupEnded, portfolio: Portfolio, context: DecisionContext) -> Decision:
    """Enter if the account is set up and the market is still where the signal saw it; otherwise drop the signal."""
    trade = record.trade
    assert trade is not None
    if not isinstance(event.outcome, Confirmed):
        return drop(record, f"SETUP_{_outcome_word(event.outcome)}")
    if event.unready:
        return drop(record, event.unready)
    trade, sizing = shrunk_to(trade, event.prices, context)
    trade, leaving = with_means_to_leave(trade, event, portfolio, context)
    guards = (*_still_good(record, trade, event, portfolio, context), *sizing, *leaving)
    refused = failed(guards)
    if refused is not None:
        return drop(record, refused.name, guards=guards)
    after = replace(record, trade=trade)
    return decision(Trigger.ENTER, "SETUP_READY", after, intents=(place_entry(trade),), guards=guards)


def _still_good(
    record: SymbolRecord, trade: Trade, event: SetupEnded, portfolio: Portfolio, context: DecisionContext
) -> tuple[Guard, ...]:
    policy, prices = context.policy, event.prices
    moved_pct = abs(prices.last_price - trade.entry_price_planned) / trade.entry_price_planned * 100
    nearest = min(prices.mark_price, prices.last_price, key=lambda price: trade.side.sign * price)
    beyond = trade.side.sign * (nearest - trade.stop_price_initial) > context.filters.tick_size
    expires_ms = trade.entry.expires_ms
    in_time = () if expires_ms is None else (at_least("EXPIRY_AHEAD", expires_ms - event.at_ms, GOOD_TILL_MS_MIN),)
    return (
        Guard("ACCOUNT_OPEN", portfolio.blocked == "", portfolio.blocked, "no halt, no pause"),
        Guard("SYMBOL_OPEN", not (record.paused or record.halt or record.quarantine)),
        Guard("SYMBOL_FLAT", event.open_quantity == 0, f"{event.open_quantity:f}", "no position is in the way"),
        at_most("EQUITY_FRESH", portfolio.equity_age_ms, policy.limits.equity_age_ms_max),
        at_most("CANDLE_AGE", signal_age_ms(trade, event.at_ms, context), policy.candle_age_ms_max),
        at_most("PRICE_MOVED", moved_pct, policy.orders.price_moved_pct_max),
        Guard("STOP_SIDE", beyond, str(trade.stop_price_initial), f"beyond {nearest}"),
        *in_time,
        *_outgrown(trade, portfolio, context),
    )


def _outgrown(trade: Trade, portfolio: Portfolio, context: DecisionContext) -> tuple[Guard, ...]:
    """Caps that what happened since the signal has outgrown, counting this trade: a position that was handed over risks
    more from then on, and another hand may have opened one."""
    policy, equity = context.policy, portfolio.equity * CAPS_SLACK
    if context.edition < 2:
        return ()
    caps = (
        at_most("MAX_OPEN_POSITIONS", portfolio.open_positions, policy.risk.max_open_positions),
        at_most("MAX_OPEN_RISK", portfolio.open_risk, equity * policy.risk.max_open_risk_pct / 100),
        at_most("MAX_EXPOSURE", portfolio.exposure, equity * policy.risk.max_exposure_pct / 100),
        *shared_caps(trade.side, portfolio.correlated_risk, ZERO, portfolio, equity, policy),
    )
    return tuple(guard for guard in caps if not guard.passed)


def entry_ended(record: SymbolRecord, event: IntentEnded, client_id: str, context: DecisionContext) -> Decision | None:
    """The entry order was answered. An UNKNOWN outcome decides nothing: the shell looks until it knows.

    What has filled meanwhile was not refused, whatever a late answer says; and a duplicate id is an accepted one (R16).
    """
    outcome, trade = event.outcome, record.trade
    if trade is None or client_id != trade.entry.client_id:
        return None
    if isinstance(outcome, Refused):
        if trade.entry.filled > 0 or outcome.reason is RefusalReason.DUPLICATE_ID:
            return None
        after = refused_again(replace(record, trade=None), event.at_ms, outcome, context)
        return decision(Trigger.ABANDON, f"ENTRY_REFUSED {outcome.code}", after, facts={"message": outcome.message})
    if isinstance(outcome, Confirmed) and outcome.order is not None:
        return _fill_from_answer(record, event.at_ms, outcome.order, context)
    return None


def entry_absent(record: SymbolRecord, event: EntryShownAbsent) -> Decision | None:
    """An entry of unknown outcome does not exist: dropped, never sent again, its plan kept in case it appears."""
    trade = record.trade
    if trade is None or trade.entry.client_id != event.client_id or trade.first_fill_ms is not None:
        return None
    return decision(Trigger.ABANDON, "ENTRY_SHOWN_ABSENT", replace(record, trade=None, abandoned=trade))


def _fill_from_answer(record: SymbolRecord, at_ms: int, order: Order, context: DecisionContext) -> Decision | None:
    """The first executions of the entry, straight from its answer, so that the stop leaves without another look."""
    trade = record.trade
    assert trade is not None
    if order.client_id != trade.entry.client_id or order.executed_quantity <= trade.entry.filled:
        return None
    return fill(record, at_ms, order.executed_quantity, order.average_price, has_ended(order), context)


def look_entering(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """Judge one look while the entry is under way."""
    trade = record.trade
    assert trade is not None
    found = _entry_progress(trade, event, view)
    if found is not None:
        filled, average, finished = found
        if filled > 0:
            return fill(record, event.at_ms, filled, average, finished, context)
        return _abandon(record, event, view)
    if trade.first_fill_ms is None:
        return _nothing_filled(record, event, view, context)
    if view.position <= 0:
        return leave(record, event, view, context) or keep_covered(record, event, view, context)
    if view.stop_rests and trade.entry.finished:
        return _protect(record, event, view, context)
    if view.stop_rests:
        return confirm(record, event) or _overdue(record, event)
    return mend_stop(record, event, view, context)


def _entry_progress(
    trade: Trade, event: SymbolObserved, view: TradeView
) -> tuple[Decimal, Decimal | None, bool] | None:
    """(filled, average price, finished) when the look shows more than the trade remembers, else None.

    A position counts as filled while the order itself cannot be found: protecting it is more urgent than its name.
    """
    entry, known = view.entry, trade.entry
    filled = _filled(trade, view)
    finished = known.finished or filled >= known.quantity or _has_gone(trade, event, view, filled)
    if filled == known.filled and finished == known.finished:
        return None
    return filled, (entry.average_price if entry else None) or _position_price(event, view), finished


def _filled(trade: Trade, view: TradeView) -> Decimal:
    """What of the entry is filled, as far as anything shows it."""
    entry, known = view.entry, trade.entry
    filled = max(entry.executed_quantity if entry else ZERO, known.filled)
    if filled == 0 and entry is None and view.position > 0:
        return min(view.position, known.quantity)
    return filled


def _has_gone(trade: Trade, event: SymbolObserved, view: TradeView, filled: Decimal) -> bool:
    """The order fills no further: it has ended, or is found no more after it had filled."""
    if view.entry is None:
        return filled > 0 and event.persisted
    return has_ended(view.entry) or _cannot_rest(trade, view.entry, event)


def _position_price(event: SymbolObserved, view: TradeView) -> Decimal | None:
    position = event.snapshot.position
    return position.entry_price if position and view.position > 0 else None


def _cannot_rest(trade: Trade, entry: Order, event: SymbolObserved) -> bool:
    """A status that we do not know, and that stays: an end, unless the order may still wait for its price."""
    expires_ms = trade.entry.expires_ms
    may_wait = expires_ms is not None and event.at_ms <= expires_ms + OVERDUE_MS
    return event.persisted and not entry.status.is_open and not may_wait


def _abandon(record: SymbolRecord, event: SymbolObserved, view: TradeView) -> Decision:
    """The entry ended without any fill, so a position that is there is not ours."""
    assert view.entry is not None
    after = replace(record, trade=None)
    if view.position != 0 and event.persisted:
        after = after.quarantined("FOREIGN_POSITION", event.at_ms)
    return decision(Trigger.ABANDON, f"ENTRY_{view.entry.status.value}", after)


def _nothing_filled(
    record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
) -> Decision | None:
    """The order is open and unfilled. A position beside it is newer than the order's answer, or somebody else's."""
    trade = record.trade
    assert trade is not None
    if view.entry is None:
        return None
    if view.position != 0 and event.persisted:
        return begin_flatten(record.quarantined("FOREIGN_POSITION", event.at_ms), "FOREIGN_POSITION", context)
    if view.position != 0:
        return decision(Trigger.REPROTECT, "ENTRY_UNCLEAR", record, intents=(Look(symbol=record.symbol),))
    return _overdue(record, event)


def _overdue(record: SymbolRecord, event: SymbolObserved) -> Decision | None:
    """The exchange did not expire a LIMIT entry when its time was over: it is cancelled."""
    trade = record.trade
    assert trade is not None
    expires_ms = trade.entry.expires_ms
    if trade.entry.finished or expires_ms is None or event.at_ms <= expires_ms + OVERDUE_MS:
        return None
    cancel = CancelEntry(symbol=record.symbol, client_id=trade.entry.client_id)
    return decision(Trigger.SWEEP, "ENTRY_OVERDUE", record, intents=(cancel, Look(symbol=record.symbol)))


def _protect(record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext) -> Decision:
    """The stop rests, seen with our own eyes, and the entry can fill no further."""
    assert record.trade is not None
    trade = average_learned(count_fills(record.trade, event.snapshot, context), view.entry, event.snapshot, context)
    intents: list[Intent] = []
    if not trade.targets_sent:
        trade, intents = send_targets(trade, context)
        intents.append(Look(symbol=record.symbol))
    trade = replace(trade, protected_ms=trade.protected_ms or event.at_ms, uncovered_ms=None)
    trade = replace(trade, no_position_ms=None, unseen_ms=None)
    after = replace(record, trade=trade, refusal=None)
    return decision(Trigger.PROTECT, "STOP_CONFIRMED", after, intents=tuple(intents))


def _outcome_word(outcome: object) -> str:
    return f"REFUSED {outcome.code}" if isinstance(outcome, Refused) else "UNKNOWN"
