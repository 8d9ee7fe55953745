"""Closes at which a bot decided nothing, or could enter nothing, from its journal."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.backtest.comparing.side import Side as Run
from fsm.backtest.comparing.side import Span
from indicators.candle import Timeframe

AT_A_CLOSE_MS = 300_000
"""A bot that runs reads its account within so much of a close."""


def missed_closes(bot: Run, span: Span, entry: Timeframe) -> Iterator[tuple[str, int]]:
    """Closes at which nothing was decided of a symbol."""
    for symbol in bot.symbols:
        yield from ((symbol, close_ms) for close_ms in _missed_of(bot, symbol, span, entry))


def _missed_of(bot: Run, symbol: str, span: Span, entry: Timeframe) -> Iterator[int]:
    whole: set[int] = set()
    partly: set[int] = set()
    rows = bot.store.connection.execute(
        "SELECT candle_ms, last_ms, count FROM decisions WHERE symbol = ?"
        " UNION ALL SELECT candle_ms, last_ms, count FROM decision_stretches WHERE symbol = ?",
        (symbol, symbol),
    )
    for first, last, count in rows:
        candles = range(int(str(first)), int(str(last)) + 1, entry.ms)
        (whole if len(candles) == int(str(count)) else partly).update(candles)
    if not whole and not partly:
        return
    for candle_ms in range(span.from_ms, span.to_ms, entry.ms):
        close_ms = candle_ms + entry.ms
        if candle_ms not in whole and not (candle_ms in partly and _was_there(bot, close_ms)):
            yield close_ms


def _was_there(bot: Run, close_ms: int) -> bool:
    """Whether the account was read right after a close."""
    row = bot.store.connection.execute(
        "SELECT 1 FROM equity_snapshots WHERE at_ms >= ? AND at_ms < ? LIMIT 1", (close_ms, close_ms + AT_A_CLOSE_MS)
    ).fetchone()
    return row is not None


def blocked_closes(bot: Run, span: Span, entry: Timeframe, reasons: frozenset[str]) -> Iterator[tuple[str, int]]:
    rows = bot.store.connection.execute(
        "SELECT symbol, candle_ms, last_ms, reason FROM decisions WHERE outcome IN ('BLOCKED', 'HALTED')"
        " UNION ALL SELECT symbol, candle_ms, last_ms, reason FROM decision_stretches"
        " WHERE outcome IN ('BLOCKED', 'HALTED')"
    )
    for symbol, first, last, reason in rows:
        if not reasons.isdisjoint((str(reason), str(reason).split(" ")[0])):
            for candle_ms in range(max(int(str(first)), span.from_ms), int(str(last)) + 1, entry.ms):
                yield str(symbol), candle_ms + entry.ms
