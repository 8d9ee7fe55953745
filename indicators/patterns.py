"""What the shape of one candle, or of two, says: location of the close, size of the body, engulfing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from indicators.candle import Candle
from indicators.indicator import PORTION, Indicator, Parameter, Unit
from indicators.series import FloatArray
from indicators.streams import CandleStream, TalippStream, as_is
from indicators.windows import quotient
from indicators.workspace import Workspace

FLAT_LOCATION = 0.5
FLAT_BODY = 0.0


def _location(candle: Candle) -> float:
    height = candle.high - candle.low
    return (candle.close - candle.low) / height if height != 0 else FLAT_LOCATION


def _body(candle: Candle) -> float:
    height = candle.high - candle.low
    return abs(candle.close - candle.open) / height if height != 0 else FLAT_BODY


def _strong_up(location: float, body: float) -> Callable[[Candle], float]:
    def value_of(candle: Candle) -> float:
        strong = candle.close > candle.open and _location(candle) >= location and _body(candle) >= body
        return 1.0 if strong else 0.0

    return value_of


def _strong_down(location: float, body: float) -> Callable[[Candle], float]:
    def value_of(candle: Candle) -> float:
        if not candle.close < candle.open:
            return 0.0
        from_top = (candle.high - candle.close) / (candle.high - candle.low)
        return 1.0 if from_top >= location and _body(candle) >= body else 0.0

    return value_of


def _close_location(workspace: Workspace) -> FloatArray:
    series = workspace.series
    return quotient(series.close - series.low, series.high - series.low, otherwise=FLAT_LOCATION)


def _body_ratio(workspace: Workspace) -> FloatArray:
    series = workspace.series
    return quotient(np.abs(series.close - series.open), series.high - series.low, otherwise=FLAT_BODY)


def _strong_close_up(workspace: Workspace, *, location: float, body: float) -> FloatArray:
    series = workspace.series
    high_enough = _close_location(workspace) >= location
    return np.where((series.close > series.open) & high_enough & (_body_ratio(workspace) >= body), 1.0, 0.0)


def _strong_close_down(workspace: Workspace, *, location: float, body: float) -> FloatArray:
    series = workspace.series
    from_top = quotient(series.high - series.close, series.high - series.low, otherwise=FLAT_LOCATION)
    falling = series.close < series.open
    return np.where(falling & (from_top >= location) & (_body_ratio(workspace) >= body), 1.0, 0.0)


def _engulfing(workspace: Workspace, *, bullish: bool) -> FloatArray:
    series = workspace.series
    opens, closes = (series.open, series.close) if bullish else (-series.open, -series.close)
    turned = (closes[:-1] < opens[:-1]) & (closes[1:] > opens[1:])
    covers = (opens[1:] <= closes[:-1]) & (closes[1:] >= opens[:-1])
    larger = (opens[1:] != closes[:-1]) | (closes[1:] != opens[:-1])
    result = np.full(series.length, np.nan)
    result[1:] = np.where(turned & covers & larger, 1.0, 0.0)
    return result


_STRONG = (
    Parameter(
        "location",
        float,
        0.5,
        1.0,
        0.7,
        "how far towards its end of the candle the close must be; 1.0 is the end itself",
    ),
    Parameter("body", float, 0.0, 1.0, 0.5, "how much of the candle's range the body must cover"),
)

ENTRIES = (
    Indicator(
        name="bullish_engulfing",
        reads=("open", "close"),
        summary="1 where a rising candle's body covers, and exceeds, the body of a falling candle before it, else 0.",
        unit=Unit.FLAG,
        parameters=(),
        warmup=lambda: 2,
        stream=lambda: TalippStream(lambda forms: forms.Engulfing(bullish=True), as_is, 2),
        batch=lambda workspace: _engulfing(workspace, bullish=True),
    ),
    Indicator(
        name="bearish_engulfing",
        reads=("open", "close"),
        summary="1 where a falling candle's body covers, and exceeds, the body of a rising candle before it, else 0.",
        unit=Unit.FLAG,
        parameters=(),
        warmup=lambda: 2,
        stream=lambda: TalippStream(lambda forms: forms.Engulfing(bullish=False), as_is, 2),
        batch=lambda workspace: _engulfing(workspace, bullish=False),
    ),
    Indicator(
        name="close_location",
        domain=PORTION,
        reads=("high", "low", "close"),
        summary="Where in its range the candle closed: 0 at the low, 1 at the high, 0.5 for a flat candle.",
        unit=Unit.RATIO,
        parameters=(),
        warmup=lambda: 1,
        stream=lambda: CandleStream(_location),
        batch=_close_location,
    ),
    Indicator(
        name="body_ratio",
        domain=PORTION,
        reads=("open", "high", "low", "close"),
        summary="Share of the candle's range between open and close; 0 for a flat candle.",
        unit=Unit.RATIO,
        parameters=(),
        warmup=lambda: 1,
        stream=lambda: CandleStream(_body),
        batch=_body_ratio,
    ),
    Indicator(
        name="strong_close_up",
        reads=("open", "high", "low", "close"),
        summary="1 where a rising candle closed near its high with a large body, else 0; 0 for a flat candle.",
        unit=Unit.FLAG,
        parameters=_STRONG,
        warmup=lambda location, body: 1,
        stream=lambda location, body: CandleStream(_strong_up(location, body)),
        batch=_strong_close_up,
    ),
    Indicator(
        name="strong_close_down",
        reads=("open", "high", "low", "close"),
        summary="1 where a falling candle closed near its low with a large body, else 0; 0 for a flat candle.",
        unit=Unit.FLAG,
        parameters=_STRONG,
        warmup=lambda location, body: 1,
        stream=lambda location, body: CandleStream(_strong_down(location, body)),
        batch=_strong_close_down,
    ),
)
