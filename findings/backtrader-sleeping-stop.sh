#!/usr/bin/env bash
# Guess: the stop of a bracket works from the moment of the entry, as it does at an exchange: two backtesters that buy
# at the open of the same bar, with the same stop, are both stopped out by a low far below it in that bar.
# What happens: backtesting.py sells at the stop within that bar. In backtrader both children of a bracket sleep until the
# bar after the one in which the entry was filled: the position lives through a fall of 12 % with a stop 10 % away, and
# is still open. In any later bar both agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check backtrader==1.9.78.123 backtesting==0.6.6 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import warnings

warnings.simplefilter("ignore")
import backtesting
import backtrader
import pandas

print("backtrader", backtrader.__version__, "backtesting", backtesting.__version__)
STOP, TARGET = 90, 110
CALM = (100, 100.5, 99.5, 100)
FALL = (100, 100.2, 88, 100)


def of_backtrader(rows):
    frame = pandas.DataFrame(rows, columns=["open", "high", "low", "close"])
    frame.index = pandas.date_range("2024-01-01", periods=len(rows))
    frame["volume"] = 1
    exits = []

    class Buys(backtrader.Strategy):
        def next(self):
            if len(self) == 2:
                self.buy_bracket(size=1, exectype=backtrader.Order.Market, stopprice=STOP, limitprice=TARGET)

        def notify_order(self, order):
            if order.status == order.Completed and order.issell():
                exits.append((len(self) - 1, order.executed.price))

    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Buys)
    cerebro.run()
    return exits


def of_backtesting(rows):
    frame = pandas.DataFrame(rows, columns=["Open", "High", "Low", "Close"])
    frame.index = pandas.date_range("2024-01-01", periods=len(rows))

    class Buys(backtesting.Strategy):
        def init(self):
            pass

        def next(self):
            if len(self.data) == 2:
                self.buy(size=1, sl=STOP, tp=TARGET)

    trades = backtesting.Backtest(frame, Buys, cash=10_000).run()["_trades"]
    return [(int(row.ExitBar), float(row.ExitPrice)) for row in trades.itertuples()]


for name, rows in (("in the bar of the entry", [CALM, CALM, FALL, CALM, CALM]),
                   ("in the bar after it", [CALM, CALM, CALM, FALL, CALM])):
    print(f"a low of 88 {name}: (bar, price) of the exit: backtrader", of_backtrader(rows),
          "backtesting.py", of_backtesting(rows))
assert of_backtesting([CALM, CALM, FALL, CALM, CALM]) == [(2, 90.0)]
assert of_backtrader([CALM, CALM, FALL, CALM, CALM]) == []
assert of_backtesting([CALM, CALM, CALM, FALL, CALM]) == of_backtrader([CALM, CALM, CALM, FALL, CALM]) == [(3, 90.0)]
EOF
