"""Turns a signal into a planned trade, or into nothing where a guard forbids it: as fsm/core planning and sizing do."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from exchange.filters import Rounding, decimal_of
from exchange.types import Side
from fsm.core.model.policy import MarginShort
from fsm.core.model.records import TradeSide
from fsm.core.shared_risk import with_one_more
from fsm.core.sizing import liquidation_price
from fsm.search.open_trade import OpenTrade
from fsm.search.signals import Signal
from fsm.search.terms import ONE, ZERO, Beyond, Terms

GOOD_TILL_MS_MIN = 610_000
"""As in fsm/core/states/entering.py: an expiry must lie so far ahead."""


class Room(NamedTuple):
    """Money and risk as a new trade finds them; the last five where config.yaml caps them."""

    equity: Decimal
    available: Decimal
    open_positions: int
    open_risk: Decimal
    exposure: Decimal
    risk_long: Decimal = ZERO
    risk_short: Decimal = ZERO
    correlated_risk: Decimal = ZERO
    pull_long: Decimal = ZERO
    pull_short: Decimal = ZERO


def plan(
    terms: Terms, signal: Signal, candle_ms: int, number: int, told: tuple[Decimal, Decimal], room: Room
) -> OpenTrade | None:
    """The trade as it is opened; ``told`` are last and mark."""
    settings, filters, sign = terms.settings, terms.filters, signal.sign
    own = signal.strategy.limits.max_open_positions
    most = settings.risk.max_open_positions
    if room.open_positions + 1 > (most if own is None else min(most, own)) or not filters.tradable:
        return None
    adverse = Rounding.DOWN if sign > 0 else Rounding.UP
    last, mark = told
    entry = last
    limit = None
    if terms.is_limit:
        offset = last * settings.orders.limit_offset_pct / 100
        entry = limit = filters.round_price(last - sign * offset, adverse)
    stop = filters.round_price(decimal_of(signal.stop), adverse)
    per_unit = terms.loss_per_unit(sign, entry, stop)
    if entry <= 0:
        raise Beyond(f"prices of {terms.symbol} below one tick")
    if per_unit <= 0 or not _stop_fits(terms, sign, entry, stop, told):
        return None
    quantity = _quantity(terms, signal, entry, stop, per_unit, room)
    if not quantity or not _risk_fits(terms, signal, quantity * per_unit, room):
        return None
    targets = [(filters.round_price(decimal_of(price), adverse), decimal_of(part)) for price, part in signal.targets]
    sized = _sized(terms, quantity, targets)
    if not _targets_fit(terms, sign, (entry, mark, last), sized):
        return None
    if not _filters_take(terms, sign, quantity, limit, stop, mark, sized):
        return None
    return OpenTrade(
        terms,
        number=number,
        sign=sign,
        strategy=signal.strategy.name,
        regime=signal.regime,
        candle_ms=candle_ms,
        quantity=quantity,
        entry=entry,
        stop=stop,
        risk=quantity * per_unit,
        limit=limit,
        targets=sized,
    )


def still_good(trade: OpenTrade, last: Decimal) -> bool:
    """Whether the signal survives until its order is sent: the market has not moved, and takes it in and out again."""
    terms, orders = trade.terms, trade.terms.settings.orders
    out_pct = terms.book_pct(trade.exit_side, trade.quantity, last)
    if out_pct is None or out_pct > orders.book_slippage_pct_max:
        return False
    if trade.limit is None:
        in_pct = terms.book_pct(trade.entry_side, trade.quantity, last)
        if in_pct is None or in_pct > orders.book_slippage_pct_max:
            raise Beyond("a market entry that the book is too thin for")
        return True
    moved_pct = abs(last - trade.planned) / trade.planned * 100
    ahead_ms = trade.expires_ms - trade.opened_ms
    return moved_pct <= orders.price_moved_pct_max and ahead_ms >= GOOD_TILL_MS_MIN


def _stop_fits(terms: Terms, sign: int, entry: Decimal, stop: Decimal, told: tuple[Decimal, Decimal]) -> bool:
    """On the losing side of the entry and of both prices, at a sane distance."""
    nearest = min(entry, *told) if sign > 0 else max(entry, *told)
    distance_pct = sign * (entry - stop) / entry * 100
    risk = terms.settings.risk
    return (
        sign * (nearest - stop) > terms.filters.tick_size
        and distance_pct >= risk.stop_distance_pct_min
        and distance_pct <= risk.stop_distance_pct_max
    )


def _quantity(terms: Terms, signal: Signal, entry: Decimal, stop: Decimal, per_unit: Decimal, room: Room) -> Decimal:
    """Within every cap, rounded down; 0 where it cannot be traded or would be liquidated before its stop."""
    risk, filters = terms.settings.risk, terms.filters
    wanted = room.equity * terms.risk_pct / 100 / per_unit
    if signal.strategy.risk != 1:
        wanted *= min(decimal_of(signal.strategy.risk), ONE)
    by_margin = max(room.available, ZERO) / (entry * terms.margin_per_price)
    if risk.margin_short is MarginShort.SKIP and by_margin < wanted:
        return ZERO
    left = room.equity * risk.max_exposure_pct / 100 - room.exposure
    by_exposure = max(min(left, room.equity * risk.max_symbol_exposure_pct / 100), ZERO) / entry
    caps = [wanted, by_margin, by_exposure, terms.notional_max / entry]
    capped = min(*caps, *(most for most in (filters.market_quantity_max, filters.quantity_max) if most))
    quantity = _tradable(terms, max(capped, ZERO))
    if quantity <= 0 or quantity * min(entry, stop) < filters.notional_min:
        return ZERO
    side = TradeSide.LONG if signal.sign > 0 else TradeSide.SHORT
    liquidation = liquidation_price(side, quantity, entry, entry * quantity / terms.leverage, terms.brackets)
    room_left = abs(entry - liquidation) * risk.liquidation_distance_factor
    return quantity if abs(entry - stop) <= room_left else ZERO


def _tradable(terms: Terms, quantity: Decimal) -> Decimal:
    filters = terms.filters
    lot = filters.floor_quantity(quantity, market=True)
    if not terms.is_limit:
        return lot
    step = max(filters.step_size, filters.market_step_size)
    return filters.floor_quantity(lot - lot % step if step else lot, market=False)


def _risk_fits(terms: Terms, signal: Signal, risk: Decimal, room: Room) -> bool:
    """The caps on what all positions risk, with this one."""
    caps, equity = terms.settings.risk, room.equity
    own = signal.strategy.limits.max_open_risk_pct
    most = caps.max_open_risk_pct if own is None else min(caps.max_open_risk_pct, decimal_of(own))
    if room.open_risk + risk > equity * most / 100:
        return False
    is_long = signal.sign > 0
    if caps.max_correlated_risk_pct is not None:
        pull = room.pull_long if is_long else room.pull_short
        if with_one_more(room.correlated_risk, pull, risk) > equity * caps.max_correlated_risk_pct / 100:
            return False
    if caps.max_same_direction_risk_pct is not None:
        same = (room.risk_long if is_long else room.risk_short) + risk
        return same <= equity * caps.max_same_direction_risk_pct / 100
    return True


Sized = list[tuple[Decimal, Decimal | None]]
"""(trigger price, quantity) of each target; None: it closes what is left."""


def _sized(terms: Terms, quantity: Decimal, targets: list[tuple[Decimal, Decimal]]) -> Sized:
    shares: Sized = [
        (price, terms.filters.floor_quantity(quantity * portion, market=True)) for price, portion in targets[:-1]
    ]
    return [*shares, *((price, None) for price, _ in targets[-1:])]


def _targets_fit(terms: Terms, sign: int, present: tuple[Decimal, Decimal, Decimal], sized: Sized) -> bool:
    """On the winning side, and every partial one large enough to be traded by itself."""
    farthest = max(present) if sign > 0 else min(present)
    least = terms.filters.notional_min
    return all(sign * (price - farthest) > 0 and (share is None or share * price >= least) for price, share in sized)


def _filters_take(
    terms: Terms,
    sign: int,
    quantity: Decimal,
    limit: Decimal | None,
    stop: Decimal,
    mark: Decimal,
    sized: Sized,
) -> bool:
    """What the exchange's filters would refuse is not planned."""
    price = mark if limit is None else limit
    if not terms.lot_taken(quantity, market=limit is None) or price * quantity < terms.filters.notional_min:
        return False
    if limit is not None and not _limit_taken(terms, sign, limit, mark):
        return False
    if not terms.price_taken(stop):
        return False
    return all(
        share == 0 or (terms.price_taken(each) and (share is None or terms.lot_taken(share, market=True)))
        for each, share in sized
    )


def _limit_taken(terms: Terms, sign: int, limit: Decimal, mark: Decimal) -> bool:
    filters = terms.filters
    if not terms.price_taken(limit):
        return False
    side = Side.BUY if sign > 0 else Side.SELL
    if side is Side.BUY:
        return not filters.multiplier_up or limit <= mark * filters.multiplier_up
    return not filters.multiplier_down or limit >= mark * filters.multiplier_down
