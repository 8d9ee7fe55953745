"""Highs and lows: of a number of candles, and the swings that formed among them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, gt, lt

import numpy as np

from indicators.indicator import POSITIVE, Indicator, Unit, candles
from indicators.series import FloatArray
from indicators.streams import TalippStream, as_is, high_of, low_of
from indicators.windows import delayed, window_max, window_min
from indicators.workspace import Workspace, shared


@shared
def highest(workspace: Workspace, *, period: int) -> FloatArray:
    return window_max(workspace.series.high, period)


@shared
def lowest(workspace: Workspace, *, period: int) -> FloatArray:
    return window_min(workspace.series.low, period)


def _donchian_high(workspace: Workspace, *, period: int) -> FloatArray:
    return delayed(highest(workspace, period=period), 1)


def _donchian_low(workspace: Workspace, *, period: int) -> FloatArray:
    return delayed(lowest(workspace, period=period), 1)


def _swings(highs: FloatArray, left: int, right: int) -> FloatArray:
    """The latest swing high known at each candle."""
    result = np.full(len(highs), np.nan)
    count = len(highs) - left - right
    if count <= 0:
        return result
    pivots = highs[left : left + count]
    before = window_max(highs, left)[left - 1 : left - 1 + count]
    after = window_max(highs, right)[left + right : left + right + count]
    formed = np.where((pivots > before) & (pivots >= after), np.arange(count), -1)
    latest = np.maximum.accumulate(formed)
    result[left + right :] = np.where(latest >= 0, pivots[latest], np.nan)
    return result


def _swing_high(workspace: Workspace, *, left: int, right: int) -> FloatArray:
    return _swings(workspace.series.high, left, right)


def _swing_low(workspace: Workspace, *, left: int, right: int) -> FloatArray:
    return -_swings(-workspace.series.low, left, right)


_SIDES = (
    candles("left", 3, "candles before it that it stands out from"),
    candles("right", 3, "candles after it that have to close before it is known"),
)


def _recent(name: str, attribute: str, batch: Callable[..., FloatArray], summary: str) -> Indicator:
    return Indicator(
        name=name,
        domain=POSITIVE,
        reads=("high",) if attribute == "ub" else ("low",),
        summary=summary,
        unit=Unit.PRICE,
        parameters=(candles("period", None, "candles it looks at"),),
        warmup=lambda period: period,
        stream=lambda period: TalippStream(
            lambda forms: forms.DonchianChannels(period), as_is, period, attrgetter(attribute)
        ),
        batch=batch,
    )


def _donchian(name: str, attribute: str, batch: Callable[..., FloatArray], summary: str) -> Indicator:
    return Indicator(
        name=name,
        domain=POSITIVE,
        reads=("high",) if attribute == "ub" else ("low",),
        summary=summary,
        unit=Unit.PRICE,
        parameters=(candles("period", 20, "candles it looks at"),),
        warmup=lambda period: period + 1,
        stream=lambda period: TalippStream(
            lambda forms: forms.PreviousChannel(period), as_is, period + 1, attrgetter(attribute)
        ),
        batch=batch,
    )


ENTRIES = (
    Indicator(
        name="swing_high",
        domain=POSITIVE,
        reads=("high",),
        summary=(
            "High of the latest swing: above the highs of the `left` candles before it, not below those of the `right` "
            "candles after it (of equal highs the first counts). Known `right` candles later. "
            "There is none before a first one formed."
        ),
        unit=Unit.PRICE,
        parameters=_SIDES,
        warmup=lambda left, right: left + 1 + right,
        stream=lambda left, right: TalippStream(lambda forms: forms.Swing(left, right, gt), high_of, left + 1 + right),
        batch=_swing_high,
        conditional=True,
    ),
    Indicator(
        name="swing_low",
        domain=POSITIVE,
        reads=("low",),
        summary=(
            "Low of the latest swing: below the lows of the `left` candles before it, not above those of the `right` "
            "candles after it (of equal lows the first counts). Known `right` candles later. "
            "There is none before a first one formed."
        ),
        unit=Unit.PRICE,
        parameters=_SIDES,
        warmup=lambda left, right: left + 1 + right,
        stream=lambda left, right: TalippStream(lambda forms: forms.Swing(left, right, lt), low_of, left + 1 + right),
        batch=_swing_low,
        conditional=True,
    ),
    _recent("recent_high", "ub", highest, "Highest high of the last `period` candles, the current one included."),
    _recent("recent_low", "lb", lowest, "Lowest low of the last `period` candles, the current one included."),
    _donchian("donchian_high", "ub", _donchian_high, "Highest high of the `period` candles before the current one."),
    _donchian("donchian_low", "lb", _donchian_low, "Lowest low of the `period` candles before the current one."),
)
