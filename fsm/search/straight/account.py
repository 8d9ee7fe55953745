"""The account of the kernel: its readings and how far it is from its loss limits, as fsm/search/account.py has them."""

from __future__ import annotations

from typing import Any

from fsm.search.straight.numbers import (
    BEHIND,
    DAY,
    DAY_AT,
    DAY_MADE,
    DAY_START,
    EQUITY,
    FLOOR,
    HIGH,
    MONTH_AT,
    MONTH_ENDS,
    MONTH_MADE,
    MONTH_START,
    PERIODS_FLOOR,
    READINGS,
    WEEK_AT,
    WEEK_MADE,
    WEEK_START,
    Terms,
)  # fmt: skip

DAY_MS = 86_400_000
CLOSE = 1 + 1e-9
"""Nearer to a limit than this, it is the evaluator who judges."""


def read(t: Terms, s: Any, now_ms: int, equity: int, read_ms: Any, read_as: Any) -> bool:
    """Note what equity is. False: a limit may be hit."""
    read_ms[s[READINGS]], read_as[s[READINGS]] = now_ms, equity
    s[READINGS] += 1
    s[EQUITY], s[BEHIND] = equity, 0
    day = now_ms // DAY_MS
    if day != s[DAY]:
        s[DAY] = day
        begin(s, day, equity)
        bounded(t, s)
    if equity > s[HIGH]:
        s[HIGH] = equity
        s[FLOOR] = max(s[PERIODS_FLOOR], under(equity, t.drawdown))
    return bool(equity > s[FLOOR])


def begin(s: Any, day: int, equity: int) -> None:
    """Periods that begin on a day begin with this equity."""
    if day > s[DAY_AT]:
        s[DAY_AT], s[DAY_START], s[DAY_MADE] = day, equity, 0
    if (day + 3) // 7 > (s[WEEK_AT] + 3) // 7:
        s[WEEK_AT], s[WEEK_START], s[WEEK_MADE] = day, equity, 0
    if day >= s[MONTH_ENDS]:
        s[MONTH_AT], s[MONTH_START], s[MONTH_MADE], s[MONTH_ENDS] = day, equity, 0, month_after(day)


def book(t: Terms, s: Any, net: int, at_ms: int) -> None:
    """Count a trade that ended in the periods that its end lies in."""
    begin(s, at_ms // DAY_MS, s[EQUITY])
    s[DAY_MADE] += net
    s[WEEK_MADE] += net
    s[MONTH_MADE] += net
    bounded(t, s)


def bounded(t: Terms, s: Any) -> None:
    """The equity above which no limit is hit; none where realised losses hit one, or almost."""
    day, week, month = s[DAY_START], s[WEEK_START], s[MONTH_START]
    floor = int(max(day - day * t.day / CLOSE, week - week * t.week / CLOSE, month - month * t.month / CLOSE)) + 2
    if (
        (s[DAY_MADE] < 0 and -s[DAY_MADE] * CLOSE >= day * t.day)
        or (s[WEEK_MADE] < 0 and -s[WEEK_MADE] * CLOSE >= week * t.week)
        or (s[MONTH_MADE] < 0 and -s[MONTH_MADE] * CLOSE >= month * t.month)
    ):
        floor = 2**61
    s[PERIODS_FLOOR] = floor
    s[FLOOR] = max(floor, under(s[HIGH], t.drawdown))


def under(start: int, part: float) -> int:
    """What is left of a start, a little too much, after so large a part of it was lost."""
    return int(start - start * part / CLOSE) + 2


def month_after(day: int) -> int:
    """The first day of the month after that of a day since 1970."""
    after = day + 1
    while month_of(after) == month_of(day):
        after += 1
    return after


def month_of(day: int) -> int:
    """A number for the month of a day since 1970 (proleptic Gregorian, months counted from March)."""
    days = day + 719_468
    era = days // 146_097
    rest = days - era * 146_097
    year = (rest - rest // 1_460 + rest // 36_524 - rest // 146_096) // 365
    yearday = rest - (365 * year + year // 4 - year // 100)
    return (era * 400 + year) * 12 + (5 * yearday + 2) // 153


__all__ = ["book", "month_after", "read"]
