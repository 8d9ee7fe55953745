"""The strategies of docs/strategies once more, in pandas and backtesting.py: nothing of ours but the candle files.

Indicators, aggregation and orders are all theirs or written here anew. A decision falls at a candle's close and its
order fills at the next open; a stop that rests fills where the price meets it. Costs are left out on both sides.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from backtesting import Backtest, Strategy

Frame = pd.DataFrame
LONG = {name: pd.Timedelta(hours=count) for name, count in {"1h": 1, "4h": 4, "1d": 24}.items()}
TALES = {"Open": "first", "High": "max", "Low": "min", "Close": "last", "Volume": "sum"}


@dataclass(frozen=True)
class Plan:
    """What a strategy wants at each close: to enter, at which stop, to leave, and where the stop follows."""

    long: pd.Series
    short: pd.Series
    long_stop: pd.Series
    short_stop: pd.Series
    long_exit: pd.Series
    short_exit: pd.Series
    trail: pd.Series | None = None
    candles_max: int | None = None


@dataclass(frozen=True)
class Round:
    """One round trip: the candles in which it began and ended, and at what prices."""

    entered: pd.Timestamp
    side: str
    entry: float
    left: pd.Timestamp
    exit: float
    by_stop: bool


def hours(folder: Path, symbol: str) -> Frame:
    """The recorded hours, by their open times."""
    rows = pd.read_csv(folder / f"{symbol}-1h.csv.gz")
    rows.index = pd.to_datetime(rows.pop("open_time_ms"), unit="ms")
    return rows.rename(columns=str.capitalize)


def resampled(frame: Frame, timeframe: str) -> Frame:
    """Longer candles, of which every hour is there."""
    if timeframe == "1h":
        return frame
    grouped = frame.resample(LONG[timeframe])
    count = LONG[timeframe] // LONG["1h"]
    return grouped.agg(TALES)[grouped["Close"].count() == count]


def as_of_close(values: pd.Series, timeframe: str, frame: Frame, entry: str) -> pd.Series:
    """A column of longer candles as it is known at the close of each shorter one."""
    closed = values.set_axis(values.index + LONG[timeframe])
    wanted = frame.index + LONG[entry]
    return closed.reindex(wanted, method="ffill").set_axis(frame.index)


# --- indicators -----------------------------------------------------------------------------------
def true_range(frame: Frame) -> pd.Series:
    before = frame.Close.shift()
    return pd.concat([frame.High - frame.Low, (frame.High - before).abs(), (frame.Low - before).abs()], axis=1).max(
        axis=1
    )


def wilder(values: pd.Series, period: int) -> pd.Series:
    return values.ewm(alpha=1 / period, adjust=False).mean()


def atr(frame: Frame, period: int) -> pd.Series:
    return wilder(true_range(frame), period)


def ema(values: pd.Series, period: int) -> pd.Series:
    return values.ewm(span=period, adjust=False).mean()


def rsi(values: pd.Series, period: int) -> pd.Series:
    step = values.diff().fillna(0.0)
    up, down = wilder(step.clip(lower=0), period), wilder(-step.clip(upper=0), period)
    return 100 - 100 / (1 + up / down)


def supertrend(frame: Frame, period: int, multiple: float) -> tuple[pd.Series, pd.Series]:
    """The line, and whether it lies below the price."""
    middle, reach = (frame.High + frame.Low) / 2, multiple * atr(frame, period)
    upper, lower, close = (middle + reach).to_numpy(), (middle - reach).to_numpy(), frame.Close.to_numpy()
    is_up, line = np.ones(len(close), dtype=bool), np.full(len(close), np.nan)
    high, low = upper[0], lower[0]
    for i in range(1, len(close)):
        high = upper[i] if upper[i] < high or close[i - 1] > high else high
        low = lower[i] if lower[i] > low or close[i - 1] < low else low
        is_up[i] = close[i] >= low if is_up[i - 1] else close[i] > high
        line[i] = low if is_up[i] else high
    return pd.Series(line, frame.index), pd.Series(is_up, frame.index)


def crosses(one: pd.Series, other: pd.Series) -> pd.Series:
    return (one > other) & (one.shift() <= other.shift())


# --- the strategies -------------------------------------------------------------------------------
def donchian(frame: Frame, btc: Frame) -> Plan:
    del btc
    reach = 2 * atr(frame, 20)
    high, low = frame.High.shift(), frame.Low.shift()
    return Plan(
        long=frame.Close > high.rolling(55).max(),
        short=frame.Close < low.rolling(55).min(),
        long_stop=frame.Close - reach,
        short_stop=frame.Close + reach,
        long_exit=frame.Close < low.rolling(20).min(),
        short_exit=frame.Close > high.rolling(20).max(),
    )


def supertrend_rides(frame: Frame, btc: Frame) -> Plan:
    del btc
    line, is_up = supertrend(frame, 10, 3)
    was_up = is_up.shift(fill_value=True)
    return Plan(
        long=is_up & ~was_up,
        short=~is_up & was_up,
        long_stop=line,
        short_stop=line,
        long_exit=~is_up,
        short_exit=is_up,
        trail=line,
    )


def macd(frame: Frame, btc: Frame) -> Plan:
    line = ema(frame.Close, 12) - ema(frame.Close, 26)
    signal, reach = ema(line, 9), 3 * atr(frame, 14)
    mean = ema(resampled(btc, "1d").Close, 50)
    slope = as_of_close(mean.diff(), "1d", frame, "4h")
    up, down = crosses(line, signal), crosses(signal, line)
    return Plan(
        long=up & (slope > 0),
        short=down & (slope < 0),
        long_stop=frame.Close - reach,
        short_stop=frame.Close + reach,
        long_exit=down,
        short_exit=up,
    )


def rsi2(frame: Frame, btc: Frame) -> Plan:
    del btc
    mean, fast = frame.Close.rolling(100).mean(), frame.Close.rolling(5).mean()
    strength, reach = rsi(frame.Close, 2), 2.5 * atr(frame, 14)
    return Plan(
        long=(frame.Close > mean) & (strength < 10),
        short=(frame.Close < mean) & (strength > 90),
        long_stop=frame.Close - reach,
        short_stop=frame.Close + reach,
        long_exit=frame.Close > fast,
        short_exit=frame.Close < fast,
        candles_max=5,
    )


def opening_range(frame: Frame, btc: Frame) -> Plan:
    """The range is that of the two hours which close at 14:00 and 15:00."""
    del btc
    closed = frame.index + LONG["1h"]
    hour, is_weekday = closed.hour, pd.Series(closed.day_of_week < 5, frame.index)
    sets = pd.Series(hour == 15, frame.index) & is_weekday
    top = frame.High.rolling(2).max().where(sets).ffill()
    bottom = frame.Low.rolling(2).min().where(sets).ffill()
    trades = pd.Series((hour > 15) & (hour < 21), frame.index) & is_weekday
    above, below = frame.Close > top, frame.Close < bottom
    mean = as_of_close(ema(resampled(frame, "4h").Close, 50), "4h", frame, "1h")
    over = ~pd.Series((hour >= 13) & (hour < 21), frame.index) | ~is_weekday
    crosses_up = above & (frame.Close.shift() <= top.shift())
    crosses_down = below & (frame.Close.shift() >= bottom.shift())
    return Plan(
        long=trades & crosses_up & (above.rolling(6).sum() <= 1) & (frame.Close > mean),
        short=trades & crosses_down & (below.rolling(6).sum() <= 1) & (frame.Close < mean),
        long_stop=bottom,
        short_stop=top,
        long_exit=over,
        short_exit=over,
    )


STRATEGIES: dict[str, tuple[str, Callable[[Frame, Frame], Plan]]] = {
    "donchian": ("1d", donchian),
    "supertrend": ("4h", supertrend_rides),
    "macd": ("4h", macd),
    "rsi2": ("1d", rsi2),
    "opening_range": ("1h", opening_range),
}


# --- trading them ---------------------------------------------------------------------------------
class Follower(Strategy):  # type: ignore[misc]
    """Does what the plan says: one position at a time, a stop that rests, everything else at closes."""

    plan: Plan = None  # type: ignore[assignment]
    first: pd.Timestamp = None

    def init(self) -> None:
        pass

    def next(self) -> None:
        index = len(self.data) - 1
        plan, close = self.plan, float(self.data.Close[-1])
        if self.data.index[-1] < self.first:
            return
        if self.trades:
            self._manage(self.trades[0], index, close)
            return
        is_long, is_short = bool(plan.long.iloc[index]), bool(plan.short.iloc[index])
        if is_long and plan.long_stop.iloc[index] < close:
            self.buy(size=1, sl=float(plan.long_stop.iloc[index]))
        if is_short and plan.short_stop.iloc[index] > close:
            self.sell(size=1, sl=float(plan.short_stop.iloc[index]))

    def _manage(self, trade: object, index: int, close: float) -> None:
        plan, is_long = self.plan, trade.is_long  # type: ignore[attr-defined]
        leaves = bool((plan.long_exit if is_long else plan.short_exit).iloc[index])
        held = index - (trade.entry_bar - 1)  # type: ignore[attr-defined]
        trail = None if plan.trail is None else float(plan.trail.iloc[index])
        crossed = trail is not None and (close <= trail if is_long else close >= trail)
        if leaves or crossed or (plan.candles_max is not None and held >= plan.candles_max):
            trade.close()  # type: ignore[attr-defined]
        elif trail is not None:
            trade.sl = max(trade.sl, trail) if is_long else min(trade.sl, trail)  # type: ignore[attr-defined]


def rounds(name: str, folder: Path, symbol: str, from_: str, to: str) -> list[Round]:
    """The trades of a strategy between two days, with all candles before as its past."""
    timeframe, make = STRATEGIES[name]
    recorded = hours(folder, symbol)
    frame = resampled(recorded[recorded.index < pd.Timestamp(to)], timeframe)
    plan = make(frame, hours(folder, "BTCUSDT"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = Backtest(frame, Follower, cash=1e9, commission=0.0, finalize_trades=True)
        found = test.run(plan=plan, first=pd.Timestamp(from_))._trades
    return [
        Round(
            entered=row.EntryTime,
            side="LONG" if row.Size > 0 else "SHORT",
            entry=float(row.EntryPrice),
            left=row.ExitTime,
            exit=float(row.ExitPrice),
            by_stop=abs(float(row.ExitPrice) - float(row.SL)) < 1e-9 if row.SL == row.SL else False,
        )
        for row in found.sort_values("EntryTime").itertuples()
    ]
