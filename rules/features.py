"""Features: the named, measured values that rules may read, each an indicator over one timeframe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from indicators.candle import Timeframe
from indicators.catalog import Stream, Unit, UnknownParameter, Workspace, resolve
from indicators.indicator import Domain
from indicators.series import FloatArray, Series
from rules.language.units import ValueUnit

CANDLE_CLOSED = "candle_closed"
"""The one value that no indicator of the catalog gives, as it is about the moment and not about the market: 1 when a
candle of the feature's timeframe closed together with the entry candle that is decided on, else 0."""


@dataclass(frozen=True, slots=True)
class OtherCandles:
    """The candles of another symbol than the one that is decided on."""

    symbol: str
    timeframe: Timeframe

    @property
    def ms(self) -> int:
        return self.timeframe.ms

    def floor(self, at_ms: int) -> int:
        return self.timeframe.floor(at_ms)

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"


CandlesRead = Timeframe | OtherCandles
"""Candles that a feature is measured on: those of the symbol that is decided on are told by their timeframe alone."""


def symbol_of(read: CandlesRead, own: str) -> str:
    """Whose candles they are."""
    return read.symbol if isinstance(read, OtherCandles) else own


def length_of(read: CandlesRead) -> Timeframe:
    """How long each of them is."""
    return read.timeframe if isinstance(read, OtherCandles) else read


class Measure(Protocol):
    """What is measured over the candles of a timeframe: an indicator of the catalog, or what an expression asks for."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> Unit: ...
    @property
    def params(self) -> Mapping[str, float]: ...
    @property
    def domain(self) -> Domain: ...
    @property
    def warmup(self) -> int: ...
    def stream(self) -> Stream: ...
    def batch(self, source: Series | Workspace) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class Feature:
    """``indicator`` is None for ``candle_closed``; ``symbol`` is another one's, or empty."""

    name: str
    timeframe: Timeframe
    indicator: Measure | None
    symbol: str = ""

    @property
    def candles(self) -> CandlesRead:
        """What it is measured on."""
        return OtherCandles(self.symbol, self.timeframe) if self.symbol else self.timeframe

    @property
    def unit(self) -> Unit:
        return self.indicator.unit if self.indicator else Unit.FLAG

    @property
    def kind(self) -> ValueUnit:
        return ValueUnit.of(self.unit)

    @property
    def warmup(self) -> int:
        """Candles of its timeframe after which it can have a value."""
        return self.indicator.warmup if self.indicator else 1

    @property
    def what(self) -> str:
        """What it measures, as in ``adx(period=14) on 4h``."""
        return f"{self.indicator or CANDLE_CLOSED} on {self.candles}"


def timeframe_of(written: str, roles: Mapping[str, str]) -> Timeframe:
    """The timeframe meant by ``4h``, or by a role of the file's own. Raises ValueError, saying what is known."""
    literal = roles.get(written, written)
    try:
        return Timeframe(literal)
    except ValueError:
        known = [*roles, *(timeframe.value for timeframe in Timeframe)]
        raise ValueError(f"{written} is no timeframe; known are {', '.join(known)}") from None


def _whole(value: object) -> object:
    """20.0 is as good as 20."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def feature_of(name: str, written: Mapping[str, object], roles: Mapping[str, str]) -> Feature:
    """The feature that an entry of the file declares. Raises IndicatorError or ValueError, saying what is wrong."""
    timeframe = timeframe_of(str(written["timeframe"]), roles)
    params = {key: _whole(value) for key, value in written.items() if key not in ("indicator", "timeframe")}
    indicator = str(written["indicator"])
    if indicator != CANDLE_CLOSED:
        return Feature(name, timeframe, resolve(indicator, params))
    if params:
        raise UnknownParameter(f"{CANDLE_CLOSED} has no parameter {next(iter(params))!r}; it takes no parameters")
    return Feature(name, timeframe, None)
