"""What volume says: whether buying or selling prevails, and with how much force."""

from __future__ import annotations

from indicators.formula import Formula, Step, by_step, entry
from indicators.indicator import ANYTHING, Domain, Parameter, Unit, candles, fast_below_slow
from indicators.operations import (
    CLOSE,
    HIGH,
    LOW,
    MEDIAN,
    VOLUME,
    average,
    change,
    clamped,
    earlier,
    ema,
    ratio,
    running_total,
    total,
)

_SINCE = "Its level depends on where the history begins: compare it with its own past."


def _balance_step() -> Step:
    before, now = 0.0, 0.0
    begun = False

    def take(close: float, volume: float) -> float:
        nonlocal before, now, begun
        if not begun or close > before:
            now += volume
        elif close < before:
            now -= volume
        before, begun = close, True
        return now

    return take


def _klinger_step() -> Step:
    """Klinger's volume force: the sum of ranges begins anew at each turn of the typical price."""
    direction, total_range = 0.0, 0.0

    def take(moved: float, reach: float, before: float, volume: float) -> float:
        nonlocal direction, total_range
        now = 1.0 if moved > 0 else -1.0
        total_range = total_range + reach if now == direction else before + reach
        direction = now
        if total_range == 0:
            return 0.0
        return 100.0 * volume * abs(2.0 * (reach / total_range - 1.0)) * now

    return take


_BALANCE = by_step("balance", _balance_step, inputs=2)
_KLINGER = by_step("klinger", _klinger_step, inputs=4)

OBV = Formula(_BALANCE, (CLOSE, VOLUME))
FLOW = clamped(ratio((CLOSE - LOW) - (HIGH - CLOSE), HIGH - LOW, 0.0), -1.0, 1.0) * VOLUME
"""The volume, as far as the close is above the middle of its candle (or below: negative); 0 for a flat one."""


def _chaikin(fast: int, slow: int) -> Formula:
    flow = running_total(FLOW)
    return ema(flow, fast) - ema(flow, slow)


def _chaikin_money(period: int) -> Formula:
    return clamped(ratio(total(FLOW, period), total(VOLUME, period), 0.0), -1.0, 1.0)


def _ease(period: int, divisor: float) -> Formula:
    return average(ratio(divisor * change(MEDIAN) * (HIGH - LOW), VOLUME, 0.0), period)


def _klinger(fast: int, slow: int) -> Formula:
    reach = HIGH - LOW
    force = Formula(_KLINGER, (change(HIGH + LOW + CLOSE), reach, earlier(reach, 1), VOLUME))
    return ema(force, fast) - ema(force, slow)


_KVO = (
    candles("fast", 34, "period of the fast average", minimum=2),
    candles("slow", 55, "period of the slow average", minimum=2),
)

ENTRIES = (
    entry(
        "obv",
        f"On-balance volume: the volume of rising candles less that of falling ones since the history began. {_SINCE}",
        Unit.VOLUME,
        (),
        lambda: OBV,
        domain=ANYTHING,
    ),
    entry(
        "obv_average",
        "Mean of the last `period` values of the on-balance volume (talipp's SOBV).",
        Unit.VOLUME,
        (candles("period", 20, "values in the mean"),),
        lambda period: average(OBV, period),
        domain=ANYTHING,
    ),
    entry(
        "accumulation_distribution",
        "Accumulation/distribution line: each candle's volume, counted in full for a close at its high, negative for "
        "one"
        f"at its low, since the history began. {_SINCE}",
        Unit.VOLUME,
        (),
        lambda: running_total(FLOW),
        domain=ANYTHING,
    ),
    entry(
        "chaikin_oscillator",
        "Fast less slow EMA of the accumulation/distribution line.",
        Unit.VOLUME,
        (
            candles("fast", 3, "period of the fast average", minimum=2),
            candles("slow", 10, "period of the slow average", minimum=2),
        ),
        _chaikin,
        domain=ANYTHING,
        constraint=fast_below_slow,
    ),
    entry(
        "cmf",
        "Chaikin money flow: accumulation/distribution of the last `period` candles as a share of their volume, from "
        "-1 to 1; 0 where nothing was traded.",
        Unit.RATIO,
        (candles("period", 20, "candles that are added up"),),
        _chaikin_money,
        domain=Domain(-1.0, 1.0),
    ),
    entry(
        "emv",
        "Ease of movement: how far the middle of the candle moved for its volume, times its range, in a mean; 0 for a "
        "candle without volume.",
        Unit.SCORE,
        (
            candles("period", 14, "candles in the mean"),
            Parameter("divisor", float, 1.0, 1e12, 10_000.0, "what the volume is divided by, to bring it into reach"),
        ),
        _ease,
    ),
    entry(
        "force_index",
        "Force index: the EMA of the change of the close times its volume.",
        Unit.SCORE,
        (candles("period", 13, "period of the average"),),
        lambda period: ema(change(CLOSE) * VOLUME, period),
    ),
    entry(
        "kvo",
        "Klinger's volume oscillator: the fast less the slow EMA of the volume, signed by the turn of the typical "
        "price and weighed by how much of the range since that turn came before.",
        Unit.VOLUME,
        _KVO,
        _klinger,
        domain=ANYTHING,
        constraint=fast_below_slow,
    ),
)
