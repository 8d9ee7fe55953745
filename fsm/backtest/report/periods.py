"""What equity did in each day and each month of a run, UTC; and what closed trades came to by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from fsm.backtest.curve import DAY_MS, Curve
from store.trade_rows import TradeRow

ZERO = Decimal(0)


class Change(NamedTuple):
    """From one equity to another."""

    before: Decimal
    after: Decimal

    @property
    def usdt(self) -> Decimal:
        return self.after - self.before

    @property
    def pct(self) -> float:
        return float(self.usdt / self.before * 100) if self.before > 0 else 0.0


def day_of(at_ms: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date()


def days(curve: Curve) -> dict[date, Change]:
    """Each UTC day from the first reading to the last. A reading at midnight closes the day that ends."""
    if not curve:
        return {}
    closes = {(at_ms - 1) // DAY_MS: equity for at_ms, equity in curve[1:]}
    found, before = {}, curve[0][1]
    for number in range(curve[0][0] // DAY_MS, (curve[-1][0] - 1) // DAY_MS + 1):
        after = closes.get(number, before)
        found[date(1970, 1, 1) + timedelta(days=number)] = Change(before, after)
        before = after
    return found


def months(by_day: Mapping[date, Change]) -> dict[tuple[int, int], Change]:
    """The same by (year, month)."""
    found: dict[tuple[int, int], Change] = {}
    for day, change in by_day.items():
        month = (day.year, day.month)
        found[month] = Change(found[month].before if month in found else change.before, change.after)
    return found


def years(by_day: Mapping[date, Change]) -> dict[int, Change]:
    """The same by year."""
    found: dict[int, Change] = {}
    for day, change in by_day.items():
        found[day.year] = Change(found[day.year].before if day.year in found else change.before, change.after)
    return found


def results_by_day(trades: Iterable[TradeRow]) -> dict[date, Decimal]:
    """Net of the trades that ended on each day."""
    found: dict[date, Decimal] = defaultdict(lambda: ZERO)
    for trade in trades:
        found[day_of(trade.closed_ms or trade.opened_ms)] += trade.net_pnl or ZERO
    return dict(found)


def correlations(columns: Sequence[Sequence[float]]) -> list[list[float | None]]:
    """Pearson's, of every pair; None where one of the two never changes or there are fewer than three values."""
    if not columns or len(columns[0]) < 3:
        return [[None] * len(columns) for _ in columns]
    array = np.array(columns, dtype=np.float64)
    centred = array - array.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).sum(axis=1))
    return [
        [
            None if spread[one] == 0 or spread[other] == 0
            else round(float(np.clip((centred[one] * centred[other]).sum() / (spread[one] * spread[other]), -1, 1)), 4)
            for other in range(len(columns))
        ]
        for one in range(len(columns))
    ]  # fmt: skip
