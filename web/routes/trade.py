"""Answers about one trade, plan against what happened, and about all closed ones by what they have in common."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from store import queries
from store.database import Store
from store.queries.groups import RBucket, TradeGroup, r_distribution, trade_groups
from store.rows import FillRow
from store.trade_rows import TradeRow
from store.views import OrderRow
from web import documents
from web.documents import TradeVerdict
from web.endpoint import Context, Endpoint, Name, When, milliseconds
from web.errors import not_found
from web.routes.journal import TransitionView
from web.trade_course import CoursePoint, course_of

ROWS_MAX = 1_000
"""Orders, fills and steps of one trade that are shown; a trade has a handful."""
R_PLACES = Decimal("0.0001")


class TradeQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name


class Effect(msgspec.Struct, frozen=True):
    """What something did to a trade's result: below zero it cost. ``r`` is the same in multiples of the risk."""

    usdt: Decimal
    r: Decimal | None


class TradeStep(TransitionView, frozen=True, kw_only=True):
    """A step of a trade, with its place in the chain of hashes."""

    prev_hash: str
    hash: str


class TradeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One trade with everything that was done for it; orders, fills and steps oldest first.

    ``entry_slippage`` is what the entry's price did against the planned one; it is part of the result before fees.
    ``course`` is the result before fees as it stood over time, ``worst_r`` and ``best_r`` also within candles.
    ``timeframe`` is that of the course. ``compared``: what the daily comparison with a backtest said of it, if it has.
    """

    trade: TradeRow
    before_fees: Effect
    fees: Effect
    funding: Effect
    net: Effect | None
    entry_slippage: Effect | None
    timeframe: str
    course: list[CoursePoint]
    worst_r: float | None
    best_r: float | None
    compared: TradeVerdict | None
    orders: list[OrderRow]
    fills: list[FillRow]
    steps: list[TradeStep]


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By when trades were closed; ``until`` itself is not included."""

    since: When | None = None
    until: When | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Closed trades by what they have in common. Hour and weekday are of the entry, the month is of the end (UTC).

    ``r`` is the sum; divided by ``trades`` it is the expectancy.
    """

    total: list[TradeGroup]
    strategy: list[TradeGroup]
    regime: list[TradeGroup]
    symbol: list[TradeGroup]
    side: list[TradeGroup]
    exit_reason: list[TradeGroup]
    hour: list[TradeGroup]
    weekday: list[TradeGroup]
    month: list[TradeGroup]
    r_distribution: list[RBucket]


def trade(store: Store, query: TradeQuery, context: Context) -> TradeDetail:
    found = queries.trade(store, query.id)
    if found is None:
        raise not_found(f"there is no trade {query.id}", "GET /api/trades lists them")
    machine = documents.machine(store)
    course = course_of(store, found)
    steps = queries.transitions(store, queries.TransitionFilter(trade_id=found.id), limit=ROWS_MAX).rows
    return TradeDetail(
        trade=found,
        before_fees=_effect(found.pnl, found),
        fees=_effect(-found.fees, found),
        funding=_effect(found.funding, found),
        net=None if found.net_pnl is None else _effect(found.net_pnl, found),
        entry_slippage=_entry_slippage(found),
        timeframe=course.timeframe,
        course=course.points,
        worst_r=course.worst_r,
        best_r=course.best_r,
        compared=documents.live_verdict(store, found.symbol, found.signal_candle_ms),
        orders=queries.orders(store, trade_id=found.id, limit=ROWS_MAX)[::-1],
        fills=queries.fills(store, trade_id=found.id, limit=ROWS_MAX)[::-1],
        steps=[
            TradeStep(**msgspec.structs.asdict(TransitionView.of(row, machine)), prev_hash=row.prev_hash, hash=row.hash)
            for row in reversed(steps)
        ],
    )


def _effect(usdt: Decimal, trade: TradeRow) -> Effect:
    r = (usdt / trade.risk_usdt).quantize(R_PLACES) if trade.risk_usdt else None
    return Effect(Decimal(format(usdt, "f")) if usdt else Decimal(0), r)


def _entry_slippage(trade: TradeRow) -> Effect | None:
    if trade.entry_price is None:
        return None
    worse = trade.entry_price - trade.entry_price_planned
    filled = trade.open_quantity + trade.closed_quantity
    return _effect((-worse if trade.side == "LONG" else worse) * filled, trade)


def statistics(store: Store, query: StatisticsQuery, context: Context) -> Statistics:
    since_ms, until_ms = milliseconds(query.since, "since"), milliseconds(query.until, "until")
    groups = trade_groups(store, since_ms=since_ms, until_ms=until_ms)
    return Statistics(**groups, r_distribution=r_distribution(store, since_ms=since_ms, until_ms=until_ms))


READS = (
    Endpoint(
        path="/api/trades/{id}",
        summary="One trade: plan against what happened, costs, orders, fills, and its steps with their hashes",
        query=TradeQuery,
        answer=TradeDetail,
        read=trade,
        may_miss=True,
    ),
    Endpoint(
        path="/api/statistics",
        summary="Closed trades by strategy, regime, symbol, side, reason of the end, hour, weekday and month",
        query=StatisticsQuery,
        answer=Statistics,
        read=statistics,
    ),
)
