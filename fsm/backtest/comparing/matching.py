"""Pairs the trades of two runs: the same symbol, signal candle and side is the same trade."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from fsm.backtest.comparing.side import Span
from store.trade_rows import TradeRow

FIELDS = (
    "strategy_used", "stop_price_initial", "quantity", "risk_usdt", "entry_price", "first_fill_ms", "exit_reason",
    "exit_price", "closed_ms", "fees", "funding", "net_pnl",
)  # fmt: skip
"""In the order in which a trade comes to them, so that the first that differs is nearest to the cause."""

Key = tuple[str, int, str]


class Kind(StrEnum):
    ONLY_A = "ONLY_A"
    ONLY_B = "ONLY_B"
    DIFFERS = "DIFFERS"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that is not the same in both. ``fields``: what differs, first what came first, as (in A, in B)."""

    kind: Kind
    symbol: str
    candle_ms: int
    side: str
    a: TradeRow | None
    b: TradeRow | None
    fields: dict[str, tuple[str | None, str | None]]

    @property
    def key(self) -> Key:
        return self.symbol, self.candle_ms, self.side

    @property
    def pnl(self) -> tuple[Decimal, Decimal]:
        """What it came to in each, in USDT; 0 where it is not, or is open."""
        return tuple((row.net_pnl if row else None) or Decimal(0) for row in (self.a, self.b))  # type: ignore[return-value]


def differences(ours: Sequence[TradeRow], theirs: Sequence[TradeRow], span: Span) -> list[Difference]:
    """All differences of trades whose signal lies in the span, the oldest first."""
    left, right = _by_key(ours, span), _by_key(theirs, span)
    found = []
    for key in sorted({*left, *right}, key=lambda key: (key[1], key[0], key[2])):
        a, b = left.get(key), right.get(key)
        fields = differing(a, b) if a and b else {}
        if a and b and not fields:
            continue
        kind = Kind.ONLY_A if b is None else Kind.ONLY_B if a is None else Kind.DIFFERS
        found.append(Difference(kind=kind, symbol=key[0], candle_ms=key[1], side=key[2], a=a, b=b, fields=fields))
    return found


def differing(a: TradeRow, b: TradeRow) -> dict[str, tuple[str | None, str | None]]:
    pairs = {name: (getattr(a, name), getattr(b, name)) for name in FIELDS}
    return {name: (_text(one), _text(other)) for name, (one, other) in pairs.items() if one != other}


def _by_key(trades: Sequence[TradeRow], span: Span) -> dict[Key, TradeRow]:
    inside = (row for row in trades if span.from_ms <= row.signal_candle_ms < span.to_ms)
    return {(row.symbol, row.signal_candle_ms, row.side): row for row in inside}


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
