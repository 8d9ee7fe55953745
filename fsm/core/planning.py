"""Turns a strategy's signal into a planned trade, or into the guard that forbids it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.filters import Rounding, decimal_of
from exchange.types import MarkPrice, OrderType
from fsm.core.model.decision import Guard, at_least, at_most
from fsm.core.model.decision_context import DecisionContext, Portfolio, loss_per_unit
from fsm.core.model.events import CandleClosed
from fsm.core.model.records import ZERO, EntryLeg, SymbolRecord, TargetLeg, Trade, TradeSide
from fsm.core.order_requests import entry_id, leg_id, place_entry, place_stop, place_target, stop_leg
from fsm.core.sizing import quantity_guard, size_entry, stop_inside_liquidation, tradable_quantity
from fsm.core.stop_route import smallest
from rules.strategy import Limits, SignalReading

Aims = Sequence[tuple[float, float]]
"""Price and portion of each target, the nearest first."""


def plan_trade(
    record: SymbolRecord,
    event: CandleClosed,
    reading: SignalReading,
    portfolio: Portfolio,
    context: DecisionContext,
) -> tuple[Trade, tuple[Guard, ...]]:
    """The trade as it would be opened, with every guard that it must pass."""
    assert reading.side is not None
    assert reading.stop is not None
    side = TradeSide(reading.side)
    entry, limit = _entry_price(side, event, context)
    stop = context.filters.round_price(decimal_of(reading.stop), _adverse(side))
    aims = tuple((price, 1.0) for price, _ in reading.targets[:1]) if portfolio.held_back == 1 else reading.targets
    size = size_entry(
        side=side,
        symbol=record.symbol,
        entry=entry,
        stop=stop,
        portfolio=portfolio,
        context=context,
        strategy=context.rules.strategies[reading.strategy],
        most=_smallest(aims, entry, stop, context) if portfolio.trial else None,
        least=_smallest(aims, entry, stop, context) if portfolio.held_back else ZERO,
    )
    number = record.trades_opened + 1
    entry_leg = EntryLeg(
        client_id=entry_id(context, record.symbol, number),
        type=context.policy.orders.entry_type.value,
        quantity=size.quantity,
        price=limit,
        expires_ms=_expiry(event, context) if limit is not None else None,
    )
    trade = Trade(
        id=f"{record.symbol}-{number}",
        number=number,
        symbol=record.symbol,
        side=side,
        strategy=reading.strategy,
        regime=event.regime.regime,
        rules_hash=context.rules_hash,
        config_hash=context.config_hash,
        signal_candle_ms=event.candle_ms,
        opened_ms=event.at_ms,
        quantity=size.quantity,
        entry_price_planned=entry,
        stop_price_initial=stop,
        risk_usdt=size.risk,
        entry=entry_leg,
        last_fill_id=record.last_fill_id,
        targets=_targets(side, aims, record.symbol, number, context),
    )
    guards = (
        Guard("CANDLE_NEW", _is_new(record, event), str(event.candle_ms), f"> {record.signal_candle_ms}"),
        *_portfolio_guards(event, portfolio, context, context.rules.strategies[reading.strategy].limits),
        *_stop_guards(side, entry, stop, event, context),
        *size.guards,
        *_target_guards(trade, event.prices, context),
        *_filter_guards(trade, event.prices, context),
    )
    return trade, guards


def _smallest(aims: Aims, entry: Decimal, stop: Decimal, context: DecisionContext) -> Decimal:
    """The smallest quantity that can be traded with these targets (R60)."""
    prices = (entry, stop, *(decimal_of(price) for price, _ in aims))
    return smallest(prices, tuple(decimal_of(portion) for _, portion in aims[:-1]), context.filters)


def _is_new(record: SymbolRecord, event: CandleClosed) -> bool:
    """A candle that is told twice, or again after a restart, must not open a second trade."""
    return record.signal_candle_ms is None or event.candle_ms > record.signal_candle_ms


def shrunk_to(trade: Trade, prices: MarkPrice, context: DecisionContext) -> tuple[Trade, tuple[Guard, ...]]:
    """The trade at the present prices: never more risk or notional than was planned, also where the market moved away.

    A LIMIT entry has its price, and stays as it is. Returns the guards that a smaller trade must pass.
    """
    price, planned = prices.last_price, trade.entry_price_planned
    if trade.entry.price is not None or price == planned or price <= 0:
        return trade, ()
    per_unit = loss_per_unit(trade.side.sign, price, trade.stop_price_initial, context.policy)
    if per_unit <= 0:
        return trade, ()  # the stop is on the wrong side now, which STOP_SIDE says
    capped = min(trade.quantity, trade.risk_usdt / per_unit, trade.quantity * planned / price)
    quantity = trade.quantity if capped == trade.quantity else tradable_quantity(capped, context)
    risk = min(trade.risk_usdt, quantity * per_unit)
    trade = replace(trade, quantity=quantity, risk_usdt=risk, entry=replace(trade.entry, quantity=quantity))
    leverage = context.policy.leverage_of(trade.symbol)
    return trade, (
        quantity_guard(quantity, capped, context),
        stop_inside_liquidation(trade.side, quantity, price, trade.stop_price_initial, leverage, context),
        *_target_guards(trade, prices, context),
        *_filter_guards(trade, prices, context),
    )


def _adverse(side: TradeSide) -> Rounding:
    """Stops are rounded away from the entry, targets towards it: for either leg, the same direction."""
    return Rounding.DOWN if side is TradeSide.LONG else Rounding.UP


def _entry_price(side: TradeSide, event: CandleClosed, context: DecisionContext) -> tuple[Decimal, Decimal | None]:
    """(expected price, limit price or None). A LIMIT rests ``limit_offset_pct`` on the favourable side."""
    last = event.prices.last_price
    if context.policy.orders.entry_type is OrderType.MARKET:
        return last, None
    offset = last * context.policy.orders.limit_offset_pct / 100
    limit = context.filters.round_price(last - side.sign * offset, _adverse(side))
    return limit, limit


def _expiry(event: CandleClosed, context: DecisionContext) -> int:
    return event.at_ms + context.policy.orders.limit_expiry_candles * context.rules.entry_timeframe.ms


def _targets(side: TradeSide, aims: Aims, symbol: str, number: int, context: DecisionContext) -> tuple[TargetLeg, ...]:
    return tuple(
        TargetLeg(
            index=index,
            client_id=leg_id(context, symbol, number, Leg.TARGET, index, 1),
            trigger_price=context.filters.round_price(decimal_of(price), _adverse(side)),
            portion=decimal_of(portion),
            quantity=None,
        )
        for index, (price, portion) in enumerate(aims)
    )


def sized_targets(trade: Trade, quantity: Decimal, context: DecisionContext) -> tuple[TargetLeg, ...]:
    """Targets for a position of ``quantity``: all but the last get their share, the last closes what is left.

    A share that is less than the smallest lot is left to the last one.
    """
    last = len(trade.targets) - 1
    return tuple(_sized(target, quantity, context) if target.index != last else target for target in trade.targets)


def _sized(target: TargetLeg, quantity: Decimal, context: DecisionContext) -> TargetLeg:
    share = context.filters.floor_quantity(quantity * target.portion, market=True)
    return replace(target, quantity=share, done=target.done or share == 0)


def _portfolio_guards(
    event: CandleClosed, portfolio: Portfolio, context: DecisionContext, own: Limits
) -> tuple[Guard, ...]:
    policy = context.policy
    most = policy.risk.max_open_positions
    positions_max = most if own.max_open_positions is None else min(most, own.max_open_positions)
    return (
        Guard("ACCOUNT_OPEN", portfolio.blocked == "", portfolio.blocked, "no halt, no pause"),
        at_most("EQUITY_FRESH", portfolio.equity_age_ms, policy.limits.equity_age_ms_max),
        at_most(
            "CANDLE_AGE", event.at_ms - event.candle_ms - context.rules.entry_timeframe.ms, policy.candle_age_ms_max
        ),
        at_most("MAX_OPEN_POSITIONS", portfolio.open_positions + 1, positions_max),
    )


def _stop_guards(
    side: TradeSide, entry: Decimal, stop: Decimal, event: CandleClosed, context: DecisionContext
) -> tuple[Guard, ...]:
    """The stop must lie on the losing side of the entry and of both present prices (R4), at a sane distance."""
    policy, filters, prices = context.policy, context.filters, event.prices
    nearest = min(entry, prices.mark_price, prices.last_price, key=lambda price: side.sign * price)
    distance_pct = side.sign * (entry - stop) / entry * 100
    return (
        Guard("STOP_SIDE", side.sign * (nearest - stop) > filters.tick_size, str(stop), f"beyond {nearest}"),
        at_least("STOP_DISTANCE_MIN", distance_pct, policy.risk.stop_distance_pct_min),
        at_most("STOP_DISTANCE_MAX", distance_pct, policy.risk.stop_distance_pct_max),
    )


def _target_guards(trade: Trade, prices: MarkPrice, context: DecisionContext) -> tuple[Guard, ...]:
    """Every partial target must be tradable by itself (R41), and every target lie on the winning side."""
    sign, legs = trade.side.sign, sized_targets(trade, trade.quantity, context)
    present = (trade.entry_price_planned, prices.mark_price, prices.last_price)
    farthest = max(present, key=lambda price: sign * price)
    right_side = all(sign * (leg.trigger_price - farthest) > 0 for leg in legs)
    prices_text = ",".join(str(leg.trigger_price) for leg in legs)
    guards = (Guard("TARGET_SIDE", right_side, prices_text, f"beyond {farthest}"),)
    smallest = min((leg.quantity * leg.trigger_price for leg in legs if leg.quantity is not None), default=None)
    if smallest is None:
        return guards
    return (*guards, at_least("TARGET_LEG_MIN", smallest, context.filters.notional_min))


def _filter_guards(trade: Trade, prices: MarkPrice, context: DecisionContext) -> tuple[Guard, ...]:
    """What the exchange's filters would refuse is not planned: neither the entry nor what protects it (R4)."""
    filters, mark = context.filters, prices.mark_price
    entry = filters.check_order(place_entry(trade).request, mark)
    stop = place_stop(trade, stop_leg(trade, trade.stop_price_initial, 1, context))
    targets = [
        place_target(trade, leg, context) for leg in sized_targets(trade, trade.quantity, context) if not leg.done
    ]
    refusals = [filters.check_algo(target.request, mark) for target in targets]
    found = {
        "ENTRY_FILTERS": entry,
        "STOP_FILTERS": filters.check_algo(stop.request, mark),
        "TARGET_FILTERS": next((refused for refused in refusals if refused is not None), None),
    }
    named = [
        Guard(name, refused is None, "" if refused is None else f"{refused.code} {refused.message}", "not refused")
        for name, refused in found.items()
    ]
    return (Guard("SYMBOL_TRADABLE", filters.tradable, filters.status, "a perpetual that is TRADING"), *named)
