"""Where two rules files, over the same candles, tell another regime or give another signal."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec
import numpy as np

from fsm.backtest.comparing.side import Span
from fsm.backtest.history import SIGNAL, History
from rules.strategy import SignalReading


class RegimeStretch(msgspec.Struct, frozen=True, kw_only=True):
    """Candles in a row at whose closes the two are in other regimes; open times, ``to_ms`` exclusive."""

    symbol: str
    from_ms: int
    to_ms: int
    candles: int
    old: str
    new: str


class SignalKind(StrEnum):
    ONLY_OLD = "ONLY_OLD"
    ONLY_NEW = "ONLY_NEW"
    DIFFERS = "DIFFERS"


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What is traded on at a close, whatever becomes of it."""

    strategy: str
    side: str
    stop: float
    targets: tuple[tuple[float, float], ...]


class SignalDifference(msgspec.Struct, frozen=True, kw_only=True):
    kind: SignalKind
    symbol: str
    candle_ms: int
    old: Signal | None
    new: Signal | None


def regime_stretches(old: History, new: History, span: Span) -> list[RegimeStretch]:
    """Of one symbol, the oldest first."""
    ours, theirs = _regimes(old, span), _regimes(new, span)
    candle = old.market.series.timeframe.ms
    found: list[RegimeStretch] = []
    for open_ms in sorted({*ours} & {*theirs}):
        pair = ours[open_ms], theirs[open_ms]
        if pair[0] == pair[1]:
            continue
        last = found[-1] if found else None
        if last is not None and last.to_ms == open_ms and (last.old, last.new) == pair:
            found[-1] = msgspec.structs.replace(last, to_ms=open_ms + candle, candles=last.candles + 1)
            continue
        stretch = RegimeStretch(
            symbol=old.market.symbol,
            from_ms=open_ms,
            to_ms=open_ms + candle,
            candles=1,
            old=pair[0],
            new=pair[1],
        )
        found.append(stretch)
    return found


def signal_differences(old: History, new: History, span: Span) -> list[SignalDifference]:
    """Of one symbol, the oldest first."""
    ours, theirs = dict(_signals(old, span)), dict(_signals(new, span))
    found = []
    for open_ms in sorted({*ours, *theirs}):
        one, other = ours.get(open_ms), theirs.get(open_ms)
        if one == other:
            continue
        kind = SignalKind.ONLY_OLD if other is None else SignalKind.ONLY_NEW if one is None else SignalKind.DIFFERS
        found.append(SignalDifference(kind=kind, symbol=old.market.symbol, candle_ms=open_ms, old=one, new=other))
    return found


def signals_in(history: History, span: Span) -> int:
    return sum(1 for _ in _signals(history, span))


def _regimes(history: History, span: Span) -> dict[int, str]:
    names, codes = history.regimes.names, history.regimes.codes.tolist()
    opens_ms = history.market.opens_ms
    return {
        open_ms: names[code]
        for open_ms, code in zip(opens_ms, codes, strict=True)
        if span.from_ms <= open_ms < span.to_ms
    }


def _signals(history: History, span: Span) -> Iterator[tuple[int, Signal]]:
    opens_ms = history.market.opens_ms
    for place in np.flatnonzero(history.codes == SIGNAL):
        index = int(place)
        if not span.from_ms <= opens_ms[index] < span.to_ms:
            continue
        route = history.rules.route(history.regime(index))
        reading = history.rules.seek(route, history.table.facts_at(index), traced=False)
        if reading is not None and reading.side is not None:
            yield opens_ms[index], _signal(reading)


def _signal(reading: SignalReading) -> Signal:
    assert reading.side is not None
    assert reading.stop is not None
    return Signal(strategy=reading.strategy, side=reading.side, stop=reading.stop, targets=reading.targets)
