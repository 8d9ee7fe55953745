"""From the entry order to a protected position: outcomes of the entry and of its stop, and looks while ENTERING."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.types import AlgoStatus, Confirmed, Order, Refused
from fsm.core import refusals
from fsm.core.closing import begin_flatten, leave
from fsm.core.events import EntryShownAbsent, IntentEnded, SetupEnded, SymbolObserved
from fsm.core.intents import Intent, Look
from fsm.core.legs import leg_id, place_entry, place_stop, place_target
from fsm.core.move import Guard, Move, at_most, failed, move
from fsm.core.planning import sized_targets
from fsm.core.records import ZERO, Flag, HaltCause, Refusals, StopLeg, SymbolRecord, Trade
from fsm.core.scene import Portfolio, Setting
from fsm.core.sight import STUCK_TRIGGER_MS, Sight, count_fills
from fsm.core.states import Trigger

REFUSALS_BEFORE_COOLDOWN = 2
REFUSALS_BEFORE_HALT = 4
REFUSAL_COOLDOWN_CANDLES = 6
STOP_ATTEMPTS_MAX = 5
"""A venue that cancels our stop this often will not keep the next one either."""


def setup_ended(record: SymbolRecord, event: SetupEnded, portfolio: Portfolio, setting: Setting) -> Move:
    """Enter if the account is set up and the market is still where the signal saw it; otherwise drop the signal."""
    trade = record.trade
    assert trade is not None
    if not isinstance(event.outcome, Confirmed):
        return drop(record, f"SETUP_{_outcome_word(event.outcome)}")
    guards = _still_good(record, trade, event, portfolio, setting)
    refused = failed(guards)
    if refused is not None:
        return drop(record, refused.name, guards=guards)
    return move(Trigger.ENTER, "SETUP_READY", record, intents=(place_entry(trade),), guards=guards)


def _still_good(
    record: SymbolRecord, trade: Trade, event: SetupEnded, portfolio: Portfolio, setting: Setting
) -> tuple[Guard, ...]:
    policy, prices = setting.policy, event.prices
    moved_pct = abs(prices.last_price - trade.entry_price_planned) / trade.entry_price_planned * 100
    age_ms = event.at_ms - trade.signal_candle_ms - setting.rules.entry_timeframe.ms
    nearest = min(prices.mark_price, prices.last_price, key=lambda price: trade.side.sign * price)
    beyond = trade.side.sign * (nearest - trade.stop_price_initial) > setting.filters.tick_size
    return (
        Guard("ACCOUNT_OPEN", portfolio.blocked == "", portfolio.blocked, "no halt, no pause"),
        Guard("SYMBOL_OPEN", not (record.paused or record.halt or record.quarantine)),
        at_most("CANDLE_AGE", age_ms, policy.candle_age_ms_max),
        at_most("PRICE_MOVED", moved_pct, policy.price_moved_pct_max),
        Guard("STOP_SIDE", beyond, str(trade.stop_price_initial), f"beyond {nearest}"),
    )


def drop(record: SymbolRecord, reason: str, *, guards: tuple[Guard, ...] = ()) -> Move:
    return move(Trigger.DROP, reason, replace(record, trade=None), guards=guards)


def entry_ended(record: SymbolRecord, event: IntentEnded, setting: Setting) -> Move | None:
    """The entry order was answered. An UNKNOWN outcome decides nothing: the shell looks until it knows."""
    outcome = event.outcome
    if isinstance(outcome, Refused):
        return refuse_entry(record, event.at_ms, outcome, setting)
    if isinstance(outcome, Confirmed) and outcome.order is not None and outcome.order.executed_quantity > 0:
        return fill_from_order(record, event.at_ms, outcome.order, setting)
    return None


def refuse_entry(record: SymbolRecord, at_ms: int, refused: Refused, setting: Setting) -> Move:
    """Nothing was opened. The same refusal again and again cools the symbol down, then halts it (R45)."""
    before = record.refusal
    count = before.count + 1 if before is not None and before.code == refused.code else 1
    halt, cooldown = record.halt, record.cooldown_until_ms
    if refused.code in refusals.PERMISSION:
        halt = Flag(HaltCause.PERMISSION, at_ms)
    elif count >= REFUSALS_BEFORE_HALT:
        halt = Flag(HaltCause.REFUSALS, at_ms)
    elif count >= REFUSALS_BEFORE_COOLDOWN:
        cooldown = at_ms + REFUSAL_COOLDOWN_CANDLES * setting.rules.entry_timeframe.ms
    after = replace(record, trade=None, halt=halt, cooldown_until_ms=cooldown, refusal=Refusals(refused.code, count))
    return move(Trigger.ABANDON, f"ENTRY_REFUSED {refused.code}", after, facts={"message": refused.message})


def entry_absent(record: SymbolRecord, event: EntryShownAbsent) -> Move | None:
    """An entry of unknown outcome does not exist: dropped, never sent again, its plan kept in case it appears."""
    trade = record.trade
    if trade is None or trade.entry.client_id != event.client_id or trade.first_fill_ms is not None:
        return None
    return move(Trigger.ABANDON, "ENTRY_SHOWN_ABSENT", replace(record, trade=None, abandoned=trade))


def fill_from_order(record: SymbolRecord, at_ms: int, order: Order, setting: Setting) -> Move | None:
    """The first executions of the entry, straight from its answer, so that the stop leaves without another look."""
    trade = record.trade
    assert trade is not None
    if order.client_id != trade.entry.client_id or order.executed_quantity <= trade.entry.filled:
        return None
    return fill(record, at_ms, order.executed_quantity, order.average_price, not order.status.is_open, setting)


def fill(
    record: SymbolRecord, at_ms: int, filled: Decimal, average: Decimal | None, finished: bool, setting: Setting
) -> Move:
    """Count executions of the entry. The first place the stop at once; targets follow when it can fill no further."""
    trade = record.trade
    assert trade is not None
    first = trade.first_fill_ms is None
    entry = replace(trade.entry, filled=filled, average_price=average or trade.entry.average_price, finished=finished)
    trade = replace(
        trade,
        entry=entry,
        open_quantity=trade.open_quantity + filled - trade.entry.filled,
        entry_price=entry.average_price or trade.entry_price_planned,
        first_fill_ms=at_ms if first else trade.first_fill_ms,
        stop=trade.stop or _first_stop(trade, setting),
    )
    intents: list[Intent] = []
    if first:
        assert trade.stop is not None
        intents.append(place_stop(trade, trade.stop))
    if finished and not trade.targets_sent:
        trade, orders = send_targets(trade, setting)
        intents.extend(orders)
    if intents:
        intents.append(Look(symbol=record.symbol))
    reason = "FIRST_FILL" if first else "MORE_FILLED" if filled > record.trade.entry.filled else "ENTRY_FINISHED"  # type: ignore[union-attr]
    after = replace(record, trade=trade, refusal=None)
    return move(Trigger.FILL, reason, after, intents=tuple(intents))


def _first_stop(trade: Trade, setting: Setting) -> StopLeg:
    return StopLeg(
        client_id=leg_id(setting, trade.symbol, trade.number, Leg.STOP, 1, 1),
        trigger_price=trade.stop_price_initial,
        working_type=setting.policy.working_type,
    )


def send_targets(trade: Trade, setting: Setting) -> tuple[Trade, list[Intent]]:
    """Size the targets to the position and ask for them."""
    targets = sized_targets(trade, trade.open_quantity, setting)
    orders: list[Intent] = [place_target(trade, target, setting) for target in targets if not target.done]
    return replace(trade, targets=targets, targets_sent=True), orders


def stop_ended(record: SymbolRecord, event: IntentEnded, setting: Setting) -> Move | None:
    """A stop was refused: -2021 means the market is already beyond it, so the position is closed now (R4).

    Evidence that it rests, or a refusal that says nothing of the stop: the look that follows tells, and the
    deadline runs on. Everything else flattens.
    """
    trade, outcome = record.trade, event.outcome
    if (
        trade is None
        or not isinstance(outcome, Refused)
        or outcome.code in (refusals.ALREADY_THERE | refusals.TEMPORARY)
    ):
        return None
    if outcome.code in refusals.WOULD_TRIGGER:
        return begin_flatten(record, event.at_ms, "STOP_WOULD_TRIGGER", setting)
    if outcome.code in refusals.PERMISSION:
        record = replace(record, halt=Flag(HaltCause.PERMISSION, event.at_ms))
    return begin_flatten(record, event.at_ms, f"STOP_REFUSED {outcome.code}", setting)


def look_entering(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """Judge one look while the entry is under way."""
    trade = record.trade
    assert trade is not None
    found = _entry_progress(trade, sight)
    if found is not None:
        filled, average, finished = found
        if filled > 0:
            return fill(record, event.at_ms, filled, average, finished, setting)
        return move(Trigger.ABANDON, f"ENTRY_{sight.entry.status.value}", replace(record, trade=None))  # type: ignore[union-attr]
    if trade.first_fill_ms is None:
        return None
    if sight.position <= 0:
        return leave(record, event, sight, setting)
    if sight.stop_rests and trade.entry.finished:
        return protect(record, event, setting)
    if sight.stop_rests:
        return None
    return mend_stop(record, event, sight, setting)


def _entry_progress(trade: Trade, sight: Sight) -> tuple[Decimal, Decimal | None, bool] | None:
    """(filled, average price, finished) when the look shows more than the trade remembers, else None."""
    entry = sight.entry
    filled = max(entry.executed_quantity if entry else ZERO, trade.entry.filled)
    finished = trade.entry.finished or (entry is not None and not entry.status.is_open)
    if trade.entry.filled == 0 and sight.position > filled:
        filled = min(sight.position, trade.entry.quantity)
    if filled == trade.entry.filled and finished == trade.entry.finished:
        return None
    return filled, entry.average_price if entry else None, finished


def protect(record: SymbolRecord, event: SymbolObserved, setting: Setting) -> Move:
    """The stop rests, seen with our own eyes, and the entry can fill no further."""
    trade = count_fills(record.trade, event.snapshot.fills)  # type: ignore[arg-type]
    intents: list[Intent] = []
    if not trade.targets_sent:
        trade, intents = send_targets(trade, setting)
        intents.append(Look(symbol=record.symbol))
    trade = replace(trade, protected_ms=trade.protected_ms or event.at_ms)
    return move(Trigger.PROTECT, "STOP_CONFIRMED", replace(record, trade=trade), intents=tuple(intents))


def mend_stop(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """The position is open and its stop does not rest: place it again, or flatten when it fired in vain."""
    trade, stop = record.trade, sight.stop
    assert trade is not None
    assert trade.stop is not None
    if stop is None or stop.status is AlgoStatus.UNRECOGNISED:
        return (
            place_stop_again(record, event.at_ms, "STOP_NOT_FOUND", setting, new_id=False) if event.persisted else None
        )
    if stop.status in (AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED):
        stuck = event.at_ms - stop.update_time_ms > STUCK_TRIGGER_MS
        return begin_flatten(record, event.at_ms, "STOP_STUCK", setting) if stuck else None
    if stop.status is AlgoStatus.REJECTED:
        return begin_flatten(record, event.at_ms, "STOP_REJECTED_AT_TRIGGER", setting)
    if stop.status is AlgoStatus.FINISHED:
        if stop.executed_quantity > 0 and not event.persisted:
            return None
        return begin_flatten(record, event.at_ms, "STOP_FINISHED_POSITION_OPEN", setting)
    if stop.status is AlgoStatus.NEW:
        return begin_flatten(record, event.at_ms, "STOP_NOT_AS_ORDERED", setting)
    return place_stop_again(record, event.at_ms, "VENUE_CANCELLED", setting, new_id=True)


def place_stop_again(record: SymbolRecord, at_ms: int, reason: str, setting: Setting, *, new_id: bool) -> Move:
    """Send the stop again: with the same id while its fate is not known, with the next attempt after a definite end."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    stop = trade.stop
    if new_id and stop.attempt >= STOP_ATTEMPTS_MAX:
        return begin_flatten(record, at_ms, "STOP_KEEPS_VANISHING", setting)
    if new_id:
        attempt = stop.attempt + 1
        cid = leg_id(setting, trade.symbol, trade.number, Leg.STOP, stop.version, attempt)
        stop = replace(stop, client_id=cid, attempt=attempt)
    trade = replace(trade, stop=stop)
    intents = (place_stop(trade, stop), Look(symbol=record.symbol))
    return move(Trigger.REPROTECT, reason, replace(record, trade=trade), intents=intents)


def _outcome_word(outcome: object) -> str:
    return f"REFUSED {outcome.code}" if isinstance(outcome, Refused) else "UNKNOWN"
