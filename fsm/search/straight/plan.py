"""Decides over whole numbers what fsm/search/sizing.py decides: whether a signal is traded, and how large."""

from __future__ import annotations

from typing import Any

from fsm.search.straight.numbers import (
    BAR,
    CALL,
    DONE,
    ENTRY,
    EQUITY,
    FEES,
    FUNDING,
    HELD,
    HELD_NOW,
    LEAVES,
    LEFT,
    LIQUIDATION,
    LIVES,
    LOTS,
    MARGIN,
    NOW,
    OPENED,
    PHASE,
    PLANNED,
    REALIZED,
    SHARES,
    STOP,
    TARGETS_MAX,
    TOLD,
    WALLET,
    Brackets,
    Calls,
    Kinds,
    Prices,
    Terms,
)  # fmt: skip
from fsm.search.straight.pricing import liquidated_at, market_price, nearest

SURE = 1e-11
"""A part of what is compared: closer than this, floats do not decide."""

BOOK_USDT = 1e6
BOOK_LEVELS = 100
PORTION_OF = 10**6

LOTS_MAX = 10**12


def is_less(one: float, other: float) -> bool:
    """Surely, of amounts that are not negative."""
    return one < other - SURE * (one + other)


def is_close(one: float, other: float) -> bool:
    return abs(one - other) <= SURE * (one + other)


def decided(t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, place: int) -> int:
    """DONE: nothing is traded; LIVES: the position is open; LEFT: it is too close, or rare."""
    bar = (s[NOW] - t.start_ms) // t.step_ms
    if bar < 1 or bar >= t.bars or not p.sound[bar]:
        return LEFT
    s[TOLD] = 2 * bar
    sign, kind, stop = c.sign[place], c.kind[place], c.stop[place]
    last, mark = nearest(p.open[bar], t.tick), p.mark_open[bar]
    if last <= 0:
        return LEFT
    if stop < 0 or k.open_max[kind] < 1:
        return DONE
    reach = min(last, mark) - stop if sign > 0 else stop - max(last, mark)
    distance = sign * (last - stop) / last
    if reach <= t.tick or is_less(distance, t.stop_min) or is_less(t.stop_max, distance):
        return DONE
    if is_close(distance, t.stop_min) or is_close(distance, t.stop_max):
        return LEFT
    lots = sized(t, k, b, s, sign, kind, last, stop)
    if lots <= 0:
        return DONE if lots == 0 else LEFT
    if is_less(mark * t.unit * lots * t.lot, t.notional_min):
        return DONE
    if is_close(mark * t.unit * lots * t.lot, t.notional_min):
        return LEFT
    found = shared_out(t, k, c, s, place, kind, sign, max(last, mark) if sign > 0 else min(last, mark), lots)
    if found != LIVES:
        return found
    s[OPENED] += 1
    s[CALL], s[BAR], s[LOTS], s[PLANNED], s[STOP] = place, bar, lots, last, stop
    return entered(t, p, c, b, s, m, sign, bar, lots)


def sized(t: Terms, k: Kinds, b: Brackets, s: Any, sign: int, kind: int, entry: int, stop: int) -> int:
    """Lots within every cap; 0: none, -1: too close to tell."""
    equity, price = s[EQUITY] * 1e-8, entry * t.unit
    per_unit = (sign * (entry - stop) + (entry + stop) * t.cost) * t.unit
    if per_unit <= price * 1e-9 or equity <= 0:
        return -1
    wanted = equity * t.risk / per_unit * k.risk[kind]
    by_margin = max(s[WALLET], 0) * 1e-8 / (price * t.margin)
    if t.skips_short:
        if is_less(by_margin, wanted):
            return 0
        if is_close(by_margin, wanted):
            return -1
    capped = min(wanted, by_margin, equity * t.exposure / price, equity * t.symbol_exposure / price)
    lots = steps_of(t, min(capped, t.notional_max / price) / t.lot)
    if lots <= 0:
        return lots
    quantity = lots * t.lot
    worth = quantity * min(entry, stop) * t.unit
    if is_close(worth, t.notional_min):
        return -1
    if worth < t.notional_min:
        return 0
    found = outlives(t, b, sign, lots, entry, stop)
    if found <= 0:
        return found
    risk, most = quantity * per_unit, equity * min(k.risk_most[kind], t.risk_most, t.same_most)
    if is_close(risk, most):
        return -1
    return 0 if risk > most else lots


def steps_of(t: Terms, exact: float) -> int:
    """Whole lots, as many as one order takes; 0: too few, -1: too close to tell."""
    if exact > LOTS_MAX and t.lots_max > LOTS_MAX:
        return -1
    if exact >= t.lots_max + 1:
        lots = t.lots_max
    else:
        lots = int(exact)
        if abs(exact - round(exact)) <= SURE * (1 + exact):
            return -1
    return 0 if lots < t.lots_min else lots


def outlives(t: Terms, b: Brackets, sign: int, lots: int, entry: int, stop: int) -> int:
    """1: its stop comes well before its liquidation, 0: it does not, -1: too close to tell."""
    quantity, price = lots * t.lot, 0.0
    for number in range(len(b.cap)):
        top = entry * t.unit * quantity / t.leverage + b.cumulative[number] - sign * quantity * entry * t.unit
        price = top / (quantity * b.ratio[number] - sign * quantity)
        if b.floor[number] <= abs(price) * quantity <= b.cap[number]:
            break
    room = abs(entry * t.unit - max(price, 0.0)) * t.liquidation
    away = abs(entry - stop) * t.unit
    if abs(away - room) <= 1e-9 * entry * t.unit:
        return -1
    return 1 if away < room else 0


def shared_out(t: Terms, k: Kinds, c: Calls, s: Any, place: int, kind: int, sign: int, far: int, lots: int) -> int:
    """Targets with their lots. LIVES: all of them are on the winning side, and large enough."""
    count = k.targets[kind]
    for number in range(TARGETS_MAX):
        s[SHARES + number] = 0
        if number >= count:
            continue
        price, share = c.targets[place * TARGETS_MAX + number], -1
        if number < count - 1:
            share = lots * k.portions[kind * TARGETS_MAX + number] // PORTION_OF
            share = share if share >= t.lots_min else 0
            worth = share * t.lot * price * t.unit
            if price < 0 or is_close(worth, t.notional_min):
                return LEFT
            if worth < t.notional_min:
                return DONE
        if price < 0 or sign * (price - far) <= 0:
            return DONE
        s[SHARES + number] = share
    return LIVES


def entered(t: Terms, p: Prices, c: Calls, b: Brackets, s: Any, m: Any, sign: int, bar: int, lots: int) -> int:
    """The market order fills at the open, and its stop and targets are placed."""
    last, mark = p.open[bar], p.mark_open[bar]
    if not is_deep(t, last * t.unit, lots * t.lot):
        return LEFT
    price = market_price(t, sign, last, float(mark))
    if price < 0 or float(t.price_max) * lots * t.money_max > 4e18:
        return LEFT
    notional = price * t.unit * lots * t.lot
    needed = notional / t.leverage + max(sign * (price - mark) * t.unit * lots * t.lot, 0.0) + notional * t.taker
    if not is_less(notional, t.notional_max) or not is_less(needed, s[WALLET] * 1e-8):
        return LEFT
    watched = mark if t.by_mark else last
    if sign * (watched - s[STOP]) <= 0:
        return LEFT
    for number in range(TARGETS_MAX):
        if s[SHARES + number] != 0 and sign * (watched - c.targets[s[CALL] * TARGETS_MAX + number]) >= 0:
            return LEFT
    fee = -(-price * lots * t.fee // t.fee_of)
    s[WALLET] -= fee
    s[ENTRY], s[HELD], s[FEES], s[REALIZED], s[FUNDING], s[LEAVES] = price, lots, fee, 0, 0, 0
    m[MARGIN] = notional / t.leverage
    m[LIQUIDATION] = liquidated_at(t, b, sign, lots, price, m[MARGIN])
    s[PHASE] = HELD_NOW
    return LIVES


def is_deep(t: Terms, last: float, quantity: float) -> bool:
    """The assumed book surely takes it in and out again."""
    here = BOOK_USDT / (last + t.book_step * last * BOOK_LEVELS + t.tick * t.unit * BOOK_LEVELS) - t.book_lot
    if here <= t.book_lot:
        return False
    tick = t.tick * t.unit
    step, levels = max(last * t.book_step, tick), min(int(quantity / here) + 2, BOOK_LEVELS)
    far = step * levels + 2 * tick
    return last > 2 * far + 6 * step and far / (last - 2 * tick) < t.book_most * (1 - SURE)


__all__ = ["DONE", "decided"]
