"""Compares the transitions of two databases row by row: what a daemon did with what a backtest says it should do."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import zip_longest

import msgspec

from store.database import Store
from store.queries import TransitionFilter, each_transition
from store.rows import TransitionRow

END_OF_DATA = "END_OF_DATA"
"""Only a backtest closes what is open where its data ends; those rows are left out."""


class _Stop(msgspec.Struct, frozen=True):
    trigger_price: Decimal


class _Trade(msgspec.Struct, frozen=True):
    signal_candle_ms: int
    quantity: Decimal
    open_quantity: Decimal
    closed_quantity: Decimal
    entry_price: Decimal | None = None
    exit_price: Decimal | None = None
    stop: _Stop | None = None
    flagged: str | None = None


class _Record(msgspec.Struct, frozen=True):
    trade: _Trade | None = None


class _Effect(msgspec.Struct, frozen=True):
    record: _Record
    trade: _Trade | None = None


class Compared(msgspec.Struct, frozen=True):
    """One transition in the columns that must agree (semantics: no times, no ids, no facts)."""

    symbol: str
    trigger: str
    source: str
    dest: str
    reason: str
    candle_ms: int | None = None
    prices: tuple[Decimal | None, ...] = ()
    quantities: tuple[Decimal, ...] = ()


class Difference(msgspec.Struct, frozen=True):
    """The n-th transition of a symbol on both sides; None where one side has no more."""

    symbol: str
    number: int
    left: Compared | None
    right: Compared | None


def compare(left: Store, right: Store, *, before_ms: int | None = None) -> tuple[int, list[Difference]]:
    """How many transitions were compared, and every difference. Each symbol's rows are compared in their order.

    ``before_ms``: only what happened before this time.
    """
    ours, theirs = _by_symbol(left, before_ms), _by_symbol(right, before_ms)
    differences: list[Difference] = []
    count = 0
    for symbol in sorted({*ours, *theirs}):
        for number, (one, other) in enumerate(zip_longest(ours[symbol], theirs[symbol]), start=1):
            count += 1
            if one != other:
                differences.append(Difference(symbol, number, one, other))
    return count, differences


def _by_symbol(store: Store, before_ms: int | None) -> defaultdict[str, list[Compared]]:
    found: defaultdict[str, list[Compared]] = defaultdict(list)
    for row in each_transition(store, TransitionFilter(until_ms=before_ms)):
        step = compared(row)
        if step is not None:
            found[row.symbol].append(step)
    return found


def compared(row: TransitionRow) -> Compared | None:
    """What of a transition must agree; None for what only a backtest does."""
    effect = msgspec.json.decode(row.effect_json, type=_Effect)
    trade = effect.trade or effect.record.trade
    if trade is not None and trade.flagged == END_OF_DATA:
        return None
    plain = Compared(row.symbol, row.trigger, row.source, row.dest, row.reason)
    if trade is None:
        return plain
    stop = trade.stop.trigger_price if trade.stop else None
    return msgspec.structs.replace(
        plain,
        candle_ms=trade.signal_candle_ms,
        prices=(trade.entry_price, trade.exit_price, stop),
        quantities=(trade.quantity, trade.open_quantity, trade.closed_quantity),
    )
