"""Closes lots of the kernel's trade, and books it with the last of them."""

from __future__ import annotations

from typing import Any

from fsm.search.straight.account import book
from fsm.search.straight.numbers import (
    BEHIND,
    CALL,
    ENDED,
    ENTRY,
    FEES,
    FILLS,
    FLAT,
    FUNDING,
    HELD,
    LIQUIDATION,
    LIVES,
    LOSSES,
    LOTS,
    MARGIN,
    OPENED,
    PHASE,
    PLANNED,
    R_CALL,
    R_CLOSED_MS,
    R_ENTRY,
    R_FEES,
    R_FUNDING,
    R_LOTS,
    R_NUMBER,
    R_PLANNED,
    R_REALIZED,
    R_REASON,
    R_STOP,
    REALIZED,
    RESTING,
    ROW,
    ROWS,
    SHARES,
    STOP,
    TARGET_HIT,
    WALLET,
    Brackets,
    Calls,
    Kinds,
    Terms,
)  # fmt: skip
from fsm.search.straight.pricing import half_even, liquidated_at


def take(
    t: Terms, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, sign: int, price: int, number: int, at_ms: int,
    rows: Any, fills: Any,
) -> int:  # fmt: skip
    """A target fills."""
    share, s[SHARES + number] = s[SHARES + number], 0
    lots = s[HELD] if share < 0 else min(share, s[HELD])
    return fill(t, k, c, b, s, m, sign, price, lots, TARGET_HIT, at_ms, rows, fills)


def fill(
    t: Terms, k: Kinds, c: Calls, b: Brackets, s: Any, m: Any, sign: int, price: int, lots: int, reason: int,
    at_ms: int, rows: Any, fills: Any,
) -> int:  # fmt: skip
    """So many lots are closed at this price; with the last of them the trade ends."""
    profit = half_even((price - s[ENTRY]) * lots * sign * t.gain, t.gain_of)
    fee = -(-price * lots * t.fee // t.fee_of)
    s[WALLET] += profit - fee
    s[REALIZED] += profit
    s[FEES] += fee
    fills[3 * s[FILLS]], fills[3 * s[FILLS] + 1], fills[3 * s[FILLS] + 2] = s[ROWS], price, lots
    s[FILLS] += 1
    left = s[HELD] - lots
    if left:
        m[MARGIN] = m[MARGIN] * left / s[HELD]
        s[HELD] = left
        m[LIQUIDATION] = liquidated_at(t, b, sign, left, s[ENTRY], m[MARGIN])
        return LIVES
    s[HELD] = 0
    end(t, k, c, s, reason, at_ms, rows)
    return ENDED


def end(t: Terms, k: Kinds, c: Calls, s: Any, reason: int, at_ms: int, rows: Any) -> None:
    """Book the trade, and what its result does to the symbol."""
    row = s[ROWS] * ROW
    rows[row + R_CALL], rows[row + R_NUMBER], rows[row + R_LOTS] = s[CALL], s[OPENED], s[LOTS]
    rows[row + R_PLANNED], rows[row + R_ENTRY], rows[row + R_STOP] = s[PLANNED], s[ENTRY], s[STOP]
    rows[row + R_REASON], rows[row + R_CLOSED_MS] = reason, at_ms
    rows[row + R_REALIZED], rows[row + R_FEES], rows[row + R_FUNDING] = s[REALIZED], s[FEES], s[FUNDING]
    s[ROWS] += 1
    net, kind = s[REALIZED] - s[FEES] + s[FUNDING], c.kind[s[CALL]]
    streak = s[LOSSES] + 1 if net < 0 else 0
    if k.losses[kind] and net < 0 and streak >= k.losses[kind]:
        s[RESTING] = max(s[RESTING], at_ms + k.rest_ms[kind])
    if t.losses and streak >= t.losses:
        s[RESTING] = max(s[RESTING], at_ms + t.rest_ms)
        streak = 0
    s[LOSSES], s[BEHIND], s[PHASE] = streak, 1, FLAT
    book(t, s, net, at_ms)


__all__ = ["fill", "take"]
