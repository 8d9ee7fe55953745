"""What a series of the store is called, and which columns its rows have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from indicators.candle import Timeframe

CANDLE_COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")
FUNDING_COLUMNS = ("funding_time_ms", "funding_rate", "interval_hours")

_NAME = re.compile(r"([^\W_]+)-(?:(mark)-)?(" + "|".join(Timeframe) + r"|funding)")


class Kind(StrEnum):
    """Of which price candles are, or that they are none but settlements of funding."""

    LAST = "last"
    MARK = "mark"
    FUNDING = "funding"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Series:
    """One symbol's candles of a timeframe, or its funding rates (which have none)."""

    symbol: str
    kind: Kind
    timeframe: Timeframe | None = None

    @property
    def name(self) -> str:
        """As in the names of files: BTCUSDT-1h, BTCUSDT-mark-1h, BTCUSDT-funding."""
        if self.timeframe is None:
            return f"{self.symbol}-funding"
        return f"{self.symbol}-{self.timeframe}" if self.kind is Kind.LAST else f"{self.symbol}-mark-{self.timeframe}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The first is the time in milliseconds UTC."""
        return FUNDING_COLUMNS if self.timeframe is None else CANDLE_COLUMNS

    @property
    def step_ms(self) -> int:
        """Times are multiples of it."""
        return 1 if self.timeframe is None else self.timeframe.ms


def candles_of(symbol: str, timeframe: Timeframe, *, mark: bool = False) -> Series:
    return Series(symbol=symbol, kind=Kind.MARK if mark else Kind.LAST, timeframe=timeframe)


def funding_of(symbol: str) -> Series:
    return Series(symbol=symbol, kind=Kind.FUNDING)


def series_named(name: str) -> Series | None:
    """The series of that name; None for a name that is none."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] != found[1].upper():
        return None
    if found[3] == "funding":
        return funding_of(found[1]) if found[2] is None else None
    return candles_of(found[1], Timeframe(found[3]), mark=found[2] is not None)
