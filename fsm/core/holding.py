"""While PROTECTED: every look checks the protection again, and at every candle the rules may move the stop or leave."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.filters import Rounding, decimal_of
from exchange.types import AlgoStatus, Confirmed, Refused
from fsm.core import refusals
from fsm.core.closing import begin_exit, begin_flatten, leave
from fsm.core.entering import fill, mend_stop
from fsm.core.events import CandleClosed, IntentEnded, SymbolObserved
from fsm.core.intents import CancelAlgo, CancelEntry, Intent, Look
from fsm.core.legs import bridge_id, leg_id, place_bridge, place_stop, place_target
from fsm.core.move import Move, move
from fsm.core.planning import sized_targets
from fsm.core.policy import MissingProtection
from fsm.core.records import Flag, SymbolRecord, TargetLeg, Trade
from fsm.core.scene import Setting
from fsm.core.sight import Sight, count_fills
from fsm.core.states import Trigger
from rules.strategy import Management

TARGET_ATTEMPTS_MAX = 3


def look_holding(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """Judge one look at a protected position: first its size, then its stop, then the rest."""
    trade = record.trade
    assert trade is not None
    if sight.entry is not None and sight.entry.executed_quantity > trade.entry.filled:
        return _late_fill(record, event, sight, setting)
    if sight.position <= 0:
        return leave(record, event, sight, setting)
    if sight.position < trade.open_quantity:
        return _reduced(record, event, sight)
    if sight.position > trade.open_quantity:
        return _grown(record, event, setting) if event.persisted else None
    if not sight.stop_rests:
        return _stop_missing(record, event, sight, setting)
    if sight.strays:
        intents = _cancel(record.symbol, sight.strays, sight)
        return move(Trigger.SWEEP, "STRAY_ORDERS", record, intents=(*intents, Look(symbol=record.symbol)))
    return _mend_targets(record, event, sight, setting)


def _late_fill(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move:
    """More of the entry filled after protection: the closePosition stop covers it, the partial targets are re-sized."""
    assert sight.entry is not None
    assert record.trade is not None
    order = sight.entry
    grown = fill(record, event.at_ms, order.executed_quantity, order.average_price, not order.status.is_open, setting)
    trade = grown.record.trade
    assert trade is not None
    old = [t for t in record.trade.targets if t.quantity is not None and not t.done]
    resized = tuple(_next_target(t, setting, trade) if t.quantity is not None else t for t in trade.targets)
    trade = replace(trade, targets=sized_targets(replace(trade, targets=resized), trade.open_quantity, setting))
    cancels = [CancelAlgo(symbol=record.symbol, client_id=target.client_id) for target in old]
    placed = [place_target(trade, t, setting) for t in trade.targets if t.quantity is not None and not t.done]
    intents: tuple[Intent, ...] = (*cancels, *placed, Look(symbol=record.symbol)) if old else ()
    return move(Trigger.FILL, "LATE_FILL", replace(record, trade=trade), intents=intents)


def _reduced(record: SymbolRecord, event: SymbolObserved, sight: Sight) -> Move | None:
    """Part of the position was closed: by a target of ours, or from outside."""
    assert record.trade is not None
    if sight.exit_filled == 0 and not event.persisted:
        return None
    by_target = {i for i, algo in sight.targets.items() if algo.executed_quantity > 0}
    reason = "TARGET_HIT" if by_target - {t.index for t in record.trade.targets if t.done} else "EXTERNAL_REDUCE"
    trade = count_fills(record.trade, event.snapshot.fills)
    targets = tuple(replace(t, done=True) if t.index in by_target else t for t in trade.targets)
    record = replace(record, trade=replace(trade, open_quantity=sight.position, targets=targets))
    if reason == "EXTERNAL_REDUCE":
        record = replace(record, quarantine=record.quarantine or Flag("EXTERNAL_REDUCE", event.at_ms))
    return move(Trigger.REDUCE, reason, record)


def _grown(record: SymbolRecord, event: SymbolObserved, setting: Setting) -> Move:
    """The position is larger than what we opened: close our part and leave the rest to its owner."""
    record = replace(record, quarantine=record.quarantine or Flag("FOREIGN_POSITION", event.at_ms))
    return begin_flatten(record, event.at_ms, "POSITION_NOT_AS_REMEMBERED", setting)


def _stop_missing(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """No stop where one must be. A stop move that broke off half way is finished; otherwise config decides."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    older = tuple(cid for cid in sight.strays if cid != bridge_id(setting, trade, trade.stop))
    if older and sight.stop is None:
        return move(Trigger.REPROTECT, "STOP_MOVE_UNFINISHED", record, intents=_move_stop(trade, older, setting))
    mended = mend_stop(record, event, sight, setting)
    if mended is None or mended.trigger is Trigger.FLATTEN or setting.policy.on_missing is MissingProtection.REPROTECT:
        return mended
    return begin_flatten(record, event.at_ms, f"PROTECTION_MISSING {mended.reason}", setting)


def _cancel(symbol: str, client_ids: tuple[str, ...], sight: Sight) -> tuple[Intent, ...]:
    regular = {sight.entry.client_id} if sight.entry else set()
    return tuple(
        CancelEntry(symbol=symbol, client_id=cid) if cid in regular else CancelAlgo(symbol=symbol, client_id=cid)
        for cid in client_ids
    )


def _mend_targets(record: SymbolRecord, event: SymbolObserved, sight: Sight, setting: Setting) -> Move | None:
    """Targets that vanished or never came to rest are placed again, a few times; the stop protects meanwhile."""
    trade = record.trade
    assert trade is not None
    if not trade.targets_sent:
        return None
    missing = [t for t in trade.targets if not t.done and _gone(t, sight, persisted=event.persisted)]
    again = [t for t in missing if t.attempt < TARGET_ATTEMPTS_MAX]
    if not again:
        return None
    renewed = {t.index: _next_target(t, setting, trade) for t in again}
    trade = replace(trade, targets=tuple(renewed.get(t.index, t) for t in trade.targets))
    orders = tuple(place_target(trade, target, setting) for target in renewed.values())
    return move(
        Trigger.REPROTECT, "TARGET_MISSING", replace(record, trade=trade), intents=(*orders, Look(symbol=record.symbol))
    )


def _gone(target: TargetLeg, sight: Sight, *, persisted: bool) -> bool:
    algo = sight.targets.get(target.index)
    if algo is None:
        return persisted
    return algo.status in (AlgoStatus.CANCELED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED)


def _next_target(target: TargetLeg, setting: Setting, trade: Trade) -> TargetLeg:
    attempt = target.attempt + 1
    cid = leg_id(setting, trade.symbol, trade.number, Leg.TARGET, target.index, attempt)
    return replace(target, client_id=cid, attempt=attempt)


def target_ended(record: SymbolRecord, event: IntentEnded, index: int, setting: Setting) -> Move | None:
    """A target was refused. Already beyond it (-2021): take the profit at market. Otherwise try again, a few times."""
    trade, outcome = record.trade, event.outcome
    if trade is None or isinstance(outcome, Confirmed) or not isinstance(outcome, Refused):
        return None
    if outcome.code in (refusals.ALREADY_THERE | refusals.TEMPORARY):
        return None
    target = trade.targets[index]
    last = target.quantity is None
    if outcome.code in refusals.WOULD_TRIGGER and last:
        return begin_exit(record, "TARGET_REACHED", setting)
    if target.attempt >= TARGET_ATTEMPTS_MAX:
        return None
    renewed = _next_target(target, setting, trade)
    trade = replace(trade, targets=tuple(renewed if t.index == index else t for t in trade.targets))
    intents = (place_target(trade, renewed, setting), Look(symbol=record.symbol))
    return move(Trigger.REPROTECT, f"TARGET_REFUSED {outcome.code}", replace(record, trade=trade), intents=intents)


def manage_trade(record: SymbolRecord, event: CandleClosed, managed: Management, setting: Setting) -> Move | None:
    """What the rules want at a candle's close: end the trade, or move its stop in its favour."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    if managed.exit_reason is not None:
        return begin_exit(record, managed.exit_reason, setting)
    if managed.stop is None:
        return None
    return restop(record, decimal_of(managed.stop), event, setting)


def restop(record: SymbolRecord, wanted: Decimal, event: CandleClosed, setting: Setting) -> Move | None:
    """Move the stop if that is worth an order and the market is not already beyond the new price."""
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    sign, old = trade.side.sign, trade.stop
    price = setting.filters.round_price(wanted, Rounding.DOWN if sign > 0 else Rounding.UP)
    nearest = min(event.prices.mark_price, event.prices.last_price, key=lambda p: sign * p)
    worth = sign * (price - old.trigger_price) * 100 >= old.trigger_price * setting.policy.stop_move_pct_min
    if not worth or sign * (nearest - price) <= setting.filters.tick_size:
        return None
    version = old.version + 1
    cid = leg_id(setting, trade.symbol, trade.number, Leg.STOP, version, 1)
    trade = replace(trade, stop=replace(old, client_id=cid, trigger_price=price, version=version, attempt=1))
    intents = _move_stop(trade, (old.client_id,), setting)
    return move(Trigger.RESTOP, "STOP_MOVED", replace(record, trade=trade), intents=intents)


def _move_stop(trade: Trade, older: tuple[str, ...], setting: Setting) -> tuple[Intent, ...]:
    """The bridge rests before the old stop goes, and goes after the new one rests (R3)."""
    assert trade.stop is not None
    symbol, bridge = trade.symbol, place_bridge(trade, trade.stop, setting)
    return (
        bridge,
        *(CancelAlgo(symbol=symbol, client_id=cid) for cid in older),
        place_stop(trade, trade.stop),
        CancelAlgo(symbol=symbol, client_id=bridge.request.client_id),
        Look(symbol=symbol),
    )
