"""What closed trades earned, by everything that they can be told apart by. Sums are made in Decimal."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import msgspec
from peewee import ModelSelect

from store.database import Store
from store.models import Trade
from store.queries.fetching import fetch_each

_ZERO = Decimal(0)
_UNTOLD = "–"


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What a closed trade is counted by."""

    symbol: str
    side: str
    strategy_used: str
    regime_at_entry: str
    exit_reason: str | None
    opened_ms: int
    closed_ms: int
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal | None
    r: Decimal | None


class TradeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Closed trades that have ``key`` in common: how many, and what they came to in USDT and in R."""

    key: str
    trades: int = 0
    wins: int = 0
    losses: int = 0
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    net_pnl: Decimal = _ZERO
    r: Decimal = _ZERO

    def and_also(self, trade: ClosedTrade) -> TradeGroup:
        net = trade.net_pnl if trade.net_pnl is not None else _ZERO
        return TradeGroup(
            key=self.key,
            trades=self.trades + 1,
            wins=self.wins + (net > 0),
            losses=self.losses + (net < 0),
            fees=self.fees + trade.fees,
            funding=self.funding + trade.funding,
            net_pnl=self.net_pnl + net,
            r=self.r + (trade.r if trade.r is not None else _ZERO),
        )


def _opened(trade: ClosedTrade) -> datetime:
    return datetime.fromtimestamp(trade.opened_ms / 1000, tz=UTC)


def _month(trade: ClosedTrade) -> str:
    return datetime.fromtimestamp(trade.closed_ms / 1000, tz=UTC).strftime("%Y-%m")


WEEKDAYS = tuple(calendar.day_name)
_OF: dict[str, Callable[[ClosedTrade], str]] = {
    "total": lambda trade: "all",
    "strategy": lambda trade: trade.strategy_used,
    "regime": lambda trade: trade.regime_at_entry,
    "symbol": lambda trade: trade.symbol,
    "side": lambda trade: trade.side,
    "exit_reason": lambda trade: trade.exit_reason or _UNTOLD,
    "hour": lambda trade: f"{_opened(trade).hour:02d}:00",
    "weekday": lambda trade: WEEKDAYS[_opened(trade).weekday()],
    "month": _month,
}
"""Hour and weekday are those of the entry, the month is that of the end; all in UTC."""


class RBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Closed trades whose R lies in [from_r, to_r); None: no end on that side."""

    from_r: Decimal | None
    to_r: Decimal | None
    trades: int


R_STEP = Decimal("0.5")
R_LOW, R_HIGH = Decimal(-3), Decimal(6)
"""What lies beyond goes into one bucket each."""


def r_distribution(store: Store, *, since_ms: int | None = None, until_ms: int | None = None) -> list[RBucket]:
    """How often each R came out, from the lowest bucket that has a trade to the highest."""
    counts: dict[int, int] = {}
    for trade in fetch_each(store, _closed(since_ms, until_ms), ClosedTrade):
        if trade.r is not None:
            place = int((max(min(trade.r, R_HIGH), R_LOW - R_STEP) / R_STEP).to_integral_value(ROUND_FLOOR))
            counts[place] = counts.get(place, 0) + 1
    if not counts:
        return []
    lowest, highest = int(R_LOW / R_STEP) - 1, int(R_HIGH / R_STEP)
    return [
        RBucket(
            from_r=None if place == lowest else place * R_STEP,
            to_r=None if place == highest else (place + 1) * R_STEP,
            trades=counts.get(place, 0),
        )
        for place in range(min(counts), max(counts) + 1)
    ]


def _closed(since_ms: int | None, until_ms: int | None) -> ModelSelect[Any]:
    closed = Trade.select().where((Trade.status == "CLOSED") & Trade.closed_ms.is_null(False))
    if since_ms is not None:
        closed = closed.where(Trade.closed_ms >= since_ms)
    if until_ms is not None:
        closed = closed.where(Trade.closed_ms < until_ms)
    return closed.order_by(Trade.closed_ms, Trade.id)


def trade_groups(
    store: Store, *, since_ms: int | None = None, until_ms: int | None = None, names: Iterable[str] = tuple(_OF)
) -> dict[str, list[TradeGroup]]:
    """Trades closed in [since_ms, until_ms), by each of the names; groups in order of their key."""
    wanted = {name: _OF[name] for name in names}
    found: dict[str, dict[str, TradeGroup]] = {name: {} for name in wanted}
    for trade in fetch_each(store, _closed(since_ms, until_ms), ClosedTrade):
        for name, of in wanted.items():
            key = of(trade)
            groups = found[name]
            groups[key] = groups.get(key, TradeGroup(key=key)).and_also(trade)
    return {name: sorted(groups.values(), key=_order) for name, groups in found.items()}


def _order(group: TradeGroup) -> tuple[int, str]:
    return (WEEKDAYS.index(group.key) if group.key in WEEKDAYS else 0, group.key)
