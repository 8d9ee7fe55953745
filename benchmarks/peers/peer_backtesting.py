"""The task in backtesting.py, with indicators of TA-Lib."""

import time

import backtesting
import pandas as pd
import talib
from task import ATR, BANDS, FEE, HIGH, LOW, RSI, STOP, WIDTH, candles, tell

backtesting.backtesting._tqdm = lambda bars, **_: bars  # no progress bar


class Reversion(backtesting.Strategy):
    def init(self):
        close, high, low = (getattr(self.data, name).astype(float) for name in ("Close", "High", "Low"))
        upper, middle, lower = talib.BBANDS(close, BANDS, WIDTH, WIDTH)
        keep = lambda values, name: self.I(lambda: values, name=name, plot=False)  # noqa: E731
        self.upper, self.middle, self.lower = keep(upper, "upper"), keep(middle, "middle"), keep(lower, "lower")
        self.rsi, self.atr = keep(talib.RSI(close, RSI), "rsi"), keep(talib.ATR(high, low, close, ATR), "atr")

    def next(self):
        if self.position or self.orders:
            return
        before, now = self.data.Close[-2], self.data.Close[-1]
        middle = self.middle[-1]
        if before < self.lower[-2] and now > self.lower[-1] and self.rsi[-2] < LOW and now < middle:
            self.buy(size=1, sl=now - STOP * self.atr[-1], tp=middle)
        elif before > self.upper[-2] and now < self.upper[-1] and self.rsi[-2] > HIGH and now > middle:
            self.sell(size=1, sl=now + STOP * self.atr[-1], tp=middle)


columns = candles()
frame = pd.DataFrame(
    dict(zip(("Open", "High", "Low", "Close", "Volume"), columns[1:], strict=True)),
    index=pd.to_datetime(columns[0].astype("int64"), unit="ms"),
)
test = backtesting.Backtest(frame, Reversion, cash=10_000_000, commission=FEE, finalize_trades=False)
began_s = time.process_time()
trades = int(test.run()["# Trades"])
tell(backtesting.__version__, trades, engine_s=time.process_time() - began_s)
