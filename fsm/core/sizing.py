"""How much to trade: the quantity whose loss at the stop is the configured share of equity, within every cap."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.filters import SymbolFilters, decimal_of
from exchange.types import Bracket, OrderType
from fsm.core import small_steps
from fsm.core.model.decision import Guard, at_least, at_most
from fsm.core.model.decision_context import DecisionContext, Portfolio, loss_per_unit
from fsm.core.model.policy import MarginShort, Policy
from fsm.core.model.records import ZERO, TradeSide
from fsm.core.shared_risk import with_one_more
from rules.strategy import Strategy


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """``quantity`` in the base asset (zero when nothing can be traded), ``risk`` the USDT lost at the stop."""

    quantity: Decimal
    risk: Decimal
    guards: tuple[Guard, ...]


def size_entry(
    *,
    side: TradeSide,
    symbol: str,
    entry: Decimal,
    stop: Decimal,
    portfolio: Portfolio,
    context: DecisionContext,
    most: Decimal | None = None,
    least: Decimal = ZERO,
    strategy: Strategy | None = None,
) -> Size:
    """Quantity from the rounded stop, taker fees and slippage; rounded down; below a minimum it is a failed guard.

    ``most``: no more than this, whatever may be risked. ``least`` is the smallest that small steps begin with.
    ``strategy`` may risk less than the account allows, never more.
    """
    policy, filters = context.policy, context.filters
    per_unit = loss_per_unit(side.sign, entry, stop, policy)
    if entry <= 0 or per_unit <= 0:
        return Size(quantity=ZERO, risk=ZERO, guards=(Guard("STOP_SIDE", False, str(stop), f"entry {entry}"),))
    wanted = portfolio.equity * policy.risk_pct_of(symbol) / 100 / per_unit
    if strategy is not None and strategy.risk != 1:
        wanted *= min(decimal_of(strategy.risk), Decimal(1))
    by_margin = _margin_cap(symbol, entry, portfolio, policy)
    capped = min(wanted, by_margin, _exposure_cap(entry, portfolio, policy), _venue_cap(symbol, entry, context))
    capped = capped if most is None else min(capped, most)
    capped = small_steps.allowed(capped, least, portfolio.held_back)
    quantity = tradable_quantity(max(capped, ZERO), context)
    risk = quantity * per_unit
    guards = (
        Guard(
            "MARGIN",
            policy.risk.margin_short is MarginShort.SHRINK or by_margin >= wanted,
            str(by_margin),
            f">= {wanted}",
        ),
        quantity_guard(quantity, capped, context),
        at_least("NOTIONAL_MIN", quantity * min(entry, stop), filters.notional_min),
        at_most(
            "MAX_OPEN_RISK", portfolio.open_risk + risk, portfolio.equity * open_risk_pct_max(policy, strategy) / 100
        ),
        *_shared_guards(side, risk, portfolio, policy),
        stop_inside_liquidation(side, quantity, entry, stop, policy.leverage_of(symbol), context),
    )
    return Size(quantity=quantity, risk=risk, guards=guards)


def _shared_guards(side: TradeSide, risk: Decimal, portfolio: Portfolio, policy: Policy) -> tuple[Guard, ...]:
    """The caps on what positions risk together, with one more that risks so much."""
    pull = portfolio.pull_long if side is TradeSide.LONG else portfolio.pull_short
    together = with_one_more(portfolio.correlated_risk, pull, risk)
    return shared_caps(side, together, risk, portfolio, portfolio.equity, policy)


def shared_caps(
    side: TradeSide, together: Decimal, more: Decimal, portfolio: Portfolio, equity: Decimal, policy: Policy
) -> tuple[Guard, ...]:
    """What config.yaml caps of it: risk together, and risk of one direction with so much more."""
    guards = []
    if policy.risk.max_correlated_risk_pct is not None:
        guards.append(at_most("MAX_CORRELATED_RISK", together, equity * policy.risk.max_correlated_risk_pct / 100))
    if policy.risk.max_same_direction_risk_pct is not None:
        same = (portfolio.risk_long if side is TradeSide.LONG else portfolio.risk_short) + more
        allowed = equity * policy.risk.max_same_direction_risk_pct / 100
        guards.append(at_most("MAX_SAME_DIRECTION_RISK", same, allowed))
    return tuple(guards)


def open_risk_pct_max(policy: Policy, strategy: Strategy | None) -> Decimal:
    own = strategy.limits.max_open_risk_pct if strategy is not None else None
    most = policy.risk.max_open_risk_pct
    return most if own is None else min(most, decimal_of(own))


def tradable_quantity(quantity: Decimal, context: DecisionContext) -> Decimal:
    """Rounded down to what can be entered, and be closed again: exits and stops are market orders."""
    filters = context.filters
    lot = filters.floor_quantity(quantity, market=True)
    return lot if context.policy.orders.entry_type is OrderType.MARKET else limit_quantity(lot, filters)


def limit_quantity(quantity: Decimal, filters: SymbolFilters) -> Decimal:
    """What of a market lot a LIMIT order may be for."""
    step = max(filters.step_size, filters.market_step_size)
    return filters.floor_quantity(quantity - quantity % step if step else quantity, market=False)


def quantity_guard(quantity: Decimal, wanted: Decimal, context: DecisionContext) -> Guard:
    least = max(context.filters.market_quantity_min, context.filters.market_step_size)
    return Guard("QUANTITY_MIN", quantity > 0, str(quantity if quantity else wanted), f">= {least}")


def _margin_cap(symbol: str, entry: Decimal, portfolio: Portfolio, policy: Policy) -> Decimal:
    """The initial margin and the entry's own fee both come out of the available balance."""
    cost_pct = policy.risk.taker_fee_pct + policy.risk.slippage_pct
    per_unit = entry * (Decimal(1) / policy.leverage_of(symbol) + cost_pct / 100)
    return max(portfolio.available, ZERO) / per_unit


def _exposure_cap(entry: Decimal, portfolio: Portfolio, policy: Policy) -> Decimal:
    room = portfolio.equity * policy.risk.max_exposure_pct / 100 - portfolio.exposure
    symbol_room = portfolio.equity * policy.risk.max_symbol_exposure_pct / 100
    return max(min(room, symbol_room), ZERO) / entry


def _venue_cap(symbol: str, entry: Decimal, context: DecisionContext) -> Decimal:
    """The largest lots (zero is no bound), and the notional up to which the bracket table allows our leverage."""
    leverage = context.policy.leverage_of(symbol)
    allowed = [b.notional_cap for b in context.brackets if b.initial_leverage >= leverage]
    by_bracket = (max(allowed) if allowed else ZERO) / entry
    filters: SymbolFilters = context.filters
    return min((by_bracket, *(most for most in (filters.market_quantity_max, filters.quantity_max) if most)))


def stop_inside_liquidation(
    side: TradeSide, quantity: Decimal, entry: Decimal, stop: Decimal, leverage: int, context: DecisionContext
) -> Guard:
    """The stop must be reached well before the exchange liquidates: within ``factor`` of that distance (R6)."""
    liquidation = liquidation_price(side, quantity, entry, entry * quantity / leverage, context.brackets)
    room = abs(entry - liquidation) * context.policy.risk.liquidation_distance_factor
    return at_most("STOP_BEYOND_LIQ", abs(entry - stop), room)


def liquidation_price(
    side: TradeSide, quantity: Decimal, entry: Decimal, wallet: Decimal, brackets: tuple[Bracket, ...]
) -> Decimal:
    """Isolated, one-way: LP = (WB + cum - side*Q*EP) / (Q*MMR - side*Q), with the bracket of the notional at LP.

    Source: Binance futures FAQ on liquidation prices, checked 2026-11. Zero when it cannot be liquidated.
    """
    if quantity == 0:
        return ZERO
    price = ZERO
    for bracket in brackets:
        top = wallet + bracket.cumulative - side.sign * quantity * entry
        price = top / (quantity * bracket.maintenance_margin_ratio - side.sign * quantity)
        if bracket.notional_floor <= abs(price) * quantity <= bracket.notional_cap:
            break
    return max(price, ZERO)
