"""The task in backtrader; its bracket orders work from the bar after the entry on."""

import backtrader
import pandas as pd
from task import ATR, BANDS, FEE, HIGH, LOW, RSI, STOP, WIDTH, candles, tell


class Reversion(backtrader.Strategy):
    def __init__(self):
        self.bands = backtrader.ind.BollingerBands(self.data.close, period=BANDS, devfactor=WIDTH)
        self.rsi = backtrader.ind.RSI(self.data.close, period=RSI, safediv=True)
        self.atr = backtrader.ind.ATR(self.data, period=ATR)
        self.bracket = []
        self.closed = 0

    def notify_trade(self, trade):
        self.closed += trade.isclosed

    def next(self):
        if self.position.size or any(order.alive() for order in self.bracket):
            return
        close, bands = self.data.close, self.bands
        away, middle = STOP * self.atr[0], bands.mid[0]
        if close[-1] < bands.bot[-1] and close[0] > bands.bot[0] and self.rsi[-1] < LOW and close[0] < middle:
            place, stop = self.buy_bracket, close[0] - away
        elif close[-1] > bands.top[-1] and close[0] < bands.top[0] and self.rsi[-1] > HIGH and close[0] > middle:
            place, stop = self.sell_bracket, close[0] + away
        else:
            return
        self.bracket = place(size=1, exectype=backtrader.Order.Market, stopprice=stop, limitprice=middle)


columns = candles()
frame = pd.DataFrame(
    dict(zip(("open", "high", "low", "close", "volume"), columns[1:], strict=True)),
    index=pd.to_datetime(columns[0].astype("int64"), unit="ms"),
)
cerebro = backtrader.Cerebro(stdstats=False)
cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
cerebro.broker.setcash(1e9)
cerebro.broker.setcommission(commission=FEE)
cerebro.addstrategy(Reversion)
tell(backtrader.__version__, cerebro.run()[0].closed)
