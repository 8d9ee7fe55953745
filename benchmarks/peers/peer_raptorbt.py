"""The task in raptorbt, as near as its array passes come: two passes, long and short, and instead of a target price,
which it does not take, the close beyond the middle band."""

import time
from importlib.metadata import version

import numpy as np
import raptorbt
import talib
from task import ATR, BANDS, FEE, HIGH, LOW, RSI, STOP, WIDTH, candles, tell


def before(values):
    return np.concatenate([[np.nan], values[:-1]])


time_ms, opened, high, low, close, volume = (np.ascontiguousarray(column) for column in candles())
began_s = time.process_time()
upper, middle, lower = talib.BBANDS(close, BANDS, WIDTH, WIDTH)
rsi = talib.RSI(close, RSI)
config = raptorbt.BacktestConfig(initial_capital=1e6, fees=FEE)
config.set_atr_stop(STOP, ATR)
with np.errstate(invalid="ignore"):
    long = (before(close) < before(lower)) & (close > lower) & (before(rsi) < LOW) & (close < middle)
    short = (before(close) > before(upper)) & (close < upper) & (before(rsi) > HIGH) & (close > middle)
    passes = ((long, close >= middle, 1), (short, close <= middle, -1))
    trades, passes_s = 0, time.process_time()
    for entries, exits, side in passes:
        found = raptorbt.run_single_backtest(
            timestamps=time_ms.astype(np.int64) * 1_000_000,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            entries=entries,
            exits=exits,
            direction=side,
            config=config,
        )
        trades += len(found.trades())
ended_s = time.process_time()
tell(version("raptorbt"), trades, engine_s=ended_s - began_s, passes_s=ended_s - passes_s)
