"""Holds what is said of a bot's differences against its own journal: a cause that cannot be is none.

A backtest of the bot's own candles, rules and settings decides as the bot did. So another condition, stop or strategy
is no latency: without an edit it is unexplained. A fill is a matter of latency and slippage where the market traded at
its price at its time, a quantity one of equity where it risks no more than was allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from fsm.backtest.comparing.causes import Cause, Finding
from fsm.backtest.comparing.inputs import Input, Source
from fsm.backtest.comparing.side import Side
from fsm.config.loading import stored_settings
from indicators.candle import Timeframe
from store import queries
from store.rows import FillRow
from store.trade_rows import TradeRow

TOLERANCE = Decimal("0.002")
"""How far beyond a candle's range a fill may lie, as a share of its price: stops fill beyond what a path of prices
shows, and a simulation adds its slippage to it."""

RISK_SLACK = Decimal("1.001")
"""Equity is journalled a moment before it is sized by."""

_DECIDED = (Source.RULES, Source.SETTING)


def checked(live: Side, inputs: Sequence[Input], findings: Sequence[Finding]) -> list[Finding]:
    """The findings with what does not hold called unexplained. ``live`` is side A."""
    edits = [each.at_ms or 0 for each in inputs if each.source is Source.EDIT]
    return [_checked(live, edits, found) for found in findings]


def _checked(live: Side, edits: Sequence[int], found: Finding) -> Finding:
    difference, cause = found.difference, found.cause
    trade = difference.a
    doubts = list(_doubts(live, trade)) if trade is not None else []
    is_edited = any(at_ms <= (trade.closed_ms or difference.candle_ms) for at_ms in edits) if trade else bool(edits)
    if cause.source in _DECIDED and not is_edited:
        doubts.insert(0, f"the rules, settings and candles are the same, and yet {cause.told}")
    if not doubts:
        return found
    told = "; ".join(doubts)
    return Finding(difference=difference, cause=Cause(source=Source.UNEXPLAINED, path="", told=told, how=cause.how))


def is_contradicted(live: Side, found: Finding) -> bool:
    """Whether its own journal contradicts a trade: then no repetition of what the bot lived through explains it."""
    trade = found.difference.a
    return trade is not None and any(_doubts(live, trade))


def _doubts(live: Side, trade: TradeRow) -> Iterator[str]:
    """What of a trade its own journal contradicts."""
    fills = queries.fills(live.store, trade_id=trade.id, limit=10_000)[::-1]
    yield from (told for fill in fills if (told := _never_traded(live, fill)))
    yield from _books(trade, fills)
    yield from _too_large(live, trade)


def _never_traded(live: Side, fill: FillRow) -> str:
    """Whether the market was anywhere near the price of a fill, by the finest candle that the bot kept."""
    frames = sorted(live.timeframes(fill.symbol), key=lambda name: Timeframe(name).ms)
    for name in frames[:1]:
        open_ms = Timeframe(name).floor(fill.at_ms)
        row = live.store.connection.execute(
            "SELECT low, high, volume FROM candles WHERE symbol = ? AND timeframe = ? AND open_time_ms = ?",
            (fill.symbol, name, open_ms),
        ).fetchone()
        if row is None:
            return ""
        low, high, volume = (Decimal(str(value)) for value in row)
        if volume == 0:  # carried: the bot never had this candle
            return ""
        if low * (1 - TOLERANCE) <= fill.price <= high * (1 + TOLERANCE):
            return ""
        return f"the fill {fill.fill_id} at {fill.price:f} lies outside of its candle ({low:f} to {high:f})"
    return ""


def _books(trade: TradeRow, fills: Sequence[FillRow]) -> Iterator[str]:
    """Quantities and fees of a closed trade are those of its fills."""
    if trade.status != "CLOSED" or trade.flagged is not None or not fills:
        return
    side = "BUY" if trade.side == "LONG" else "SELL"
    entered = sum((fill.quantity for fill in fills if fill.side == side), Decimal(0))
    left = sum((fill.quantity for fill in fills if fill.side != side), Decimal(0))
    if entered != left:
        yield (
            f"its fills bought {entered:f} and sold {left:f}"
            if side == "BUY"
            else (f"its fills sold {entered:f} and bought {left:f}")
        )
    paid = sum((fill.commission for fill in fills if fill.commission_asset == "USDT"), Decimal(0))
    if all(fill.commission_asset == "USDT" for fill in fills) and abs(paid - trade.fees) > Decimal("1e-8"):
        yield f"its fills paid {paid:f} USDT of fees, its books say {trade.fees:f}"
    numbers = [fill.fill_id for fill in fills]
    if any(before >= after for before, after in pairwise(sorted(numbers))):
        yield "a fill is counted twice"


class _Portfolio(msgspec.Struct, frozen=True):
    equity: Decimal


class _Facts(msgspec.Struct, frozen=True):
    portfolio: _Portfolio | None = None


def _too_large(live: Side, trade: TradeRow) -> Iterator[str]:
    """A trade risks no more than its settings allow of the equity that it was sized by."""
    wanted = queries.TransitionFilter(trade_id=trade.id, trigger="signal")
    rows = queries.transitions(live.store, wanted, limit=1).rows
    text = next((each.text for each in live.configs if each.hash == trade.config_hash), None)
    if not rows or text is None:
        return
    portfolio = msgspec.json.decode(rows[0].facts_json, type=_Facts).portfolio
    if portfolio is None:
        return
    settings = stored_settings(text, "its settings")
    allowed = portfolio.equity * settings.risk_pct_of(trade.symbol) / 100 * RISK_SLACK
    if trade.risk_usdt > allowed:
        yield f"it risked {trade.risk_usdt:.2f} USDT, and {allowed:.2f} were allowed"
    distance = abs(trade.entry_price_planned - trade.stop_price_initial) * trade.quantity
    if distance > trade.risk_usdt * RISK_SLACK and not trade.adopted:
        yield f"its stop lies {distance:.2f} USDT away, and {trade.risk_usdt:.2f} were to be risked"
