"""Lives trades of one symbol from signal to exit and from exit to signal, as fsm/search/evaluation.py would.

Plain Python that numba compiles as it stands (fsm/search/straight/compiled.py). What is decided in floats is decided
only where their error cannot matter; everything that is booked is whole numbers. Whatever is rare or too close comes
back as LEFT, with the state as it was before the signal: the evaluator lives through that one.
"""

from __future__ import annotations

from typing import Any

from fsm.search.straight.account import read
from fsm.search.straight.closing import fill, take
from fsm.search.straight.numbers import (
    AMBIGUOUS,
    ASKED_MS,
    ASKS,
    BAR,
    BEHIND,
    CALL,
    DAY,
    DONE,
    ENDED,
    ENTRY,
    EQUITY,
    FILLS,
    FIRST_FILL,
    FLAT,
    FLOOR,
    FUNDING,
    FUNDINGS,
    HELD,
    HELD_NOW,
    HIGH,
    LEAVES,
    LEFT,
    LIQUIDATION,
    LIVES,
    MARGIN,
    MISSING,
    NEVER,
    NEXT,
    NOW,
    PHASE,
    POSITION_MS,
    READINGS,
    RESTING,
    SHARES,
    SOUGHT,
    STOP,
    STOP_HIT,
    TARGETS_MAX,
    TOLD,
    WALLET,
    Brackets,
    Calls,
    Kinds,
    Prices,
    Terms,
)  # fmt: skip
from fsm.search.straight.plan import decided
from fsm.search.straight.pricing import (
    exit_price,
    half_even,
    is_near_liquidation,
    liquidated_at,
    market_price,
    moment,
    sinks_at,
)  # fmt: skip

DAY_MS = 86_400_000
FUNDING_MS = 28_800_000


def live(
    t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, back: Any, read_ms: Any, read_as: Any,
    rows: Any, fills: Any,
) -> int:  # fmt: skip
    """On from the state ``s``, until DONE, ASKS or LEFT."""
    while True:
        if s[PHASE] == FLAT:
            found = seek(t, p, k, c, b, s, m, back, read_ms, read_as)
        else:
            found = hold(t, p, k, c, b, s, m, read_ms, read_as, rows, fills)
        if found == LEFT:
            sought = s[SOUGHT]
            s[:] = back
            s[SOUGHT] = sought
        if found <= LEFT:
            return found


def seek(
    t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, back: Any, read_ms: Any, read_as: Any
) -> int:
    """From one instant without a position to the entry of the next."""
    while True:
        back[:] = s
        place, first_ms = s[NEXT], max(s[NOW] + t.step_ms, s[RESTING])
        while place < t.calls and c.at_ms[place] < first_ms:
            place += 1
        if place >= t.calls or c.at_ms[place] >= t.to_ms:
            return DONE
        now_ms = c.at_ms[place]
        s[SOUGHT] = now_ms
        if not stand(t, s, now_ms, read_ms, read_as):
            return LEFT
        s[NOW], s[NEXT] = now_ms, place + 1
        found = decided(t, p, k, c, b, s, m, place)
        if found == LEFT:
            return LEFT
        if found == LIVES:
            s[ASKED_MS] = NEVER
            s[FIRST_FILL] = s[FILLS]
            if k.asks[c.kind[place]]:
                s[ASKED_MS] = 0
                return ASKS
            return LIVES


def stand(t: Terms, s: Any, now_ms: int, read_ms: Any, read_as: Any) -> bool:
    """The account is read where it is due, up to this instant."""
    if s[BEHIND] and s[NOW] + t.step_ms < now_ms and not read(t, s, s[NOW] + t.step_ms, s[WALLET], read_ms, read_as):
        return False
    day_ms = (s[DAY] + 1) * DAY_MS
    while day_ms < now_ms:
        if not read(t, s, day_ms, s[WALLET], read_ms, read_as):
            return False
        day_ms += DAY_MS
    if s[BEHIND] or now_ms // DAY_MS != s[DAY]:
        return read(t, s, now_ms, s[WALLET], read_ms, read_as)
    return True


def hold(
    t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, read_ms: Any, read_as: Any, rows: Any,
    fills: Any,
) -> int:  # fmt: skip
    """From bar to bar, until the trade ends or its rules must be asked."""
    sign = c.sign[s[CALL]]
    if s[LEAVES]:
        return leave(t, p, k, c, b, s, m, sign, rows, fills)
    lows, highs = (p.mark_low, p.mark_high) if t.by_mark else (p.low, p.high)
    opens = p.mark_open if t.by_mark else p.open
    while True:
        low, high = reached_at(k, c, s, sign)
        coast(t, p, s, m, sign, lows, highs, low, high, read_ms, read_as)
        bar = s[BAR]
        if not p.sound[bar] or is_near_liquidation(p, m, sign, bar):
            return LEFT
        if lows[bar] <= low or highs[bar] >= high:
            best, worst = (highs[bar], lows[bar]) if sign > 0 else (lows[bar], highs[bar])
            found = walk(t, p, k, c, b, s, m, sign, opens[bar], worst, best, rows, fills)
            if found != LIVES:
                s[POSITION_MS] += t.step_ms
                s[TOLD] = 2 * bar + 1
                return found
            low, high = reached_at(k, c, s, sign)
        s[POSITION_MS] += t.step_ms
        now_ms, bar = s[NOW] + t.step_ms, bar + 1
        if now_ms >= t.to_ms or not p.sound[bar]:
            return LEFT
        s[NOW], s[BAR], s[TOLD] = now_ms, bar, 2 * bar
        if not fund(t, p, b, s, m, sign, bar, now_ms):
            return LEFT
        start = opens[bar]
        if start <= low or start >= high:
            found = gap(t, p, k, c, b, s, m, sign, start, rows, fills)
            if found != LIVES:
                return found
        profit = half_even((p.mark_open[bar] - s[ENTRY]) * sign * s[HELD] * t.gain, t.gain_of)
        if not read(t, s, now_ms, s[WALLET] + profit, read_ms, read_as):
            return LEFT
        if now_ms >= s[ASKED_MS]:
            return ASKS


def coast(
    t: Terms, p: Prices, s: Any, m: Any, sign: int, lows: Any, highs: Any, low: int, high: int, read_ms: Any,
    read_as: Any,
) -> None:  # fmt: skip
    """On through bars in which nothing is reached, as long as the account is read at their opens and no more is due."""
    mark_lows, mark_highs, mark_opens, rates = p.mark_low, p.mark_high, p.mark_open, p.rate
    first, now_ms, count, step_ms = s[BAR], s[NOW], s[READINGS], t.step_ms
    sunk, risen = sinks_at(m, sign)
    if lows[first] <= low or highs[first] >= high or mark_lows[first] <= sunk or mark_highs[first] >= risen:
        return
    until_ms = min(s[ASKED_MS], t.to_ms, (s[DAY] + 1) * DAY_MS)
    last = first + (until_ms - 1 - now_ms) // step_ms
    wallet, entry, per_unit, of = s[WALLET], s[ENTRY], sign * s[HELD] * t.gain, t.gain_of
    floor, top, equity, bar = s[FLOOR], s[HIGH], 0, first
    while bar < last:
        bar += 1
        if lows[bar] <= low or highs[bar] >= high or mark_lows[bar] <= sunk or mark_highs[bar] >= risen:
            bar -= 1
            break
        profit = (mark_opens[bar] - entry) * per_unit
        now = wallet + (profit if of == 1 else half_even(profit, of))
        if now <= floor or now > top or rates[bar] != NEVER:
            bar -= 1
            break
        equity = now
        now_ms += step_ms
        read_ms[count], read_as[count] = now_ms, equity
        count += 1
    if bar > first:
        s[BAR], s[NOW], s[TOLD], s[READINGS], s[EQUITY], s[BEHIND] = bar, now_ms, 2 * bar, count, equity, 0
        s[POSITION_MS] += (bar - first) * step_ms
        s[MISSING] += now_ms // FUNDING_MS - (now_ms - (bar - first) * step_ms) // FUNDING_MS


def reached_at(k: Kinds, c: Calls, s: Any, sign: int) -> tuple[int, int]:
    """The nearest prices, below and above, at which a stop or target is reached; a bar that is not sound is lower."""
    first, stop = s[CALL] * TARGETS_MAX, s[STOP]
    low, high = (stop, NEVER) if sign > 0 else (0, stop)
    for number in range(k.targets[c.kind[s[CALL]]]):
        if s[SHARES + number] != 0:
            if sign > 0:
                high = min(high, c.targets[first + number])
            else:
                low = max(low, c.targets[first + number])
    return low, high


def is_target(c: Calls, s: Any, sign: int, price: int) -> bool:
    """Whether a target is there or behind."""
    first = s[CALL] * TARGETS_MAX
    for number in range(TARGETS_MAX):
        if s[SHARES + number] != 0 and sign * (price - c.targets[first + number]) >= 0:
            return True
    return False


def next_target(c: Calls, s: Any, sign: int, price: int, in_order: bool) -> int:
    """Of the targets that are there or behind the nearest, or the first; -1: none."""
    first, found = s[CALL] * TARGETS_MAX, -1
    for number in range(TARGETS_MAX):
        level = c.targets[first + number]
        if s[SHARES + number] == 0 or sign * (price - level) < 0:
            continue
        if found < 0 or (not in_order and sign * (c.targets[first + found] - level) > 0):
            found = number
    return found


def walk(
    t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, sign: int, start: int, worst: int, best: int,
    rows: Any, fills: Any,
) -> int:  # fmt: skip
    """Through a bar in which something is reached: the extreme that hurts comes first."""
    bar, stop = s[BAR], s[STOP]
    fork_ms = s[NOW] + t.hold_ms
    third_ms = (s[NOW] + t.step_ms - 1 - fork_ms) // 3
    last_worst, last_best = (p.low[bar], p.high[bar]) if sign > 0 else (p.high[bar], p.low[bar])
    mark_worst, mark_best = (p.mark_low[bar], p.mark_high[bar]) if sign > 0 else (p.mark_high[bar], p.mark_low[bar])
    if sign * (worst - stop) <= 0:
        if sign * (start - stop) <= 0:
            return LEFT
        ms = moment(third_ms, abs(stop - start), abs(worst - start))
        part = (stop - start) / (worst - start)
        last = p.open[bar] + (last_worst - p.open[bar]) * part
        mark = p.mark_open[bar] + (mark_worst - p.mark_open[bar]) * part
        price = exit_price(t, p, sign, bar, stop, last, mark, not t.by_mark, True)
        if ms < 0 or price < 0:
            return LEFT
        s[AMBIGUOUS] += is_target(c, s, sign, best)
        return fill(t, k, c, b, s, m, sign, price, s[HELD], STOP_HIT, fork_ms + ms, rows, fills)
    while True:
        number = next_target(c, s, sign, best, False)
        if number < 0:
            return LEFT if is_near_liquidation(p, m, sign, bar) else LIVES
        level = c.targets[s[CALL] * TARGETS_MAX + number]
        if sign * (worst - level) >= 0:
            return LEFT
        ms = moment(third_ms, abs(level - worst), abs(best - worst))
        part = (level - worst) / (best - worst)
        last, mark = last_worst + (last_best - last_worst) * part, mark_worst + (mark_best - mark_worst) * part
        price = exit_price(t, p, sign, bar, level, last, mark, not t.by_mark, False)
        if ms < 0 or price < 0:
            return LEFT
        ms += fork_ms + third_ms
        if take(t, k, c, b, s, m, sign, price, number, ms, rows, fills) == ENDED:
            return ENDED


def gap(
    t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, sign: int, start: int, rows: Any, fills: Any
) -> int:
    """Prices jump over a level at the open of a bar: the instant is lived again without the position."""
    bar, now_ms = s[BAR], s[NOW]
    last, mark = p.open[bar], p.mark_open[bar]
    if is_near_liquidation(p, m, sign, bar):
        return LEFT
    if sign * (start - s[STOP]) <= 0:
        price = exit_price(t, p, sign, bar, last, float(last), float(mark), True, True)
        if price < 0:
            return LEFT
        fill(t, k, c, b, s, m, sign, price, s[HELD], STOP_HIT, now_ms, rows, fills)
        s[NOW] = now_ms - t.step_ms
        return ENDED
    while True:
        number = next_target(c, s, sign, start, True)
        if number < 0:
            return LIVES
        price = exit_price(t, p, sign, bar, last, float(last), float(mark), True, False)
        if price < 0:
            return LEFT
        if take(t, k, c, b, s, m, sign, price, number, now_ms, rows, fills) == ENDED:
            s[NOW] = now_ms - t.step_ms
            return ENDED


def leave(
    t: Terms, p: Prices, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, sign: int, rows: Any, fills: Any
) -> int:
    """At market, as its rules ask."""
    bar = s[BAR]
    if not p.sound[bar]:
        return LEFT
    price = market_price(t, -sign, p.open[bar], float(p.mark_open[bar]))
    if price < 0:
        return LEFT
    reason, s[LEAVES] = s[LEAVES], 0
    return fill(t, k, c, b, s, m, sign, price, s[HELD], reason, s[NOW], rows, fills)


def fund(t: Terms, p: Prices, b: Brackets, s: Any, m: Any, sign: int, bar: int, now_ms: int) -> bool:
    """A settlement, at the mark with which the last bar ended. False: it cannot be told to the last digit."""
    rate = p.rate[bar]
    if rate == NEVER:
        if now_ms % FUNDING_MS == 0:
            s[MISSING] += 1
        return True
    mark = p.mark_close[bar - 1]
    whole = float(mark) * s[HELD] * t.gain * rate
    if abs(whole) < 4e18:
        paid = half_even(sign * s[HELD] * mark * t.gain * rate, t.gain_of * t.rate_of)
    else:
        amount = sign * whole / t.gain_of / t.rate_of
        paid = round(amount)
        if abs(abs(amount - paid) - 0.5) < 1e-6 + abs(amount) * 1e-14:
            return False
    s[WALLET] -= paid
    s[FUNDING] -= paid
    s[FUNDINGS] += 1
    m[MARGIN] -= paid * 1e-8
    m[LIQUIDATION] = liquidated_at(t, b, sign, s[HELD], s[ENTRY], m[MARGIN])
    return True


__all__ = ["DONE", "HELD_NOW", "live"]
