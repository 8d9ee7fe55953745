"""What the kernel is told of a variant: its terms, the sides of its strategies, its signals."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from exchange.filters import decimal_of
from exchange.sim.core.pricing import depth_share
from exchange.types import Side
from fsm.search.bars import UNITS
from fsm.search.signals import Signals
from fsm.search.straight.columns import Bars, FloatArray, IntArray, decimals, rounded
from fsm.search.straight.numbers import TARGETS_MAX, Brackets, Calls, Kinds, Terms
from fsm.search.terms import Terms as Traded

PORTION_OF = 10**6
LOTS_MAX = 2 * 10**12
PRICE_MAX = 4 * 10**18


class Variant(NamedTuple):
    """All that the kernel reads beside prices."""

    terms: Terms
    kinds: Kinds
    calls: Calls
    brackets: Brackets


def variant_of(traded: Traded, signals: Signals, bars: Bars, end_ms: int, to_ms: int) -> Variant | None:
    """None: this variant does what the kernel does not know."""
    filters, start_ms = traded.filters, int(signals.market.feed.start_ms)
    step_ms = signals.market.feed.step.ms
    slips = [Fraction(traded.factor[side]) for side in (Side.BUY, Side.SELL)]
    slip_of = max(slips[0].denominator, slips[1].denominator)
    if (
        step_ms != traded.entry_ms
        or traded.is_limit
        or not (traded.can_set_up and traded.is_on_grid and filters.tradable)
        or filters.market_step_size <= 0
        or filters.tick_size <= 0
        or traded.taker < 0
        or (bars.price_max + 1) * 2 * slip_of > PRICE_MAX
        or not all(_is_plain(side.targets) for _, side in signals.kinds)
    ):
        return None
    terms = _terms(
        traded, signals, bars, start_ms, min(to_ms, end_ms), [int(slip * slip_of) for slip in slips], slip_of
    )
    brackets = Brackets(
        *(
            np.array([float(getattr(each, name)) for each in traded.brackets])
            for name in ("notional_floor", "notional_cap", "maintenance_margin_ratio", "cumulative")
        )
    )
    return Variant(
        terms,
        _kinds(signals, traded.entry_ms, traded.settings.risk.max_open_positions),
        _calls(traded, signals, bars.digits),
        brackets,
    )


def _is_plain(targets: tuple[tuple[object, float], ...]) -> bool:
    return len(targets) <= TARGETS_MAX and all(decimals(decimal_of(portion)) <= 6 for _, portion in targets)


def _terms(
    traded: Traded, signals: Signals, bars: Bars, start_ms: int, to_ms: int, slips: list[int], slip_of: int
) -> Terms:
    settings, filters, digits = traded.settings, traded.filters, bars.digits
    risk, limits, lot = settings.risk, settings.limits, filters.market_step_size
    gain = Fraction(lot) * UNITS / 10**digits
    fee = gain * Fraction(traded.taker)
    largest = [most for most in (filters.market_quantity_max, filters.quantity_max) if most]
    caps = [cap for cap in (risk.max_correlated_risk_pct, risk.max_same_direction_risk_pct) if cap is not None]
    cooldown = signals.rules.cooldown
    step_ms = signals.market.feed.step.ms
    return Terms(
        calls=len(signals.at_ms),
        step_ms=step_ms,
        start_ms=start_ms,
        bars=len(bars.prices.open),
        to_ms=to_ms,
        hold_ms=min(60_000, step_ms // 3),
        tick=int(filters.tick_size.scaleb(digits)),
        price_min=int(filters.price_min.scaleb(digits)),
        lots_min=max(1, int(-(-filters.market_quantity_min // lot))),
        lots_max=min(LOTS_MAX, *(int(most // lot) for most in largest)) if largest else LOTS_MAX,
        slip_buy=slips[0],
        slip_sell=slips[1],
        slip_of=slip_of,
        gain=gain.numerator,
        gain_of=gain.denominator,
        fee=fee.numerator,
        fee_of=fee.denominator,
        rate_of=10**bars.rate_digits,
        money_max=max(gain.numerator, fee.numerator),
        price_max=bars.price_max,
        by_mark=int(traded.by_mark),
        losses=cooldown.losses if cooldown else 0,
        rest_ms=cooldown.candles * traded.entry_ms if cooldown else 0,
        skips_short=int(risk.margin_short.value == "SKIP"),
        unit=10.0**-digits,
        lot=float(lot),
        risk=float(traded.risk_pct) / 100,
        cost=float(traded.cost_pct) / 100,
        margin=float(traded.margin_per_price),
        exposure=float(risk.max_exposure_pct) / 100,
        symbol_exposure=float(risk.max_symbol_exposure_pct) / 100,
        stop_min=float(risk.stop_distance_pct_min) / 100,
        stop_max=float(risk.stop_distance_pct_max) / 100,
        liquidation=float(risk.liquidation_distance_factor),
        leverage=float(traded.leverage),
        notional_max=float(traded.notional_max),
        notional_min=float(filters.notional_min),
        risk_most=float(risk.max_open_risk_pct) / 100,
        same_most=min((float(cap) / 100 for cap in caps), default=float("inf")),
        book_most=float(settings.orders.book_slippage_pct_max) / 100,
        book_step=float(settings.simulation.slippage_pct) / 100,
        book_lot=float(max(filters.step_size, filters.quantity_min)),
        factor_buy=float(traded.factor[Side.BUY]),
        factor_sell=float(traded.factor[Side.SELL]),
        depth=float(depth_share(traded.depth, step_ms)) if traded.depth else 0.0,
        bound_up=_bound(filters.multiplier_up, filters.market_take_bound, 1),
        bound_down=_bound(filters.multiplier_down, filters.market_take_bound, -1),
        taker=float(traded.taker),
        day=float(limits.daily_loss_pct) / 100,
        week=float(limits.weekly_loss_pct) / 100,
        month=float(limits.monthly_loss_pct) / 100,
        drawdown=float(limits.drawdown_pct) / 100,
    )


def _bound(multiplier: Decimal, share: Decimal, sign: int) -> float:
    """How far from the mark, as a factor, a market order may trade."""
    bounds = [float(multiplier)] if multiplier else []
    bounds += [float(1 + sign * share)] if share else []
    if sign > 0:
        return min(bounds, default=float("inf"))
    return max(bounds, default=0.0)


def _kinds(signals: Signals, entry_ms: int, positions: int) -> Kinds:
    settings = [
        (strategy, side, strategy.cooldown, signals.positions_max(strategy)) for strategy, side in signals.kinds
    ]
    portions = np.zeros((max(1, len(settings)), TARGETS_MAX), dtype=np.int64)
    for number, (_, side, _, _) in enumerate(settings):
        for place, (_, portion) in enumerate(side.targets):
            portions[number, place] = int(decimal_of(portion) * PORTION_OF)

    def whole(found: list[int]) -> IntArray:
        return np.array(found or [0], dtype=np.int64)

    def part(found: list[float]) -> FloatArray:
        return np.array(found or [0.0])

    return Kinds(
        risk=part([min(float(strategy.risk), 1.0) for strategy, *_ in settings]),
        open_max=whole([min(most, positions) for *_, most in settings]),
        risk_most=part([_most(strategy.limits.max_open_risk_pct) for strategy, *_ in settings]),
        targets=whole([len(side.targets) for _, side, _, _ in settings]),
        portions=portions.ravel(),
        losses=whole([own.losses if own else 0 for _, _, own, _ in settings]),
        rest_ms=whole([own.candles * entry_ms if own else 0 for _, _, own, _ in settings]),
        asks=whole([int(signals.may_ask(strategy, side)) for strategy, side, _, _ in settings]),
    )


def _most(pct: float | None) -> float:
    return float("inf") if pct is None else float(pct) / 100


def _calls(traded: Traded, signals: Signals, digits: int) -> Calls:
    found = signals.found
    signs = np.array([side.sign for _, side in signals.kinds] or [0], dtype=np.int64)[found.kinds]
    targets = np.full((len(found.rows), TARGETS_MAX), -1, dtype=np.int64)
    for number, prices in enumerate(found.targets):
        there = np.flatnonzero(~np.isnan(prices))
        targets[there, number] = rounded(prices[there], signs[there], traded.filters, digits)
    return Calls(
        at_ms=np.array(signals.at_ms, dtype=np.int64),
        sign=signs,
        kind=found.kinds.astype(np.int64),
        stop=rounded(found.stops, signs, traded.filters, digits),
        targets=targets.ravel(),
    )
