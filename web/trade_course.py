"""How a trade's result stood over time: from its fills and the stored candles, in multiples of its risk."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from store import queries
from store.database import Store
from store.rows import CandleRow, FillRow
from store.trade_rows import TradeRow
from web.stored_facts import RULESETS

POINTS_MAX = 2_000
FILLS_MAX = 1_000
DEFAULT_TIMEFRAME = "1h"


class CoursePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The result before fees and funding at a time, in R: what was closed by then, and what was open at that price."""

    at_ms: int
    r: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    timeframe: str
    points: list[CoursePoint]
    worst_r: float | None
    best_r: float | None


def course_of(store: Store, trade: TradeRow) -> Course:
    """At each candle's close while the trade was open, and at its end."""
    ruleset = RULESETS.of(store, trade.rules_hash)
    timeframe = ruleset.for_symbol(trade.symbol).entry_timeframe if ruleset else None
    name = timeframe.value if timeframe else DEFAULT_TIMEFRAME
    fills = queries.fills(store, trade_id=trade.id, limit=FILLS_MAX)[::-1]
    if not fills or not trade.risk_usdt:
        return Course(timeframe=name, points=[], worst_r=None, best_r=None)
    step_ms = timeframe.ms if timeframe else 3_600_000
    first_ms, end_ms = fills[0].at_ms, trade.closed_ms
    candles = queries.candles(
        store, trade.symbol, name, since_ms=first_ms // step_ms * step_ms, until_ms=end_ms, limit=POINTS_MAX
    )
    found = [CoursePoint(at_ms=first_ms, r=_r(trade, fills, first_ms, fills[0].price))]
    seen = [found[0].r]
    for candle in candles:
        close_ms = candle.open_time_ms + step_ms
        if end_ms is not None and close_ms >= end_ms:
            break
        seen += [_r(trade, fills, close_ms, price) for price in _prices(candle, first_ms)]
        found.append(CoursePoint(at_ms=close_ms, r=_r(trade, fills, close_ms, _decimal(candle.close))))
    if end_ms is not None:
        found.append(CoursePoint(at_ms=end_ms, r=round(float(trade.pnl / trade.risk_usdt), 4)))
        seen.append(found[-1].r)
    return Course(timeframe=name, points=found, worst_r=min(seen), best_r=max(seen))


def _prices(candle: CandleRow, first_ms: int) -> tuple[Decimal, ...]:
    """Both ends of a candle that the trade was open through; of the one it began in nobody knows what came first."""
    began_inside = candle.open_time_ms < first_ms
    ends = (candle.close,) if began_inside else (candle.low, candle.high)
    return tuple(map(_decimal, ends))


def _decimal(price: float) -> Decimal:
    return Decimal(str(price))


def _r(trade: TradeRow, fills: list[FillRow], at_ms: int, price: Decimal) -> float:
    entry_side = "BUY" if trade.side == "LONG" else "SELL"
    booked, size, paid = Decimal(0), Decimal(0), Decimal(0)
    for fill in fills:
        if fill.at_ms > at_ms:
            break
        booked += fill.realized_pnl
        if fill.side == entry_side:
            size, paid = size + fill.quantity, paid + fill.quantity * fill.price
        elif size:
            paid -= paid / size * min(fill.quantity, size)
            size -= min(fill.quantity, size)
    open_result = size * price - paid if trade.side == "LONG" else paid - size * price
    return round(float((booked + open_result) / trade.risk_usdt), 4)
