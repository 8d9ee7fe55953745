"""What a run covers, and what it assumes: the parts of its result that do not come of its trades."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from fsm.backtest.ground import Ground
from fsm.backtest.history import Market
from fsm.config import Settings
from fsm.config.unusual import fall_loss_pct
from indicators.holes import Hole
from rules.facts import FactTable

NEVER_MS = 2**62


def covered(ground: Ground, tables: Mapping[str, FactTable], candles_min: int) -> dict[str, Any]:
    """The fields of ``Result`` that candles and the warm-up of the rules decide."""
    from_ms, to_ms, markets = ground.from_ms, ground.to_ms, ground.markets
    at_ms = {market.symbol: ready_ms(market, tables[market.symbol], from_ms) for market in markets}
    never = [market for market in markets if at_ms[market.symbol] >= to_ms]
    return {
        "symbols": tuple(market.symbol for market in markets),
        "from_ms": from_ms,
        "to_ms": to_ms,
        "candles": sum(_between(market.opens_ms, from_ms, to_ms) for market in markets),
        "ready_ms": {symbol: ready for symbol, ready in at_ms.items() if ready < to_ms},
        "short": {market.symbol: _short(market, tables[market.symbol], to_ms) for market in never},
        "marks_smoothed": tuple(market.symbol for market in markets if not market.feed.has_mark),
        "rules_dated": {market.symbol: ground.book.dated[market.symbol] for market in markets},
        "ticks": ground.rules.ticks,
        "holes": tuple(
            (market.symbol, hole) for market in markets for hole in _touched(market, from_ms, to_ms, candles_min)
        ),
    }


def assumed(settings: Settings) -> dict[str, Any]:
    """The fields of ``Result`` that config.yaml decides."""
    return {
        "balance": settings.simulation.balance_usdt,
        "fall_loss_pct": fall_loss_pct(settings),
        "daily_loss_pct": settings.limits.daily_loss_pct,
        "positions_max": settings.risk.max_open_positions,
    }


def _touched(market: Market, from_ms: int, to_ms: int, cold: int) -> list[Hole]:
    """The holes that this range lies in, or behind while they keep entries away or indicators cold."""
    entry = market.series.timeframe
    return [
        hole
        for hole in market.holes
        if hole.first_ms < to_ms
        and from_ms < max(hole.blocks_until_ms(entry), hole.end_ms + hole.restarts * cold * hole.timeframe.ms)
    ]


def ready_ms(market: Market, table: FactTable, from_ms: int) -> int:
    """The first close at which the symbol can be decided on."""
    index = table.ready_from
    return NEVER_MS if index is None else max(market.opens_ms[index] + market.series.timeframe.ms, from_ms)


def _short(market: Market, table: FactTable, to_ms: int) -> str:
    """What of a symbol's candles is short at the end of a run."""
    index = (to_ms - market.opens_ms[0]) // market.series.timeframe.ms - 1
    found = table.warming_at(min(index, len(market.opens_ms) - 1)) if index >= 0 else {}
    return next(iter(found.values()), "no candles")


def _between(opens_ms: Sequence[int], from_ms: int, to_ms: int) -> int:
    return bisect_left(opens_ms, to_ms) - bisect_left(opens_ms, from_ms)
