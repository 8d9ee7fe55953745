#!/usr/bin/env bash
# Guess: before an indicator has seen enough candles it is NaN, so that a comparison with it is false, in every library.
# What happens: TA-Lib gives NaN. In ta the ATR of the first 13 candles and the ADX of the first 27 are 0.0, numbers like any
# other: "ADX below 20, so this is a range" holds from the first candle, and a stop two ATR away lies at the entry itself.
# stockstats has a value from the first candle on, of however few there are: an RSI of 100 after two. tulipy leaves the
# warm-up out, by another length for each indicator, so that its arrays do not line up with the candles, nor with one
# another.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check TA-Lib==0.8.2 ta==0.11.0 stockstats==0.6.10 tulipy==0.4.0 \
    pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import warnings

warnings.simplefilter("ignore")
from importlib.metadata import version

import numpy
import pandas
import stockstats
import ta
import talib
import tulipy

close = 60_000 * numpy.exp(numpy.cumsum(numpy.random.default_rng(1).normal(0, 0.005, 400)))
high, low = close * 1.003, close * 0.997
frame = pandas.DataFrame({"open": close, "high": high, "low": low, "close": close, "volume": 1.0})
print(*(f"{name} {version(name)}" for name in ("TA-Lib", "ta", "stockstats", "tulipy")))
atr = {
    "TA-Lib": talib.ATR(high, low, close, 14),
    "ta": ta.volatility.AverageTrueRange(frame.high, frame.low, frame.close, 14).average_true_range().to_numpy(),
    "stockstats": stockstats.wrap(frame.copy())["atr_14"].to_numpy(),
    "tulipy": tulipy.atr(high, low, close, 14),
}
for name, values in atr.items():
    print(f"ATR of {name}: {len(values)} values for {len(close)} candles, first {values[0]:.1f}, tenth {values[9]:.1f}")
adx = ta.trend.ADXIndicator(frame.high, frame.low, frame.close, 14).adx().to_numpy()
rsi = stockstats.wrap(frame.copy())["rsi_14"].to_numpy()
print("ADX of ta, first candles:", adx[:3], "RSI of stockstats, first candles:", rsi[:3])
assert numpy.isnan(atr["TA-Lib"][:14]).all()
assert (atr["ta"][:13] == 0).all() and atr["ta"][13] > 0
assert (adx[:27] == 0).all() and adx[27] > 0
assert atr["stockstats"][0] > 0 and rsi[1] == 100
assert (len(atr["tulipy"]), len(tulipy.rsi(close, 14)), len(tulipy.ema(close, 14))) == (387, 386, 400)
EOF
